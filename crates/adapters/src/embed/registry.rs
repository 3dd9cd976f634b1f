//! Which provider serves which embedding model, and the way of texts through cache and batches.
//!
//! Lookup is that of language models ([`crate::model::registry`]): globs over ids, first match wins.
//! Each mapping's requests under way are limited over all calls. Invariant: a text of a call is sent to
//! its model at most once, retries aside.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use outcrop_engine::port::{
    Embedder, EmbeddingChoice, EmbeddingModel, EmbeddingPurpose, ModelError,
};
use tokio::sync::Semaphore;

use super::bedrock::BedrockEmbeddings;
use super::cache::{Cache, Key};
use super::estimate::cut;
use super::local::{Local, LocalEmbedding, LocalEmbeddingSettings};
use super::openai::{self, OpenAi};
use super::provider::{Asked, Batch, Described, Provider};
use super::retry::retried;
use crate::glob::NameGlob;
use crate::http::LazyClient;
use crate::model::registry::{
    ModelMapping, ProviderKind, RegistryError, bedrock_settings, matcher, names, openai_endpoint,
    pattern_of,
};

/// Requests of one mapping under way at once, over all calls: several ingestions at once share them, as
/// they share the provider's own limits.
const REQUESTS_MAX: usize = 16;
/// Texts of one call that are looked up in the cache at once.
const LOOKUP_MAX: usize = 256;

/// One mapping from embedding models to a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingMapping {
    /// Which models, and how their provider is reached. Fallbacks and limits are of no account: other
    /// models make other vectors.
    pub upstream: ModelMapping,
    /// Length of the vectors where a knowledge base gives none.
    pub dimensions: Option<u32>,
}

/// What embeddings are made with.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingSettings {
    /// First match wins.
    pub mappings: Vec<EmbeddingMapping>,
    /// How models in this process run.
    pub local: LocalEmbeddingSettings,
    /// File that vectors are kept in; `None`: they are not kept.
    pub cache: Option<PathBuf>,
}

/// The embedding models of all mappings.
pub struct Embeddings {
    routes: Vec<Route>,
    cache: Option<Arc<Cache>>,
}

struct Route {
    matcher: NameGlob,
    upstream_model: Option<String>,
    dimensions: Option<u32>,
    provider: Arc<dyn Provider>,
    requests: Semaphore,
}

/// A model found for a choice.
struct Found<'a> {
    route: &'a Route,
    asked: Asked,
    described: Described,
}

