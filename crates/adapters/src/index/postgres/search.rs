//! Searches: by vector through pgvector's index or by looking at all rows, and by words with BM25.
//!
//! A filter may leave so few rows that the index of neighbours would find none of them. So the rows
//! it leaves are counted, up to a bound: below it they are all compared, above it the index is asked
//! and goes on until it has enough. Where even then it has too few, all rows are compared.
//!
//! PostgreSQL ranks words without regard to how rare they are. BM25 is computed here in SQL: first how
//! many rows have each word, then scores for the rows with the rarest, and for as many of the others as
//! are worth it.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use outcrop_engine::port::{Hit, Search, SearchBy};
use outcrop_postgres::escape;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::condition::{self, Parameters};
use super::failure::Failure;
use super::layout::{Layout, Layouts};
use super::mark::{Found, vector_text};
use super::pool::{Session, Work};
use super::target::Target;

/// Rows that are compared one by one rather than through the index: some ten milliseconds.
const COMPARED_MAX: i64 = 10_000;
/// Most results of the index; more are found by comparing all rows.
const INDEX_LIMIT_MAX: usize = 1_000;
/// Words of a question. A longer one has said what it is about.
const WORDS_MAX: i64 = 64;
/// Rows that are scored for words that are not rare.
const SCORED_MAX: i64 = 2_000;
/// Rows up to which it is counted how many have a word: above it a word says hardly anything.
const COUNTED_MAX: i64 = 50_000;

/// A search in the table of a knowledge base.
pub(super) struct Find {
    pub(super) layouts: Arc<Layouts>,
    pub(super) target: Target,
    pub(super) search: Search,
}

impl Work for Find {
    type Answer = Vec<Hit>;

    fn run<'c>(&'c self, session: &'c mut Session) -> BoxFuture<'c, Result<Vec<Hit>, Failure>> {
        Box::pin(async move {
            let Some(layout) = self.layouts.find(session, &self.target).await? else {
                return Ok(Vec::new());
            };
            if self.search.limit == 0 {
                return Ok(Vec::new());
            }
            let rows = match &self.search.by {
                SearchBy::Vector(vector) => self.by_vector(session, &layout, vector).await?,
                SearchBy::Text(text) => self.by_words(session, &layout, text).await?,
            };
            let mut hits: Vec<Hit> = rows.iter().map(hit).collect::<Result<_, _>>()?;
            hits.sort_by(|one, other| {
                let by_score = other.score.total_cmp(&one.score);
                by_score.then_with(|| one.chunk_id.cmp(&other.chunk_id))
            });
            hits.truncate(self.search.limit);
            Ok(hits)
        })
    }

    fn look_again(&self) {
        self.layouts.forget(&self.target);
    }
}

impl Find {
    /// Which rows may be found; `true` where all may.
    fn conditions(
        &self,
        layout: &Layout,
        parameters: &mut Parameters,
    ) -> Result<Option<String>, Failure> {
        let scope = condition::scope(layout, &self.target, parameters);
        let filter = self.search.filter.as_ref();
        let filter = filter
            .map(|filter| condition::filter(layout, filter, parameters))
            .transpose()?;
        let all: Vec<String> = scope.into_iter().chain(filter).collect();
        Ok((!all.is_empty()).then(|| all.join(" AND ")))
    }

    async fn by_vector(
        &self,
        session: &Session,
        layout: &Layout,
        vector: &[f32],
    ) -> Result<Vec<Row>, Failure> {
        if layout
            .dimensions
            .is_some_and(|size| size as usize != vector.len())
        {
            return Err(Failure::rejected(format!(
                "the table {} holds vectors of {} dimensions, the question's has {}",
                self.target.table,
                layout.dimensions.unwrap_or_default(),
                vector.len()
            )));
        }
        if self.asks_index(session, layout).await? {
            let rows = self.neighbours(session, layout, vector, true).await?;
            if rows.len() >= self.search.limit {
                return Ok(rows);
            }
        }
        self.neighbours(session, layout, vector, false).await
    }

    /// Whether there are so many rows that the index should find the nearest.
    async fn asks_index(&self, session: &Session, layout: &Layout) -> Result<bool, Failure> {
        if self.search.limit > INDEX_LIMIT_MAX {
            return Ok(false);
        }
        if self.search.filter.is_none() && (self.target.own || session.iterative) {
            return Ok(true);
        }
        if !session.iterative {
            return Ok(false);
        }
        let mut parameters = Parameters::default();
        let conditions = self.conditions(layout, &mut parameters)?;
        let sql = format!(
            "SELECT count(*) FROM (SELECT FROM {} WHERE {} LIMIT {}) AS matching",
            layout.table,
            conditions.as_deref().unwrap_or("true"),
            COMPARED_MAX + 1
        );
        let rows = session.client.query_typed(&sql, &parameters.list()).await?;
        let count: i64 = match rows.first() {
            Some(row) => row.try_get(0)?,
            None => 0,
        };
        Ok(count > COMPARED_MAX)
    }

