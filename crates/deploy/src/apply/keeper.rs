//! The stack's state on the server: read once, written after every step.
//!
//! Every write names the revision it replaces and the owner of the stack's lock, so that of two runs
//! only one writes. Writing prolongs the lock.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::{Api, ApiError, OwnRequest, segment};
use crate::state::State;

/// Holds a stack for one run.
pub struct Keeper<'a> {
    api: &'a dyn Api,
    name: String,
    owner: String,
    revision: Option<u64>,
    /// The stack.
    pub state: State,
    /// What it exports.
    pub exports: BTreeMap<String, String>,
    /// Names of exports it uses.
    pub imports: Vec<String>,
}

impl<'a> Keeper<'a> {
    /// Locks a stack and reads its state. `replaces`: the owner whose lock is known to be dead.
    /// `seed` numbers the creations of a stack that is not there yet.
    ///
    /// # Errors
    /// Another holds the lock (`ConflictException`), or the state cannot be read.
    pub async fn open(
        api: &'a dyn Api,
        name: &str,
        owner: &str,
        replaces: Option<&str>,
        seed: u64,
    ) -> Result<Self, ApiError> {
        let body = json!({"owner": owner, "replaces": replaces});
        let path = format!("stacks/{}/lock", segment(name));
        api.own(OwnRequest::new("PUT", path).with_body(body))
            .await?;
        let keeper = Self {
            api,
            name: name.to_owned(),
            owner: owner.to_owned(),
            revision: None,
            state: State {
                generation: seed,
                ..State::default()
            },
            exports: BTreeMap::new(),
            imports: Vec::new(),
        };
        match read(api, name).await {
            Ok(Some(found)) => Ok(Self {
                revision: Some(found.revision),
                state: found.state,
                exports: found.exports,
                imports: found.imports,
                ..keeper
            }),
            Ok(None) => Ok(keeper),
            Err(error) => {
                // The lock would only be in the way of the next attempt; it ends by itself too.
                let _ = keeper.close().await;
                Err(error)
            }
        }
    }

    /// Whether the server knows the stack.
    pub fn exists(&self) -> bool {
        self.revision.is_some()
    }

    /// Writes the state.
    ///
    /// # Errors
    /// Somebody else has written meanwhile, or the server cannot be reached.
    pub async fn save(&mut self) -> Result<(), ApiError> {
        let state = serde_json::to_value(&self.state)
            .map_err(|error| ApiError::Lost(format!("the state is no JSON: {error}")))?;
        let body = json!({
            "owner": self.owner,
            "status": self.state.status.as_str(),
            "state": state,
            "exports": self.exports,
            "imports": self.imports,
        });
        let request = OwnRequest {
            revision: Some(self.revision.unwrap_or(0)),
            ..OwnRequest::new("PUT", self.path()).with_body(body)
        };
        let answer = self.api.own(request).await?;
        self.revision = answer["revision"].as_u64();
        Ok(())
    }

    /// Removes the stack and its lock.
    ///
    /// # Errors
    /// Somebody else has written meanwhile, or the server cannot be reached.
    pub async fn forget(&mut self) -> Result<(), ApiError> {
        if let Some(revision) = self.revision.take() {
            let path = format!("{}?owner={}", self.path(), segment(&self.owner));
            let request = OwnRequest {
                revision: Some(revision),
                ..OwnRequest::new("DELETE", path)
            };
            self.api.own(request).await?;
        }
        Ok(())
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// The server cannot be reached; the lock then ends by itself.
    pub async fn close(self) -> Result<(), ApiError> {
        let path = format!("{}/lock?owner={}", self.path(), segment(&self.owner));
        self.api
            .own(OwnRequest::new("DELETE", path))
            .await
            .map(drop)
    }

    fn path(&self) -> String {
        format!("stacks/{}", segment(&self.name))
    }
}

/// A stack as the server keeps it.
pub struct Kept {
    revision: u64,
    /// Its state.
    pub state: State,
    exports: BTreeMap<String, String>,
    imports: Vec<String>,
}

/// Reads a stack without locking it; `None` where there is none.
///
/// # Errors
/// It cannot be read, or was written by a version this one does not understand.
pub async fn read(api: &dyn Api, name: &str) -> Result<Option<Kept>, ApiError> {
    let path = format!("stacks/{}", segment(name));
    let answer = match api.own(OwnRequest::new("GET", path)).await {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    let state = part(&answer, "state")?;
    Ok(Some(Kept {
        revision: answer["revision"].as_u64().unwrap_or_default(),
        state,
        exports: part(&answer, "exports")?,
        imports: part(&answer, "imports")?,
    }))
}

fn part<T: serde::de::DeserializeOwned>(answer: &Value, member: &str) -> Result<T, ApiError> {
    serde_json::from_value(answer[member].clone())
        .map_err(|error| ApiError::Lost(format!("the stack's {member} cannot be read: {error}")))
}
