//! Stacks: what `outcrop deploy` has made, its lock, and the values stacks give each other.
//!
//! What a stack's state says is the command's business; here it is a document. Invariants: a state is
//! written only by the holder of the stack's lock and over the revision it has read; no export that
//! another stack uses is changed away or removed.

use std::collections::BTreeMap;
use std::time::Duration;

use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_store::{Expect, Key, StoreError, Write};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::records::{Scope, Stored, json, kind, put};
use crate::{Service, error, scope};

/// How long a lock lasts without a write. A step of a deployment takes seconds.
const LOCK_LIFE: Duration = Duration::from_mins(5);
/// `CloudFormation`'s limit.
const NAME_CHARS: usize = 128;
/// A name of whoever holds a lock, for people.
const OWNER_CHARS: usize = 200;
/// `CloudFormation`'s limit of outputs.
const EXPORTS_MAX: usize = 200;

/// A stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StackDocument {
    /// For people.
    pub status: String,
    /// What the command keeps.
    pub state: Value,
    /// Values for other stacks, by name.
    #[serde(default)]
    pub exports: BTreeMap<String, String>,
    /// Names of exports it uses.
    #[serde(default)]
    pub imports: Vec<String>,
}

/// A stack with its place in time.
#[derive(Clone, Debug, PartialEq)]
pub struct StackRevision {
    /// To be named by whoever replaces it.
    pub revision: u64,
    /// The stack.
    pub stack: StackDocument,
}

/// A value one stack gives to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// The value.
    pub value: String,
    /// Whose it is.
    pub stack: String,
}

/// Who works on a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// For people, and for the owner to know itself.
    pub owner: String,
    /// When it lapses, milliseconds since the epoch.
    pub until_ms: i64,
}

fn check_name(name: &str) -> Result<(), Exception> {
    let fits = (1..=NAME_CHARS).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits {
        Ok(())
    } else {
        Err(Exception::validation(format!(
            "{name:?} is no stack name: a letter, then letters, digits and -, at most {NAME_CHARS}"
        )))
    }
}

fn key(scope: &Scope, name: &str) -> Key {
    scope.key(kind::STACK, "", name)
}

fn lock_key(scope: &Scope, name: &str) -> Key {
    scope.key(kind::STACK_LOCK, "", name)
}

fn export_key(scope: &Scope, name: &str) -> Key {
    scope.key(kind::EXPORT, "", name)
}

fn import_key(scope: &Scope, export: &str, stack: &str) -> Key {
    scope.key(kind::IMPORT, export, stack)
}

fn delete(key: Key) -> Write {
    Write::Delete {
        key,
        expect: Expect::Any,
    }
}

/// Another writer was faster.
fn moved_on(name: &str) -> impl FnOnce(StoreError) -> Exception {
    let name = name.to_owned();
    move |cause| match cause {
        StoreError::Stale { .. } => Exception::conflict(format!(
            "the stack {name} has been changed meanwhile; run the command again"
        )),
        other => error::store(other),
    }
}

