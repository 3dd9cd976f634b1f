//! The agents that one request defines: the one that is invoked and its inline collaborators, put into an
//! order in which each can be defined.
//!
//! A definition names its inline collaborators by the hashes of theirs, so that whoever works for an agent
//! comes before it. Agents that work for each other have no such order and are refused.

use std::collections::BTreeMap;

use outcrop_engine::definition::{CollaboratorDefinition, KnowledgeBaseDefinition};
use outcrop_model::arn::AgentAliasArn;
use outcrop_model::control::{CreateAgentActionGroupRequest, CreateAgentRequest};
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::runtime::{
    AgentActionGroup, Collaborator, CollaboratorConfiguration, InvokeInlineAgentRequest,
    KnowledgeBase, RelayConversationHistory,
};

use super::shapes;
use crate::control::{Given, INLINE_AGENT};

/// Most inline collaborators of one request: each is made ready before the turn begins. A supervisor has
/// at most ten on AWS, each of which may supervise.
const COLLABORATORS_MAX: usize = 100;

/// The agents of a request; the invoked one is the last.
#[derive(Debug)]
pub(super) struct Team {
    members: Vec<Member>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Member {
    /// `agentName`; every inline collaborator has one.
    pub(super) name: Option<String>,
    agent: CreateAgentRequest,
    action_groups: Vec<CreateAgentActionGroupRequest>,
    knowledge_bases: Vec<KnowledgeBase>,
    configurations: Vec<CollaboratorConfiguration>,
}

impl Team {
    /// Reads the members of a request that define agents.
    ///
    /// # Errors
    /// `ValidationException` for names that are missing, given twice, of nobody, or that form a circle.
    pub(super) fn read(request: &mut InvokeInlineAgentRequest) -> Result<Self, Exception> {
        let given = request.collaborators.take().unwrap_or_default();
        if given.len() > COLLABORATORS_MAX {
            return Err(refused(
                "collaborators",
                format!(
                    "Expected at most {COLLABORATORS_MAX} collaborators, got {}",
                    given.len()
                ),
            ));
        }
        let mut colleagues = BTreeMap::new();
        for (index, collaborator) in given.into_iter().enumerate() {
            let Some(name) = collaborator.agent_name.clone() else {
                let field = format!("collaborators[{index}].agentName");
                return Err(refused(&field, format!("{field} cannot be null")));
            };
            if colleagues
                .insert(name.clone(), colleague(collaborator)?)
                .is_some()
            {
                return Err(refused(
                    "collaborators",
                    format!("The agentName {name} is given more than once in collaborators"),
                ));
            }
        }
        Ok(Self {
            members: in_order(invoked(request)?, colleagues)?,
        })
    }

    /// The members, whoever works for another before it.
    pub(super) fn into_members(self) -> Vec<Member> {
        self.members
    }
}

impl Member {
    /// The configurations that name inline collaborators.
    fn inline_colleagues(&self) -> impl Iterator<Item = &CollaboratorConfiguration> {
        self.configurations
            .iter()
            .filter(|configuration| configuration.agent_alias_arn.is_none())
    }

