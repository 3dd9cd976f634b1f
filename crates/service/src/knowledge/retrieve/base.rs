//! The knowledge base that a request names, ready to be searched.

use outcrop_model::arn::KnowledgeBaseArn;
use outcrop_model::control::{KnowledgeBase, KnowledgeBaseStatus};
use outcrop_model::exception::Exception;

use crate::error;
use crate::knowledge::Base;
use crate::ports::Ports;
use crate::records::{Scope, kind, read};

/// Finds a knowledge base of an account and region by its id or ARN.
///
/// # Errors
/// `ResourceNotFoundException` where there is none, `ValidationException` where it is not ACTIVE or of
/// a type that cannot be searched.
pub(in crate::knowledge) async fn load(
    ports: &Ports,
    (account_id, region): (&str, &str),
    named: &str,
) -> Result<Base, Exception> {
    let missing = || Exception::not_found(format!("KnowledgeBase with id {named} is not found."));
    let arn;
    let id = if named.starts_with("arn:") {
        arn = named.parse::<KnowledgeBaseArn>().map_err(|_| missing())?;
        if arn.account_id != account_id || arn.region != region {
            return Err(missing());
        }
        arn.knowledge_base_id.as_str()
    } else {
        named
    };
    let key = Scope::new(account_id, region).key(kind::KNOWLEDGE_BASE, "", id);
    let now_ms = ports.clock.now().as_millis();
    let record = ports.store.get(&key, now_ms).await.map_err(error::store)?;
    let body: KnowledgeBase = read(record.ok_or_else(missing)?)?.body;
    if body.status != KnowledgeBaseStatus::Active {
        return Err(Exception::validation(format!(
            "KnowledgeBase with id {id} is in {} state. Retry the request when it is ACTIVE.",
            body.status
        )));
    }
    Base::of(account_id, region, &body)
}