impl Service {
    /// A stack.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub async fn stack(&self, cx: &CallContext, name: &str) -> Result<StackRevision, Exception> {
        let found = self.load::<StackDocument>(key(&scope(cx), name)).await?;
        let found =
            found.ok_or_else(|| Exception::not_found(format!("there is no stack {name} here")))?;
        Ok(StackRevision {
            revision: found.revision,
            stack: found.body,
        })
    }

    /// All stacks by name, with their status.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn stacks(&self, cx: &CallContext) -> Result<BTreeMap<String, String>, Exception> {
        let found = self
            .children::<StackDocument>(&scope(cx), kind::STACK, "")
            .await?;
        let pairs = found
            .into_iter()
            .map(|stored| (stored.key.id.to_string(), stored.body.status));
        Ok(pairs.collect())
    }

    /// What the stacks of this account and region export.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn exports(&self, cx: &CallContext) -> Result<BTreeMap<String, Export>, Exception> {
        let found = self
            .children::<Export>(&scope(cx), kind::EXPORT, "")
            .await?;
        let pairs = found
            .into_iter()
            .map(|stored| (stored.key.id.to_string(), stored.body));
        Ok(pairs.collect())
    }

    /// Takes a stack's lock, or prolongs it. `replaces`: an owner known to be gone.
    ///
    /// # Errors
    /// `ConflictException` naming the owner who has it.
    pub async fn lock_stack(
        &self,
        cx: &CallContext,
        name: &str,
        owner: &str,
        replaces: Option<&str>,
    ) -> Result<Lock, Exception> {
        check_name(name)?;
        if owner.is_empty() || owner.chars().count() > OWNER_CHARS {
            return Err(Exception::validation(format!(
                "owner: 1 to {OWNER_CHARS} characters"
            )));
        }
        let scope = scope(cx);
        let held = self.load::<Lock>(lock_key(&scope, name)).await?;
        let expect = match &held {
            None => Expect::Absent,
            Some(held) if held.body.owner == owner || replaces == Some(&held.body.owner) => {
                Expect::Revision(held.revision)
            }
            Some(held) => return Err(self.locked(name, &held.body)),
        };
        let (lock, write) = self.lock(&scope, name, owner, expect);
        self.write(vec![write]).await.map_err(moved_on(name))?;
        Ok(lock)
    }

    fn lock(&self, scope: &Scope, name: &str, owner: &str, expect: Expect) -> (Lock, Write) {
        let until_ms = self.now().saturating_add(LOCK_LIFE).as_millis();
        let lock = Lock {
            owner: owner.to_owned(),
            until_ms,
        };
        let write = Write::Put {
            key: lock_key(scope, name),
            body: json(&lock).into(),
            expect,
            name: None,
            expires_at_ms: Some(until_ms),
        };
        (lock, write)
    }

    fn locked(&self, name: &str, lock: &Lock) -> Exception {
        let left = (lock.until_ms - self.now().as_millis()).max(0) / 1000;
        Exception::conflict(format!(
            "the stack {name} is being worked on by {}; the lock lapses in {left} seconds unless it is prolonged",
            lock.owner
        ))
    }

    /// Who works on a stack.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when nobody does.
    pub async fn stack_lock(&self, cx: &CallContext, name: &str) -> Result<Lock, Exception> {
        let held = self.load::<Lock>(lock_key(&scope(cx), name)).await?;
        held.map(|held| held.body)
            .ok_or_else(|| Exception::not_found(format!("nobody works on the stack {name}")))
    }

    /// Gives a lock back; one that is not the owner's stays.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn unlock_stack(
        &self,
        cx: &CallContext,
        name: &str,
        owner: &str,
    ) -> Result<(), Exception> {
        let scope = scope(cx);
        let held = self.load::<Lock>(lock_key(&scope, name)).await?;
        if let Some(held) = held.filter(|held| held.body.owner == owner) {
            let write = Write::Delete {
                key: held.key,
                expect: Expect::Revision(held.revision),
            };
            self.write(vec![write]).await.map_err(moved_on(name))?;
        }
        Ok(())
    }

    /// The holder's own lock, prolonged by this write.
    async fn hold(&self, scope: &Scope, name: &str, owner: &str) -> Result<Write, Exception> {
        let held = self.load::<Lock>(lock_key(scope, name)).await?;
        match held {
            Some(held) if held.body.owner == owner => {
                let expect = Expect::Revision(held.revision);
                Ok(self.lock(scope, name, owner, expect).1)
            }
            Some(held) => Err(self.locked(name, &held.body)),
            None => Err(Exception::conflict(format!(
                "the lock of the stack {name} has lapsed; run the command again"
            ))),
        }
    }

    /// Writes a stack over the revision its writer has read, 0 for a new one.
    ///
    /// # Errors
    /// `ConflictException` when another holds the lock, has written meanwhile, or uses an export that
    /// would go.
    pub async fn put_stack(
        &self,
        cx: &CallContext,
        name: &str,
        owner: &str,
        revision: u64,
        stack: &StackDocument,
    ) -> Result<u64, Exception> {
        check_name(name)?;
        if stack.exports.len() > EXPORTS_MAX {
            return Err(Exception::validation(format!(
                "exports: at most {EXPORTS_MAX}"
            )));
        }
        let scope = scope(cx);
        let lock = self.hold(&scope, name, owner).await?;
        let before = self.load::<StackDocument>(key(&scope, name)).await?;
        let expect = match revision {
            0 => Expect::Absent,
            revision => Expect::Revision(revision),
        };
        let mut writes = vec![put(key(&scope, name), stack, expect, None), lock];
        let before = before.map(|stored| stored.body);
        writes.extend(self.exchange(&scope, name, before.as_ref(), stack).await?);
        let committed = self.write(writes).await.map_err(moved_on(name))?;
        Ok(committed.revisions.first().copied().unwrap_or_default())
    }

    /// Forgets a stack and gives its lock back. What it made is not touched.
    ///
    /// # Errors
    /// As [`Self::put_stack`].
    pub async fn delete_stack(
        &self,
        cx: &CallContext,
        name: &str,
        owner: &str,
        revision: u64,
    ) -> Result<(), Exception> {
        let scope = scope(cx);
        self.hold(&scope, name, owner).await?;
        let before = self.stack(cx, name).await?.stack;
        let nothing = StackDocument {
            status: String::new(),
            state: Value::Null,
            exports: BTreeMap::new(),
            imports: Vec::new(),
        };
        let mut writes = vec![
            Write::Delete {
                key: key(&scope, name),
                expect: Expect::Revision(revision),
            },
            delete(lock_key(&scope, name)),
        ];
        writes.extend(self.exchange(&scope, name, Some(&before), &nothing).await?);
        self.write(writes).await.map_err(moved_on(name))?;
        Ok(())
    }

    /// The writes that bring exports and imports from `before` to `after`.
    async fn exchange(
        &self,
        scope: &Scope,
        name: &str,
        before: Option<&StackDocument>,
        after: &StackDocument,
    ) -> Result<Vec<Write>, Exception> {
        let no_exports = BTreeMap::new();
        let (had, used) = before.map_or((&no_exports, &[][..]), |before| {
            (&before.exports, before.imports.as_slice())
        });
        let mut writes = Vec::new();
        for export in had
            .keys()
            .filter(|export| !after.exports.contains_key(*export))
        {
            self.check_unused(scope, name, export).await?;
            writes.push(delete(export_key(scope, export)));
        }
        for (export, value) in &after.exports {
            let key = export_key(scope, export);
            let found: Option<Stored<Export>> = self.load(key.clone()).await?;
            let expect = match &found {
                None => Expect::Absent,
                Some(found) if found.body.stack != name => {
                    return Err(Exception::conflict(format!(
                        "the stack {} exports {export} already",
                        found.body.stack
                    )));
                }
                Some(found) if found.body.value == *value => continue,
                Some(found) => {
                    self.check_unused(scope, name, export).await?;
                    Expect::Revision(found.revision)
                }
            };
            let body = Export {
                value: value.clone(),
                stack: name.to_owned(),
            };
            writes.push(put(key, &body, expect, None));
        }
        for export in used.iter().filter(|export| !after.imports.contains(export)) {
            writes.push(delete(import_key(scope, export, name)));
        }
        for export in &after.imports {
            let key = export_key(scope, export);
            let found = self.load::<Export>(key).await?.ok_or_else(|| {
                Exception::conflict(format!("no stack exports {export} any more"))
            })?;
            // Whoever removes the export at the same time finds it changed.
            writes.push(found.put(None));
            writes.push(put(
                import_key(scope, export, name),
                &name,
                Expect::Any,
                None,
            ));
        }
        Ok(writes)
    }

    async fn check_unused(&self, scope: &Scope, name: &str, export: &str) -> Result<(), Exception> {
        let users = self.children::<String>(scope, kind::IMPORT, export).await?;
        match users.into_iter().find(|user| user.body != name) {
            None => Ok(()),
            Some(user) => Err(Exception::conflict(format!(
                "the export {export} of the stack {name} is in use by the stack {}",
                user.body
            ))),
        }
    }
}
