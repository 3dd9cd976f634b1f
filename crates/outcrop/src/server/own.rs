//! Outcrop's own endpoints, `/_outcrop/v1/…`: stacks, exports, functions, buckets and
//! versions of copied agents, as JSON.
//!
//! The same rules as for AWS's operations decide who may call. Registering a function makes this
//! machine run a folder's code for whoever may call, and a folder that becomes a bucket can be read by
//! whoever may call, so that both are for loopback listeners, or where the configuration says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, IF_MATCH};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use outcrop_adapters::source::{BucketError, BucketFolder};
use outcrop_engine::port::{DocumentSource, SourceError};
use outcrop_knowledge::metadata::FILE_SUFFIX;
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::CallContext;
use outcrop_service::Service;
use outcrop_service::outcrop_api::functions::{LocalFunction, Runtime};
use outcrop_service::outcrop_api::stacks::StackDocument;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config::Function;
use crate::functions::{self, Fit, handler, name_of};

/// Where these endpoints lie.
pub(crate) const PREFIX: &str = "/_outcrop/v1/";

/// Pages of a bucket that are counted, each up to a thousand objects: some seconds of asking S3.
const COUNTED_PAGES: usize = 100;

/// What answers them.
pub(crate) struct Own {
    /// The use cases.
    pub(crate) service: Arc<Service>,
    /// The root of buckets.
    pub(crate) buckets: BucketFolder,
    /// All buckets, this machine's and S3's.
    pub(crate) documents: Arc<dyn DocumentSource>,
    /// Whether clients may register folders of this machine, as functions and as buckets.
    pub(crate) register_functions: bool,
    /// The configuration's `[[functions]]`.
    pub(crate) configured: Vec<Function>,
}

/// A bucket that is a folder of this machine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkRequest {
    folder: PathBuf,
}

/// An object, whole.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectRequest {
    key: String,
    /// Base64.
    content: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LockRequest {
    owner: String,
    #[serde(default)]
    replaces: Option<String>,
}

#[derive(Deserialize)]
struct StackRequest {
    owner: String,
    #[serde(flatten)]
    stack: StackDocument,
}

