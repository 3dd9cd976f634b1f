//! The language model in process, over llama.cpp.
//!
//! Every text it has evaluated stays in the key/value cache of one of a few slots, so a prompt that
//! begins like an earlier one costs only its tail; and a likelihood once computed is remembered,
//! since the steps of a turn ask the same questions again. Invariant: after each call a slot's
//! `tokens` are exactly what the cache holds for its sequence.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

use crate::distribution::{Distribution, Utf8Pieces, best_token};
use crate::{Ended, LanguageModel, Likelihood, LlmError, Spent};

/// Prompts kept evaluated: the openings of the planner's prompts plus one per tool of a common agent.
const SLOTS: usize = 16;
/// Continuations evaluated side by side; more go in several rounds.
const BRANCHES: usize = 16;
/// Tokens decoded at once: large enough for the matrix kernels, small enough to cancel promptly.
const BATCH_TOKENS: usize = 512;

/// Likelihoods kept. A turn of an agent with ten tools needs about a hundred.
const REMEMBERED_LIMIT: usize = 4096;

/// Set by whoever no longer wants the answer; looked at before each piece of work.
pub type CancelFlag = Arc<AtomicBool>;

/// One evaluated text.
#[derive(Default)]
struct Slot {
    tokens: Vec<LlamaToken>,
    used: u64,
}

/// The loaded weights. One per worker thread; contexts borrow it.
pub struct Weights {
    model: LlamaModel,
}

/// llama.cpp keeps process-wide state of its own that may be set up once only.
fn backend() -> Result<&'static LlamaBackend, LlmError> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    BACKEND
        .get_or_init(|| {
            let mut backend = LlamaBackend::init().map_err(|error| error.to_string())?;
            backend.void_logs();
            Ok(backend)
        })
        .as_ref()
        .map_err(|error| LlmError::Load(error.clone()))
}

impl Weights {
    /// Loads a GGUF file; about a tenth of a second for 98 MB, memory-mapped.
    pub fn load(path: &Path) -> Result<Self, LlmError> {
        let model = LlamaModel::load_from_file(backend()?, path, &LlamaModelParams::default())
            .map_err(|error| LlmError::Load(format!("{}: {error}", path.display())))?;
        Ok(Self { model })
    }
}

/// An evaluation context over loaded weights.
pub struct Llm<'w> {
    model: &'w LlamaModel,
    context: LlamaContext<'w>,
    slots: Vec<Slot>,
    clock: u64,
    context_tokens: usize,
    spent: Spent,
    remembered: HashMap<String, Likelihood>,
    cancel: CancelFlag,
}

