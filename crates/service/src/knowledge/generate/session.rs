//! Sessions of `RetrieveAndGenerate`: what was asked and answered, by an id that the service draws.
//!
//! Requests of one session at the same moment each see the turns that had ended when they began, and
//! each adds its own.

use std::time::Duration;

use outcrop_model::exception::Exception;
use outcrop_store::{Batch, Expect, StoreError, Write};
use serde::{Deserialize, Serialize};

use crate::error;
use crate::ports::Ports;
use crate::records::{Scope, Stored, json, kind, read};

/// How long a session is kept after its last turn.
const KEPT: Duration = Duration::from_hours(24);
/// Turns that are kept, the latest: more is more than a question can refer to.
const TURNS_MAX: usize = 20;
/// Characters that are kept of each text.
const CHARS_MAX: usize = 4_000;
/// How often a turn is written again after others were quicker.
const WRITES_MAX: u32 = 8;

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Turn {
    pub(super) question: String,
    pub(super) answer: String,
}

/// What is stored of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionDoc {
    turns: Vec<Turn>,
}

/// A session, new or gone on with.
pub(super) struct Session {
    scope: Scope,
    id: String,
    is_new: bool,
    turns: Vec<Turn>,
}

impl Session {
    /// The session of that id; a new one where there is no id.
    ///
    /// # Errors
    /// `ValidationException` for an id that was not given out here, or has lapsed.
    pub(super) async fn open(
        ports: &Ports,
        scope: Scope,
        id: Option<String>,
    ) -> Result<Self, Exception> {
        let Some(id) = id else {
            return Ok(Self {
                scope,
                id: ports.ids.uuid(),
                is_new: true,
                turns: Vec::new(),
            });
        };
        let mut session = Self {
            scope,
            id,
            is_new: false,
            turns: Vec::new(),
        };
        match session.load(ports).await? {
            Some(found) => {
                session.turns = found.body.turns;
                Ok(session)
            }
            None => Err(Exception::validation(format!(
                "Session with Id {} is not valid. Please check and try again.",
                session.id
            ))),
        }
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Makes the id good before the turn is over, for a client that is told it then.
    ///
    /// # Errors
    /// Where the store does not take it.
    pub(super) async fn announce(&self, ports: &Ports) -> Result<(), Exception> {
        if !self.is_new {
            return Ok(());
        }
        let write = self.write(ports, &SessionDoc::default(), Expect::Absent);
        commit(ports, write).await.map_err(error::store)
    }

    /// What was said before, the oldest first.
    pub(super) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Adds a turn.
    ///
    /// # Errors
    /// Where the store does not take it.
    pub(super) async fn remember(
        self,
        ports: &Ports,
        question: &str,
        answer: &str,
    ) -> Result<(), Exception> {
        let kept = |text: &str| text.chars().take(CHARS_MAX).collect();
        let turn = Turn {
            question: kept(question),
            answer: kept(answer),
        };
        let mut tries = 0;
        loop {
            let found = self.load(ports).await?;
            let (mut doc, expect) = match found {
                Some(found) => (found.body, Expect::Revision(found.revision)),
                None => (SessionDoc::default(), Expect::Absent),
            };
            doc.turns.push(turn.clone());
            let surplus = doc.turns.len().saturating_sub(TURNS_MAX);
            doc.turns.drain(..surplus);
            let write = self.write(ports, &doc, expect);
            tries += 1;
            match commit(ports, write).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Stale { .. }) if tries < WRITES_MAX => {}
                Err(cause) => return Err(error::store(cause)),
            }
        }
    }

    async fn load(&self, ports: &Ports) -> Result<Option<Stored<SessionDoc>>, Exception> {
        let key = self.scope.key(kind::RAG_SESSION, "", &self.id);
        let now_ms = ports.clock.now().as_millis();
        let record = ports.store.get(&key, now_ms).await.map_err(error::store)?;
        record.map(read).transpose()
    }

    fn write(&self, ports: &Ports, doc: &SessionDoc, expect: Expect) -> Write {
        let until = ports.clock.now().saturating_add(KEPT);
        Write::Put {
            key: self.scope.key(kind::RAG_SESSION, "", &self.id),
            body: json(doc).into(),
            expect,
            name: None,
            expires_at_ms: Some(until.as_millis()),
        }
    }
}

async fn commit(ports: &Ports, write: Write) -> Result<(), StoreError> {
    let batch = Batch {
        now_ms: ports.clock.now().as_millis(),
        writes: vec![write],
    };
    ports.store.commit(batch).await.map(|_| ())
}
