//! Custom regexes: what of them is taken, and what is wrong with the others.
//!
//! They run in time linear in the text whatever they are. Look-around and back-references, which no
//! such machine has, and patterns whose machine would be too large are refused when a guardrail is
//! made, with the place.

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;

/// Most bytes of one compiled pattern: three times what any of AWS's own samples needs, and thirty of
/// them, the most a guardrail has, stay small beside a conversation.
const SIZE_MAX: usize = 1024 * 1024;

/// Most bytes of the cache by which one pattern runs.
const CACHE_MAX: usize = 1024 * 1024;

/// Deepest nesting of groups.
const NEST_MAX: u32 = 50;

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegexFault {
    /// It is not a pattern of this syntax.
    #[error("at character {column}: {reason}")]
    Syntax {
        /// One-based, in characters.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// Its machine would be too large, as with repetitions of repetitions.
    #[error("compiled it would take more than {limit} bytes; use smaller repetitions")]
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
    /// It matches the empty string, and so every text.
    #[error("it matches the empty text, and so any text at all")]
    MatchesNothing,
}

/// Compiles a pattern of a guardrail.
///
/// # Errors
/// [`RegexFault`].
pub(crate) fn compile(pattern: &str) -> Result<Regex, RegexFault> {
    let parsed = ParserBuilder::new()
        .nest_limit(NEST_MAX)
        .build()
        .parse(pattern);
    parsed.map_err(|error| syntax(&error))?;
    let built = RegexBuilder::new(pattern)
        .size_limit(SIZE_MAX)
        .dfa_size_limit(CACHE_MAX)
        .nest_limit(NEST_MAX)
        .build();
    let regex = built.map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => RegexFault::TooLarge { limit },
        other => RegexFault::Syntax {
            column: 1,
            reason: other.to_string(),
        },
    })?;
    if regex.is_match("") {
        return Err(RegexFault::MatchesNothing);
    }
    Ok(regex)
}

fn syntax(error: &regex_syntax::Error) -> RegexFault {
    let (column, reason) = match error {
        regex_syntax::Error::Parse(error) => (error.span().start.column, error.kind().to_string()),
        regex_syntax::Error::Translate(error) => {
            (error.span().start.column, error.kind().to_string())
        }
        other => (1, other.to_string()),
    };
    RegexFault::Syntax { column, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_wrong_and_where() {
        for (pattern, expected) in [
            (
                r"ab(?=c)",
                "at character 3: look-around, including look-ahead and look-behind, is not supported",
            ),
            (r"(a)\1", "at character 4: backreferences are not supported"),
            (r"a(b", "at character 2: unclosed group"),
            (
                r"((a{1000}){1000}){1000}",
                "compiled it would take more than 1048576 bytes; use smaller repetitions",
            ),
            ("a*", "it matches the empty text, and so any text at all"),
        ] {
            let fault = compile(pattern).expect_err(pattern);
            assert_eq!(fault.to_string(), expected, "{pattern}");
        }
    }

    /// What makes a backtracking engine run for years takes no time here.
    #[test]
    fn nested_repetitions_run_in_linear_time() {
        for pattern in [
            "(a+)+$",
            "(a|aa)+$",
            "^(([a-z])+.)+[A-Z]([a-z])+$",
            "(x+x+)+y",
        ] {
            let regex = compile(pattern).expect(pattern);
            let text = "a".repeat(100_000) + "!" + &"x".repeat(100_000);
            let begun = std::time::Instant::now();
            let _ = regex.find_iter(&text).count();
            assert!(begun.elapsed().as_secs() < 5, "{pattern}");
        }
    }
}
