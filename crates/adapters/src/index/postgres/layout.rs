//! What a table looks like, read from the catalogue.
//!
//! A table that somebody made as AWS's guide says it, or that AWS has filled, is used as it is. What
//! cannot be used is refused with the column's name.

mod make;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_postgres::Client;

use self::make::{index_marks, make};
use super::failure::Failure;
use super::mark::MARK;
use super::pool::Session;
use super::target::{Target, quoted};

/// Layouts remembered. A server has some dozen knowledge bases; a thousand are read again.
const REMEMBERED_MAX: usize = 1_024;
/// The column of words in a table that this program made.
const TOKENS: &str = "tokens";
/// Characters of a document's key in the index: an entry has room for 2,700 bytes.
pub(super) const KEY_CHARS_MAX: u32 = 500;

/// How a JSON document is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// As text.
    Plain,
    /// Taken apart.
    Binary,
}

/// A column with a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonColumn {
    /// Its name, quoted.
    pub(super) name: String,
    pub(super) kind: Json,
}

impl JsonColumn {
    /// Its type as SQL names it.
    pub(super) fn type_name(&self) -> &'static str {
        match self.kind {
            Json::Plain => "json",
            Json::Binary => "jsonb",
        }
    }
}

/// A table. Names are quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) table: String,
    pub(super) id: String,
    /// `uuid` or `text`.
    pub(super) id_type: &'static str,
    pub(super) vector: String,
    /// `None`: any number.
    pub(super) dimensions: Option<u32>,
    pub(super) text: String,
    pub(super) metadata: JsonColumn,
    pub(super) custom: Option<JsonColumn>,
    /// Further columns, which AWS takes for attributes: the plain name, and the quoted one.
    pub(super) extra: Vec<(String, String)>,
    /// An expression of the words of a text.
    pub(super) words: String,
    /// Whether they are stored, and not found in the text each time.
    pub(super) words_stored: bool,
    /// Whether those words have an index.
    pub(super) words_indexed: bool,
    /// Whether this program's marks have an index.
    pub(super) marks_indexed: bool,
}

impl Layout {
    /// A member of the mark, as text.
    pub(super) fn mark(&self, member: &str) -> String {
        format!("({} -> '{MARK}' ->> '{member}')", self.metadata.name)
    }

    /// The columns of an index that finds rows by their marks.
    fn marks(&self) -> String {
        format!(
            "({} COLLATE \"C\"), ({} COLLATE \"C\"), (left({}, {KEY_CHARS_MAX}) COLLATE \"C\")",
            self.mark("kb"),
            self.mark("source"),
            self.mark("document")
        )
    }
}

/// A database, and a table of it with the names of its columns.
type LayoutKey = (Option<String>, String);

type Known = BTreeMap<LayoutKey, Arc<Layout>>;

/// The layouts read so far.
#[derive(Default)]
pub(super) struct Layouts(Mutex<Known>);

impl Layouts {
    /// The table of a knowledge base; `None` where there is none.
    pub(super) async fn find(
        &self,
        session: &Session,
        target: &Target,
    ) -> Result<Option<Arc<Layout>>, Failure> {
        if let Some(known) = self.remembered(target) {
            return Ok(Some(known));
        }
        let found = read(&session.client, target).await?;
        Ok(found.map(|layout| self.remember(target, layout)))
    }

    /// The same for a write: what is missing is made.
    pub(super) async fn find_or_make(
        &self,
        session: &mut Session,
        target: &Target,
        dimensions: u32,
    ) -> Result<Arc<Layout>, Failure> {
        if let Some(known) = self.remembered(target)
            && known.marks_indexed
        {
            return Ok(known);
        }
        let mut layout = match read(&session.client, target).await? {
            Some(layout) => layout,
            None => make(session, target, dimensions).await?,
        };
        if !layout.marks_indexed {
            index_marks(session, &layout).await?;
            // Done or not, it is not tried with every document.
            layout.marks_indexed = true;
        }
        Ok(self.remember(target, layout))
    }

    /// Reads a table anew at its next use.
    pub(super) fn forget(&self, target: &Target) {
        self.lock().remove(&Self::key(target));
    }

    fn key(target: &Target) -> LayoutKey {
        (
            target.database.clone(),
            format!("{:?}", (&target.table, &target.columns)),
        )
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self, target: &Target) -> Option<Arc<Layout>> {
        self.lock().get(&Self::key(target)).cloned()
    }

    fn remember(&self, target: &Target, layout: Layout) -> Arc<Layout> {
        let layout = Arc::new(layout);
        let mut known = self.lock();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(Self::key(target), Arc::clone(&layout));
        layout
    }
}

/// A column as the catalogue has it.
struct Column {
    name: String,
    type_name: String,
    modifier: i32,
    generated: bool,
}