impl Embeddings {
    /// Makes the providers of all mappings; none is contacted, nothing is loaded or opened.
    ///
    /// # Errors
    /// The first mapping that cannot work.
    pub fn new(settings: EmbeddingSettings) -> Result<Self, RegistryError> {
        let mut locals = HashMap::new();
        let routes = settings
            .mappings
            .into_iter()
            .map(|mapping| route(mapping, &settings.local, &mut locals))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            routes,
            cache: settings.cache.map(|path| Arc::new(Cache::new(path))),
        })
    }

    async fn find(&self, choice: &EmbeddingChoice) -> Result<Found<'_>, ModelError> {
        let names = names(&choice.model);
        let [_, _, bare] = names;
        let route = self
            .routes
            .iter()
            .find(|route| names.iter().any(|name| route.matcher.is_match(name)))
            .ok_or_else(|| ModelError::Unmapped {
                model: choice.model.clone(),
                hint: hint(bare),
            })?;
        let asked = Asked {
            model: route
                .upstream_model
                .clone()
                .unwrap_or_else(|| bare.to_owned()),
            dimensions: choice.dimensions.or(route.dimensions),
        };
        let described = route.provider.describe(&asked).await?;
        Ok(Found {
            route,
            asked,
            described,
        })
    }

    async fn vectors(
        &self,
        found: &Found<'_>,
        purpose: EmbeddingPurpose,
        texts: Vec<Arc<str>>,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut vectors = vec![Vec::new(); texts.len()];
        let mut missing = Missing::default();
        for (piece, start) in texts.chunks(LOOKUP_MAX).zip((0..).step_by(LOOKUP_MAX)) {
            let keys = keys(found, purpose, piece);
            let known = match (&self.cache, purpose) {
                // Questions are rarely asked again in the same words, and would push documents out.
                (None, _) | (_, EmbeddingPurpose::Query) => vec![None; piece.len()],
                (Some(cache), EmbeddingPurpose::Document) => cache.get(&keys).await,
            };
            let length = usize::try_from(found.described.model.identity.dimensions);
            for (offset, ((text, key), known)) in piece.iter().zip(keys).zip(known).enumerate() {
                match (known, vectors.get_mut(start + offset)) {
                    (Some(known), Some(slot)) if Ok(known.len()) == length => *slot = known,
                    _ => missing.add(start + offset, key, text),
                }
            }
        }
        let batches = missing.batches(&found.described);
        let limit = found.described.batch.concurrency;
        let mut made = stream::iter(batches)
            .map(|batch| self.request(found, purpose, batch))
            .buffer_unordered(limit);
        while let Some(batch) = made.try_next().await? {
            for (place, vector) in batch {
                if let Some(slot) = vectors.get_mut(place) {
                    *slot = vector;
                }
            }
        }
        Ok(vectors)
    }

    /// One request; its vectors are kept before the next is awaited, so that a broken-off ingestion
    /// pays for nothing twice.
    async fn request(
        &self,
        found: &Found<'_>,
        purpose: EmbeddingPurpose,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<(usize, Vec<f32>)>, ModelError> {
        let batch = Batch {
            asked: found.asked.clone(),
            purpose,
            texts: wanted.iter().map(|wanted| wanted.text.clone()).collect(),
        };
        let made = retried(purpose, || async {
            let permit = found.route.requests.acquire().await;
            let _permit = permit.expect("the semaphore is never closed");
            found.route.provider.embed(batch.clone()).await
        })
        .await?;
        let identity = &found.described.model.identity;
        if made.len() != wanted.len() {
            return Err(malformed(format!(
                "{} made {} vectors for {} texts",
                identity.model,
                made.len(),
                wanted.len()
            )));
        }
        let made = made
            .into_iter()
            .map(|vector| unit(vector, identity.dimensions, &identity.model))
            .collect::<Result<Vec<_>, _>>()?;
        if let (Some(cache), EmbeddingPurpose::Document) = (&self.cache, purpose) {
            let keys = wanted.iter().map(|wanted| wanted.key);
            cache.put(keys.zip(made.iter().cloned()).collect()).await;
        }
        let places = |(wanted, vector): (Wanted, Vec<f32>)| {
            wanted
                .places
                .into_iter()
                .map(move |place| (place, vector.clone()))
        };
        Ok(wanted.into_iter().zip(made).flat_map(places).collect())
    }
}

impl Embedder for Embeddings {
    fn model<'a>(
        &'a self,
        choice: &'a EmbeddingChoice,
    ) -> BoxFuture<'a, Result<EmbeddingModel, ModelError>> {
        Box::pin(async move { Ok(self.find(choice).await?.described.model) })
    }

    fn embed<'a>(
        &'a self,
        choice: &'a EmbeddingChoice,
        purpose: EmbeddingPurpose,
        texts: Vec<Arc<str>>,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, ModelError>> {
        Box::pin(async move {
            let found = self.find(choice).await?;
            self.vectors(&found, purpose, texts).await
        })
    }
}

fn keys(found: &Found<'_>, purpose: EmbeddingPurpose, texts: &[Arc<str>]) -> Vec<Key> {
    let described = &found.described;
    let purpose = described.tells_purposes.then_some(purpose);
    texts
        .iter()
        .map(|text| Key::new(&described.model.identity, purpose, text))
        .collect()
}

/// A text to be embedded, and where its vector belongs.
struct Wanted {
    key: Key,
    text: Arc<str>,
    places: Vec<usize>,
}

/// What the cache does not have, each text once.
#[derive(Default)]
struct Missing {
    wanted: Vec<Wanted>,
    known: HashMap<Key, usize>,
}

impl Missing {
    fn add(&mut self, place: usize, key: Key, text: &Arc<str>) {
        let at = *self.known.entry(key).or_insert(self.wanted.len());
        match self.wanted.get_mut(at) {
            Some(wanted) => wanted.places.push(place),
            None => self.wanted.push(Wanted {
                key,
                text: text.clone(),
                places: vec![place],
            }),
        }
    }

