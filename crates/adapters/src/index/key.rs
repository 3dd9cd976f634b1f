//! What documents and rows are called in an index that others share.
//!
//! Invariant: the same document gets the same names from every version, or it would be there twice.

use outcrop_knowledge::document::DocumentLocation;
use sha2::{Digest as _, Sha256};

/// A document's location as one text, in the order of locations.
pub(super) fn document_key(location: &DocumentLocation) -> String {
    let kind = match location {
        DocumentLocation::S3 { .. } => '0',
        DocumentLocation::Custom { .. } => '1',
        DocumentLocation::Web { .. } => '2',
    };
    format!("{kind}{}", location.as_str())
}

/// The location of a key; `None` for what no version has written.
pub(super) fn location(key: &str) -> Option<DocumentLocation> {
    let (kind, text) = key.split_at_checked(1)?;
    let text = text.to_owned();
    match kind {
        "0" => Some(DocumentLocation::S3 { uri: text }),
        "1" => Some(DocumentLocation::Custom { id: text }),
        "2" => Some(DocumentLocation::Web { url: text }),
        _ => None,
    }
}

/// The location of a document that AWS has written, by its URI.
pub(super) fn location_of_uri(uri: String) -> DocumentLocation {
    if uri.starts_with("s3://") {
        DocumentLocation::S3 { uri }
    } else if uri.starts_with("http://") || uri.starts_with("https://") {
        DocumentLocation::Web { url: uri }
    } else {
        DocumentLocation::Custom { id: uri }
    }
}

/// The id of a document's chunk by its number, whichever server writes it: a UUID of version 8.
pub(super) fn row_id(
    scope: &str,
    data_source_id: &str,
    document_key: &str,
    number: usize,
) -> String {
    let mut hash = Sha256::new();
    for part in [scope, data_source_id, document_key] {
        hash.update(part.as_bytes());
        // No text has this byte.
        hash.update([0xff]);
    }
    hash.update((number as u64).to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(hash) {
        *byte = hashed;
    }
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_what_they_are() {
        let uri = "s3://bucket/a.txt".to_owned();
        let key = document_key(&DocumentLocation::S3 { uri });
        assert_eq!(key, "0s3://bucket/a.txt");
        let id = row_id("111122223333/us-west-2/KB", "DS", &key, 0);
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'8');
        assert_ne!(id, row_id("111122223333/us-west-2/KB", "DS", &key, 1));
        for location in [
            DocumentLocation::Custom { id: "a".to_owned() },
            DocumentLocation::Web {
                url: "https://a".to_owned(),
            },
        ] {
            assert_eq!(super::location(&document_key(&location)), Some(location));
        }
        assert_eq!(super::location(""), None);
    }
}
