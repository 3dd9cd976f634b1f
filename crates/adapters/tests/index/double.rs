//! A double of OpenSearch's HTTP API, as far as the index uses it. No OpenSearch can be had where these
//! tests run; this follows its reference: which requests it takes, what it answers, how its queries
//! decide. Vectors are compared with all, as exact k-NN would; BM25 has k1 1.2 and b 0.75.
//!
//! What it does not know it refuses, so that a request of another form fails a test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::oracle::words;

#[derive(Default)]
struct Index {
    properties: Map<String, Value>,
    documents: BTreeMap<String, Value>,
    /// Written, and not to be seen before the next refresh.
    waiting: Vec<(String, Option<Value>)>,
    ids_given: usize,
}

/// What the server is like.
#[derive(Clone, Copy, Default)]
pub(crate) struct Behaviour {
    /// Takes neither ids nor `refresh`, and shows writes only after some searches.
    pub(crate) serverless: bool,
}

#[derive(Default)]
struct State {
    indexes: BTreeMap<String, Index>,
    requests: Vec<String>,
    searches_until_refresh: usize,
}

/// A running server.
pub(crate) struct OpenSearch {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

type Answer = (u16, Value);

impl OpenSearch {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                let service =
                    service_fn(move |request| serve(Arc::clone(&state), behaviour, request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Method and path of each request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .requests
            .clone()
    }

    /// An index as somebody else has made and filled it.
    pub(crate) fn fill(&self, name: &str, properties: &Value, documents: Vec<(&str, Value)>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let index = Index {
            properties: properties.as_object().cloned().unwrap_or_default(),
            documents: documents
                .into_iter()
                .map(|(id, value)| (id.to_owned(), value))
                .collect(),
            ..Index::default()
        };
        state.indexes.insert(name.to_owned(), index);
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .indexes
            .get(name)
            .map_or(0, |index| index.documents.len())
    }
}

async fn serve(
    state: Arc<Mutex<State>>,
    behaviour: Behaviour,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let path = parts
        .uri
        .path_and_query()
        .map_or("", |path| path.as_str())
        .to_owned();
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.requests.push(format!("{} {path}", parts.method));
    let (status, answer) = state.answer(behaviour, parts.method.as_str(), &path, &body);
    let answer = Response::builder()
        .status(status)
        .body(Full::new(answer.to_string().into()));
    Ok(answer.expect("a response"))
}

fn refused(status: u16, kind: &str, reason: &str) -> Answer {
    let cause = json!({"type": kind, "reason": reason});
    (
        status,
        json!({"error": {"root_cause": [cause], "type": kind, "reason": reason}, "status": status}),
    )
}

fn missing(name: &str) -> Answer {
    refused(
        404,
        "index_not_found_exception",
        &format!("no such index [{name}]"),
    )
}

impl State {
    fn answer(&mut self, behaviour: Behaviour, method: &str, path: &str, body: &[u8]) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let name = parts.next().unwrap_or_default().to_owned();
        let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        if behaviour.serverless && query.contains("refresh") {
            return refused(
                400,
                "illegal_argument_exception",
                "refresh is not supported",
            );
        }
        match (method, parts.next()) {
            ("PUT", None) => self.create(&name, &json),
            ("DELETE", None) => match self.indexes.remove(&name) {
                Some(_) => (200, json!({"acknowledged": true})),
                None => missing(&name),
            },
            ("GET", Some("_mapping")) => match self.indexes.get(&name) {
                Some(index) => (
                    200,
                    json!({name: {"mappings": {"properties": index.properties}}}),
                ),
                None => missing(&name),
            },
            ("PUT", Some("_mapping")) => match self.indexes.get_mut(&name) {
                Some(index) => {
                    index
                        .properties
                        .extend(json["properties"].as_object().cloned().unwrap_or_default());
                    (200, json!({"acknowledged": true}))
                }
                None => missing(&name),
            },
            ("POST", Some("_bulk")) => self.bulk(behaviour, &name, body, query),
            ("POST", Some("_search")) => self.search(behaviour, &name, &json),
            (method, rest) => refused(
                405,
                "unknown",
                &format!("{method} {rest:?} is not known here"),
            ),
        }
    }

