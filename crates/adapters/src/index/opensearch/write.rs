//! Writes: a document's chunks replaced or taken out.
//!
//! OpenSearch has no transactions, and shows what a bulk request writes bit by bit. So the new chunks
//! are written beside the old ones, as another version of the document; only when all of them can be
//! found are the old ones deleted. Searches choose between versions by themselves. What a crash leaves
//! behind goes when the document is written again.

use std::time::Duration;

use outcrop_engine::port::{DocumentKey, EmbeddingIdentity, IndexError, IndexedChunk};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::key;
use super::client::{self, BULK_BYTES, Body};
use super::target::Target;
use super::{IDS, Inner, body};

/// How long a serverless collection may take until a search sees a write.
const VISIBLE_WITHIN: Duration = Duration::from_mins(2);
/// How often it is asked meanwhile.
const VISIBLE_POLL: Duration = Duration::from_millis(500);

impl Inner {
    pub(super) async fn put(
        &self,
        target: &Target,
        identity: &EmbeddingIdentity,
        document: &DocumentKey,
        chunks: &[IndexedChunk],
    ) -> Result<(), IndexError> {
        if chunks.is_empty() {
            return self.remove_document(target, document).await;
        }
        let odd = |chunk: &&IndexedChunk| chunk.vector.len() != identity.dimensions as usize;
        if let Some(chunk) = chunks.iter().find(odd) {
            return Err(IndexError::Rejected(format!(
                "the vector of chunk {} has {} dimensions, not {}",
                chunk.id,
                chunk.vector.len(),
                identity.dimensions
            )));
        }
        let turn = self.turn(&target.scope);
        let _turn = turn.lock().await;
        if let Some(holds) = self.identity(target).await?
            && holds != *identity
        {
            return Err(IndexError::Identity {
                holds: Box::new(holds),
                wanted: Box::new(identity.clone()),
            });
        }
        self.prepare(target, identity.dimensions).await?;
        let which = of_document(target, document);
        let old = self.ids(target, &which).await?;
        let put = body::Put {
            target,
            identity,
            key: document,
            chunks,
        };
        let generation = put.generation(&old);
        let written = self.write(target, &put, &generation).await?;
        self.wait(target, &which, &written, &[]).await?;
        self.delete(target, &which, old, Some(&generation)).await
    }

    /// Takes out a document.
    pub(super) async fn remove_document(
        &self,
        target: &Target,
        document: &DocumentKey,
    ) -> Result<(), IndexError> {
        self.remove(target, &of_document(target, document)).await
    }

    /// Takes out what is found.
    pub(super) async fn remove(&self, target: &Target, which: &Value) -> Result<(), IndexError> {
        let turn = self.turn(&target.scope);
        let _turn = turn.lock().await;
        let found = self.ids(target, which).await?;
        self.delete(target, which, found, None).await
    }

    pub(super) async fn remove_all(&self, target: &Target) -> Result<(), IndexError> {
        if !target.own {
            return self.remove(target, &body::of(target, &[])).await;
        }
        let turn = self.turn(&target.scope);
        let _turn = turn.lock().await;
        let path = [target.index.as_str()];
        let asked = self
            .client
            .ask(&target.server, Method::DELETE, &path, &[], Body::Nothing);
        asked.await.map(drop)
    }

    /// Makes sure that the index is there, with the fields of this program's own.
    async fn prepare(&self, target: &Target, dimensions: u32) -> Result<(), IndexError> {
        let index = target.index.as_str();
        let Some(fields) = self.fields(target).await? else {
            let made = body::index(target, dimensions);
            return match self.set(target, &[index], made).await {
                // Another server was quicker.
                Err(IndexError::Rejected(why)) if why.contains("already exists") => Ok(()),
                outcome => outcome,
            };
        };
        check_vector(target, fields.get(&target.vector), dimensions)?;
        if fields.contains_key(body::GENERATION) {
            return Ok(());
        }
        let own = json!({"properties": body::own_fields()});
        self.set(target, &[index, "_mapping"], own).await
    }

    async fn set(&self, target: &Target, path: &[&str], body: Value) -> Result<(), IndexError> {
        let asked = self
            .client
            .ask(&target.server, Method::PUT, path, &[], Body::Json(body));
        asked.await.map(drop)
    }

    /// Writes the chunks of a version; the ids that they have.
    async fn write(
        &self,
        target: &Target,
        put: &body::Put<'_>,
        generation: &str,
    ) -> Result<Vec<String>, IndexError> {
        let mut lines = Vec::with_capacity(put.chunks.len());
        for (number, document) in put.documents(generation).enumerate() {
            // Serverless collections of vectors take no ids.
            let action = if target.server.serverless {
                json!({"index": {}})
            } else {
                json!({"index": {"_id": format!("{generation}-{number}")}})
            };
            lines.push(format!("{action}\n{document}\n").into_bytes());
        }
        self.bulk(target, &lines).await
    }

