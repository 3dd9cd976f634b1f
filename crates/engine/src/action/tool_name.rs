//! Names of tools: AWS's scheme, kept within what models accept.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::{SchemaError, Strictness};

/// The longest name the common model APIs accept.
pub const TOOL_NAME_MAX: usize = 64;

/// Length of the part of a shortened name that keeps it apart from others.
const HASH_HEX_CHARS: usize = 8;

/// A name that models would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The name.
    pub whole: String,
}

/// `parts` joined by two underscores.
///
/// # Errors
/// [`Unfit`] where the name is above [`TOOL_NAME_MAX`] or has other characters than models take.
pub fn checked(parts: &[&str]) -> Result<String, Unfit> {
    let whole = parts.join("__");
    if whole.len() <= TOOL_NAME_MAX && whole.chars().all(is_legal) {
        Ok(whole)
    } else {
        Err(Unfit { whole })
    }
}

/// The same, with what is unfit refused under strict limits and shortened under relaxed ones.
///
/// # Errors
/// [`SchemaError::ToolName`] with AWS's wording.
pub fn join(parts: &[&str], strictness: Strictness) -> Result<String, SchemaError> {
    checked(parts).or_else(|unfit| match strictness {
        Strictness::Strict => Err(SchemaError::ToolName { name: unfit.whole }),
        Strictness::Relaxed => Ok(unfit.shortened()),
    })
}

impl Unfit {
    /// A name that models take, ended in a hash of the whole so that it stays apart from others.
    pub fn shortened(&self) -> String {
        let mut short: String = self
            .whole
            .chars()
            .map(|character| if is_legal(character) { character } else { '_' })
            .take(TOOL_NAME_MAX - HASH_HEX_CHARS - 1)
            .collect();
        short.push('_');
        for byte in &Sha256::digest(self.whole.as_bytes())[..HASH_HEX_CHARS / 2] {
            let _ = write!(short, "{byte:02x}");
        }
        short
    }
}

fn is_legal(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_-".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_refused_or_shortened_without_clashing() {
        let long = "x".repeat(70);
        assert!(join(&["g", &long], Strictness::Strict).is_err());
        let one = join(&["g", &long], Strictness::Relaxed).expect("shortened");
        let other = join(&["g", &format!("{long}y")], Strictness::Relaxed).expect("shortened");
        assert_eq!(one.len(), TOOL_NAME_MAX);
        assert_ne!(one, other);
        assert_eq!(
            join(&["Group", "fn"], Strictness::Strict).expect("legal"),
            "Group__fn"
        );
    }
}
