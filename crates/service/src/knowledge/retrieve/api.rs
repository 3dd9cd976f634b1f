//! The operation `Retrieve`.

use outcrop_engine::port::{Assessment, GuardrailSource};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::runtime::{
    GuadrailAction, GuardrailConfiguration, KnowledgeBaseQueryType, RetrieveRequest,
    RetrieveResponse, ops,
};

use super::page::{Binding, page};
use super::{Ask, Found, load, retrieve};
use crate::guardrails::refusal;
use crate::{Service, scope};

impl Handle<ops::Retrieve> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: RetrieveRequest,
    ) -> Result<RetrieveResponse, Exception> {
        let binding = Binding::of(&scope(cx).0, &input);
        let first = input.next_token.as_deref();
        let first = first.map_or(Ok(0), |token| binding.place(token))?;
        let mut query = query(&input)?;
        let ask = Ask::of_request(input.retrieval_configuration, self.settings.strictness)?;
        let place = (cx.account_id.as_str(), cx.region.as_str());
        let base = load(&self.ports, place, &input.knowledge_base_id).await?;
        let mut action = None;
        if let Some(guardrail) = &input.guardrail_configuration {
            let judged = self.judge_question(cx, guardrail, &query).await?;
            action = Some(action_of(&judged));
            if judged.blocked {
                return Ok(RetrieveResponse {
                    guardrail_action: action,
                    next_token: None,
                    retrieval_results: Vec::new(),
                });
            }
            query = judged.text.unwrap_or(query);
        }
        let found = retrieve(&self.ports, &base, &query, &ask).await?;
        let (shown, next_token) = page(&found, first, &binding);
        Ok(RetrieveResponse {
            guardrail_action: action,
            next_token,
            retrieval_results: shown.iter().map(Found::result).collect(),
        })
    }
}

/// The text that is looked for.
fn query(input: &RetrieveRequest) -> Result<String, Exception> {
    refuse_user(input.user_context.is_some())?;
    let query = &input.retrieval_query;
    if query.image.is_some() || query.type_ == Some(KnowledgeBaseQueryType::Image) {
        return Err(Exception::validation(
            "Queries with an image are not supported by Outcrop. Use retrievalQuery.text.",
        ));
    }
    Ok(query.text.clone().unwrap_or_default())
}

/// What a user may see is not known here, and must not be taken for everything.
pub(in crate::knowledge) fn refuse_user(given: bool) -> Result<(), Exception> {
    if given {
        return Err(Exception::validation(
            "userContext is not supported by Outcrop: documents have no access control lists. Use a filter on metadata attributes.",
        ));
    }
    Ok(())
}

/// What a judgement is to the client.
pub(in crate::knowledge) fn action_of(judged: &Assessment) -> GuadrailAction {
    if judged.intervened {
        GuadrailAction::Intervened
    } else {
        GuadrailAction::None
    }
}

impl Service {
    /// Has a guardrail judge what a user asks. What was found is not judged, as on AWS.
    pub(in crate::knowledge) async fn judge_question(
        &self,
        cx: &CallContext,
        guardrail: &GuardrailConfiguration,
        text: &str,
    ) -> Result<Assessment, Exception> {
        let (id, version) = (&guardrail.guardrail_id, &guardrail.guardrail_version);
        let source = GuardrailSource::Input;
        let judged = self.guardrails.judge(cx, id, version, source, text).await;
        judged.map_err(refusal)
    }
}