    fn create(&mut self, name: &str, body: &Value) -> Answer {
        if self.indexes.contains_key(name) {
            let reason = format!("index [{name}/uuid] already exists");
            return refused(400, "resource_already_exists_exception", &reason);
        }
        let properties = body
            .pointer("/mappings/properties")
            .and_then(Value::as_object);
        let index = Index {
            properties: properties.cloned().unwrap_or_default(),
            ..Index::default()
        };
        self.indexes.insert(name.to_owned(), index);
        (200, json!({"acknowledged": true, "index": name}))
    }

    fn bulk(&mut self, behaviour: Behaviour, name: &str, body: &[u8], query: &str) -> Answer {
        let Some(index) = self.indexes.get_mut(name) else {
            return missing(name);
        };
        assert_eq!(
            body.last(),
            Some(&b'\n'),
            "a bulk request ends with a line's end"
        );
        let text = std::str::from_utf8(body).expect("text");
        let mut lines = text.lines();
        let mut items = Vec::new();
        while let Some(line) = lines.next() {
            let action: Value = serde_json::from_str(line).expect("an action");
            let (verb, target) = action
                .as_object()
                .and_then(|all| all.iter().next())
                .expect("a verb");
            let given = target["_id"].as_str().map(str::to_owned);
            let (id, document) = match verb.as_str() {
                "index" => {
                    let document = lines.next().expect("a document");
                    let document: Value = serde_json::from_str(document).expect("a document");
                    if behaviour.serverless && given.is_some() {
                        let reason =
                            "Document ID is not supported in create/index operation request";
                        items.push(json!({"index": {"status": 400, "error": {"reason": reason}}}));
                        continue;
                    }
                    index.ids_given += 1;
                    let made = format!("made{:08}", index.ids_given);
                    (given.unwrap_or(made), Some(document))
                }
                "delete" => (given.expect("an id"), None),
                other => panic!("a bulk action {other}"),
            };
            let there = index.documents.contains_key(&id);
            let status = match (&document, there) {
                (None, false) => 404,
                (Some(_), false) => 201,
                _ => 200,
            };
            items.push(json!({verb: {"_id": id, "status": status}}));
            index.waiting.push((id, document));
        }
        if query.contains("refresh=true") {
            index.refresh();
        }
        self.searches_until_refresh = 3;
        let errors = items
            .iter()
            .any(|item| item.pointer("/index/error").is_some());
        (200, json!({"errors": errors, "items": items}))
    }

    fn search(&mut self, behaviour: Behaviour, name: &str, body: &Value) -> Answer {
        let Some(index) = self.indexes.get_mut(name) else {
            return missing(name);
        };
        if behaviour.serverless {
            self.searches_until_refresh = self.searches_until_refresh.saturating_sub(1);
            if self.searches_until_refresh == 0 {
                index.refresh();
            }
        }
        let hits = index.search(body);
        let total = hits.len();
        (
            200,
            json!({
                "timed_out": false,
                "_shards": {"total": 1, "successful": 1, "failed": 0},
                "hits": {"total": {"value": total}, "hits": hits}
            }),
        )
    }
}

impl Index {
    fn refresh(&mut self) {
        for (id, document) in self.waiting.drain(..) {
            match document {
                Some(document) => drop(self.documents.insert(id, document)),
                None => drop(self.documents.remove(&id)),
            }
        }
    }

