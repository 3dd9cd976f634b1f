//! From the bytes of a document to chunks in the index: read, cut, transformed, embedded, put.
//!
//! One kitchen is of one data source as it was configured when work on it began. It knows nothing of
//! jobs, and writes nothing but the index. Invariant: the same bytes, metadata and recipe make the
//! same chunks with the same ids, whoever makes them.

mod pieces;

use std::sync::Arc;

use outcrop_engine::port::{
    DocumentKey, EmbeddingModel, EmbeddingPurpose, ExtractCall, ExtractError, Extraction,
    IndexedChunk,
};
use outcrop_knowledge::chunk::{self, Chunk, ChunkError, Cut, Strategy};
use outcrop_knowledge::document::{DocumentLocation, Extracted};
use outcrop_model::control::{CustomTransformationConfiguration, DataSource, KnowledgeBase};
use serde_json::json;

use super::content::File;
use super::stored::{Mark, SourceRef, hash};
use super::{DocumentError, Shared, Trouble, transform};
use crate::knowledge::Base;
pub(super) use pieces::Piece;

/// Changes when documents are made into chunks in another way, so that they all are once more.
const RECIPE: u32 = 2;
/// Sentences embedded at a time where the distances between them decide.
const SENTENCES_AT_ONCE: usize = 512;

/// See the module.
pub(super) struct Kitchen {
    pub(super) shared: Arc<Shared>,
    pub(super) source: SourceRef,
    pub(super) base: Base,
    /// Hash of all that decides what is made of a document, but for the document.
    pub(super) recipe: String,
    /// What the chunks are made for, as a transformation is told.
    pub(super) job_id: String,
    model: EmbeddingModel,
    strategy: Strategy,
    transformation: Option<CustomTransformationConfiguration>,
}

/// A document cut up.
pub(super) struct Pieces {
    pub(super) key: DocumentKey,
    pub(super) mark: Mark,
    pub(super) list: Vec<Piece>,
}

/// A document ready for the index.
pub(super) struct Served {
    key: DocumentKey,
    pub(super) mark: Mark,
    chunks: Vec<IndexedChunk>,
}

impl Kitchen {
    /// Opens the kitchen of a data source.
    ///
    /// # Errors
    /// [`Trouble::Failed`] where no document of it can be indexed.
    pub(super) async fn open(
        shared: &Arc<Shared>,
        source: &SourceRef,
        job_id: &str,
        knowledge_base: &KnowledgeBase,
        data_source: &DataSource,
    ) -> Result<Self, Trouble> {
        let base = Base::of(&source.account_id, &source.region, knowledge_base)?;
        let ingestion = data_source.vector_ingestion_configuration.as_ref();
        let chunking = ingestion.and_then(|given| given.chunking_configuration.as_ref());
        let transformation =
            ingestion.and_then(|given| given.custom_transformation_configuration.clone());
        check_served(data_source).map_err(Trouble::Failed)?;
        let knowledge = &shared.ports.knowledge;
        let model = knowledge.embedder.model(&base.embedding).await;
        let model = model.map_err(|cause| {
            Trouble::Failed(format!(
                "the embedding model {} cannot be used: {cause}",
                base.embedding.model
            ))
        })?;
        let strategy = Strategy::of(chunking, model.tokens_max)
            .map_err(|cause| Trouble::Failed(cause.to_string()))?;
        let holds = shared
            .patiently(|| knowledge.index.identity(&base.place))
            .await
            .map_err(|cause| Trouble::Failed(cause.to_string()))?;
        if let Some(holds) = holds
            && holds != model.identity
        {
            let cause = outcrop_engine::port::IndexError::Identity {
                holds: Box::new(holds),
                wanted: Box::new(model.identity),
            };
            return Err(Trouble::Failed(
                DocumentError::of_index(&cause).text().to_owned(),
            ));
        }
        let recipe = json!([RECIPE, model.identity, chunking, transformation]);
        Ok(Self {
            shared: Arc::clone(shared),
            source: source.clone(),
            base,
            recipe: hash(recipe.to_string().as_bytes()),
            job_id: job_id.to_owned(),
            model,
            strategy,
            transformation,
        })
    }

    pub(super) fn key(&self, location: &DocumentLocation) -> DocumentKey {
        DocumentKey {
            data_source_id: self.source.data_source_id.clone(),
            location: location.clone(),
        }
    }

    /// What will be known of a document once it is indexed.
    pub(super) fn mark(&self, file: &File) -> Mark {
        Mark {
            version: String::new(),
            metadata_version: None,
            content: file.content_hash.clone(),
            metadata: file.about.hash.clone(),
            recipe: self.recipe.clone(),
            chunks: 0,
        }
    }

    /// Reads a document and cuts it up.
    pub(super) async fn cut(
        &self,
        location: &DocumentLocation,
        file: File,
    ) -> Result<Pieces, DocumentError> {
        let key = self.key(location);
        let mark = self.mark(&file);
        let about = file.about;
        let call = ExtractCall {
            name: file.name,
            mime_type: file.mime_type,
            content: file.content,
            records: about.records.clone(),
        };
        let extracted = self.shared.ports.knowledge.extractor.extract(call).await;
        let mut list = match extracted.map_err(extract_error)? {
            Extraction::Document(document) => {
                let chunks = self.chunks(Arc::new(document)).await?;
                self.pieces(&key, &about, chunks)
            }
            Extraction::Records(rows) => self.rows(&key, &about, rows).await?,
        };
        if let Some(transformation) = &self.transformation {
            list = transform::apply(self, transformation, location, &about, list).await?;
        }
        if list.is_empty() {
            return Err(DocumentError::Unfit(
                "no text was found in the file".to_owned(),
            ));
        }
        Ok(Pieces { key, mark, list })
    }

