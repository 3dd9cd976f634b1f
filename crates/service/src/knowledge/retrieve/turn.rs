//! Searches of agents' turns.

use outcrop_engine::action::Strictness;
use outcrop_engine::port::{RetrieveCall, RetrieveError};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::runtime::RetrievedReference;

use super::{Ask, load, retrieve};
use crate::ports::Ports;

/// Searches once for a turn.
///
/// # Errors
/// As the engine tells the client of them.
pub(crate) async fn for_turn(
    ports: &Ports,
    call: RetrieveCall,
) -> Result<Vec<RetrievedReference>, RetrieveError> {
    if let Some(retriever) = &ports.retriever {
        return retriever.retrieve(call).await;
    }
    let knowledge_base_id = call.knowledge_base_id.clone();
    search(ports, call)
        .await
        .map_err(|exception| match exception.kind() {
            ExceptionKind::ResourceNotFound => RetrieveError::NotFound { knowledge_base_id },
            _ => RetrieveError::Failed {
                knowledge_base_id,
                detail: exception
                    .internal_message()
                    .unwrap_or(exception.message())
                    .to_owned(),
            },
        })
}

async fn search(ports: &Ports, call: RetrieveCall) -> Result<Vec<RetrievedReference>, Exception> {
    let place = (call.account_id.as_str(), call.region.as_str());
    let base = load(ports, place, &call.knowledge_base_id).await?;
    // What strict limits forbid has been refused where it was given.
    let ask = Ask::of(call.configuration, Strictness::Relaxed)?;
    let found = retrieve(ports, &base, &call.query, &ask).await?;
    Ok(found.iter().map(super::Found::reference).collect())
}