    fn search(&self, body: &Value) -> Vec<Value> {
        let query = &body["query"];
        let size = usize::try_from(body["size"].as_u64().expect("a size")).expect("a size");
        let sort = body.pointer("/sort/0").and_then(Value::as_object);
        let sort = sort.map(|sort| sort.keys().next().expect("a field").clone());
        let after = body.pointer("/search_after/0").and_then(Value::as_str);
        let corpus = Corpus::of(query, self.documents.values());
        let mut found: Vec<(f64, String, &str, &Value)> = Vec::new();
        for (id, document) in &self.documents {
            let Some(score) = self.score(&corpus, query, id, document) else {
                continue;
            };
            let key = sort
                .as_ref()
                .map(|field| document[field].as_str().unwrap_or_default());
            let key = key.unwrap_or_default();
            if sort.is_some() && after.is_some_and(|after| key <= after) {
                continue;
            }
            found.push((score, key.to_owned(), id, document));
        }
        found.sort_by(|one, other| match sort {
            Some(_) => one.1.cmp(&other.1),
            None => other.0.total_cmp(&one.0),
        });
        let k = query
            .pointer("/knn")
            .and_then(Value::as_object)
            .and_then(|knn| knn.values().next());
        let k = k.map_or(size, |knn| {
            usize::try_from(knn["k"].as_u64().expect("k")).expect("k")
        });
        found.truncate(size.min(k));
        let hit = |(score, _, id, document): (f64, String, &str, &Value)| {
            let mut hit = json!({"_id": id, "_score": score});
            let mut source = document.clone();
            match &body["_source"] {
                Value::Bool(false) => return hit,
                Value::Array(fields) => {
                    let all = source.as_object_mut().expect("an object");
                    all.retain(|name, _| fields.iter().any(|field| field == name));
                }
                Value::Object(rules) => {
                    let all = source.as_object_mut().expect("an object");
                    let out = rules["excludes"].as_array().expect("fields");
                    all.retain(|name, _| !out.iter().any(|field| field == name));
                }
                _ => {}
            }
            hit["_source"] = source;
            hit
        };
        found.into_iter().map(hit).collect()
    }

    /// The score of a document; `None` where the query does not find it.
    fn score(&self, corpus: &Corpus, query: &Value, id: &str, document: &Value) -> Option<f64> {
        let (kind, rest) = query
            .as_object()
            .and_then(|query| query.iter().next())
            .expect("a query");
        let (field, value) = rest
            .as_object()
            .and_then(|rest| rest.iter().next())
            .expect("a field");
        let texts = || -> Vec<String> {
            let text = |value: &Value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            match &document[field] {
                Value::Null => Vec::new(),
                Value::Array(items) => items.iter().map(text).collect(),
                other => vec![text(other)],
            }
        };
        let plain = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let value_of = |value: &Value| plain(value.get("value").unwrap_or(value));
        let some = |found: bool| found.then_some(1.0);
        match kind.as_str() {
            "bool" => self.score_of_bool(corpus, rest, id, document),
            "term" => some(texts().contains(&value_of(value))),
            "terms" => {
                let wanted: Vec<String> =
                    value.as_array().expect("terms").iter().map(plain).collect();
                some(texts().iter().any(|text| wanted.contains(text)))
            }
            "prefix" => some(
                texts()
                    .iter()
                    .any(|text| text.starts_with(&value_of(value))),
            ),
            "wildcard" => some(texts().iter().any(|text| fits(&value_of(value), text))),
            "range" => some(texts().iter().any(|text| {
                value
                    .as_object()
                    .expect("bounds")
                    .iter()
                    .all(|(bound, limit)| {
                        let limit = limit.as_str().expect("a text");
                        match bound.as_str() {
                            "gt" => text.as_str() > limit,
                            "gte" => text.as_str() >= limit,
                            "lt" => text.as_str() < limit,
                            "lte" => text.as_str() <= limit,
                            other => panic!("a bound {other}"),
                        }
                    })
            })),
            "exists" => some(!document[value.as_str().expect("a field")].is_null()),
            "ids" => some(
                value
                    .as_array()
                    .expect("ids")
                    .iter()
                    .any(|wanted| wanted == id),
            ),
            "match" => corpus.bm25(&document[field]),
            "knn" => {
                self.score(corpus, &value["filter"], id, document)?;
                assert_eq!(self.properties[field]["type"], "knn_vector");
                let square: f64 = value["vector"]
                    .as_array()
                    .expect("a vector")
                    .iter()
                    .zip(document[field].as_array()?)
                    .map(|(one, other)| {
                        (one.as_f64().unwrap_or_default() - other.as_f64().unwrap_or_default())
                            .powi(2)
                    })
                    .sum();
                Some(1.0 / (1.0 + square))
            }
            other => panic!("a query {other}"),
        }
    }