    async fn chunks(&self, document: Arc<Extracted>) -> Result<Vec<Chunk>, DocumentError> {
        let strategy = self.strategy;
        let tokens = Arc::clone(&self.model.tokens);
        let cut = elsewhere(move || chunk::cut(document, strategy, &*tokens)).await?;
        let mut semantic = match cut {
            Cut::Chunks(chunks) => return Ok(chunks),
            Cut::Semantic(semantic) => semantic,
        };
        loop {
            let texts = semantic.texts(SENTENCES_AT_ONCE);
            if texts.is_empty() {
                return elsewhere(move || semantic.cut()).await;
            }
            let vectors = self.vectors(texts).await?;
            semantic
                .add(vectors)
                .map_err(|cause| DocumentError::Unfit(cause.to_string()))?;
        }
    }

    /// Gives documents their vectors, all of them in one call. A call that is refused is made for each
    /// document by itself, to find the one it is refused for.
    pub(super) async fn embed(&self, documents: Vec<Pieces>) -> Vec<Result<Served, DocumentError>> {
        let texts: Vec<Arc<str>> = documents.iter().flat_map(Pieces::texts).collect();
        let several = documents.len() > 1;
        match self.vectors(texts).await {
            Ok(vectors) => {
                let mut vectors = vectors.into_iter();
                documents
                    .into_iter()
                    .map(|document| Ok(self.served(document, &mut vectors)))
                    .collect()
            }
            Err(DocumentError::Unfit(_)) if several => {
                let mut all = Vec::with_capacity(documents.len());
                for document in documents {
                    let texts = document.texts().collect();
                    let vectors = self.vectors(texts).await;
                    all.push(
                        vectors.map(|vectors| self.served(document, &mut vectors.into_iter())),
                    );
                }
                all
            }
            Err(cause) => documents.iter().map(|_| Err(cause.clone())).collect(),
        }
    }

    async fn vectors(&self, texts: Vec<Arc<str>>) -> Result<Vec<Vec<f32>>, DocumentError> {
        let wanted = texts.len();
        let embedder = &self.shared.ports.knowledge.embedder;
        let vectors = embedder
            .embed(&self.base.embedding, EmbeddingPurpose::Document, texts)
            .await
            .map_err(|cause| DocumentError::of_model(&cause))?;
        if vectors.len() != wanted {
            return Err(DocumentError::Unlucky(format!(
                "the embedding model gave {} vectors for {wanted} texts",
                vectors.len()
            )));
        }
        Ok(vectors)
    }

    fn served(&self, document: Pieces, vectors: &mut impl Iterator<Item = Vec<f32>>) -> Served {
        let Pieces {
            key,
            mut mark,
            list,
        } = document;
        mark.chunks = u32::try_from(list.len()).unwrap_or(u32::MAX);
        let chunks = list.into_iter().zip(vectors).enumerate();
        let chunks = chunks.map(|(number, (piece, vector))| IndexedChunk {
            id: self.id(&key, "chunk", number),
            text: piece.text,
            vector,
            parent: piece.parent,
            metadata: piece.metadata,
        });
        let chunks = chunks.collect();
        Served { key, mark, chunks }
    }

    /// Puts a document into the index, in place of what it had there.
    pub(super) async fn put(&self, served: Served) -> Result<Mark, DocumentError> {
        let Served { key, mark, chunks } = served;
        let index = &self.shared.ports.knowledge.index;
        let put = || index.put(&self.base.place, &self.model.identity, &key, chunks.clone());
        match self.shared.patiently(put).await {
            Ok(()) => Ok(mark),
            Err(cause) => Err(DocumentError::of_index(&cause)),
        }
    }

    /// Takes documents out of the index.
    pub(super) async fn clear(&self, keys: &[DocumentKey]) -> Result<(), DocumentError> {
        let index = &self.shared.ports.knowledge.index;
        let removed = self
            .shared
            .patiently(|| index.remove(&self.base.place, keys))
            .await;
        removed.map_err(|cause| DocumentError::of_index(&cause))
    }
}

impl Pieces {
    fn texts(&self) -> impl Iterator<Item = Arc<str>> {
        self.list.iter().map(|piece| Arc::clone(&piece.embedded))
    }
}

/// Refuses to read documents in a way that is not served here. The text is for the client.
pub(crate) fn check_served(source: &DataSource) -> Result<(), String> {
    let ingestion = source.vector_ingestion_configuration.as_ref();
    let parsing = ingestion.and_then(|given| given.parsing_configuration.as_ref());
    if let Some(parsing) = parsing {
        return Err(format!(
            "The parsing strategy {} is not supported by Outcrop. Create the data source without parsingConfiguration.",
            parsing.parsing_strategy
        ));
    }
    if ingestion.is_some_and(|given| given.context_enrichment_configuration.is_some()) {
        return Err(
            "contextEnrichmentConfiguration is not supported by Outcrop. Create the data source without it."
                .to_owned(),
        );
    }
    Ok(())
}

async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ChunkError> + Send + 'static,
) -> Result<T, DocumentError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|cause| DocumentError::Unfit(cause.to_string())),
        Err(cause) => Err(DocumentError::Unlucky(format!(
            "the document could not be cut: {cause}"
        ))),
    }
}

fn extract_error(cause: ExtractError) -> DocumentError {
    match cause {
        ExtractError::Unsupported(text)
        | ExtractError::Malformed(text)
        | ExtractError::TooLarge(text) => DocumentError::Unfit(text),
        ExtractError::Failed(_) => DocumentError::Unlucky(cause.to_string()),
    }
}
