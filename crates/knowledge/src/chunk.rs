//! Cutting documents into chunks (behaviour.md 9.3).
//!
//! A document is first taken apart into *atoms*, which are not cut any further: sentences, rows of
//! tables, lines of code, headings. What is longer than a chunk is cut between tokens. Chunks are
//! runs of atoms, packed greedily; a heading stays with what follows it. Each piece of text is
//! counted once, so the time is linear in the text and the chunks made.
//!
//! No embeddings here: `SEMANTIC` is a machine that asks for them ([`Semantic`]).
//! Invariants: nothing of the text is lost but white space at the edges of chunks; no chunk has more
//! tokens than asked for; the same document is always cut the same way.

mod atoms;
mod pack;
mod semantic;
mod sentence;

use std::sync::Arc;

use outcrop_model::control::{ChunkingConfiguration, ChunkingStrategy};

use self::atoms::Atoms;
pub use self::semantic::Semantic;
use crate::document::Extracted;

/// Most chunks of one document. A text of 50 MB, the largest file AWS takes, makes about 50,000 of
/// the default size; all of a document's chunks are held at once.
pub const CHUNKS_MAX: usize = 65_536;

/// Tokens of a chunk where the data source does not say (behaviour.md 9.3).
const DEFAULT_TOKENS: usize = 300;
/// Overlap of such chunks, per cent.
const DEFAULT_OVERLAP: usize = 20;

/// Counts tokens as an embedding model does.
pub trait TokenCounter: Send + Sync {
    /// Where each token of `text` ends, as byte offsets, ascending; all are boundaries of characters.
    fn token_ends(&self, text: &str) -> Vec<usize>;

    /// How many tokens `text` has.
    fn count(&self, text: &str) -> usize {
        self.token_ends(text).len()
    }
}

/// How documents are cut. [`Default`] is what holds where a data source does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// `NONE`: a document is one chunk.
    Whole,
    /// `FIXED_SIZE`.
    Fixed {
        /// Most tokens of a chunk.
        max_tokens: usize,
        /// Most tokens that a chunk repeats of the one before.
        overlap_tokens: usize,
    },
    /// `HIERARCHICAL`.
    Hierarchical {
        /// Most tokens of a parent.
        parent_tokens: usize,
        /// Most tokens of a child.
        child_tokens: usize,
        /// Most tokens that a parent repeats of the parent before, and a child of the child before.
        overlap_tokens: usize,
    },
    /// `SEMANTIC`.
    Semantic {
        /// Most tokens of a chunk.
        max_tokens: usize,
        /// How many sentences on each side are embedded along with one.
        buffer: usize,
        /// Two sentences are parted where their distance is above this percentile of all distances.
        percentile: u8,
    },
}

impl Default for Strategy {
    fn default() -> Self {
        Self::fitting(DEFAULT_TOKENS)
    }
}

/// Why a `chunkingConfiguration` cannot be used. Its text names the member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrategyError {
    /// The strategy has parameters, and they are missing.
    #[error("{member} is required when chunkingStrategy is {strategy}")]
    Missing {
        /// The strategy.
        strategy: ChunkingStrategy,
        /// The member.
        member: &'static str,
    },
    /// A number is not one that can be used.
    #[error("{member} must be {wanted}, not {got}")]
    Number {
        /// The member.
        member: &'static str,
        /// What it may be.
        wanted: &'static str,
        /// What it is.
        got: i64,
    },
    /// A strategy that is not known here.
    #[error("chunkingStrategy {0} is not supported")]
    Unknown(ChunkingStrategy),
}

impl Strategy {
    /// The default for an embedding model that reads at most `tokens_max` tokens: what a longer chunk
    /// says behind them could not be found by its vector.
    fn fitting(tokens_max: usize) -> Self {
        let max_tokens = DEFAULT_TOKENS.min(tokens_max).max(1);
        Self::Fixed {
            max_tokens,
            overlap_tokens: max_tokens * DEFAULT_OVERLAP / 100,
        }
    }