impl Own {
    /// Answers a request that has arrived whole.
    pub(crate) async fn answer(
        &self,
        cx: &CallContext,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, Exception> {
        let path = request.uri().path();
        let rest = path.strip_prefix(PREFIX).unwrap_or_default();
        let segments = segments(rest)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let body = request.body();
        let method = request.method();
        let answer = match (method, segments.as_slice()) {
            (&Method::GET, ["identity"]) => {
                json!({"accountId": cx.account_id, "region": cx.region, "version": env!("CARGO_PKG_VERSION")})
            }
            (&Method::GET, ["exports"]) => json!({"exports": self.service.exports(cx).await?}),
            (_, ["stacks"] | ["stacks", ..]) => {
                self.stacks(cx, request, segments.get(1..).unwrap_or_default())
                    .await?
            }
            (&Method::GET, ["functions"]) => {
                let configured: Vec<Value> = self.configured.iter().map(functions::shown).collect();
                json!({"functions": self.service.functions(cx).await?, "configured": configured})
            }
            (&Method::GET, ["functions", reference, "runner"]) => {
                self.runner(cx, reference).await?
            }
            (&Method::GET, ["agents", agent, "schemas"]) => {
                json!({"schemas": self.service.bucket_schemas(cx, agent).await?})
            }
            (&Method::GET, ["functions", name]) => {
                serde_json::to_value(self.service.function(cx, name).await?).map_err(unreadable)?
            }
            (&Method::PUT, ["functions", name]) => {
                self.put_function(cx, name, &read(body)?).await?;
                Value::Null
            }
            (&Method::DELETE, ["functions", name]) => {
                self.service.delete_function(cx, name).await?;
                Value::Null
            }
            (&Method::POST, ["functions", name, "invoke"]) => {
                let outcome = self.service.call_function(cx, name, &read(body)?).await?;
                serde_json::to_value(outcome).map_err(unreadable)?
            }
            (&Method::PUT, ["agents", agent, "versions", number]) => {
                super::versions::put(&self.service, cx, agent, number, body).await?;
                Value::Null
            }
            (&Method::POST, ["knowledge-bases", id, "search"]) => {
                self.service.search_by_words(cx, id, read(body)?).await?
            }
            (&Method::PUT, ["buckets", name]) => {
                if body.is_empty() {
                    self.buckets.create(name).await.map_err(bucket)?;
                } else {
                    self.link_bucket(name, &read(body)?).await?;
                }
                Value::Null
            }
            (&Method::GET, ["buckets", name, "documents"]) => {
                let prefix = query(request, "prefix").transpose()?;
                let documents = self.count(name, prefix.as_deref().unwrap_or_default());
                json!({"documents": documents.await?})
            }
            (&Method::PUT, ["buckets", name, "objects"]) => {
                self.put_object(name, &read(body)?).await?;
                Value::Null
            }
            (&Method::DELETE, ["buckets", name]) => {
                self.buckets.remove(name).await.map_err(bucket)?;
                Value::Null
            }
            _ => return Err(nothing(method, path)),
        };
        Ok(response(&answer))
    }

    async fn stacks(
        &self,
        cx: &CallContext,
        request: &Request<Bytes>,
        segments: &[&str],
    ) -> Result<Value, Exception> {
        let service = &self.service;
        Ok(match (request.method(), segments) {
            (&Method::GET, []) => json!({"stacks": service.stacks(cx).await?}),
            (&Method::GET, [name]) => {
                let found = service.stack(cx, name).await?;
                let mut answer = serde_json::to_value(found.stack).map_err(unreadable)?;
                answer["revision"] = json!(found.revision);
                answer
            }
            (&Method::PUT, [name]) => {
                let revision = if_match(request.headers())?;
                let StackRequest { owner, stack } = read(request.body())?;
                let revision = service
                    .put_stack(cx, name, &owner, revision, &stack)
                    .await?;
                json!({ "revision": revision })
            }
            (&Method::DELETE, [name]) => {
                let revision = if_match(request.headers())?;
                let owner = owner(request)?;
                service.delete_stack(cx, name, &owner, revision).await?;
                Value::Null
            }
            (&Method::PUT, [name, "lock"]) => {
                let asked: LockRequest = read(request.body())?;
                let replaces = asked.replaces.as_deref();
                let lock = service.lock_stack(cx, name, &asked.owner, replaces).await?;
                serde_json::to_value(lock).map_err(unreadable)?
            }
            (&Method::GET, [name, "lock"]) => {
                let lock = service.stack_lock(cx, name).await?;
                serde_json::to_value(lock).map_err(unreadable)?
            }
            (&Method::DELETE, [name, "lock"]) => {
                service.unlock_stack(cx, name, &owner(request)?).await?;
                Value::Null
            }
            (method, _) => return Err(nothing(method, request.uri().path())),
        })
    }

    /// Who runs a function, and whether its handler is there.
    async fn runner(&self, cx: &CallContext, reference: &str) -> Result<Value, Exception> {
        let named = functions::entry(&self.configured, reference, Fit::Named);
        if named.is_none() {
            match self.service.function(cx, name_of(reference)).await {
                Ok(function) => {
                    let code = Path::new(&function.code);
                    let runtime = match function.runtime {
                        Runtime::Python => "python",
                        Runtime::Node => "node",
                        Runtime::Provided => "provided",
                    };
                    let missing = handler::check(runtime, code, &function.handler);
                    return Ok(json!({"known": true, "registered": function, "missing": missing}));
                }
                Err(exception) if exception.kind() == ExceptionKind::ResourceNotFound => {}
                Err(exception) => return Err(exception),
            }
            if self.service.is_uploaded(cx, name_of(reference)).await? {
                return Ok(json!({"known": true, "missing": null}));
            }
        }
        let fits = named.or_else(|| functions::entry(&self.configured, reference, Fit::Glob));
        Ok(match fits {
            Some(function) => json!({
                "known": true,
                "configured": functions::shown(function),
                "missing": functions::missing(function),
            }),
            None => json!({"known": false, "missing": null}),
        })
    }

    /// Makes a folder of this machine a bucket: whoever may call can then read what lies below it.
    async fn link_bucket(&self, name: &str, asked: &LinkRequest) -> Result<(), Exception> {
        if !self.register_functions {
            return Err(Exception::new(
                ExceptionKind::AccessDenied,
                "This server takes no folders from clients, because it listens beyond loopback. Set \
                 `register_functions = true` in its configuration to let everybody who may sign requests \
                 name folders of its machine.",
            ));
        }
        let linked = self.buckets.link(name, &asked.folder).await;
        linked.map_err(bucket)
    }

    /// How many documents of a knowledge base a bucket has below a prefix; `None`: too many to count.
    async fn count(&self, bucket: &str, prefix: &str) -> Result<Option<usize>, Exception> {
        let mut count = 0;
        let mut after: Option<String> = None;
        for _ in 0..COUNTED_PAGES {
            let listed = self.documents.list(bucket, prefix, after.as_deref()).await;
            let page = listed.map_err(|error| unread(&error))?;
            let documents = page.objects.iter().filter(|object| {
                let key = object.key.as_str();
                !key.ends_with('/') && !key.ends_with(FILE_SUFFIX)
            });
            count += documents.count();
            after = page.next;
            if after.is_none() {
                return Ok(Some(count));
            }
        }
        Ok(None)
    }

    async fn put_object(&self, name: &str, asked: &ObjectRequest) -> Result<(), Exception> {
        let content = STANDARD.decode(&asked.content).map_err(|error| {
            Exception::validation(format!("content: expected Base64, but {error}"))
        })?;
        let written = self.documents.write(name, &asked.key, content.into());
        written.await.map_err(|error| unread(&error))
    }

    async fn put_function(
        &self,
        cx: &CallContext,
        name: &str,
        function: &LocalFunction,
    ) -> Result<(), Exception> {
        if !self.register_functions {
            return Err(Exception::new(
                ExceptionKind::AccessDenied,
                "This server takes no functions from clients, because it listens beyond loopback. Set \
                 `register_functions = true` in its configuration to let everybody who may sign requests \
                 run folders of its machine.",
            ));
        }
        let is_folder = tokio::fs::metadata(&function.code).await;
        if !is_folder.is_ok_and(|found| found.is_dir()) {
            let text = format!("{} is no folder on the server's machine", function.code);
            return Err(Exception::validation(format!("code: {text}")).with_field("code", text));
        }
        self.service.put_function(cx, name, function).await
    }
}

fn segments(path: &str) -> Result<Vec<String>, Exception> {
    path.split('/')
        .map(|segment| {
            percent_encoding::percent_decode_str(segment)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| Exception::validation("the path is not UTF-8"))
        })
        .collect()
}

