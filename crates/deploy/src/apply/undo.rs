//! Putting everything back as it was when the stack was last complete.

use super::{Event, Identified, Run, RunError, Verb, settled, step};
use crate::resource::{Change, Identity, Kind, put_alias_back};
use crate::state::{Resource, Status, Undo};

/// Undoes all that has been done, in reverse. Stops at the first step that cannot be undone; what is
/// left to undo stays in the state.
pub(super) async fn undo_all(run: &mut Run<'_, '_>) -> Result<(), RunError> {
    run.save().await?;
    while let Some(undo) = run.keeper.state.undo.last().cloned() {
        if let Err(error) = undo_one(run, &undo).await {
            run.keeper.state.status = Status::Failed;
            run.save().await?;
            return Err(error);
        }
        run.keeper.state.undo.pop();
        run.save().await?;
    }
    run.keeper.state.status = Status::RolledBack;
    if run.keeper.state.resources.is_empty() && run.keeper.state.leftovers.is_empty() {
        // Nothing of the stack is left, and nothing was there before.
        return run.keeper.forget().await.map_err(RunError::State);
    }
    run.save().await
}

async fn undo_one(run: &mut Run<'_, '_>, undo: &Undo) -> Result<(), RunError> {
    let logical = undo.logical.as_str();
    let current = run.keeper.state.resources.get(logical).cloned();
    match &undo.before {
        None => {
            if let Some(current) = current {
                remove(run, logical, &current).await?;
            }
            run.keeper.state.resources.remove(logical);
        }
        Some(before) if undo.is_replaced => {
            if let Some(current) = current {
                remove(run, logical, &current).await?;
            }
            let leftovers = &mut run.keeper.state.leftovers;
            let place = leftovers
                .iter()
                .rposition(|left| left.logical == logical && left.resource.token == before.token);
            let found = place.map(|place| leftovers.remove(place).resource);
            restore(run, logical, before, found.as_ref().unwrap_or(before)).await?;
        }
        Some(before) => {
            restore(run, logical, before, current.as_ref().unwrap_or(before)).await?;
        }
    }
    Ok(())
}

/// Removes what was made, also where the answer was lost.
async fn remove(run: &Run<'_, '_>, logical: &str, current: &Resource) -> Result<(), RunError> {
    let who = Identified {
        logical,
        type_name: &current.type_name,
    };
    let Some(kind) = Kind::of(&current.type_name) else {
        return Ok(());
    };
    let found = match &current.made {
        Some(_) => Some(current.clone()),
        None => settled(run.api, logical, current, run.stack.pseudo())
            .await
            .map_err(step(logical))?,
    };
    if let Some(Resource {
        made: Some(made),
        definition,
        ..
    }) = found
    {
        (run.listener)(Event::Begun(Verb::Delete, who));
        let outcome = kind.delete(run.api, &made, &definition).await;
        outcome.map_err(|error| run.failed(Verb::Delete, who, error))?;
        (run.listener)(Event::Done(Verb::Delete, who, String::new()));
    }
    Ok(())
}

/// Brings `current`, in whatever mixture it is, back to `before`.
async fn restore(
    run: &mut Run<'_, '_>,
    logical: &str,
    before: &Resource,
    current: &Resource,
) -> Result<(), RunError> {
    let who = Identified {
        logical,
        type_name: &before.type_name,
    };
    let mut restored = before.clone();
    if let (Some(kind), Some(made)) = (Kind::of(&before.type_name), &before.made) {
        (run.listener)(Event::Begun(Verb::Restore, who));
        let mut mixture = vec![current.definition.clone()];
        mixture.extend(current.tried.iter().chain(&before.tried).cloned());
        let change = Change {
            made,
            before: &mixture,
            target: &before.definition,
            version_before: None,
        };
        let identity = Identity {
            type_name: &before.type_name,
            logical,
            pseudo: run.stack.pseudo(),
        };
        let outcome = match kind {
            Kind::AgentAlias => put_alias_back(run.api, &change).await,
            _ => kind.converge(run.api, identity, &change).await,
        };
        let made = outcome.map_err(|error| run.failed(Verb::Restore, who, error))?;
        restored.made = Some(made);
        restored.tried.clear();
        (run.listener)(Event::Done(Verb::Restore, who, String::new()));
    }
    let resources = &mut run.keeper.state.resources;
    resources.insert(logical.to_owned(), restored);
    Ok(())
}

/// Gives a replaced resource the name under which it waits to be removed, if it is to have another.
pub(super) async fn move_aside(run: &mut Run<'_, '_>, index: usize) -> Result<(), RunError> {
    let Some(left) = run.keeper.state.leftovers.get(index).cloned() else {
        return Ok(());
    };
    let resource = &left.resource;
    let (Some(kind), Some(made), Some(target)) = (
        Kind::of(&resource.type_name),
        &resource.made,
        resource.tried.last(),
    ) else {
        return Ok(());
    };
    let mut mixture = vec![resource.definition.clone()];
    mixture.extend(resource.tried.iter().cloned());
    let change = Change {
        made,
        before: &mixture,
        target,
        version_before: None,
    };
    let identity = Identity {
        type_name: &resource.type_name,
        logical: &left.logical,
        pseudo: run.stack.pseudo(),
    };
    let made = kind
        .converge(run.api, identity, &change)
        .await
        .map_err(step(&left.logical))?;
    if let Some(left) = run.keeper.state.leftovers.get_mut(index) {
        left.resource.definition = target.clone();
        left.resource.made = Some(made);
        left.resource.tried.clear();
    }
    run.save().await
}