    /// Cuts texts to what the model takes, and puts them together to requests, in their order.
    fn batches(self, described: &Described) -> Vec<Vec<Wanted>> {
        let limits = described.batch;
        let mut batches: Vec<Vec<Wanted>> = Vec::new();
        let mut room = 0;
        for mut wanted in self.wanted {
            let tokens = if limits.tokens.is_some() {
                let model = &described.model;
                let (kept, tokens) = cut(&*model.tokens, &wanted.text, model.tokens_max);
                if kept.is_empty() {
                    // What comes over a network may not be empty.
                    wanted.text = Arc::from(" ");
                } else if kept.len() < wanted.text.len() {
                    wanted.text = Arc::from(kept);
                }
                tokens
            } else {
                0
            };
            match batches.last_mut() {
                Some(batch) if batch.len() < limits.texts && tokens <= room => {
                    room -= tokens;
                    batch.push(wanted);
                }
                _ => {
                    room = limits.tokens.unwrap_or(0).saturating_sub(tokens);
                    batches.push(vec![wanted]);
                }
            }
        }
        batches
    }
}

fn malformed(detail: String) -> ModelError {
    ModelError::Malformed { detail }
}

/// The vector at unit length. One that points nowhere, as static vectors of a text without any known
/// token do, gets a direction all such texts share.
fn unit(mut vector: Vec<f32>, dimensions: u32, model: &str) -> Result<Vec<f32>, ModelError> {
    if u32::try_from(vector.len()) != Ok(dimensions) {
        return Err(malformed(format!(
            "{model} made a vector of {} dimensions, expected {dimensions}; does it take the `dimensions` \
             asked for?",
            vector.len()
        )));
    }
    let square: f64 = vector
        .iter()
        .map(|number| f64::from(*number) * f64::from(*number))
        .sum();
    if !square.is_finite() {
        return Err(malformed(format!(
            "{model} made a vector with numbers that are none"
        )));
    }
    if square > 0.0 {
        let scale = square.sqrt().recip();
        for number in &mut vector {
            #[expect(clippy::cast_possible_truncation, reason = "at most 1")]
            let scaled = (f64::from(*number) * scale) as f32;
            *number = scaled;
        }
    } else if let Some(first) = vector.first_mut() {
        *first = 1.0;
    }
    Ok(vector)
}

/// The setting that would serve `model`, ready to be pasted.
fn hint(model: &str) -> String {
    format!(
        "add to the configuration file, for example, [[embeddings]] match = \"{}\" provider = \"local\" \
         (each key on a line of its own)",
        pattern_of(model)
    )
}

fn route(
    mapping: EmbeddingMapping,
    settings: &LocalEmbeddingSettings,
    locals: &mut HashMap<LocalEmbedding, Arc<Local>>,
) -> Result<Route, RegistryError> {
    let EmbeddingMapping {
        upstream,
        dimensions,
    } = mapping;
    let no_embeddings = |provider| RegistryError::NoEmbeddings {
        pattern: upstream.pattern.clone(),
        provider,
    };
    let provider: Arc<dyn Provider> = match upstream.provider {
        ProviderKind::OpenAi => {
            let client = LazyClient::new(upstream.timeouts.connect);
            Arc::new(OpenAi::new(openai_endpoint(
                &upstream,
                openai::PATH,
                client,
            )?))
        }
        ProviderKind::Bedrock => Arc::new(BedrockEmbeddings::new(bedrock_settings(&upstream)?)),
        ProviderKind::Anthropic => return Err(no_embeddings("anthropic")),
        ProviderKind::Local => {
            let model = match upstream.upstream_model.as_deref().map(str::parse) {
                None => LocalEmbedding::default(),
                Some(Ok(model)) => model,
                Some(Err(error)) => {
                    return Err(weights(&upstream, &error));
                }
            };
            // Two mappings to one model share its memory.
            let shared = locals
                .entry(model.clone())
                .or_insert_with(|| Arc::new(Local::new(model, settings.clone())));
            shared.clone()
        }
    };
    Ok(Route {
        matcher: matcher(&upstream.pattern)?,
        upstream_model: upstream.upstream_model,
        dimensions,
        provider,
        requests: Semaphore::new(REQUESTS_MAX),
    })
}

fn weights(mapping: &ModelMapping, error: &crate::weights::WeightsError) -> RegistryError {
    RegistryError::Weights {
        pattern: mapping.pattern.clone(),
        detail: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