impl<'w> Llm<'w> {
    /// A context of `context_tokens` tokens over all slots together, computed by `threads` threads.
    pub fn new(weights: &'w Weights, context_tokens: u32, threads: i32) -> Result<Self, LlmError> {
        let sequences = u32::try_from(SLOTS + BRANCHES).expect("a small constant");
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(context_tokens))
            .with_n_batch(u32::try_from(BATCH_TOKENS).expect("a small constant"))
            .with_n_seq_max(sequences)
            .with_kv_unified(true)
            .with_n_threads(threads)
            .with_n_threads_batch(threads);
        let context = weights
            .model
            .new_context(backend()?, params)
            .map_err(|error| LlmError::Load(error.to_string()))?;
        Ok(Self {
            model: &weights.model,
            context,
            slots: (0..SLOTS).map(|_| Slot::default()).collect(),
            clock: 0,
            context_tokens: usize::try_from(context_tokens).unwrap_or(usize::MAX),
            spent: Spent::default(),
            remembered: HashMap::new(),
            cancel: CancelFlag::default(),
        })
    }

    /// Begins the work of one call, which ends early once `cancel` is set.
    pub fn begin(&mut self, cancel: CancelFlag) {
        self.cancel = cancel;
        self.spent = Spent::default();
    }

    /// Tokens of `text`.
    pub fn count(&self, text: &str) -> usize {
        self.tokenize(text).len()
    }

    /// The longest prompt, in tokens.
    pub fn prompt_limit(&self) -> usize {
        (self.context_tokens / 2).saturating_sub(BATCH_TOKENS)
    }

    /// What was spent since [`Llm::begin`].
    pub fn spent(&self) -> Spent {
        self.spent
    }

    fn tokenize(&self, text: &str) -> Vec<LlamaToken> {
        self.model.vocab().tokenize(text.as_bytes(), false, true)
    }

    /// Evaluates `tokens` in a slot and returns the slot; the logits after the last token are then
    /// at the returned batch index.
    fn load(&mut self, tokens: &[LlamaToken]) -> Result<(usize, i32), LlmError> {
        let limit = self.prompt_limit();
        if tokens.len() > limit {
            return Err(LlmError::TooLong {
                tokens: tokens.len(),
                limit,
            });
        }
        self.clock += 1;
        // The last token is evaluated again even on a full hit: its logits are needed.
        let reusable = tokens.len().saturating_sub(1);
        let common = |slot: &Slot| {
            let equal = slot
                .tokens
                .iter()
                .zip(tokens)
                .take_while(|(a, b)| a == b)
                .count();
            equal.min(reusable)
        };
        let (best, shared) = (0..SLOTS)
            .map(|index| (index, common(&self.slots[index])))
            .max_by_key(|(_, shared)| *shared)
            .expect("there is at least one slot");
        let (target, shared) = self.place(best, shared, tokens.len())?;
        self.slots[target].used = self.clock;
        self.slots[target].tokens.clear();
        self.slots[target]
            .tokens
            .extend_from_slice(&tokens[..shared]);
        self.spent.prompt += tokens.len();
        self.spent.cached += shared;
        let mut last = 0;
        let mut start = shared;
        while start < tokens.len() {
            let end = (start + BATCH_TOKENS).min(tokens.len());
            let mut batch = LlamaBatch::new(end - start, 1);
            for (offset, token) in tokens[start..end].iter().enumerate() {
                let at = start + offset;
                let pos = i32::try_from(at).map_err(decode)?;
                let seq = i32::try_from(target).expect("a small number");
                batch
                    .add(*token, pos, &[seq], at + 1 == tokens.len())
                    .map_err(decode)?;
            }
            last = batch.n_tokens() - 1;
            self.decode(&mut batch, target)?;
            self.slots[target]
                .tokens
                .extend_from_slice(&tokens[start..end]);
            start = end;
        }
        Ok((target, last))
    }

    fn decode(&mut self, batch: &mut LlamaBatch<'_>, target: usize) -> Result<(), LlmError> {
        self.go_on()?;
        self.context.decode(batch).map_err(|error| {
            // What the cache holds for this slot is unknown now.
            let _ = self
                .context
                .clear_kv_cache_seq(Some(sequence(target)), None, None);
            self.slots[target].tokens.clear();
            decode(error)
        })
    }

    fn go_on(&self) -> Result<(), LlmError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(LlmError::Cancelled);
        }
        Ok(())
    }

    fn oldest_slot_except(&self, kept: usize) -> usize {
        (0..SLOTS)
            .filter(|index| *index != kept)
            .min_by_key(|index| self.slots[*index].used)
            .expect("there are at least two slots")
    }

    /// The slot for a text of `length` tokens, `shared` of which slot `best` holds, with as many of
    /// them as it now holds itself.
    fn place(
        &mut self,
        best: usize,
        shared: usize,
        length: usize,
    ) -> Result<(usize, usize), LlmError> {
        let extends = self.slots[best].tokens.len() <= shared + 1;
        let target = if extends {
            best
        } else {
            self.oldest_slot_except(best)
        };
        if !self.make_room(length - shared, target, best)? {
            // The two together are too much for the context.
            self.forget(sequence(best))?;
            self.slots[best].tokens.clear();
            return Ok((best, 0));
        }
        if target == best {
            self.context
                .clear_kv_cache_seq(Some(sequence(target)), Some(position(shared)), None)
                .map_err(decode)?;
        } else {
            self.forget(sequence(target))?;
            if shared > 0 {
                self.copy(sequence(best), sequence(target), shared)?;
            }
        }
        Ok((target, shared))
    }

    /// Forgets the least recently used slots until `wanted` more tokens fit; answers whether they do.
    fn make_room(&mut self, wanted: usize, target: usize, source: usize) -> Result<bool, LlmError> {
        loop {
            let held: usize = self.slots.iter().map(|slot| slot.tokens.len()).sum();
            if held + wanted + BATCH_TOKENS <= self.context_tokens {
                return Ok(true);
            }
            let victim = (0..SLOTS)
                .filter(|index| *index != target && *index != source)
                .filter(|index| !self.slots[*index].tokens.is_empty())
                .min_by_key(|index| self.slots[*index].used);
            let Some(victim) = victim else {
                return Ok(false);
            };
            self.forget(sequence(victim))?;
            self.slots[victim].tokens.clear();
        }
    }

    fn forget(&mut self, sequence: u32) -> Result<(), LlmError> {
        self.context
            .clear_kv_cache_seq(Some(sequence), None, None)
            .map_err(decode)?;
        Ok(())
    }

    fn copy(&mut self, from: u32, to: u32, tokens: usize) -> Result<(), LlmError> {
        let (from, to) = (from.cast_signed(), to.cast_signed());
        self.context
            .copy_kv_cache_seq(from, to, None, Some(position(tokens)))
            .map_err(decode)
    }

    fn compute(
        &mut self,
        prefix: &str,
        continuations: &[String],
    ) -> Result<Vec<Likelihood>, LlmError> {
        let prefix = self.tokenize(prefix);
        let tokens: Vec<_> = continuations
            .iter()
            .map(|text| self.tokenize(text))
            .collect();
        let (slot, row) = self.load(&prefix)?;
        let first = Distribution::of(self.context.get_logits_ith(row)).to_owned();
        let mut likelihoods = Vec::with_capacity(tokens.len());
        let mut rest = tokens.as_slice();
        while !rest.is_empty() {
            let mut size = 0;
            let fits = |text: &&Vec<LlamaToken>| {
                size += text.len();
                size <= BATCH_TOKENS
            };
            let count = rest.iter().take(BRANCHES).take_while(fits).count();
            let (round, later) = rest.split_at(count);
            if round.is_empty() {
                let tokens = later.first().map_or(0, Vec::len);
                return Err(LlmError::TooLong {
                    tokens,
                    limit: BATCH_TOKENS,
                });
            }
            self.spent.prompt += round.iter().map(Vec::len).sum::<usize>();
            likelihoods.extend(self.branch(slot, &first, round)?);
            rest = later;
        }
        Ok(likelihoods)
    }

    /// Likelihood of one round of continuations of the text in `slot`. `first` is the distribution
    /// after that text.
    fn branch(
        &mut self,
        slot: usize,
        first: &Distribution,
        round: &[Vec<LlamaToken>],
    ) -> Result<Vec<Likelihood>, LlmError> {
        self.go_on()?;
        let start = self.slots[slot].tokens.len();
        let total: usize = round.iter().map(Vec::len).sum();
        let mut batch = LlamaBatch::new(total.max(1), 1);
        let mut scored = Vec::with_capacity(round.len());
        for (index, tokens) in round.iter().enumerate() {
            let branch = sequence(SLOTS + index);
            self.copy(sequence(slot), branch, start)?;
            let first_row = batch.n_tokens();
            // The last token's own successor is of no interest.
            for (offset, token) in tokens
                .iter()
                .take(tokens.len().saturating_sub(1))
                .enumerate()
            {
                let pos = i32::try_from(start + offset).map_err(decode)?;
                batch
                    .add(*token, pos, &[branch.cast_signed()], true)
                    .map_err(decode)?;
            }
            let opening = tokens
                .first()
                .map_or(0.0, |token| first.log_probability(*token));
            scored.push((first_row, opening));
        }
        let outcome = if batch.n_tokens() > 0 {
            self.context.decode(&mut batch)
        } else {
            Ok(())
        };
        let mut likelihoods = Vec::with_capacity(round.len());
        if outcome.is_ok() {
            for (tokens, (first_row, opening)) in round.iter().zip(scored) {
                let mut log_probability = opening;
                for (row, token) in (first_row..).zip(tokens.iter().skip(1)) {
                    let logits = self.context.get_logits_ith(row);
                    log_probability += Distribution::of(logits).log_probability(*token);
                }
                likelihoods.push(Likelihood {
                    log_probability,
                    tokens: tokens.len(),
                });
            }
        }
        for index in 0..round.len() {
            self.forget(sequence(SLOTS + index))?;
        }
        outcome.map_err(decode)?;
        Ok(likelihoods)
    }
}

