//! Searches by words, ranked by BM25, which PostgreSQL does not have.
//!
//! How rare a word is, the index of words tells. How often a text has it, `ts_rank` tells: for one word
//! it is a sum over the word's places that grows with each, so that their number follows from it. That
//! takes microseconds a row, where taking the list of words apart in SQL takes fifty times as long. A
//! text's length is the number of its different words, which needs no counting either.
//!
//! Few rows have the rare words of a question, and they are scored first. Rows with nothing but common
//! words are scored only if such a row could be among the best: a word adds at most its weight times
//! [`GAIN_MAX`], however often it is said.
//!
//! Invariant: the best rows are found as long as no more than [`scored_max`] rows have to be scored.

use outcrop_postgres::escape;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::super::condition::Parameters;
use super::super::failure::Failure;
use super::super::layout::Layout;
use super::super::pool::Session;
use super::{Find, SCORE, columns};

/// Words of a question. A longer one has said what it is about.
const WORDS_MAX: i64 = 64;
/// Rows that are scored without asking whether they are needed: some ten milliseconds.
const RARE_ROWS_MAX: i64 = 2_000;
/// Most rows that are scored where their words are stored: some hundred milliseconds.
const SCORED_MAX: i64 = 20_000;
/// The same where each row's words have to be found in its text first, which takes ten times as long.
const SCORED_COMPUTED_MAX: i64 = 2_000;
/// Rows up to which it is counted how many have a word: above it a word says hardly anything.
const COUNTED_MAX: i64 = 50_000;

/// Rows whose lengths are taken for those of all.
const SAMPLE_ROWS: i64 = 200;

/// BM25's `k1`: how soon it stops to matter that a word is said once more.
const SATURATION: f64 = 1.2;
/// BM25's `b`: how much of a text's length counts against it.
const LENGTH_SHARE: f64 = 0.75;
/// What a word's weight is multiplied with at most.
const GAIN_MAX: f64 = SATURATION + 1.0;
/// The sum of 1/k² over all k: `ts_rank` of a word divides by it, so as to stay below 1.
const RANK_SUM: f64 = std::f64::consts::PI * std::f64::consts::PI / 6.0;

/// A question.
struct Question {
    /// Those of its words that some row has, the rarest first.
    words: Vec<Word>,
    /// How many different words a text has on average.
    size: f64,
}

/// A word of a question that some row has.
#[derive(Debug, PartialEq)]
struct Word {
    text: String,
    /// How much it says: the inverse document frequency of BM25.
    weight: f64,
    /// How many rows that may be found have it, up to a bound.
    rows: i64,
}

impl Find {
    /// The rows with the words of a text that score best, the best first.
    pub(super) async fn by_words(
        &self,
        session: &Session,
        layout: &Layout,
        text: &str,
    ) -> Result<Vec<Row>, Failure> {
        let question = self.question(session, layout, text).await?;
        if question.words.is_empty() {
            return Ok(Vec::new());
        }
        let (rare, common) = split(&question.words);
        let mut promising = common;
        if !rare.is_empty() {
            let rows = self.scored(session, layout, &question, rare, &[]).await?;
            let last = self.search.limit.checked_sub(1);
            let least = last.and_then(|last| rows.get(last));
            let least = least.map(|row| row.try_get(SCORE)).transpose()?;
            promising = could_add(common, least);
            if promising.is_empty() {
                return Ok(rows);
            }
        }
        self.scored(session, layout, &question, rare, promising)
            .await
    }

    /// What the rows say of a question.
    async fn question(
        &self,
        session: &Session,
        layout: &Layout,
        text: &str,
    ) -> Result<Question, Failure> {
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
                RARE_ROWS_MAX + 1
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
                )) FROM pg_class WHERE oid = {table}::regclass),
                (SELECT avg(length(outcrop_words))::float8 FROM (
                    SELECT {} AS outcrop_words FROM {} LIMIT {SAMPLE_ROWS}
                ) AS sample)
             FROM unnest(to_tsvector('simple', {text})) AS asked (outcrop_word, outcrop_places)
             ORDER BY outcrop_places[1] LIMIT {WORDS_MAX}",
            layout.table, layout.words, layout.table
        );
        let rows = session.client.query_typed(&sql, &parameters.list()).await?;
        let mut words = Vec::with_capacity(rows.len());
        let mut size = 1.0_f64;
        for row in &rows {
            size = row.try_get::<_, Option<f64>>(4)?.unwrap_or(size).max(1.0);
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
        Ok(Question { words, size })
    }

    /// The best of the rows with any of `rare` or `common`, scored for all words of the question.
    async fn scored(
        &self,
        session: &Session,
        layout: &Layout,
        question: &Question,
        rare: &[Word],
        common: &[Word],
    ) -> Result<Vec<Row>, Failure> {
        let mut parameters = Parameters::default();
        let candidates = self.candidates(layout, rare, common, &mut parameters)?;
        let size = parameters.add(question.size, Type::FLOAT8);
        let (mut times, mut score) = (Vec::new(), Vec::new());
        for (number, word) in question.words.iter().enumerate() {
            let query = parameters.text(any_of(std::slice::from_ref(word)));
            let weight = parameters.add(word.weight, Type::FLOAT8);
            times.push(format!("{} AS t{number}", times_said(&query)));
            score.push(format!(
                "{weight} * t{number} * {GAIN_MAX} / (t{number} + {SATURATION} * \
                 (1 - {LENGTH_SHARE} + {LENGTH_SHARE} * size / {size}))"
            ));
        }
        let sql = format!(
            "WITH counted AS MATERIALIZED (
                SELECT place, length(words)::float8 AS size, {times} FROM ({candidates}) AS found
             ),
             best AS (
                SELECT place, {score} AS score FROM counted
                ORDER BY score DESC FETCH FIRST {limit} ROWS WITH TIES
             )
             SELECT {columns}, best.score FROM best JOIN {table} ON {table}.ctid = best.place
             ORDER BY best.score DESC, {chunk} COLLATE \"C\" LIMIT {limit}",
            times = times.join(", "),
            score = score.join(" + "),
            limit = self.search.limit,
            columns = columns(layout),
            table = layout.table,
            chunk = layout.mark("chunk"),
        );
        Ok(session.client.query_typed(&sql, &parameters.list()).await?)
    }

    /// A query for rows with any of some words, the rare ones before the others.
    fn candidates(
        &self,
        layout: &Layout,
        rare: &[Word],
        common: &[Word],
        parameters: &mut Parameters,
    ) -> Result<String, Failure> {
        let conditions = self.conditions(layout, parameters)?;
        let conditions = conditions
            .map(|all| format!(" AND {all}"))
            .unwrap_or_default();
        let words = &layout.words;
        // `setweight` makes a copy: a list that is stored compressed is unpacked once and not for
        // each word.
        let from = format!(
            "SELECT ctid AS place, setweight({words}, 'D') AS words FROM {}",
            layout.table
        );
        let rare = parameters.text(any_of(rare));
        let mut candidates = format!("({from} WHERE {words} @@ {rare}::tsquery{conditions})");
        if !common.is_empty() {
            let common = parameters.text(any_of(common));
            candidates = format!(
                "{candidates} UNION ALL ({from} WHERE {words} @@ {common}::tsquery \
                 AND NOT {words} @@ {rare}::tsquery{conditions})"
            );
        }
        // A limit keeps the copy from being made anew wherever it is used.
        Ok(format!("{candidates} LIMIT {}", scored_max(layout)))
    }
}