    /// The strategy of a data source; `None`: the default, for an embedding model that reads at most
    /// `tokens_max` tokens.
    ///
    /// # Errors
    /// See [`StrategyError`].
    pub fn of(
        configuration: Option<&ChunkingConfiguration>,
        tokens_max: usize,
    ) -> Result<Self, StrategyError> {
        let Some(configuration) = configuration else {
            return Ok(Self::fitting(tokens_max));
        };
        let strategy = configuration.chunking_strategy;
        let missing = |member| StrategyError::Missing { strategy, member };
        match strategy {
            ChunkingStrategy::None => Ok(Self::Whole),
            ChunkingStrategy::FixedSize => {
                let fixed = configuration
                    .fixed_size_chunking_configuration
                    .as_ref()
                    .ok_or(missing("fixedSizeChunkingConfiguration"))?;
                let max_tokens = tokens("maxTokens", fixed.max_tokens)?;
                let percent = number(
                    "overlapPercentage",
                    fixed.overlap_percentage,
                    0..=99,
                    "from 0 to 99",
                )?;
                Ok(Self::Fixed {
                    max_tokens,
                    overlap_tokens: max_tokens * percent / 100,
                })
            }
            ChunkingStrategy::Hierarchical => {
                let levels = configuration
                    .hierarchical_chunking_configuration
                    .as_ref()
                    .ok_or(missing("hierarchicalChunkingConfiguration"))?;
                let [parent, child] = levels.level_configurations.as_slice() else {
                    return Err(StrategyError::Number {
                        member: "levelConfigurations",
                        wanted: "two levels",
                        got: i64::try_from(levels.level_configurations.len()).unwrap_or(i64::MAX),
                    });
                };
                let parent_tokens = tokens("levelConfigurations[0].maxTokens", parent.max_tokens)?;
                let child_tokens = tokens("levelConfigurations[1].maxTokens", child.max_tokens)?;
                if child_tokens > parent_tokens {
                    return Err(StrategyError::Number {
                        member: "levelConfigurations[1].maxTokens",
                        wanted: "at most the maxTokens of the level above",
                        got: child.max_tokens.into(),
                    });
                }
                Ok(Self::Hierarchical {
                    parent_tokens,
                    child_tokens,
                    overlap_tokens: number(
                        "overlapTokens",
                        levels.overlap_tokens,
                        0..=i32::MAX,
                        "at least 0",
                    )?,
                })
            }
            ChunkingStrategy::Semantic => {
                let semantic = configuration
                    .semantic_chunking_configuration
                    .as_ref()
                    .ok_or(missing("semanticChunkingConfiguration"))?;
                let percentile = number(
                    "breakpointPercentileThreshold",
                    semantic.breakpoint_percentile_threshold,
                    50..=99,
                    "from 50 to 99",
                )?;
                Ok(Self::Semantic {
                    max_tokens: tokens("maxTokens", semantic.max_tokens)?,
                    buffer: number("bufferSize", semantic.buffer_size, 0..=1, "0 or 1")?,
                    percentile: u8::try_from(percentile).expect("it is at most 99"),
                })
            }
            other => Err(StrategyError::Unknown(other)),
        }
    }
}

fn tokens(member: &'static str, value: i32) -> Result<usize, StrategyError> {
    number(member, value, 1..=8192, "from 1 to 8192")
}

fn number(
    member: &'static str,
    value: i32,
    range: std::ops::RangeInclusive<i32>,
    wanted: &'static str,
) -> Result<usize, StrategyError> {
    range
        .contains(&value)
        .then(|| usize::try_from(value).ok())
        .flatten()
        .ok_or(StrategyError::Number {
            member,
            wanted,
            got: value.into(),
        })
}