/// The revision that is to be replaced; without one, a blind write could undo another's.
fn if_match(headers: &HeaderMap) -> Result<u64, Exception> {
    let text = headers.get(IF_MATCH).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.trim_matches('"').parse().ok())
        .ok_or_else(|| {
            Exception::validation(
                "If-Match: the revision that was read is expected, 0 for a stack that is not there yet",
            )
        })
}

fn owner(request: &Request<Bytes>) -> Result<String, Exception> {
    let missing = || Exception::validation("owner: the query names the owner of the lock");
    query(request, "owner").unwrap_or_else(|| Err(missing()))
}

/// A parameter of the query.
fn query(request: &Request<Bytes>, name: &str) -> Option<Result<String, Exception>> {
    let query = request.uri().query().unwrap_or_default();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    Some(segments(value).map(|parts| parts.join("/")))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Exception> {
    serde_json::from_slice(body)
        .map_err(|error| Exception::validation(format!("the body cannot be read: {error}")))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: serde_json::Error) -> Exception {
    Exception::internal(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn bucket(error: BucketError) -> Exception {
    let text = error.to_string();
    match error {
        BucketError::Name(_) | BucketError::NoFolder(_) | BucketError::NoLinks => {
            Exception::validation(text)
        }
        BucketError::NotFound(_) => Exception::not_found(text),
        BucketError::NotEmpty(_) | BucketError::Exists(_) => Exception::conflict(text),
        BucketError::Failed { .. } => Exception::internal(text),
    }
}

fn unread(error: &SourceError) -> Exception {
    let text = error.to_string();
    match error {
        SourceError::NotFound { .. } => Exception::not_found(text),
        _ => Exception::validation(text),
    }
}

fn nothing(method: &Method, path: &str) -> Exception {
    Exception::new(
        ExceptionKind::UnknownOperation,
        format!("There is no {method} {path}."),
    )
}

fn response(answer: &Value) -> Response<Bytes> {
    let body = match answer {
        Value::Null => "{}".to_owned(),
        answer => answer.to_string(),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::OK;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
