//! `RetrieveAndGenerate` and its stream: a question answered from a knowledge base, or from a document
//! that comes with it, with citations (behaviour.md 9.9).
//!
//! Both operations take the same steps up to the model's answer ([`prepare`]); then one reads it whole
//! and the other sends it on as it is written ([`live`]). Where nothing is found no model is asked.
//! Invariant: a text that the client receives has passed the request's guardrail, and each span of a
//! citation slices that text.

mod answer;
mod document;
mod live;
mod plan;
mod prepare;
mod prompt;
mod question;
mod session;

use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, EventSource, Handle, HandleStream};
use outcrop_model::runtime::{
    Citation, GuadrailAction, RetrieveAndGenerateOutput, RetrieveAndGenerateRequest,
    RetrieveAndGenerateResponse, RetrieveAndGenerateStreamRequest,
    RetrieveAndGenerateStreamResponse, RetrieveAndGenerateStreamResponseOutput, ops,
};

use crate::{Service, scope};
use plan::Plan;
use prepare::Prepared;
use session::Session;

/// What answers a question that nothing was found for (behaviour.md 9.9).
const NO_ANSWER: &str = "Sorry, I am unable to assist you with this request.";

/// An answer with all that is told of it.
struct Answered {
    text: String,
    citations: Vec<Citation>,
    action: Option<GuadrailAction>,
}

impl Handle<ops::RetrieveAndGenerate> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: RetrieveAndGenerateRequest,
    ) -> Result<RetrieveAndGenerateResponse, Exception> {
        let asked = input.input.text.clone();
        let plan = Plan::of(self, cx, input).await?;
        let session = Session::open(&self.ports, scope(cx), plan.session_id.clone()).await?;
        let answered = match prepare::prepare(self, cx, &plan, session.turns(), &asked).await? {
            Prepared::Said(answered) => answered,
            Prepared::Asking(asking) => answer::whole(self, cx, &plan, *asking).await?,
        };
        let session_id = session.id().to_owned();
        session
            .remember(&self.ports, &asked, &answered.text)
            .await?;
        Ok(RetrieveAndGenerateResponse {
            citations: Some(answered.citations),
            guardrail_action: answered.action,
            output: RetrieveAndGenerateOutput {
                text: answered.text,
            },
            session_id,
        })
    }
}

impl HandleStream<ops::RetrieveAndGenerateStream> for Service {
    async fn handle_stream(
        &self,
        cx: &CallContext,
        input: RetrieveAndGenerateStreamRequest,
    ) -> Result<
        (
            RetrieveAndGenerateStreamResponse,
            EventSource<RetrieveAndGenerateStreamResponseOutput>,
        ),
        Exception,
    > {
        let asked = input.input.text.clone();
        let plan = Plan::of(self, cx, unstreamed(input)).await?;
        let session = Session::open(&self.ports, scope(cx), plan.session_id.clone()).await?;
        let prepared = prepare::prepare(self, cx, &plan, session.turns(), &asked).await?;
        let session_id = session.id().to_owned();
        let events = match prepared {
            Prepared::Said(answered) => {
                session
                    .remember(&self.ports, &asked, &answered.text)
                    .await?;
                live::said(answered)
            }
            Prepared::Asking(asking) if plan.guardrail.is_some() => {
                // Nothing may be seen before it has been judged, and it is judged as a whole.
                let answered = answer::whole(self, cx, &plan, *asking).await?;
                session
                    .remember(&self.ports, &asked, &answered.text)
                    .await?;
                live::said(answered)
            }
            Prepared::Asking(asking) => live::stream(self, *asking, session, asked).await?,
        };
        Ok((RetrieveAndGenerateStreamResponse { session_id }, events))
    }
}

/// The same request.
fn unstreamed(input: RetrieveAndGenerateStreamRequest) -> RetrieveAndGenerateRequest {
    RetrieveAndGenerateRequest {
        input: input.input,
        retrieve_and_generate_configuration: input.retrieve_and_generate_configuration,
        session_configuration: input.session_configuration,
        session_id: input.session_id,
        user_context: input.user_context,
    }
}
