//! Which table a knowledge base is kept in, and by what names its columns are known.
//!
//! With an RDS configuration it is the table named there. Without one it is a table of the knowledge
//! base's own, in a schema that nothing else of this program uses.

use outcrop_engine::port::IndexPlace;
use outcrop_model::control::RdsConfiguration;
use sha2::{Digest as _, Sha256};

/// Behind the name of the store's schema: the store refuses to share its own.
const SCHEMA_SUFFIX: &str = "_index";
/// Longest name PostgreSQL keeps whole.
const NAME_BYTES_MAX: usize = 63;

/// A knowledge base's place in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Tells its rows from those of others: account, region and id.
    pub(super) scope: String,
    /// The table as SQL would name it, quoted where that is needed.
    pub(super) table: String,
    /// Whether all rows of the table are this knowledge base's.
    pub(super) own: bool,
    /// The database, for a URL that names none.
    pub(super) database: Option<String>,
    /// Names of columns, as configured.
    pub(super) columns: Columns,
}

/// `fieldMapping` of an RDS configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) id: String,
    pub(super) vector: String,
    pub(super) text: String,
    pub(super) metadata: String,
    pub(super) custom: Option<String>,
}

impl Target {
    /// The place of a knowledge base; `schema` is that of the database's URL.
    pub(super) fn of(place: &IndexPlace, schema: &str) -> Self {
        let scope = format!(
            "{}/{}/{}",
            place.account_id, place.region, place.knowledge_base_id
        );
        let storage = place.storage.as_deref();
        match storage.and_then(|storage| storage.rds_configuration.as_ref()) {
            Some(rds) => Self::configured(scope, rds),
            None => Self::own(place, scope, schema),
        }
    }

    fn configured(scope: String, rds: &RdsConfiguration) -> Self {
        let mapping = &rds.field_mapping;
        Self {
            scope,
            table: rds.table_name.clone(),
            own: false,
            database: Some(rds.database_name.clone()),
            columns: Columns {
                id: mapping.primary_key_field.clone(),
                vector: mapping.vector_field.clone(),
                text: mapping.text_field.clone(),
                metadata: mapping.metadata_field.clone(),
                custom: mapping
                    .custom_metadata_field
                    .clone()
                    .filter(|name| !name.is_empty()),
            },
        }
    }

    fn own(place: &IndexPlace, scope: String, schema: &str) -> Self {
        let kept = schema.len().min(NAME_BYTES_MAX - SCHEMA_SUFFIX.len());
        let schema = format!("{}{SCHEMA_SUFFIX}", schema.get(..kept).unwrap_or(schema));
        // Ids are unique within an account and region only.
        let hash = lock_number(&["place", &place.account_id, &place.region]);
        let table = format!(
            "kb_{}_{:08x}",
            place.knowledge_base_id.to_lowercase(),
            hash.cast_unsigned() >> 32
        );
        Self {
            scope,
            table: format!("{}.{}", quoted(&schema), quoted(&table)),
            own: true,
            database: None,
            columns: Columns {
                id: "id".to_owned(),
                vector: "embedding".to_owned(),
                text: "chunks".to_owned(),
                metadata: "metadata".to_owned(),
                custom: None,
            },
        }
    }
}

/// A name as SQL takes it, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A number for an advisory lock, from what is locked.
pub(super) fn lock_number(parts: &[&str]) -> i64 {
    let mut hash = Sha256::new();
    hash.update(b"outcrop-index");
    for part in parts {
        hash.update([0]);
        hash.update(part.as_bytes());
    }
    let hash: [u8; 32] = hash.finalize().into();
    hash.iter()
        .take(8)
        .fold(0_i64, |number, byte| (number << 8) | i64::from(*byte))
}
