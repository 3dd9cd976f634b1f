//! A double of OpenSearch's HTTP API, as far as the index uses it. No OpenSearch can be had where these
//! tests run; this follows its reference: which requests it takes, what it answers, how its queries
//! decide. Vectors are compared with all, as exact k-NN would; BM25 has k1 1.2 and b 0.75.
//!
//! What it does not know it refuses, so that a request of another form fails a test.

mod query;

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

use self::query::Corpus;

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
    /// Shows what a bulk request writes bit by bit, and answers others meanwhile.
    pub(crate) piecemeal: bool,
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
    pub(crate) fn fill(&self, name: &str, properties: &Value, documents: Vec<(String, Value)>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let index = Index {
            properties: properties.as_object().cloned().unwrap_or_default(),
            documents: documents.into_iter().collect(),
            ..Index::default()
        };
        state.indexes.insert(name.to_owned(), index);
    }

    /// The documents of an index that is there become these.
    pub(crate) fn set(&self, name: &str, documents: Vec<(String, Value)>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let index = state.indexes.get_mut(name).expect("an index");
        index.documents = documents.into_iter().collect();
    }

    /// The documents of an index, by their ids.
    pub(crate) fn documents(&self, name: &str) -> Vec<(String, Value)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let index = state.indexes.get(name).expect("an index");
        let documents = index.documents.iter();
        documents
            .map(|(id, all)| (id.clone(), all.clone()))
            .collect()
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
    let method = parts.method.as_str();
    let pieces = if behaviour.piecemeal && path.contains("/_bulk") {
        pieces(&body)
    } else {
        vec![body]
    };
    let (mut status, mut answer) = (200, Value::Null);
    for piece in pieces {
        let (of_piece, mut next) = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.requests.push(format!("{method} {path}"));
            state.answer(behaviour, method, &path, &piece)
        };
        status = of_piece;
        match (items(&mut answer), items(&mut next)) {
            (Some(items), Some(more)) => items.append(more),
            _ => answer = next,
        }
        tokio::task::yield_now().await;
    }
    let answer = Response::builder()
        .status(status)
        .body(Full::new(answer.to_string().into()));
    Ok(answer.expect("a response"))
}

fn items(answer: &mut Value) -> Option<&mut Vec<Value>> {
    answer.get_mut("items")?.as_array_mut()
}

/// The actions of a bulk request, each by itself.
fn pieces(body: &Bytes) -> Vec<Bytes> {
    let text = std::str::from_utf8(body).expect("text");
    let mut lines = text.lines();
    let mut pieces = Vec::new();
    while let Some(action) = lines.next() {
        let mut piece = format!("{action}\n");
        if action.starts_with("{\"index\"") {
            piece.push_str(lines.next().expect("a document"));
            piece.push('\n');
        }
        pieces.push(piece.into());
    }
    pieces
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
        let (hits, total) = index.search(body);
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

    /// The hits of one answer, and how many there are in all.
    fn search(&self, body: &Value) -> (Vec<Value>, usize) {
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
        let total = found.len();
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
        (found.into_iter().map(hit).collect(), total)
    }
}