    /// Deletes `found`, which `which` has found, and what more it finds but for the version `kept`.
    async fn delete(
        &self,
        target: &Target,
        which: &Value,
        mut found: Vec<body::Found>,
        kept: Option<&str>,
    ) -> Result<(), IndexError> {
        let rest = match kept {
            Some(kept) => json!({"bool": {
                "filter": [which], "must_not": [{"term": {body::GENERATION: kept}}]
            }}),
            None => which.clone(),
        };
        while !found.is_empty() {
            let more = found.len() == IDS;
            let gone: Vec<String> = found
                .drain(..)
                .filter(|found| kept.is_none() || found.generation.as_deref() != kept)
                .map(|found| found.id)
                .collect();
            let action = |id: &String| format!("{}\n", json!({"delete": {"_id": id}}));
            let lines: Vec<Vec<u8>> = gone.iter().map(|id| action(id).into_bytes()).collect();
            self.bulk(target, &lines).await?;
            self.wait(target, which, &[], &gone).await?;
            if more {
                // More than one request tells: what is left is found again.
                found = self.ids(target, &rest).await?;
            }
        }
        Ok(())
    }

    /// Sends lines of one or several bulk requests; the ids of what was written. Returns when searches
    /// see it, but for serverless collections, which have no refresh.
    async fn bulk(&self, target: &Target, lines: &[Vec<u8>]) -> Result<Vec<String>, IndexError> {
        let refresh: &[_] = if target.server.serverless {
            &[]
        } else {
            &[("refresh", "true")]
        };
        let path = [target.index.as_str(), "_bulk"];
        let mut written = Vec::new();
        let mut lines = lines.iter().peekable();
        while lines.peek().is_some() {
            let mut request = Vec::new();
            while let Some(line) =
                lines.next_if(|line| request.is_empty() || request.len() + line.len() <= BULK_BYTES)
            {
                request.extend_from_slice(line);
            }
            let body = Body::Bulk(request);
            let asked = self
                .client
                .ask(&target.server, Method::POST, &path, refresh, body);
            let (status, answer) = asked.await?;
            if status == StatusCode::NOT_FOUND {
                return Err(IndexError::Unavailable(format!(
                    "the index {} is gone",
                    target.index
                )));
            }
            written.extend(outcome(&answer)?);
        }
        Ok(written)
    }

    /// Waits until searches of a serverless collection see what was written and no longer what was
    /// deleted.
    async fn wait(
        &self,
        target: &Target,
        which: &Value,
        written: &[String],
        gone: &[String],
    ) -> Result<(), IndexError> {
        if !target.server.serverless {
            return Ok(());
        }
        let end = Instant::now() + VISIBLE_WITHIN;
        loop {
            let seen = self.ids(target, which).await?;
            let sees = |id: &String| seen.iter().any(|found| found.id == *id);
            // Of more than are told at a time, a full page is as much as can be seen.
            let full = seen.len() == IDS;
            if (full || written.iter().all(sees)) && !gone.iter().any(sees) {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(IndexError::Unavailable(format!(
                    "the collection does not show a write after {} seconds",
                    VISIBLE_WITHIN.as_secs()
                )));
            }
            tokio::time::sleep(VISIBLE_POLL).await;
        }
    }
}

/// The chunks of a document, of whatever version.
fn of_document(target: &Target, document: &DocumentKey) -> Value {
    let name = key::document_key(&document.location);
    let terms = [
        (body::SOURCE, document.data_source_id.as_str()),
        (body::DOCUMENT, name.as_str()),
    ];
    body::of(target, &terms)
}

/// Whether a field takes vectors of this size.
fn check_vector(target: &Target, field: Option<&Value>, dimensions: u32) -> Result<(), IndexError> {
    let (name, index) = (&target.vector, &target.index);
    let problem = match field {
        None => format!("the index {index} has no field `{name}`"),
        Some(field) if field["type"] != "knn_vector" => format!(
            "the field `{name}` of the index {index} is of the type {}, not knn_vector",
            field["type"]
        ),
        Some(field) => match field["dimension"].as_u64() {
            Some(holds) if holds != u64::from(dimensions) => format!(
                "the field `{name}` of the index {index} holds vectors of {holds} dimensions, not \
                 {dimensions}"
            ),
            _ => return Ok(()),
        },
    };
    Err(IndexError::Rejected(problem))
}

/// The ids that a bulk request has written; an error where any of it failed.
fn outcome(answer: &Value) -> Result<Vec<String>, IndexError> {
    let items = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
    let mut written = Vec::new();
    for item in items {
        let (action, done) = match item.as_object().and_then(|item| item.iter().next()) {
            Some((action, done)) => (action.as_str(), done),
            None => continue,
        };
        let status = done["status"]
            .as_u64()
            .and_then(|code| u16::try_from(code).ok());
        let status = status.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
        // What is to be deleted may be gone already.
        let gone = action == "delete" && status == StatusCode::NOT_FOUND;
        if !status.is_success() && !gone {
            let reason = done.pointer("/error/reason").and_then(Value::as_str);
            return Err(client::refusal(
                status,
                "OpenSearch",
                reason.unwrap_or("a write of a bulk request has failed"),
            ));
        }
        if action != "delete" {
            written.extend(done["_id"].as_str().map(str::to_owned));
        }
    }
    Ok(written)
}