/// A piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its text; never empty.
    pub text: Arc<str>,
    /// How many tokens it has, as they were counted; some more where a seam was counted apart.
    pub tokens: usize,
    /// The page it begins on, where the document has pages and the strategy tells them.
    pub page: Option<u32>,
    /// What is returned in its place (`HIERARCHICAL`).
    pub parent: Option<Arc<Parent>>,
}

/// What several chunks were cut from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its place among the document's parents, from 0.
    pub number: usize,
    /// Its text.
    pub text: Arc<str>,
    /// The page it begins on.
    pub page: Option<u32>,
}

/// A document cut up, or on the way to it.
#[derive(Debug)]
pub enum Cut {
    /// Done. A document without text has no chunks.
    Chunks(Vec<Chunk>),
    /// `SEMANTIC` needs embeddings first.
    Semantic(Semantic),
}

/// Why a document cannot be cut. The texts are told to clients, as the reason why a document failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// It would be more chunks than a document may have.
    #[error("the document would be cut into more than {CHUNKS_MAX} chunks")]
    TooMany,
    /// The vectors that were given do not belong to the texts that were asked for.
    #[error("the embedding model gave {got} vectors of one length where {wanted} were asked for")]
    Vectors {
        /// How many were asked for.
        wanted: usize,
        /// How many came that can be compared.
        got: usize,
    },
}

/// Cuts a document. Takes time in proportion to its text: not for a thread that others wait for.
///
/// # Errors
/// [`ChunkError::TooMany`].
pub fn cut(
    document: Arc<Extracted>,
    strategy: Strategy,
    counter: &dyn TokenCounter,
) -> Result<Cut, ChunkError> {
    match strategy {
        Strategy::Whole => Ok(Cut::Chunks(whole(document, counter))),
        Strategy::Fixed {
            max_tokens,
            overlap_tokens,
        } => {
            let atoms = Atoms::of(document, max_tokens, counter);
            let chunks = pack::runs(atoms.list(), max_tokens, overlap_tokens)
                .map(|run| atoms.chunk(run, None));
            collect(chunks).map(Cut::Chunks)
        }
        Strategy::Hierarchical {
            parent_tokens,
            child_tokens,
            overlap_tokens,
        } => {
            let atoms = Atoms::of(document, child_tokens, counter);
            let parents = pack::runs(atoms.list(), parent_tokens, overlap_tokens).enumerate();
            let chunks = parents.flat_map(|(number, run)| {
                let whole = atoms.chunk(run.clone(), None);
                let parent = Arc::new(Parent {
                    number,
                    text: whole.text,
                    page: whole.page,
                });
                let first = run.start;
                let atoms = &atoms;
                pack::runs(&atoms.list()[run], child_tokens, overlap_tokens).map(move |child| {
                    let run = first + child.start..first + child.end;
                    atoms.chunk(run, Some(Arc::clone(&parent)))
                })
            });
            collect(chunks).map(Cut::Chunks)
        }
        Strategy::Semantic {
            max_tokens,
            buffer,
            percentile,
        } => {
            let atoms = Atoms::of(document, max_tokens, counter);
            Ok(Cut::Semantic(Semantic::new(
                atoms, max_tokens, buffer, percentile,
            )))
        }
    }
}

/// The chunk of `NONE`: no page, since it is on all of them.
fn whole(document: Arc<Extracted>, counter: &dyn TokenCounter) -> Vec<Chunk> {
    let atoms = Atoms::of(document, usize::MAX, counter);
    let run = 0..atoms.list().len();
    let mut chunk = atoms.chunk(run, None);
    chunk.page = None;
    if chunk.text.is_empty() {
        Vec::new()
    } else {
        vec![chunk]
    }
}

/// The chunks that have text, unless they are too many.
fn collect(chunks: impl Iterator<Item = Chunk>) -> Result<Vec<Chunk>, ChunkError> {
    let mut all = Vec::new();
    for chunk in chunks.filter(|chunk| !chunk.text.is_empty()) {
        if all.len() == CHUNKS_MAX {
            return Err(ChunkError::TooMany);
        }
        all.push(chunk);
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
