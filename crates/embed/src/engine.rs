//! A loaded model: from texts to vectors, on threads of its own.
//!
//! Invariant: as many vectors come out as texts went in.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::encoder::Encoder;
use crate::folder::{Kind, ModelFolder};
use crate::table::Table;
use crate::tokens::{Marks, Tokens};

/// Tokens of texts that go through an encoder together: enough rows for the matrix products, few enough
/// that their intermediate results (some 20 KB a token) stay near the processor.
const GROUP_TOKENS: usize = 512;
/// Name of unknown tokens in the vocabularies of `Model2Vec`.
const UNKNOWN: &str = "[UNK]";

/// A loaded model.
pub struct Engine {
    tokens: Arc<Tokens>,
    tokens_max: usize,
    pool: ThreadPool,
    model: Model,
}

enum Model {
    Encoder(Box<Encoder>),
    Table { table: Table, left_out: Option<u32> },
}

impl Engine {
    /// Loads a model.
    ///
    /// # Errors
    /// What is wrong with its files, or that no threads can be had.
    pub fn load(
        files: &ModelFolder,
        tokens: Arc<Tokens>,
        threads: NonZeroUsize,
    ) -> Result<Self, String> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .thread_name(|index| format!("outcrop-embed-{index}"))
            .build()
            .map_err(|error| error.to_string())?;
        let model = match &files.kind {
            Kind::Encoder(config, pooling) => {
                Model::Encoder(Box::new(Encoder::load(&files.weights, config, *pooling)?))
            }
            Kind::Table { known_only } => Model::Table {
                table: Table::load(&files.weights)?,
                left_out: known_only.then(|| tokens.id(UNKNOWN)).flatten(),
            },
        };
        Ok(Self {
            tokens,
            tokens_max: files.tokens_max,
            pool,
            model,
        })
    }

    /// Bytes of text that are done at once, after which somebody more urgent may come.
    pub fn slice_bytes(&self) -> usize {
        /// A thread's share: about a fifth of a second of an encoder's time, a fiftieth of a table's.
        const ENCODER_BYTES: usize = 2 * 1024;
        const TABLE_BYTES: usize = 64 * 1024;
        let share = match &self.model {
            Model::Encoder(_) => ENCODER_BYTES,
            Model::Table { .. } => TABLE_BYTES,
        };
        share * self.pool.current_num_threads()
    }

    /// The vectors of texts, of no particular length.
    ///
    /// # Errors
    /// What the model cannot do with them, in words.
    pub fn embed(&self, texts: &[Arc<str>]) -> Result<Vec<Vec<f32>>, String> {
        self.pool.install(|| match &self.model {
            Model::Encoder(encoder) => self.encode(encoder, texts),
            Model::Table { table, left_out } => texts
                .par_iter()
                .map(|text| {
                    let mut ids = self.tokens.ids(text, self.tokens_max, Marks::None)?;
                    ids.retain(|id| Some(*id) != *left_out);
                    Ok(table.encode(&ids))
                })
                .collect(),
        })
    }

    fn encode(&self, encoder: &Encoder, texts: &[Arc<str>]) -> Result<Vec<Vec<f32>>, String> {
        let ids: Vec<Vec<u32>> = texts
            .par_iter()
            .map(|text| self.tokens.ids(text, self.tokens_max, Marks::Around))
            .collect::<Result<_, _>>()?;
        let vectors: Vec<Vec<Vec<f32>>> = groups(&ids)
            .par_iter()
            .map(|group| encoder.encode(group))
            .collect::<Result<_, _>>()?;
        Ok(vectors.into_iter().flatten().collect())
    }
}

/// Texts in their order, as many together as have [`GROUP_TOKENS`], at least one.
fn groups(ids: &[Vec<u32>]) -> Vec<Vec<&[u32]>> {
    let mut groups: Vec<Vec<&[u32]>> = Vec::new();
    let mut room = 0;
    for text in ids {
        match groups.last_mut() {
            Some(group) if text.len() <= room => {
                room -= text.len();
                group.push(text);
            }
            _ => {
                room = GROUP_TOKENS.saturating_sub(text.len());
                groups.push(vec![text]);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_grouped_in_order() {
        let ids: Vec<Vec<u32>> = [200, 300, 20, 600, 1, 511]
            .into_iter()
            .map(|length| vec![0; length])
            .collect();
        let lengths: Vec<Vec<usize>> = groups(&ids)
            .iter()
            .map(|group| group.iter().map(|text| text.len()).collect())
            .collect();
        assert_eq!(lengths, [vec![200, 300], vec![20], vec![600], vec![1, 511]]);
        assert!(groups(&[]).is_empty());
    }
}
