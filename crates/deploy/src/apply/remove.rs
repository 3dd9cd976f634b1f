//! Removing: what a run left over, and whole stacks.

use super::{Event, Identified, Keeper, Listener, Outcome, RunError, Verb};
use crate::api::Api;
use crate::plan::dropped;
use crate::resource::Kind;
use crate::state::{Leftover, Status};

/// Removes what is left over, from the end. What cannot be removed stays, and is told.
pub(super) async fn leftovers(
    api: &dyn Api,
    keeper: &mut Keeper<'_>,
    listener: Listener<'_>,
) -> Result<Vec<(String, String)>, RunError> {
    let mut kept = Vec::new();
    let mut failures = Vec::new();
    while let Some(left) = keeper.state.leftovers.last().cloned() {
        let who = Identified {
            logical: &left.logical,
            type_name: &left.resource.type_name,
        };
        let outcome = remove(api, &left, listener, who).await;
        keeper.state.leftovers.pop();
        if let Err(error) = outcome {
            let text = error.to_string();
            listener(Event::Failed(Verb::Delete, who, &text));
            failures.push((left.logical.clone(), text));
            kept.push(left);
        } else {
            // Kept ones are held aside; a run that ends here must still know of them.
            let mut all = kept.clone();
            all.reverse();
            let popped = std::mem::take(&mut keeper.state.leftovers);
            keeper.state.leftovers = popped.iter().cloned().chain(all).collect();
            let saved = keeper.save().await;
            keeper.state.leftovers = popped;
            saved.map_err(RunError::State)?;
        }
    }
    kept.reverse();
    keeper.state.leftovers = kept;
    Ok(failures)
}

async fn remove(
    api: &dyn Api,
    left: &Leftover,
    listener: Listener<'_>,
    who: Identified<'_>,
) -> Result<(), crate::api::ApiError> {
    let resource = &left.resource;
    if resource.is_retained {
        return Ok(());
    }
    let (Some(kind), Some(made)) = (Kind::of(&resource.type_name), &resource.made) else {
        return Ok(());
    };
    listener(Event::Begun(Verb::Delete, who));
    kind.delete(api, made, &resource.definition).await?;
    listener(Event::Done(Verb::Delete, who, String::new()));
    Ok(())
}

/// Removes a whole stack.
///
/// # Errors
/// Another stack uses what this one exports, or the state cannot be kept. What could not be removed
/// is in the outcome; the stack then remains, for another attempt.
pub async fn delete_stack(
    api: &dyn Api,
    pseudo: &crate::intrinsics::Pseudo,
    keeper: &mut Keeper<'_>,
    listener: Listener<'_>,
) -> Result<Outcome, RunError> {
    keeper.state.status = Status::InProgress;
    // Refused by the server while they are in use, before anything is touched.
    keeper.exports.clear();
    keeper.save().await.map_err(|source| RunError::Step {
        logical: "Outputs".to_owned(),
        source,
    })?;
    settle(api, pseudo, keeper).await?;
    let state = &mut keeper.state;
    state.undo.clear();
    let gone: Vec<String> = dropped(state, |_| true)
        .map(|(logical, _)| logical.clone())
        .collect();
    for logical in gone.into_iter().rev() {
        if let Some(resource) = state.resources.remove(&logical) {
            state.leftovers.push(Leftover { logical, resource });
        }
    }
    keeper.save().await.map_err(RunError::State)?;
    let left = leftovers(api, keeper, listener).await?;
    if left.is_empty() {
        keeper.forget().await.map_err(RunError::State)?;
    } else {
        keeper.state.status = Status::Failed;
        keeper.save().await.map_err(RunError::State)?;
    }
    Ok(Outcome {
        left,
        ..Outcome::default()
    })
}

/// Finds what creations without an answer made, so that it can be removed.
async fn settle(
    api: &dyn Api,
    pseudo: &crate::intrinsics::Pseudo,
    keeper: &mut Keeper<'_>,
) -> Result<(), RunError> {
    let pending: Vec<String> = keeper
        .state
        .resources
        .iter()
        .filter(|(_, resource)| resource.made.is_none())
        .map(|(logical, _)| logical.clone())
        .collect();
    for logical in pending {
        if let Some(resource) = keeper.state.resources.remove(&logical)
            && let Some(found) = super::settled(api, &logical, &resource, pseudo)
                .await
                .map_err(super::step(&logical))?
        {
            keeper.state.resources.insert(logical, found);
        }
    }
    Ok(())
}