/// Most rows that a question is worth.
fn scored_max(layout: &Layout) -> i64 {
    if layout.words_stored {
        SCORED_MAX
    } else {
        SCORED_COMPUTED_MAX
    }
}

/// How often a row has a word, from `ts_rank`: the sum of 1/k² up to that number, divided by the sum of
/// all. What is missing of the sum is 1 / (number + 1/2), but for less than rounding takes away. A list of
/// words has at most 255 places of each.
fn times_said(query: &str) -> String {
    format!(
        "round(1 / ({RANK_SUM} * (1 - ts_rank('{{1,1,1,1}}', words, {query}::tsquery)::float8)) - 0.5)"
    )
}

/// BM25's weight of a word that `having` of `all` rows have.
fn weight(all: f64, having: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most COUNTED_MAX")]
    let having = having as f64;
    let lacking = (all - having).max(0.0);
    (1.0 + (lacking + 0.5) / (having + 0.5)).ln()
}

/// The words whose rows are few enough to be scored all, and the others. `words` by rising number of
/// rows.
fn split(words: &[Word]) -> (&[Word], &[Word]) {
    let mut sum = 0;
    let few = words.iter().take_while(|word| {
        sum += word.rows;
        sum <= RARE_ROWS_MAX
    });
    words.split_at(few.count())
}

/// The words of `common` without which a row that has no other may still score more than `least`, the
/// last of the best. `None`: there are not enough of the best, and any row is one.
fn could_add(common: &[Word], least: Option<f64>) -> &[Word] {
    let Some(least) = least else {
        return common;
    };
    let mut most = 0.0;
    let hopeless = common.iter().rev().take_while(|word| {
        most += word.weight * GAIN_MAX;
        most <= least
    });
    &common[..common.len() - hopeless.count()]
}

/// A query for rows with any of some words. Without words: one that finds nothing.
fn any_of(words: &[Word]) -> String {
    let quoted = words.iter().map(|word| {
        let text = word.text.replace('\\', "\\\\").replace('\'', "''");
        format!("'{text}'")
    });
    quoted.collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, rows: i64, weight: f64) -> Word {
        Word {
            text: text.to_owned(),
            weight,
            rows,
        }
    }

    fn names(words: &[Word]) -> Vec<&str> {
        words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn words_of_few_rows_are_rare() {
        let words = [
            word("pto", 3, 6.0),
            word("policy", 1_997, 2.0),
            word("the", 2_001, 0.5),
        ];
        let (rare, common) = split(&words);
        assert_eq!(
            (names(rare), names(common)),
            (vec!["pto", "policy"], vec!["the"])
        );
        let (rare, common) = split(&words[1..2]);
        assert_eq!((rare.len(), common.len()), (1, 0));
        let (rare, common) = split(&words[2..]);
        assert_eq!((rare.len(), common.len()), (0, 1));
    }

    #[test]
    fn common_words_count_where_they_could_make_a_row_one_of_the_best() {
        let common = [
            word("leave", 3_000, 1.0),
            word("of", 9_000, 0.2),
            word("the", 9_900, 0.1),
        ];
        assert_eq!(could_add(&common, None).len(), 3);
        // All three add less than 2.2 times 1.3.
        assert_eq!(could_add(&common, Some(2.9)).len(), 0);
        assert_eq!(names(could_add(&common, Some(2.8))), ["leave"]);
        assert_eq!(names(could_add(&common, Some(0.5))), ["leave", "of"]);
        assert_eq!(could_add(&common, Some(0.1)).len(), 3);
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
        let words = [word("o'neil", 1, 1.0), word("a\\b", 1, 1.0)];
        assert_eq!(any_of(&words), "'o''neil' | 'a\\\\b'");
        assert_eq!(any_of(&[]), "");
    }
}