    /// The nearest rows, by the index or by comparing all.
    async fn neighbours(
        &self,
        session: &Session,
        layout: &Layout,
        vector: &[f32],
        by_index: bool,
    ) -> Result<Vec<Row>, Failure> {
        let mut parameters = Parameters::default();
        let conditions = self.conditions(layout, &mut parameters)?;
        let conditions = conditions.map(|all| format!(" AND {all}"));
        let question = parameters.text(vector_text(vector));
        let distance = format!("({} <=> {question}::vector)", layout.vector);
        let order = if by_index {
            distance.clone()
        } else {
            // An expression that no index has. Equal rows come in the order in which they are told.
            format!("{distance} + 0.0, {} COLLATE \"C\"", layout.mark("chunk"))
        };
        let sql = format!(
            "SELECT {}, 1 - {distance} FROM {} WHERE {} IS NOT NULL{} ORDER BY {order} LIMIT {}",
            columns(layout),
            layout.table,
            layout.vector,
            conditions.unwrap_or_default(),
            self.search.limit
        );
        Ok(session.client.query_typed(&sql, &parameters.list()).await?)
    }

    async fn by_words(
        &self,
        session: &Session,
        layout: &Layout,
        text: &str,
    ) -> Result<Vec<Row>, Failure> {
        let words = self.words(session, layout, text).await?;
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let (rare, common) = split(&words, i64::try_from(self.search.limit).unwrap_or(i64::MAX));
        let mut parameters = Parameters::default();
        let names = words
            .iter()
            .map(|word| word.text.clone())
            .collect::<Vec<_>>();
        let weights = words.iter().map(|word| word.weight).collect::<Vec<_>>();
        let names = parameters.add(names, Type::TEXT_ARRAY);
        let weights = parameters.add(weights, Type::FLOAT8_ARRAY);
        let conditions = self.conditions(layout, &mut parameters)?;
        let conditions = conditions
            .map(|all| format!(" AND {all}"))
            .unwrap_or_default();
        let rare = parameters.text(any_of(rare));
        let from = format!(
            "SELECT ctid AS place, {} AS words FROM {}",
            layout.words, layout.table
        );
        let mut candidates = format!(
            "{from} WHERE {} @@ {rare}::tsquery{conditions}",
            layout.words
        );
        if !common.is_empty() {
            let common = parameters.text(any_of(common));
            candidates = format!(
                "({candidates}) UNION ALL ({from} WHERE {words} @@ {common}::tsquery \
                 AND NOT {words} @@ {rare}::tsquery{conditions} LIMIT {SCORED_MAX})",
                words = layout.words
            );
        }
        let sql = format!(
            "WITH asked AS (SELECT * FROM unnest({names}, {weights}) AS asked (word, weight)),
             candidates AS MATERIALIZED ({candidates}),
             counted AS MATERIALIZED (
                SELECT place, words,
                    (SELECT sum(cardinality(positions)) FROM unnest(words))::float8 AS size
                FROM candidates
             ),
             scored AS (
                SELECT place, (
                    SELECT sum(weight * cardinality(positions) * 2.2 / (
                        cardinality(positions) + 1.2 * (0.25 + 0.75 * size
                            / (SELECT avg(size) FROM counted))
                    ))
                    FROM unnest(words) JOIN asked ON asked.word = lexeme
                ) AS score
                FROM counted
             )
             SELECT {}, scored.score FROM scored JOIN {table} ON {table}.ctid = scored.place
             ORDER BY scored.score DESC, {} COLLATE \"C\" LIMIT {}",
            columns(layout),
            layout.mark("chunk"),
            self.search.limit,
            table = layout.table
        );
        Ok(session.client.query_typed(&sql, &parameters.list()).await?)
    }

    /// The words of a question that some row has, the rarest first.
    async fn words(
        &self,
        session: &Session,
        layout: &Layout,
        text: &str,
    ) -> Result<Vec<Word>, Failure> {
        let mut parameters = Parameters::default();
        let text = parameters.text(escape(text));
        let conditions = self.conditions(layout, &mut parameters)?;
        let quoted =
            r"('''' || replace(replace(outcrop_word, '\', '\\'), '''', '''''') || '''')::tsquery";
        let having = format!("FROM {} WHERE {} @@ {quoted}", layout.table, layout.words);
        let allowed = match &conditions {
            // Counted again only where it differs.
            Some(all) => format!(
                "(SELECT count(*) FROM (SELECT {having} AND {all} LIMIT {}) AS matching)",
                SCORED_MAX + 1
            ),
            None => "NULL::bigint".to_owned(),
        };
        let table = parameters.text(&layout.table);
        let sql = format!(
            "SELECT outcrop_word,
                (SELECT count(*) FROM (SELECT {having} LIMIT {COUNTED_MAX}) AS matching),
                {allowed},
                (SELECT greatest(reltuples::float8, (
                    SELECT count(*) FROM (SELECT FROM {} LIMIT {COUNTED_MAX}) AS matching
                )) FROM pg_class WHERE oid = {table}::regclass)
             FROM unnest(to_tsvector('simple', {text})) AS asked (outcrop_word, outcrop_places)
             ORDER BY outcrop_places[1] LIMIT {WORDS_MAX}",
            layout.table
        );
        let rows = session.client.query_typed(&sql, &parameters.list()).await?;
        let mut words = Vec::with_capacity(rows.len());
        for row in &rows {
            let having: i64 = row.try_get(1)?;
            let allowed: i64 = row.try_get::<_, Option<i64>>(2)?.unwrap_or(having);
            if allowed > 0 {
                words.push(Word {
                    text: row.try_get(0)?,
                    weight: weight(row.try_get(3)?, having),
                    rows: allowed,
                });
            }
        }
        words.sort_by(|one, other| (one.rows, &one.text).cmp(&(other.rows, &other.text)));
        Ok(words)
    }
}

