//! What agents may have and no turn can run yet.
//!
//! The control plane keeps all of it. A turn on an agent that uses such a thing is refused by name
//! before it begins, rather than run without it. Judged anew from the frozen definition with each
//! turn, so that what a later release can run needs no new `PrepareAgent`.

use outcrop_engine::definition::AgentDefinition;
use outcrop_engine::port::Retriever;
use outcrop_model::exception::Exception;

/// Refuses a definition that uses what cannot be run.
///
/// # Errors
/// `ValidationException` that names everything in question.
pub(super) fn check(
    definition: &AgentDefinition,
    retriever: &dyn Retriever,
) -> Result<(), Exception> {
    let message = unsupported(definition, retriever)
        .into_iter()
        .map(|thing| format!("{thing} is not supported by Outcrop"))
        .collect::<Vec<_>>()
        .join("; ");
    if message.is_empty() {
        Ok(())
    } else {
        Err(Exception::validation(message))
    }
}

/// The names of all that a definition uses and no turn can run.
fn unsupported(definition: &AgentDefinition, retriever: &dyn Retriever) -> Vec<String> {
    let mut things = Vec::new();
    if !retriever.serves() {
        let bases = definition.knowledge_bases.iter();
        things
            .extend(bases.map(|base| format!("Querying the knowledge base {} in a turn", base.id)));
    }
    things
}
