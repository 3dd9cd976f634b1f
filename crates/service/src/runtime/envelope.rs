//! What the engine emits, in the envelope that `InvokeAgent` sends.

use std::sync::Arc;

use outcrop_engine::orchestration::{AgentIdentity, Caller, Emission};
use outcrop_model::arn::{AgentAliasArn, AgentArn};
use outcrop_model::blob::Blob;
use outcrop_model::runtime::{
    Caller as ChainLink, FilePart, PayloadPart, ResponseStream, TracePart,
};

/// The members around every trace part of one turn.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    identity: AgentIdentity,
    /// The agent for which the turn runs.
    agent: AgentArn,
    /// Alias ARNs from the agent that the client invoked to this one.
    chain: Arc<[String]>,
    collaborator_name: Option<String>,
    session_id: String,
}

impl Envelope {
    pub(super) fn new(
        identity: AgentIdentity,
        alias: &AgentAliasArn,
        session_id: String,
        caller: Option<Caller>,
    ) -> Self {
        let (mut chain, collaborator_name) = match caller {
            Some(caller) => (caller.chain, Some(caller.collaborator_name)),
            None => (Vec::new(), None),
        };
        chain.push(alias.to_string());
        Self {
            agent: AgentArn::new(&alias.region, &alias.account_id, &alias.agent_id),
            identity,
            chain: chain.into(),
            collaborator_name,
            session_id,
        }
    }

    /// Alias ARNs from the agent that the client invoked to this one.
    pub(super) fn chain(&self) -> &[String] {
        &self.chain
    }

    /// The agent for which the turn runs.
    pub(super) fn agent(&self) -> AgentArn {
        self.agent.clone()
    }

    /// An emission as a stream event.
    pub(super) fn wrap(&self, emission: Emission) -> ResponseStream {
        match emission {
            Emission::Chunk(text) => chunk(text),
            Emission::Cited { text, attribution } => ResponseStream::Chunk(PayloadPart {
                attribution: Some(attribution),
                bytes: Some(Blob::from(text.into_bytes())),
            }),
            Emission::Files(files) => ResponseStream::Files(FilePart { files: Some(files) }),
            Emission::Trace { at, trace } => ResponseStream::Trace(TracePart {
                agent_alias_id: Some(self.identity.alias_id.clone()),
                agent_id: Some(self.identity.agent_id.clone()),
                agent_version: Some(self.identity.version.clone()),
                caller_chain: Some(
                    self.chain
                        .iter()
                        .cloned()
                        .map(ChainLink::AgentAliasArn)
                        .collect(),
                ),
                collaborator_name: self.collaborator_name.clone(),
                event_time: Some(at),
                session_id: Some(self.session_id.clone()),
                trace: Some(*trace),
            }),
        }
    }
}

/// A part of the answer.
pub(super) fn chunk(text: String) -> ResponseStream {
    ResponseStream::Chunk(PayloadPart {
        bytes: Some(Blob::from(text.into_bytes())),
        ..PayloadPart::default()
    })
}