/// A word of a question.
#[derive(Debug, PartialEq)]
struct Word {
    text: String,
    /// How much it says: the inverse document frequency of BM25.
    weight: f64,
    /// How many rows that may be found have it, up to a bound.
    rows: i64,
}

/// BM25's weight of a word that `having` of `all` rows have.
fn weight(all: f64, having: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most COUNTED_MAX")]
    let having = having as f64;
    let lacking = (all - having).max(0.0);
    (1.0 + (lacking + 0.5) / (having + 0.5)).ln()
}

/// The words all of whose rows are scored, and those of whose rows only some are; the latter none
/// where the former are enough. `words` by rising number of rows.
fn split(words: &[Word], limit: i64) -> (&[Word], &[Word]) {
    let mut sum = 0;
    let mut rare = 0;
    for word in words {
        if sum + word.rows > SCORED_MAX {
            break;
        }
        sum += word.rows;
        rare += 1;
    }
    let (rare, rest) = words.split_at(rare);
    let common = if sum >= limit.max(1) { 0 } else { rest.len() };
    (rare, &rest[..common])
}

/// A query for rows with any of some words. Without words: one that finds nothing.
fn any_of(words: &[Word]) -> String {
    let quoted = words.iter().map(|word| {
        let text = word.text.replace('\\', "\\\\").replace('\'', "''");
        format!("'{text}'")
    });
    quoted.collect::<Vec<_>>().join(" | ")
}

/// What a row is told by.
fn columns(layout: &Layout) -> String {
    let table = &layout.table;
    let custom = layout.custom.as_ref().map_or_else(
        || "NULL::text".to_owned(),
        |column| format!("{table}.{}::text", column.name),
    );
    let extra: Vec<String> = layout
        .extra
        .iter()
        .map(|(plain, quoted)| format!("'{}', {table}.{quoted}", plain.replace('\'', "''")))
        .collect();
    let extra = if extra.is_empty() {
        "NULL::text".to_owned()
    } else {
        format!(
            "json_strip_nulls(json_build_object({}))::text",
            extra.join(", ")
        )
    };
    format!(
        "{table}.{}::text, {table}.{}, {table}.{}::text, {custom}, {extra}",
        layout.id, layout.text, layout.metadata.name
    )
}

fn hit(row: &Row) -> Result<Hit, Failure> {
    let found = Found {
        id: row.try_get(0)?,
        text: row.try_get::<_, Option<&str>>(1)?.unwrap_or_default(),
        metadata: row.try_get(2)?,
        custom: row.try_get(3)?,
        extra: row.try_get(4)?,
        // A vector of zeros is near nothing.
        score: row
            .try_get::<_, Option<f64>>(5)?
            .filter(|score| score.is_finite())
            .unwrap_or(-1.0),
    };
    Ok(found.hit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, rows: i64) -> Word {
        Word {
            text: text.to_owned(),
            weight: 1.0,
            rows,
        }
    }

    #[test]
    fn common_words_count_only_where_rare_ones_find_too_little() {
        let words = [word("pto", 3), word("policy", 40), word("the", 2_001)];
        let names = |words: &[Word]| {
            words
                .iter()
                .map(|word| word.text.clone())
                .collect::<Vec<_>>()
        };
        let (rare, common) = split(&words, 10);
        assert_eq!(
            (names(rare), names(common)),
            (vec!["pto".into(), "policy".into()], vec![])
        );
        let (rare, common) = split(&words, 100);
        assert_eq!(names(rare).len(), 2);
        assert_eq!(names(common), ["the"]);
        let (rare, common) = split(&words[2..], 1);
        assert_eq!((rare.len(), common.len()), (0, 1));
    }

    #[test]
    fn rare_words_weigh_more_and_none_weighs_nothing() {
        assert!(weight(1_000.0, 1) > weight(1_000.0, 100));
        assert!(weight(10.0, 10) > 0.0);
        // A count that is older than the rows.
        assert!(weight(5.0, 10) > 0.0);
    }

    #[test]
    fn words_are_quoted() {
        assert_eq!(
            any_of(&[word("o'neil", 1), word("a\\b", 1)]),
            "'o''neil' | 'a\\\\b'"
        );
        assert_eq!(any_of(&[]), "");
    }
}
