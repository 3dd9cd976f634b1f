//! Names of tools: AWS's scheme, kept within what models accept.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::{SchemaError, Strictness};

/// The longest name the common model APIs accept.
pub const TOOL_NAME_MAX: usize = 64;

/// Length of the part of a shortened name that keeps it apart from others.
const HASH_HEX_CHARS: usize = 8;

/// `parts` joined by two underscores. A name above [`TOOL_NAME_MAX`] is refused under strict limits;
/// relaxed shortens it and ends it in a hash of the whole.
///
/// # Errors
/// [`SchemaError::ToolName`] with AWS's wording.
pub fn join(parts: &[&str], strictness: Strictness) -> Result<String, SchemaError> {
    let name = parts.join("__");
    let legal = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    if name.len() <= TOOL_NAME_MAX && name.chars().all(legal) {
        return Ok(name);
    }
    if strictness == Strictness::Strict {
        return Err(SchemaError::ToolName { name });
    }
    let mut short: String = name
        .chars()
        .map(|character| if legal(character) { character } else { '_' })
        .take(TOOL_NAME_MAX - HASH_HEX_CHARS - 1)
        .collect();
    short.push('_');
    for byte in &Sha256::digest(name.as_bytes())[..HASH_HEX_CHARS / 2] {
        let _ = write!(short, "{byte:02x}");
    }
    Ok(short)
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
