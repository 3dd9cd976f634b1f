//! Evaluating guardrails: from an identifier and texts to a judgement.
//!
//! The policies themselves are `outcrop_guardrail`'s; here a definition is read from the store, compiled
//! once for each of its revisions, and the configured classifier model is asked what no pattern tells.
//! Nothing passes unjudged: a guardrail that is not there, a policy without a classifier, a classifier
//! that fails or answers something else twice, are errors, never an assessment (ADR 0015).
//!
//! Guardrails are made and changed in `control::guardrails`.

mod apply;
mod judge;

use std::sync::Arc;

use outcrop_engine::port::{Assessment as Judgement, GuardrailError, GuardrailSource};
use outcrop_guardrail::{Assessment, Guardrail, Metrics, Passage, traced};
use outcrop_model::bedrock::GetGuardrailResponse;
use outcrop_model::converse::GuardrailContentSource as Source;
use outcrop_model::handle::CallContext;
use outcrop_store::Key;
use quick_cache::sync::Cache;
use serde::de::DeserializeOwned;

use crate::control::guardrails::Reference;
use crate::ports::Ports;
use crate::records::{GuardrailDoc, Stored, kind, read};
use crate::{error, scope};
pub(crate) use apply::refusal;

/// Guardrails kept compiled: those in use at a time. The largest, with ten thousand words, takes some
/// megabytes.
const COMPILED_MAX: usize = 128;

/// Evaluates guardrails. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Guardrails(Arc<Inner>);

struct Inner {
    ports: Arc<Ports>,
    /// The model that judges what patterns cannot.
    classifier: Option<String>,
    compiled: Cache<(Key, u64), Arc<Compiled>>,
}

/// A definition at one revision, ready.
struct Compiled {
    definition: GetGuardrailResponse,
    guardrail: Guardrail,
}

/// What is to be judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// Id or ARN.
    pub(crate) guardrail: &'a str,
    /// `DRAFT` or a number.
    pub(crate) version: &'a str,
    pub(crate) source: Source,
    pub(crate) passages: &'a [Passage<'a>],
}

/// A judgement with all that `ApplyGuardrail` tells of it.
pub(crate) struct Assessed {
    pub(crate) assessment: Assessment,
    /// What stands in place of a blocked text.
    pub(crate) message: String,
    pub(crate) arn: String,
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) metrics: Metrics,
    pub(crate) latency_ms: i64,
}

impl Guardrails {
    pub(crate) fn new(ports: Arc<Ports>, classifier: Option<String>) -> Self {
        Self(Arc::new(Inner {
            ports,
            classifier,
            compiled: Cache::new(COMPILED_MAX),
        }))
    }

    /// Judges one text of a turn.
    ///
    /// # Errors
    /// When it cannot be judged; the text must not pass then.
    pub(crate) async fn judge(
        &self,
        cx: &CallContext,
        guardrail: &str,
        version: &str,
        source: GuardrailSource,
        text: &str,
    ) -> Result<Judgement, GuardrailError> {
        let passages = [Passage {
            text,
            is_guarded: true,
            ..Passage::default()
        }];
        let ask = Ask {
            guardrail,
            version,
            source: match source {
                GuardrailSource::Input => Source::Input,
                GuardrailSource::Output => Source::Output,
            },
            passages: &passages,
        };
        let assessed = self.assess(cx, ask).await?;
        let assessment = assessed.assessment;
        let text = if assessment.blocked {
            Some(assessed.message)
        } else if assessment.masked {
            assessment.texts.into_iter().next()
        } else {
            None
        };
        Ok(Judgement {
            intervened: assessment.blocked || assessment.masked,
            blocked: assessment.blocked,
            text,
            assessments: vec![traced(&assessment.full)],
        })
    }

    /// Judges passages.
    ///
    /// # Errors
    /// When they cannot be judged.
    pub(crate) async fn assess(
        &self,
        cx: &CallContext,
        ask: Ask<'_>,
    ) -> Result<Assessed, GuardrailError> {
        let begun = self.0.ports.clock.now();
        let compiled = self.find(cx, ask.guardrail, ask.version).await?;
        let guardrail = &compiled.guardrail;
        let verdict = match guardrail.question(ask.source, ask.passages) {
            Some(question) => Some(self.ask_classifier(cx, ask, &question).await?),
            None => None,
        };
        let assessment = guardrail.assess(ask.source, ask.passages, verdict.as_ref());
        let definition = &compiled.definition;
        let message = match ask.source {
            Source::Input => &definition.blocked_input_messaging,
            _ => &definition.blocked_outputs_messaging,
        };
        let elapsed = self.0.ports.clock.now().as_millis() - begun.as_millis();
        Ok(Assessed {
            message: message.clone(),
            arn: definition.guardrail_arn.clone(),
            id: definition.guardrail_id.clone(),
            version: definition.version.clone(),
            metrics: Metrics::of(ask.passages, assessment.scope),
            latency_ms: elapsed.max(0),
            assessment,
        })
    }

    /// Whether a guardrail is there.
    ///
    /// # Errors
    /// When it is not, or cannot be read.
    pub(crate) async fn check(
        &self,
        cx: &CallContext,
        guardrail: &str,
        version: &str,
    ) -> Result<(), GuardrailError> {
        self.find(cx, guardrail, version).await.map(|_| ())
    }

    async fn find(
        &self,
        cx: &CallContext,
        guardrail: &str,
        version: &str,
    ) -> Result<Arc<Compiled>, GuardrailError> {
        let named = || format!("{guardrail} version {version}");
        let missing = |detail: &str| GuardrailError::NotFound {
            guardrail: named(),
            detail: detail.to_owned(),
        };
        let failed = |detail: String| GuardrailError::Failed {
            guardrail: named(),
            detail,
        };
        let id = Reference::parse(cx, guardrail)
            .ok_or_else(|| missing("it is of another account or region"))?;
        let scope = scope(cx);
        let (key, revision, definition) = if version == "DRAFT" {
            let key = scope.key(kind::GUARDRAIL, "", &id);
            let found = self.load::<GuardrailDoc>(key, &failed).await?;
            let found = found.ok_or_else(|| missing("no guardrail has this id"))?;
            (found.key, found.revision, found.body.guardrail)
        } else {
            let key = scope.key(kind::GUARDRAIL_VERSION, &id, version);
            let found = self.load::<GetGuardrailResponse>(key, &failed).await?;
            let found = found.ok_or_else(|| missing("no guardrail has this id and version"))?;
            (found.key, found.revision, found.body)
        };
        let place = (key, revision);
        if let Some(compiled) = self.0.compiled.get(&place) {
            return Ok(compiled);
        }
        let guardrail =
            Guardrail::compile(&definition).map_err(|error| failed(error.to_string()))?;
        let compiled = Arc::new(Compiled {
            definition,
            guardrail,
        });
        self.0.compiled.insert(place, Arc::clone(&compiled));
        Ok(compiled)
    }

    async fn load<T: DeserializeOwned>(
        &self,
        key: Key,
        failed: &impl Fn(String) -> GuardrailError,
    ) -> Result<Option<Stored<T>>, GuardrailError> {
        let now_ms = self.0.ports.clock.now().as_millis();
        let record = self.0.ports.store.get(&key, now_ms).await;
        let record = record.map_err(|cause| failed(error::store(cause).to_string()))?;
        let stored = record.map(read).transpose();
        stored.map_err(|cause| failed(cause.to_string()))
    }
}
