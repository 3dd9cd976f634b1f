//! Filters as SQL, to the letter of [`Filter::matches`].
//!
//! Each operator becomes an expression that is true or false, never null, so that the logic around it
//! is that of the filter. Values are parameters; no text of a client's becomes SQL.

use outcrop_engine::port::IndexError;
use outcrop_knowledge::filter::{Condition, Filter};
use outcrop_knowledge::metadata::MetadataValue;
use outcrop_postgres::escape;
use tokio_postgres::types::{ToSql, Type};

use super::failure::Failure;
use super::layout::{Json, JsonColumn, Layout};
use super::mark::json;
use super::target::Target;

/// Characters that are stored as others, among which a part of a text could be found by mistake.
const ESCAPED: [char; 3] = ['\0', '\u{1}', '\u{2}'];

/// Parameters of a statement, each with its type, so that it needs no preparation.
#[derive(Default)]
pub(super) struct Parameters(Vec<(Box<dyn ToSql + Sync + Send>, Type)>);

impl Parameters {
    /// Adds one; the answer is how the statement names it.
    pub(super) fn add(&mut self, value: impl ToSql + Sync + Send + 'static, of: Type) -> String {
        self.0.push((Box::new(value), of));
        format!("${}", self.0.len())
    }

    pub(super) fn text(&mut self, value: impl Into<String>) -> String {
        self.add(value.into(), Type::TEXT)
    }

    pub(super) fn list(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.0
            .iter()
            .map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone()))
            .collect()
    }
}

/// Which rows a knowledge base may find, `filter` apart. `None`: all of them.
pub(super) fn scope(
    layout: &Layout,
    target: &Target,
    parameters: &mut Parameters,
) -> Option<String> {
    if target.own {
        return None;
    }
    // Rows without a mark are everybody's.
    let scope = parameters.text(&target.scope);
    Some(format!(
        "coalesce({}, {scope}) = {scope}",
        layout.mark("kb")
    ))
}

/// A filter as an expression.
pub(super) fn filter(
    layout: &Layout,
    filter: &Filter,
    parameters: &mut Parameters,
) -> Result<String, Failure> {
    let (filters, between) = match filter {
        Filter::All(filters) => (filters, " AND "),
        Filter::Any(filters) => (filters, " OR "),
        Filter::Attribute { key, condition } => {
            let value = attribute(layout, key, parameters);
            return self::condition(&value, condition, parameters);
        }
    };
    let parts: Vec<String> = filters
        .iter()
        .map(|part| self::filter(layout, part, parameters))
        .collect::<Result<_, _>>()?;
    Ok(format!("({})", parts.join(between)))
}

/// The value of an attribute, as `jsonb`; null where there is none.
fn attribute(layout: &Layout, key: &str, parameters: &mut Parameters) -> String {
    let name = parameters.text(escape(key));
    let of = |column: &JsonColumn| match column.kind {
        Json::Binary => format!("({} -> {name})", column.name),
        Json::Plain => format!("({} -> {name})::jsonb", column.name),
    };
    let mut places: Vec<String> = layout.custom.iter().map(of).collect();
    places.extend(
        layout
            .extra
            .iter()
            .filter(|(plain, _)| plain == key)
            .map(|(_, quoted)| format!("to_jsonb({quoted})")),
    );
    places.push(of(&layout.metadata));
    match places.as_slice() {
        [only] => only.clone(),
        _ => format!("coalesce({})", places.join(", ")),
    }
}

fn condition(
    value: &str,
    condition: &Condition,
    parameters: &mut Parameters,
) -> Result<String, Failure> {
    Ok(match condition {
        Condition::Equals(wanted) => {
            let wanted = constant(wanted, parameters);
            format!("coalesce({value} = {wanted}, false)")
        }
        Condition::NotEquals(wanted) => {
            let wanted = constant(wanted, parameters);
            format!("coalesce({value} <> {wanted}, true)")
        }
        Condition::In(wanted) => {
            let wanted = constants(wanted, parameters);
            format!("coalesce({value} = ANY ({wanted}), false)")
        }
        Condition::NotIn(wanted) => {
            let wanted = constants(wanted, parameters);
            format!("NOT coalesce({value} = ANY ({wanted}), false)")
        }
        Condition::GreaterThan(limit) => number(value, ">", *limit, parameters),
        Condition::GreaterThanOrEquals(limit) => number(value, ">=", *limit, parameters),
        Condition::LessThan(limit) => number(value, "<", *limit, parameters),
        Condition::LessThanOrEquals(limit) => number(value, "<=", *limit, parameters),
        Condition::StartsWith(start) => {
            let start = parameters.text(escape(start));
            format!(
                "coalesce(jsonb_typeof({value}) = 'string' \
                 AND starts_with({value} #>> '{{}}', {start}), false)"
            )
        }
        Condition::ListContains(wanted) => {
            let wanted = parameters.text(escape(wanted));
            format!(
                "coalesce(jsonb_typeof({value}) = 'array' \
                 AND jsonb_exists({value}, {wanted}), false)"
            )
        }
        Condition::StringContains(part) => contains(value, part, parameters)?,
    })
}

fn contains(value: &str, part: &str, parameters: &mut Parameters) -> Result<String, Failure> {
    if part.contains(ESCAPED) {
        return Err(Failure::Final(IndexError::Unsupported(
            "stringContains with one of the characters U+0000 to U+0002 cannot be asked of a \
             PostgreSQL database"
                .to_owned(),
        )));
    }
    let part = parameters.text(part);
    Ok(format!(
        "coalesce(CASE jsonb_typeof({value})
            WHEN 'string' THEN position({part} IN {value} #>> '{{}}') > 0
            WHEN 'array' THEN EXISTS (
                SELECT FROM jsonb_array_elements_text({value}) AS item
                WHERE position({part} IN item) > 0
            )
        END, false)"
    ))
}

fn number(value: &str, operator: &str, limit: f64, parameters: &mut Parameters) -> String {
    let limit = constant(&MetadataValue::Number(limit), parameters);
    format!("coalesce(jsonb_typeof({value}) = 'number' AND {value} {operator} {limit}, false)")
}

fn constant(value: &MetadataValue, parameters: &mut Parameters) -> String {
    let text = parameters.text(json(value).to_string());
    format!("{text}::jsonb")
}

fn constants(values: &[MetadataValue], parameters: &mut Parameters) -> String {
    let texts: Vec<String> = values.iter().map(|value| json(value).to_string()).collect();
    let texts = parameters.add(texts, Type::TEXT_ARRAY);
    format!("{texts}::jsonb[]")
}