    fn score_of_bool(
        &self,
        corpus: &Corpus,
        parts: &Value,
        id: &str,
        document: &Value,
    ) -> Option<f64> {
        let all = |name: &str| parts[name].as_array().cloned().unwrap_or_default();
        let mut score = 0.0;
        for query in all("must") {
            score += self.score(corpus, &query, id, document)?;
        }
        for query in all("filter") {
            self.score(corpus, &query, id, document)?;
        }
        if all("must_not")
            .iter()
            .any(|query| self.score(corpus, query, id, document).is_some())
        {
            return None;
        }
        let should = all("should");
        let found = should
            .iter()
            .filter_map(|query| self.score(corpus, query, id, document))
            .count();
        let least = parts["minimum_should_match"].as_u64().unwrap_or_default();
        (found as u64 >= least).then_some(score)
    }
}

/// What BM25 needs to know of all documents, for the words of one question.
#[derive(Default)]
struct Corpus {
    documents: f64,
    average: f64,
    /// How many documents have each word.
    words: BTreeMap<String, f64>,
}

fn tokens(text: &Value) -> Vec<String> {
    let text = text.as_str().unwrap_or_default().to_lowercase();
    let split = text.split(|char: char| !char.is_alphanumeric());
    split
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn count(value: usize) -> f64 {
    f64::from(u32::try_from(value).expect("a few"))
}

impl Corpus {
    fn of<'a>(query: &Value, documents: impl Iterator<Item = &'a Value>) -> Self {
        let asked = query
            .pointer("/bool/must/0/match")
            .and_then(Value::as_object);
        let Some((field, question)) = asked.and_then(|asked| asked.iter().next()) else {
            return Self::default();
        };
        let all: Vec<Vec<String>> = documents.map(|document| tokens(&document[field])).collect();
        let having = |word: String| {
            let having = all.iter().filter(|tokens| tokens.contains(&word)).count();
            (word, count(having))
        };
        let question = question["query"].as_str().expect("words");
        Self {
            documents: count(all.len()),
            average: count(all.iter().map(Vec::len).sum()) / count(all.len().max(1)),
            words: words(question).into_iter().map(having).collect(),
        }
    }

    fn bm25(&self, text: &Value) -> Option<f64> {
        let own = tokens(text);
        let mut score = 0.0;
        for (word, having) in &self.words {
            let times = count(own.iter().filter(|token| *token == word).count());
            let weight = (1.0 + (self.documents - having + 0.5) / (having + 0.5)).ln();
            let length = 0.25 + 0.75 * count(own.len()) / self.average;
            score += weight * times * 2.2 / (times + 1.2 * length);
        }
        (score > 0.0).then_some(score)
    }
}

/// Whether a text is as a pattern of `wildcard` says.
fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = rest.as_str();
            let mut places = text
                .char_indices()
                .map(|(place, _)| place)
                .chain([text.len()]);
            places.any(|place| fits(rest, &text[place..]))
        }
        Some('?') => {
            let mut text = text.chars();
            text.next().is_some() && fits(rest.as_str(), text.as_str())
        }
        Some(char) => {
            let wanted = if char == '\\' {
                rest.next()
            } else {
                Some(char)
            };
            let mut text = text.chars();
            text.next() == wanted && fits(rest.as_str(), text.as_str())
        }
    }
}
