//! Performing a plan, so that it may end anywhere and be gone on with.
//!
//! Every step is written into the stack's state before it is tried and after it is done. What a run
//! that was cut short left half done is settled first: a creation is asked for again with its token,
//! which finds what it made. When a step fails, the run undoes what has been done since the stack was
//! last complete, in reverse.
//!
//! Invariant: nothing is removed before everything else has worked. What is replaced stands until then.

mod keeper;
mod remove;
mod undo;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::api::{Api, ApiError};
use crate::files::digest;
use crate::node::Problem;
use crate::plan::{Action, decide, dropped, known};
use crate::resource::{Change, Identity, Kind};
use crate::stack::{Known, Outputs, Stack, Wanted};
use crate::state::{Leftover, Resource, Status, Undo};

pub use keeper::{Keeper, Kept, read as read_stack};
pub use remove::delete_stack;

/// Runs that were cut short in the middle of the same change, each with another definition. Beyond
/// these the oldest is forgotten; it can only matter for parts that no later definition names.
const TRIED_MAX: usize = 8;

/// What a run does, as it does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A step begins.
    Begun(Verb, Identified<'a>),
    /// A step is done; what there is to say about it.
    Done(Verb, Identified<'a>, String),
    /// A step failed.
    Failed(Verb, Identified<'a>, &'a str),
    /// The run undoes what it did.
    RollingBack,
}

/// A resource in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identified<'a> {
    /// Its logical id.
    pub logical: &'a str,
    /// Its type.
    pub type_name: &'a str,
}

/// What is being done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Asking again for what an earlier run was making.
    Settle,
    /// Making.
    Create,
    /// Changing.
    Update,
    /// Removing.
    Delete,
    /// Putting back as it was.
    Restore,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settle => "settle",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Restore => "restore",
        })
    }
}

/// What to do when a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Undo what was done.
    RollBack,
    /// Leave it, to be looked at or gone on with.
    Leave,
}

/// Why a run did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A call failed. What was done before it has been undone, or left, as asked.
    #[error("{logical}: {source}")]
    Step {
        /// The resource.
        logical: String,
        /// What happened.
        source: ApiError,
    },
    /// A value turned out not to fit.
    #[error("{}", shown(.0))]
    Problems(Vec<Problem>),
    /// The stack's state cannot be kept. What was done stands; run again.
    #[error("the state of the stack cannot be kept: {0}")]
    State(ApiError),
    /// Undoing failed too. What is left is kept in the state; run again.
    #[error("{cause}; undoing it failed too: {failure}")]
    Undo {
        /// Why there was something to undo.
        cause: Box<RunError>,
        /// Why it could not be.
        failure: Box<RunError>,
    },
}

fn shown(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

/// How a run that did its work ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The stack's outputs.
    pub outputs: BTreeMap<String, Value>,
    /// What could not be removed, and why. The next run tries again.
    pub left: Vec<(String, String)>,
}

