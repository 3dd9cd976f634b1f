//! Which index of which server a knowledge base is kept in, and what its fields are called.

use outcrop_engine::port::{IndexError, IndexPlace};
use reqwest::Url;

use super::client::Server;

/// The fields of AWS's own quick setup, for a knowledge base whose storage names none.
const VECTOR_FIELD: &str = "bedrock-knowledge-base-default-vector";
const TEXT_FIELD: &str = "AMAZON_BEDROCK_TEXT_CHUNK";
const METADATA_FIELD: &str = "AMAZON_BEDROCK_METADATA";
/// For a knowledge base that is in no AWS storage.
const DEFAULT_REGION: &str = "us-east-1";

/// A knowledge base's place.
pub(super) struct Target {
    pub(super) server: Server,
    pub(super) index: String,
    pub(super) vector: String,
    pub(super) text: String,
    pub(super) metadata: String,
    /// Tells its documents from those of others: account, region and id.
    pub(super) scope: String,
    /// Whether all of the index is this knowledge base's.
    pub(super) own: bool,
}

impl Target {
    /// `url` is the configured server, else the storage says where it is. `serverless`: whether a
    /// collection is AWS's own.
    pub(super) fn of(
        place: &IndexPlace,
        url: Option<&Url>,
        serverless: bool,
    ) -> Result<Self, IndexError> {
        let storage = place.storage.as_deref();
        let scope = format!(
            "{}/{}/{}",
            place.account_id, place.region, place.knowledge_base_id
        );
        if let Some(found) =
            storage.and_then(|storage| storage.opensearch_serverless_configuration.as_ref())
        {
            let (region, id) = collection(&found.collection_arn)?;
            let own = format!("https://{id}.{region}.aoss.amazonaws.com");
            return Ok(Self {
                server: Server {
                    base: base(url, &own)?,
                    region: region.to_owned(),
                    serverless,
                },
                index: found.vector_index_name.clone(),
                vector: found.field_mapping.vector_field.clone(),
                text: found.field_mapping.text_field.clone(),
                metadata: found.field_mapping.metadata_field.clone(),
                scope,
                own: false,
            });
        }
        if let Some(found) =
            storage.and_then(|storage| storage.opensearch_managed_cluster_configuration.as_ref())
        {
            let region = found.domain_arn.split(':').nth(3).unwrap_or_default();
            return Ok(Self {
                server: Server {
                    base: base(url, &found.domain_endpoint)?,
                    region: region.to_owned(),
                    serverless: false,
                },
                index: found.vector_index_name.clone(),
                vector: found.field_mapping.vector_field.clone(),
                text: found.field_mapping.text_field.clone(),
                metadata: found.field_mapping.metadata_field.clone(),
                scope,
                own: false,
            });
        }
        let Some(url) = url else {
            return Err(IndexError::Rejected(
                "the storage of this knowledge base names no OpenSearch, and [[indexes]] has no `url`"
                    .to_owned(),
            ));
        };
        // Names of indexes are in small letters.
        let index = format!("outcrop-{}", scope.replace('/', "-")).to_lowercase();
        Ok(Self {
            server: Server {
                base: url.clone(),
                region: DEFAULT_REGION.to_owned(),
                serverless: false,
            },
            index,
            vector: VECTOR_FIELD.to_owned(),
            text: TEXT_FIELD.to_owned(),
            metadata: METADATA_FIELD.to_owned(),
            scope,
            own: true,
        })
    }
}

fn base(configured: Option<&Url>, own: &str) -> Result<Url, IndexError> {
    if let Some(url) = configured {
        return Ok(url.clone());
    }
    // The console shows endpoints without their scheme too.
    let text = if own.contains("://") {
        own.to_owned()
    } else {
        format!("https://{own}")
    };
    let url = Url::parse(&text).ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            IndexError::Rejected(format!("`{own}` is no address of an OpenSearch server"))
        })
}

/// Region and id of `arn:aws:aoss:REGION:ACCOUNT:collection/ID`.
fn collection(arn: &str) -> Result<(&str, &str), IndexError> {
    let mut parts = arn.splitn(6, ':').skip(3);
    let region = parts.next().filter(|region| !region.is_empty());
    let id = parts
        .nth(1)
        .and_then(|rest| rest.strip_prefix("collection/"));
    let plain = |text: &&str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    region
        .filter(plain)
        .zip(id.filter(plain))
        .ok_or_else(|| IndexError::Rejected(format!("`{arn}` is no ARN of a collection")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collections_address_is_in_its_arn() {
        let arn = "arn:aws:aoss:us-west-2:111122223333:collection/07tjusf2h91cunochc";
        assert_eq!(collection(arn), Ok(("us-west-2", "07tjusf2h91cunochc")));
        for wrong in [
            "",
            "collection/a",
            "arn:aws:aoss:us-west-2:1:index/a",
            "arn:aws:aoss:a.b:1:collection/x",
        ] {
            assert!(collection(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_endpoint_may_lack_its_scheme() {
        let plain = base(None, "search-a.us-west-2.es.amazonaws.com").expect("an address");
        assert_eq!(
            plain.as_str(),
            "https://search-a.us-west-2.es.amazonaws.com/"
        );
        assert!(base(None, "ftp://a").is_err());
    }
}
