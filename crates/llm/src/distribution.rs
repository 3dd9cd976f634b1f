//! From a model's raw output to probabilities and text.
//!
//! Pure arithmetic over one row of logits and over token bytes; no state of a model is kept here.

use llama_cpp_2::token::LlamaToken;

/// Token bytes to text: a character may be spread over several tokens.
#[derive(Default)]
pub(crate) struct Utf8Pieces {
    pending: Vec<u8>,
}

impl Utf8Pieces {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let valid = match std::str::from_utf8(&self.pending) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            // Bytes that no later token can complete are shown as such.
            Err(_) => self.pending.len(),
        };
        let rest = self.pending.split_off(valid);
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending = rest;
        text
    }
}

/// The scores of every possible next token.
pub(crate) struct Distribution {
    logits: Vec<f32>,
    normaliser: f64,
}

impl Distribution {
    pub(crate) fn of(logits: &[f32]) -> DistributionRef<'_> {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|logit| (logit - highest).exp()).sum();
        DistributionRef {
            logits,
            normaliser: f64::from(highest) + f64::from(sum).ln(),
        }
    }

    pub(crate) fn log_probability(&self, token: LlamaToken) -> f64 {
        DistributionRef {
            logits: &self.logits,
            normaliser: self.normaliser,
        }
        .log_probability(token)
    }
}

/// The same, borrowed from the context.
pub(crate) struct DistributionRef<'a> {
    logits: &'a [f32],
    normaliser: f64,
}

impl DistributionRef<'_> {
    pub(crate) fn to_owned(&self) -> Distribution {
        Distribution {
            logits: self.logits.to_vec(),
            normaliser: self.normaliser,
        }
    }

    pub(crate) fn log_probability(&self, token: LlamaToken) -> f64 {
        let logit = usize::try_from(token.0)
            .ok()
            .and_then(|index| self.logits.get(index));
        logit.map_or(f64::NEG_INFINITY, |logit| {
            f64::from(*logit) - self.normaliser
        })
    }
}

/// The likeliest next token.
pub(crate) fn best_token(logits: &[f32]) -> LlamaToken {
    let best = (0_i32..).zip(logits).max_by(|a, b| a.1.total_cmp(b.1));
    LlamaToken(best.map_or(0, |(index, _)| index))
}
