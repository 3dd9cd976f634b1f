//! What a policy does with what it finds, apart for input and output.

use outcrop_model::converse::GuardrailContentSource as Source;

/// What becomes of something found; a later one is the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// It is reported.
    None,
    /// It is replaced by the name of its kind.
    Anonymize,
    /// The whole text is replaced by the guardrail's message.
    Block,
}

/// A policy's action for each source; `None` where it is not evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) input: Option<Action>,
    pub(crate) output: Option<Action>,
}

impl Rule {
    /// A rule from AWS's five members: an absent action is `base`, an absent flag is true.
    pub(crate) fn new(
        base: Action,
        input: (Option<Action>, Option<bool>),
        output: (Option<Action>, Option<bool>),
    ) -> Self {
        let side = |(action, enabled): (Option<Action>, Option<bool>)| {
            enabled.unwrap_or(true).then(|| action.unwrap_or(base))
        };
        Self {
            input: side(input),
            output: side(output),
        }
    }

    /// The action for a source.
    pub(crate) fn on(self, source: Source) -> Option<Action> {
        match source {
            Source::Input => self.input,
            _ => self.output,
        }
    }
}
