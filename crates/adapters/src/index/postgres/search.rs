//! Searches by vector, through pgvector's index or by comparing all rows; those by words are in
//! [`words`].
//!
//! A filter may leave so few rows that the index of neighbours would find none of them. So the rows
//! it leaves are counted, up to a bound: below it they are all compared, above it the index is asked
//! and goes on until it has enough. Where even then it has too few, all rows are compared.

mod words;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use outcrop_engine::port::{Hit, Search, SearchBy};
use tokio_postgres::Row;

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
/// Where the score stands, behind the [`columns`].
const SCORE: usize = 5;

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
            .try_get::<_, Option<f64>>(SCORE)?
            .filter(|score| score.is_finite())
            .unwrap_or(-1.0),
    };
    Ok(found.hit())
}