impl LanguageModel for Llm<'_> {
    fn likelihood(
        &mut self,
        prefix: &str,
        continuations: &[String],
    ) -> Result<Vec<Likelihood>, LlmError> {
        // No text holds a NUL, so the two parts cannot run into each other.
        let key = |text: &String| format!("{prefix}\0{text}");
        let known = |text: &String| self.remembered.get(&key(text)).copied();
        if let Some(known) = continuations.iter().map(known).collect::<Option<Vec<_>>>() {
            let tokens = self.count(prefix) + known.iter().map(|one| one.tokens).sum::<usize>();
            self.spent.prompt += tokens;
            self.spent.cached += tokens;
            return Ok(known);
        }
        let computed = self.compute(prefix, continuations)?;
        if self.remembered.len() + continuations.len() > REMEMBERED_LIMIT {
            self.remembered.clear();
        }
        self.remembered
            .extend(continuations.iter().map(key).zip(computed.iter().copied()));
        Ok(computed)
    }

    fn generate(
        &mut self,
        prompt: &str,
        limit: usize,
        piece: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Ended, LlmError> {
        let tokens = self.tokenize(prompt);
        let (slot, mut row) = self.load(&tokens)?;
        let room = self.make_room(limit, slot, slot)?;
        let limit = if room { limit } else { BATCH_TOKENS / 2 };
        let mut text = Utf8Pieces::default();
        for _ in 0..limit {
            let token = best_token(self.context.get_logits_ith(row));
            if self.model.vocab().is_eog(token) {
                return Ok(Ended::Complete);
            }
            self.spent.generated += 1;
            let bytes = self.model.vocab().token_to_piece(token, false, None);
            if !piece(&text.push(&bytes)) {
                return Ok(Ended::Complete);
            }
            let at = self.slots[slot].tokens.len();
            let mut batch = LlamaBatch::new(1, 1);
            let pos = i32::try_from(at).map_err(decode)?;
            batch
                .add(token, pos, &[sequence(slot).cast_signed()], true)
                .map_err(decode)?;
            self.decode(&mut batch, slot)?;
            self.slots[slot].tokens.push(token);
            row = 0;
        }
        Ok(Ended::Limit)
    }
}

fn sequence(index: usize) -> u32 {
    u32::try_from(index).expect("slots and branches are few")
}

fn position(tokens: usize) -> u32 {
    u32::try_from(tokens).expect("a context is far smaller than 2^32 tokens")
}

fn decode(error: impl std::fmt::Display) -> LlmError {
    LlmError::Decode(error.to_string())
}