/// Whom events are told.
pub type Listener<'a> = &'a (dyn Fn(Event<'_>) + Send + Sync);

/// Brings a stack to its template.
///
/// # Errors
/// A step failed; see [`RunError`].
pub async fn deploy(
    api: &dyn Api,
    stack: &Stack<'_>,
    keeper: &mut Keeper<'_>,
    on_failure: OnFailure,
    listener: Listener<'_>,
) -> Result<Outcome, RunError> {
    let mut run = Run {
        api,
        stack,
        keeper,
        listener,
    };
    match run.forward().await {
        Ok(outputs) => run.finish(outputs).await,
        // Whoever cannot write the state must not act on it either.
        Err(error @ RunError::State(_)) => Err(error),
        Err(cause) if on_failure == OnFailure::Leave => {
            run.keeper.state.status = Status::Failed;
            run.save().await?;
            Err(cause)
        }
        Err(cause) => {
            (run.listener)(Event::RollingBack);
            match undo::undo_all(&mut run).await {
                Ok(()) => Err(cause),
                Err(failure) => Err(RunError::Undo {
                    cause: Box::new(cause),
                    failure: Box::new(failure),
                }),
            }
        }
    }
}

/// One run.
struct Run<'a, 'b> {
    api: &'a dyn Api,
    stack: &'a Stack<'a>,
    keeper: &'a mut Keeper<'b>,
    listener: Listener<'a>,
}

fn step(logical: &str) -> impl FnOnce(ApiError) -> RunError {
    let logical = logical.to_owned();
    move |source| RunError::Step { logical, source }
}

impl Run<'_, '_> {
    async fn save(&mut self) -> Result<(), RunError> {
        self.keeper.save().await.map_err(RunError::State)
    }

    /// Makes, changes and replaces, in order; nothing is removed yet.
    async fn forward(&mut self) -> Result<Outputs, RunError> {
        self.keeper.state.status = Status::InProgress;
        self.save().await?;
        self.settle().await?;
        let mut known = known(self.stack, &self.keeper.state);
        let mut definitions = BTreeMap::new();
        for wanted in self.stack.resources() {
            let logical = wanted.logical();
            let target = self
                .stack
                .definition(wanted, &known, &definitions)
                .map_err(RunError::Problems)?;
            let current = self.keeper.state.resources.get(logical);
            match decide(wanted, current, &target) {
                Action::Keep => self.note(wanted),
                Action::Update(_) => self.update(wanted, &target).await?,
                Action::Replace(_) => {
                    self.step_aside(wanted, &target).await?;
                    self.create(wanted, &target).await?;
                }
                Action::Create | Action::Delete | Action::Forget => {
                    self.create(wanted, &target).await?;
                }
            }
            let made = self.keeper.state.resources.get(logical);
            known.insert(
                logical.to_owned(),
                made.and_then(|resource| resource.made.clone()),
            );
            definitions.insert(logical.to_owned(), target);
        }
        let outputs = self.outputs(&known)?;
        self.keeper.exports = outputs.exports.clone();
        self.keeper.imports = self.stack.imports();
        // The server may refuse the exports, which is the last thing that can be undone.
        self.keeper.save().await.map_err(|error| match error {
            refused @ ApiError::Refused { .. } if refused.is_conflict() => RunError::Step {
                logical: "Outputs".to_owned(),
                source: refused,
            },
            other => RunError::State(other),
        })?;
        Ok(outputs)
    }

    fn outputs(&self, known: &Known) -> Result<Outputs, RunError> {
        self.stack.outputs(known).map_err(RunError::Problems)
    }

    /// From here on nothing is undone: removes what the stack has no more.
    async fn finish(&mut self, outputs: Outputs) -> Result<Outcome, RunError> {
        let state = &mut self.keeper.state;
        state.undo.clear();
        state.outputs = outputs.values.clone();
        let stack = self.stack;
        let is_dropped = |logical: &str| {
            let mut resources = stack.resources().iter();
            !resources.any(|wanted| wanted.logical() == logical)
        };
        let gone: Vec<String> = dropped(state, is_dropped)
            .map(|(logical, _)| logical.clone())
            .collect();
        // Leftovers are removed from the end: what was dropped goes before what was replaced, for
        // it may depend on that.
        for logical in gone.into_iter().rev() {
            if let Some(resource) = state.resources.remove(&logical) {
                state.leftovers.push(Leftover { logical, resource });
            }
        }
        self.save().await?;
        let left = remove::leftovers(self.api, self.keeper, self.listener).await?;
        self.keeper.state.status = Status::Complete;
        self.save().await?;
        Ok(Outcome {
            outputs: outputs.values,
            left,
        })
    }

    /// Finds out what became of the creations whose answers were never seen.
    async fn settle(&mut self) -> Result<(), RunError> {
        for index in 0..self.keeper.state.leftovers.len() {
            undo::move_aside(self, index).await?;
        }
        let pending: Vec<String> = self
            .keeper
            .state
            .resources
            .iter()
            .filter(|(_, resource)| resource.made.is_none())
            .map(|(logical, _)| logical.clone())
            .collect();
        for logical in pending {
            let Some(resource) = self.keeper.state.resources.get(&logical).cloned() else {
                continue;
            };
            let type_name = resource.type_name.clone();
            let who = Identified {
                logical: &logical,
                type_name: &type_name,
            };
            (self.listener)(Event::Begun(Verb::Settle, who));
            let settled = settled(self.api, &logical, &resource, self.stack.pseudo()).await;
            match settled.map_err(step(&logical))? {
                Some(found) => {
                    self.keeper.state.resources.insert(logical.clone(), found);
                }
                None => {
                    self.keeper.state.resources.remove(&logical);
                }
            }
            self.save().await?;
            (self.listener)(Event::Done(Verb::Settle, who, String::new()));
        }
        Ok(())
    }

    /// What depends on what may change while nothing else does.
    fn note(&mut self, wanted: &Wanted) {
        if let Some(current) = self.keeper.state.resources.get_mut(wanted.logical()) {
            current.depends_on = wanted.depends_on.iter().cloned().collect();
            current.is_retained = wanted.declared.is_retained;
        }
    }

    async fn create(&mut self, wanted: &Wanted, target: &Value) -> Result<(), RunError> {
        let logical = wanted.logical();
        let identity = self.stack.identity(wanted);
        let who = Identified {
            logical,
            type_name: identity.type_name,
        };
        (self.listener)(Event::Begun(Verb::Create, who));
        let state = &mut self.keeper.state;
        state.generation += 1;
        let pseudo = identity.pseudo;
        let token = digest(&format!(
            "{}/{}/{}/{logical}/{}",
            pseudo.account_id, pseudo.region, pseudo.stack_name, state.generation
        ));
        let resource = Resource {
            type_name: identity.type_name.to_owned(),
            token: token.clone(),
            made: None,
            definition: target.clone(),
            tried: Vec::new(),
            depends_on: wanted.depends_on.iter().cloned().collect(),
            is_retained: wanted.declared.is_retained,
        };
        state.resources.insert(logical.to_owned(), resource);
        if !state.undo.iter().any(|undo| undo.logical == logical) {
            state.undo.push(Undo {
                logical: logical.to_owned(),
                before: None,
                is_replaced: false,
            });
        }
        self.save().await?;
        let created = wanted.kind.create(self.api, identity, target, &token).await;
        let created = created.map_err(|error| self.failed(Verb::Create, who, error))?;
        if let Some(resource) = self.keeper.state.resources.get_mut(logical) {
            resource.made = Some(created.made);
            resource.definition = created.stands;
            resource.tried = vec![target.clone()];
        }
        self.save().await?;
        self.converge(wanted, target, None)
            .await
            .map_err(|error| self.failed(Verb::Create, who, error))?;
        self.save().await?;
        self.done(Verb::Create, who);
        Ok(())
    }

    async fn update(&mut self, wanted: &Wanted, target: &Value) -> Result<(), RunError> {
        let logical = wanted.logical();
        let who = Identified {
            logical,
            type_name: &wanted.declared.type_name,
        };
        (self.listener)(Event::Begun(Verb::Update, who));
        let state = &mut self.keeper.state;
        let Some(current) = state.resources.get_mut(logical) else {
            return Ok(());
        };
        if !state.undo.iter().any(|undo| undo.logical == logical) {
            state.undo.push(Undo {
                logical: logical.to_owned(),
                before: Some(current.clone()),
                is_replaced: false,
            });
        }
        let is_retry = current.tried.contains(target);
        let version_before = current
            .made
            .as_ref()
            .filter(|_| is_retry)
            .and_then(|made| made.version.clone());
        if !is_retry {
            current.tried.push(target.clone());
            if current.tried.len() > TRIED_MAX {
                current.tried.remove(0);
            }
        }
        current.type_name.clone_from(&wanted.declared.type_name);
        self.save().await?;
        self.converge(wanted, target, version_before.as_deref())
            .await
            .map_err(|error| self.failed(Verb::Update, who, error))?;
        self.note(wanted);
        self.save().await?;
        self.done(Verb::Update, who);
        Ok(())
    }

    /// Brings what exists to the definition, and notes that it is there.
    async fn converge(
        &mut self,
        wanted: &Wanted,
        target: &Value,
        version_before: Option<&str>,
    ) -> Result<(), ApiError> {
        let logical = wanted.logical();
        let Some(resource) = self.keeper.state.resources.get(logical) else {
            return Ok(());
        };
        let Some(made) = &resource.made else {
            return Ok(());
        };
        let mut before = vec![resource.definition.clone()];
        // What is tried for the first time now is not among what may be there.
        let is_first = resource.tried.len() == 1 && version_before.is_none();
        if !(is_first && resource.tried.contains(target)) {
            before.extend(resource.tried.iter().cloned());
        }
        let change = Change {
            made,
            before: &before,
            target,
            version_before,
        };
        let identity = self.stack.identity(wanted);
        let made = wanted.kind.converge(self.api, identity, &change).await?;
        if let Some(resource) = self.keeper.state.resources.get_mut(logical) {
            resource.made = Some(made);
            resource.definition = target.clone();
            resource.tried.clear();
        }
        Ok(())
    }

    /// Makes room for a replacement: the old resource becomes a leftover, under another name where
    /// the new one has the same.
    async fn step_aside(&mut self, wanted: &Wanted, target: &Value) -> Result<(), RunError> {
        let logical = wanted.logical().to_owned();
        let state = &mut self.keeper.state;
        let Some(old) = state.resources.remove(&logical) else {
            return Ok(());
        };
        match state.undo.iter_mut().find(|undo| undo.logical == logical) {
            // Made and replaced since the stack was last complete: undoing removes both.
            Some(undo) if undo.before.is_none() => {}
            Some(undo) => undo.is_replaced = true,
            None => state.undo.push(Undo {
                logical: logical.clone(),
                before: Some(old.clone()),
                is_replaced: true,
            }),
        }
        let mut left = old;
        if let Some(aside) = aside(wanted.kind, &left, target, state.generation) {
            left.tried.push(aside);
        }
        left.is_retained = wanted.declared.is_kept_when_replaced;
        state.leftovers.push(Leftover {
            logical,
            resource: left,
        });
        let index = state.leftovers.len() - 1;
        self.save().await?;
        undo::move_aside(self, index).await
    }

    fn failed(&self, verb: Verb, who: Identified<'_>, error: ApiError) -> RunError {
        (self.listener)(Event::Failed(verb, who, &error.to_string()));
        step(who.logical)(error)
    }

    fn done(&self, verb: Verb, who: Identified<'_>) {
        let resource = self.keeper.state.resources.get(who.logical);
        let made = resource.and_then(|resource| resource.made.as_ref());
        let shown = made.map_or_else(String::new, |made| match &made.version {
            Some(version) => format!("{} -> version {version}", made.physical),
            None => made.physical.clone(),
        });
        (self.listener)(Event::Done(verb, who, shown));
    }
}

/// The definition under which an old resource leaves its name to the new one.
fn aside(kind: Kind, old: &Resource, target: &Value, generation: u64) -> Option<Value> {
    let (name, parent) = kind.unique_name()?;
    let is_same = |member: &str| old.definition.get(member) == target.get(member);
    if !is_same(name) || parent.is_some_and(|parent| !is_same(parent)) {
        return None;
    }
    let mut definition = old.definition.clone();
    let text = definition[name].as_str()?;
    let mut text = text.to_owned();
    text.truncate(70);
    definition[name] = json!(format!("{text}-replaced-{generation}"));
    Some(definition)
}

/// What became of a creation without an answer: the resource as it stands, or `None` if it was
/// never made.
async fn settled(
    api: &dyn Api,
    logical: &str,
    resource: &Resource,
    pseudo: &crate::intrinsics::Pseudo,
) -> Result<Option<Resource>, ApiError> {
    let Some(kind) = Kind::of(&resource.type_name) else {
        return Ok(None);
    };
    let identity = Identity {
        type_name: &resource.type_name,
        logical,
        pseudo,
    };
    let target = &resource.definition;
    match kind.create(api, identity, target, &resource.token).await {
        Ok(created) => Ok(Some(Resource {
            made: Some(created.made),
            definition: created.stands,
            tried: vec![target.clone()],
            ..resource.clone()
        })),
        Err(ApiError::Refused { .. }) => Ok(None),
        Err(lost) => Err(lost),
    }
}