    /// The member as it is checked and defined. `plans` are the hashes of the definitions of those before
    /// it, by name.
    ///
    /// # Errors
    /// `ValidationException` for what no knowledge base here can be searched by.
    pub(super) fn given(
        self,
        cx: &CallContext,
        plans: &BTreeMap<String, String>,
    ) -> Result<Given, Exception> {
        let collaborators = self
            .configurations
            .into_iter()
            .map(|configuration| collaborator(cx, configuration, plans))
            .collect();
        let knowledge_bases = self.knowledge_bases.into_iter().map(knowledge_base);
        let knowledge_bases = knowledge_bases.collect::<Result<_, _>>()?;
        Ok(Given {
            agent: self.agent,
            action_groups: self.action_groups,
            knowledge_bases,
            collaborators,
        })
    }
}

fn knowledge_base(given: KnowledgeBase) -> Result<KnowledgeBaseDefinition, Exception> {
    let retrieval = given.retrieval_configuration.unwrap_or_default();
    if retrieval.managed_search_configuration.is_some() {
        let field = "knowledgeBases.retrievalConfiguration.managedSearchConfiguration";
        return Err(refused(
            field,
            format!("{field} is not supported by Outcrop. Use vectorSearchConfiguration"),
        ));
    }
    Ok(KnowledgeBaseDefinition {
        id: given.knowledge_base_id,
        description: given.description,
        retrieval: retrieval.vector_search_configuration,
    })
}

fn collaborator(
    cx: &CallContext,
    configuration: CollaboratorConfiguration,
    plans: &BTreeMap<String, String>,
) -> CollaboratorDefinition {
    let name = configuration.collaborator_name;
    let (alias_arn, plan) = if let Some(arn) = configuration.agent_alias_arn {
        (arn, None)
    } else {
        // As AWS's traces call an inline collaborator.
        let arn = AgentAliasArn::new(&cx.region, &cx.account_id, INLINE_AGENT, &name);
        (arn.to_string(), plans.get(&name).cloned())
    };
    let relay = configuration.relay_conversation_history;
    CollaboratorDefinition {
        name,
        alias_arn,
        instruction: configuration.collaborator_instruction,
        relays_history: relay == Some(RelayConversationHistory::ToCollaborator),
        plan,
    }
}

/// The agent that is invoked.
fn invoked(request: &mut InvokeInlineAgentRequest) -> Result<Member, Exception> {
    let name = request.agent_name.take();
    Ok(Member {
        agent: CreateAgentRequest {
            agent_collaboration: request.agent_collaboration.map(shapes::collaboration),
            agent_name: name.clone().unwrap_or_else(|| INLINE_AGENT.to_owned()),
            custom_orchestration: request
                .custom_orchestration
                .take()
                .map(shapes::custom_orchestration)
                .transpose()?,
            foundation_model: Some(std::mem::take(&mut request.foundation_model)),
            guardrail_configuration: request
                .guardrail_configuration
                .take()
                .map(shapes::guardrail),
            idle_session_ttl_in_seconds: request.idle_session_ttl_in_seconds,
            instruction: Some(std::mem::take(&mut request.instruction)),
            orchestration_type: request.orchestration_type.map(shapes::orchestration_type),
            prompt_override_configuration: request
                .prompt_override_configuration
                .take()
                .map(shapes::prompts),
            ..CreateAgentRequest::default()
        },
        name,
        action_groups: action_groups(request.action_groups.take())?,
        knowledge_bases: request.knowledge_bases.take().unwrap_or_default(),
        configurations: request
            .collaborator_configurations
            .take()
            .unwrap_or_default(),
    })
}

/// One that works for another.
fn colleague(given: Collaborator) -> Result<Member, Exception> {
    Ok(Member {
        agent: CreateAgentRequest {
            agent_collaboration: given.agent_collaboration.map(shapes::collaboration),
            agent_name: given.agent_name.clone().unwrap_or_default(),
            foundation_model: Some(given.foundation_model),
            guardrail_configuration: given.guardrail_configuration.map(shapes::guardrail),
            idle_session_ttl_in_seconds: given.idle_session_ttl_in_seconds,
            instruction: Some(given.instruction),
            prompt_override_configuration: given.prompt_override_configuration.map(shapes::prompts),
            ..CreateAgentRequest::default()
        },
        name: given.agent_name,
        action_groups: action_groups(given.action_groups)?,
        knowledge_bases: given.knowledge_bases.unwrap_or_default(),
        configurations: given.collaborator_configurations.unwrap_or_default(),
    })
}

fn action_groups(
    given: Option<Vec<AgentActionGroup>>,
) -> Result<Vec<CreateAgentActionGroupRequest>, Exception> {
    given
        .unwrap_or_default()
        .into_iter()
        .map(shapes::action_group)
        .collect()
}

/// The members in order. Walks the circle-free graph of who works for whom without recursion.
fn in_order(
    invoked: Member,
    mut colleagues: BTreeMap<String, Member>,
) -> Result<Vec<Member>, Exception> {
    check_names(&invoked, &colleagues)?;
    for member in colleagues.values() {
        check_names(member, &colleagues)?;
    }
    let mut ordered: Vec<Member> = Vec::with_capacity(colleagues.len() + 1);
    let mut wanted = reachable(&invoked, &colleagues);
    if let Some(idle) = colleagues.keys().find(|name| !wanted.contains(name)) {
        return Err(refused(
            "collaborators",
            format!(
                "The collaborator {idle} is named by no collaboratorConfigurations. Its collaboratorName must be the agentName of the inline collaborator"
            ),
        ));
    }
    // Whoever waits for nobody any more is next; a round without one means a circle.
    while !wanted.is_empty() {
        let ready = wanted.iter().position(|name| {
            let mut needs = colleagues
                .get(name)
                .into_iter()
                .flat_map(Member::inline_colleagues);
            needs.all(|need| !wanted.contains(&need.collaborator_name))
        });
        let Some(ready) = ready else {
            return Err(refused(
                "collaboratorConfigurations",
                format!(
                    "The inline collaborators {} work for each other. Collaborators cannot form a circle",
                    wanted.join(", ")
                ),
            ));
        };
        ordered.extend(colleagues.remove(&wanted.remove(ready)));
    }
    ordered.push(invoked);
    Ok(ordered)
}

/// The names of all who work for `invoked`, directly or not.
fn reachable(invoked: &Member, colleagues: &BTreeMap<String, Member>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut next = vec![invoked];
    while let Some(member) = next.pop() {
        for configuration in member.inline_colleagues() {
            let name = &configuration.collaborator_name;
            if !found.contains(name) {
                found.push(name.clone());
                next.extend(colleagues.get(name));
            }
        }
    }
    found
}

/// A configuration names an alias or an inline collaborator, not both and not neither.
fn check_names(member: &Member, colleagues: &BTreeMap<String, Member>) -> Result<(), Exception> {
    for configuration in &member.configurations {
        let name = &configuration.collaborator_name;
        let is_inline = colleagues.contains_key(name);
        let problem = match (&configuration.agent_alias_arn, is_inline) {
            (Some(_), false) | (None, true) => continue,
            (Some(arn), true) => format!(
                "The collaborator {name} is an inline collaborator and has the agentAliasArn {arn}. Leave one of them out"
            ),
            (None, false) => format!(
                "The collaborator {name} has no agentAliasArn, and no inline collaborator has the agentName {name}"
            ),
        };
        return Err(refused("collaboratorConfigurations", problem));
    }
    Ok(())
}

fn refused(field: &str, message: String) -> Exception {
    Exception::validation(message.clone()).with_field(field, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Team;

    const INSTRUCTION: &str = "Answer what you are asked as briefly as you can.";

    fn configuration(name: &str) -> Value {
        json!({"collaboratorName": name, "collaboratorInstruction": "Ask it."})
    }

    fn collaborator(name: &str, team: &[&str]) -> Value {
        json!({"agentName": name, "foundationModel": "m", "instruction": INSTRUCTION,
            "collaboratorConfigurations": team.iter().map(|name| configuration(name)).collect::<Vec<_>>()})
    }

    fn read(collaborators: &[Value], configurations: &[Value]) -> Result<Vec<String>, String> {
        let mut request = serde_json::from_value(json!({
            "sessionId": "s-1", "foundationModel": "m", "instruction": INSTRUCTION, "agentName": "lead",
            "collaborators": collaborators, "collaboratorConfigurations": configurations}))
        .unwrap();
        let team = Team::read(&mut request).map_err(|refused| refused.message().to_owned())?;
        let names = team
            .into_members()
            .into_iter()
            .map(|member| member.name.unwrap());
        Ok(names.collect())
    }

    #[test]
    fn whoever_works_for_another_comes_first() {
        let all = [
            collaborator("middle", &["low", "lower"]),
            collaborator("low", &["lower"]),
            collaborator("lower", &[]),
        ];
        assert_eq!(
            read(&all, &[configuration("middle"), configuration("low")]).unwrap(),
            ["lower", "low", "middle", "lead"]
        );
        assert_eq!(read(&[], &[]).unwrap(), ["lead"]);
    }

    #[test]
    fn names_must_match() {
        let alias = json!({"collaboratorName": "low", "collaboratorInstruction": "Ask it.",
            "agentAliasArn": "arn:aws:bedrock:us-west-2:111111111111:agent-alias/A1B2C3D4E5/F1B2C3D4E5"});
        let low = collaborator("low", &[]);
        let mut unnamed = low.clone();
        unnamed.as_object_mut().unwrap().remove("agentName");
        let cases = [
            (vec![low.clone()], vec![], "is named by no"),
            (
                vec![],
                vec![configuration("low")],
                "no inline collaborator has",
            ),
            (
                vec![low.clone()],
                vec![alias.clone()],
                "Leave one of them out",
            ),
            (
                vec![low.clone(), low],
                vec![configuration("low")],
                "more than once",
            ),
            (
                vec![unnamed],
                vec![],
                "collaborators[0].agentName cannot be null",
            ),
            (
                vec![collaborator("a", &["b"]), collaborator("b", &["a"])],
                vec![configuration("a")],
                "work for each other",
            ),
            (
                vec![collaborator("a", &["a"])],
                vec![configuration("a")],
                "work for each other",
            ),
        ];
        for (collaborators, configurations, expected) in cases {
            let refused = read(&collaborators, &configurations).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
        assert_eq!(read(&[], &[alias]).unwrap(), ["lead"]);
    }
}
