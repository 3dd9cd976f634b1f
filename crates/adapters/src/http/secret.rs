//! A value that must not be seen: API keys and tokens.

use std::fmt;

use reqwest::header::{HeaderValue, InvalidHeaderValue};

/// What stands in a text where a secret was.
const REDACTED: &str = "[redacted]";

/// A secret. It can be used but not printed: its `Debug` hides the value and it has no `Display`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps the value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A header carrying the value after `prefix`, marked so that HTTP libraries do not log it.
    ///
    /// # Errors
    /// The value holds characters a header cannot.
    pub fn header(&self, prefix: &str) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut header = HeaderValue::from_str(&format!("{prefix}{}", self.0))?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// Takes the secret out of a text that came from outside: a server may quote the key it refuses.
    pub fn redact(&self, text: String) -> String {
        if self.0.is_empty() || !text.contains(&self.0) {
            return text;
        }
        text.replace(&self.0, REDACTED)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_shown() {
        let secret = Secret::new("sk-1234");
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(
            secret.redact("bad key sk-1234, really sk-1234".to_owned()),
            "bad key [redacted], really [redacted]"
        );
        assert_eq!(Secret::new("").redact("plain".to_owned()), "plain");
        let header = secret.header("Bearer ").expect("plain ASCII");
        assert!(header.is_sensitive());
        assert_eq!(header.as_bytes(), b"Bearer sk-1234");
        assert!(Secret::new("two\nlines").header("").is_err());
    }
}