async fn read(client: &Client, target: &Target) -> Result<Option<Layout>, Failure> {
    let rows = client
        .query(
            "SELECT format('%I.%I', n.nspname, c.relname), a.attname::text,
                    format_type(a.atttypid, NULL), a.atttypmod, a.attgenerated <> '',
                    (SELECT coalesce(array_agg(pg_get_indexdef(i.indexrelid)), '{}')
                     FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisvalid)
             FROM pg_class AS c
             JOIN pg_namespace AS n ON n.oid = c.relnamespace
             JOIN pg_attribute AS a ON a.attrelid = c.oid
             WHERE c.oid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum",
            &[&target.table],
        )
        .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let table: String = first.try_get(0)?;
    let indexes: Vec<String> = first.try_get(5)?;
    let mut columns = Vec::with_capacity(rows.len());
    for row in &rows {
        columns.push(Column {
            name: row.try_get(1)?,
            // A type of an extension comes with its schema where that is not on the path.
            type_name: row
                .try_get::<_, &str>(2)?
                .rsplit('.')
                .next()
                .unwrap_or_default()
                .to_owned(),
            modifier: row.try_get(3)?,
            generated: row.try_get(4)?,
        });
    }
    layout(target, table, &columns, &indexes).map(Some)
}

/// The catalogue's columns as a layout.
fn layout(
    target: &Target,
    table: String,
    columns: &[Column],
    indexes: &[String],
) -> Result<Layout, Failure> {
    let names = &target.columns;
    let found = |name: &str| find(columns, name, target);
    let id = found(&names.id)?;
    let id_type = match id.type_name.as_str() {
        "uuid" => "uuid",
        "text" | "character varying" => "text",
        _ => return Err(wrong_type(target, id, "uuid")),
    };
    let vector = found(&names.vector)?;
    if vector.type_name != "vector" {
        return Err(wrong_type(target, vector, "vector"));
    }
    let text = found(&names.text)?;
    if !matches!(text.type_name.as_str(), "text" | "character varying") {
        return Err(wrong_type(target, text, "text"));
    }
    let metadata = json(target, found(&names.metadata)?)?;
    let custom = names.custom.as_deref().map(found).transpose()?;
    let custom = custom.map(|column| json(target, column)).transpose()?;
    let tokens = columns
        .iter()
        .find(|column| column.name == TOKENS && column.type_name == "tsvector" && column.generated);
    let text_name = quoted(&text.name);
    let words = match tokens {
        Some(_) => quoted(TOKENS),
        None => format!("to_tsvector('simple', {text_name})"),
    };
    let mut mapped = vec![&id.name, &vector.name, &text.name];
    mapped.extend([&names.metadata].into_iter().chain(names.custom.as_ref()));
    let extra = columns.iter().filter(|column| {
        let plain = !matches!(column.type_name.as_str(), "vector" | "tsvector" | "bytea");
        let is_mapped = |name: &&&String| name.eq_ignore_ascii_case(&column.name);
        plain && mapped.iter().find(is_mapped).is_none()
    });
    let mut layout = Layout {
        table,
        id: quoted(&id.name),
        id_type,
        vector: quoted(&vector.name),
        dimensions: u32::try_from(vector.modifier).ok().filter(|size| *size > 0),
        metadata,
        custom,
        extra: extra
            .map(|column| (column.name.clone(), quoted(&column.name)))
            .collect(),
        words_indexed: indexes.iter().any(|index| is_of_words(index, &text.name)),
        marks_indexed: indexes.iter().any(|index| index.contains(MARK)),
        text: text_name,
        words,
        words_stored: tokens.is_some(),
    };
    if tokens.is_some() {
        layout.words_indexed = indexes
            .iter()
            .any(|index| index.contains("USING gin") && index.contains(TOKENS));
    }
    Ok(layout)
}

/// Whether an index is the one that AWS asks for: over `to_tsvector('simple', text)`.
fn is_of_words(index: &str, text: &str) -> bool {
    // A column of another type is cast in the definition; names are quoted where they must be.
    let plain: String = index
        .chars()
        .filter(|char| !matches!(char, '(' | ')' | '"'))
        .collect();
    let plain = plain.replace("::text", "");
    plain.contains("USING gin")
        && plain.contains(&format!("to_tsvector'simple'::regconfig, {text}"))
}

fn find<'a>(columns: &'a [Column], name: &str, target: &Target) -> Result<&'a Column, Failure> {
    let exact = columns.iter().find(|column| column.name == name);
    // SQL takes names without quotes in small letters.
    let folded = || {
        let folded = name.to_lowercase();
        columns.iter().find(|column| column.name == folded)
    };
    exact.or_else(folded).ok_or_else(|| {
        Failure::rejected(format!(
            "the table {} has no column `{name}`, which the fieldMapping names",
            target.table
        ))
    })
}

fn json(target: &Target, column: &Column) -> Result<JsonColumn, Failure> {
    let kind = match column.type_name.as_str() {
        "json" => Json::Plain,
        "jsonb" => Json::Binary,
        _ => return Err(wrong_type(target, column, "json or jsonb")),
    };
    Ok(JsonColumn {
        name: quoted(&column.name),
        kind,
    })
}

fn wrong_type(target: &Target, column: &Column, expected: &str) -> Failure {
    Failure::rejected(format!(
        "the column `{}` of the table {} is of the type {}, not {expected}",
        column.name, target.table, column.type_name
    ))
}
