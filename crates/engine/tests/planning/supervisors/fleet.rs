//! The agents of a simulation: up to three levels, each agent with features of its own by chance.

use std::collections::BTreeMap;
use std::sync::Arc;

use outcrop_engine::definition::{
    ActionGroupDefinition, ActionGroupKind, AgentDefinition, CollaborationDefinition,
    CollaboratorDefinition, KnowledgeBaseDefinition, PromptDefinition, StepDefinition,
};
use outcrop_engine::plan::AgentPlan;
use outcrop_engine::prompt::default;
use outcrop_model::control::{
    ActionGroupSignature, AgentCollaboration, GuardrailConfiguration, PromptType,
};

use super::world::ROOT;
use crate::harness::{LAMBDA, plan_of};
use crate::simulation::Random;

/// The tool that searches the one knowledge base.
pub(super) const SEARCH: &str = "GET__x_amz_knowledgebase_KBKBKBKBKB__Search";

/// Who works for whom.
pub(super) fn collaborators(path: &str) -> &'static [&'static str] {
    match path {
        "root" => &["alpha", "beta"],
        "root/alpha" => &["gamma", "delta"],
        _ => &[],
    }
}

const PATHS: [&str; 5] = [
    ROOT,
    "root/alpha",
    "root/beta",
    "root/alpha/gamma",
    "root/alpha/delta",
];

/// The plans of one simulation.
pub(super) struct Fleet {
    plans: BTreeMap<String, Arc<AgentPlan>>,
    /// Whether the client reads the answer while it is written.
    pub(super) streams: bool,
}

impl Fleet {
    pub(super) fn new(random: &mut Random) -> Self {
        let plans = PATHS
            .iter()
            .map(|path| {
                let plan = plan_of(|definition| shape(path, definition, random));
                ((*path).to_owned(), plan)
            })
            .collect();
        Self {
            plans,
            streams: random.one_in(3),
        }
    }

    pub(super) fn plan(&self, path: &str) -> Arc<AgentPlan> {
        Arc::clone(self.plans.get(path).expect("an agent of the fleet"))
    }

    pub(super) fn is_orchestrated(&self, path: &str) -> bool {
        self.plan(path).definition.orchestrator_lambda.is_some()
    }

    pub(super) fn alias_arn(path: &str) -> String {
        let id = path.replace('/', "-");
        format!("arn:aws:bedrock:us-west-2:111111111111:agent-alias/{id}/TSTALIASID")
    }
}

fn shape(path: &str, definition: &mut AgentDefinition, random: &mut Random) {
    let names = collaborators(path);
    if !names.is_empty() {
        let routes = random.one_in(3);
        if routes {
            definition.steps.push(StepDefinition {
                prompt_type: PromptType::RoutingClassifier,
                prompt: prompt(PromptType::RoutingClassifier, random),
            });
        }
        definition.collaboration = Some(CollaborationDefinition {
            mode: if routes {
                AgentCollaboration::SupervisorRouter
            } else {
                AgentCollaboration::Supervisor
            },
            collaborators: names
                .iter()
                .map(|name| CollaboratorDefinition {
                    name: (*name).to_owned(),
                    alias_arn: format!(
                        "arn:aws:bedrock:us-west-2:111111111111:agent-alias/{}-{name}/TSTALIASID",
                        path.replace('/', "-")
                    ),
                    plan: None,
                    instruction: format!("Ask {name} about {name}."),
                    relays_history: random.one_in(2),
                })
                .collect(),
        });
    }
    if random.one_in(4) {
        definition.guardrail = Some(GuardrailConfiguration {
            guardrail_identifier: Some("g-1".to_owned()),
            guardrail_version: Some("1".to_owned()),
        });
    }
    for prompt_type in [PromptType::PreProcessing, PromptType::PostProcessing] {
        if random.one_in(7) {
            definition.steps.push(StepDefinition {
                prompt_type,
                prompt: prompt(prompt_type, random),
            });
        }
    }
    if random.one_in(4) {
        definition.parser_lambda = Some(LAMBDA.to_owned());
        definition.orchestration.parser_overridden = true;
    }
    if random.one_in(8) {
        definition.orchestrator_lambda = Some(LAMBDA.to_owned());
    }
    if random.one_in(5) {
        definition.knowledge_bases.push(KnowledgeBaseDefinition {
            id: "KBKBKBKBKB".to_owned(),
            description: "What is known.".to_owned(),
            retrieval: None,
        });
        if random.one_in(2) {
            let mut generation = prompt(PromptType::KnowledgeBaseResponseGeneration, random);
            generation.overridden = true;
            definition.steps.push(StepDefinition {
                prompt_type: PromptType::KnowledgeBaseResponseGeneration,
                prompt: generation,
            });
        }
    }
    if random.one_in(4) {
        definition.action_groups.push(ActionGroupDefinition {
            name: "Code".to_owned(),
            description: None,
            kind: ActionGroupKind::BuiltIn {
                signature: ActionGroupSignature::AmazonCodeInterpreter,
                params: BTreeMap::new(),
            },
            typed_arguments: false,
        });
    }
}

fn prompt(prompt_type: PromptType, random: &mut Random) -> PromptDefinition {
    PromptDefinition {
        enabled: true,
        overridden: false,
        template: default::template(prompt_type).to_owned(),
        inference: default::inference(prompt_type),
        foundation_model: None,
        additional_fields: None,
        parser_overridden: random.one_in(3),
    }
}
