//! A definition made ready to run: schemas read, tools named, template parsed.

use std::collections::HashMap;
use std::sync::Arc;

use outcrop_model::control::{AgentCollaboration, InferenceConfiguration, PromptType};
use outcrop_model::converse::Tool;
use serde_json::json;

use crate::action::{self, Action, SchemaError, Strictness, built_in};
use crate::definition::{
    ActionGroupKind, AgentDefinition, CollaboratorDefinition, Executor, KnowledgeBaseDefinition,
    PromptDefinition,
};
use crate::port::{Inference, VendorTool};
use crate::prompt::family::Family;
use crate::prompt::guideline::Situation;
use crate::prompt::syntax::{self, CallSyntax};
use crate::prompt::template::{Template, TemplateError};

/// The tool by which a model asks the user (behaviour.md 12.2).
pub const ASK_USER_TOOL: &str = "user__askuser";
/// The tool by which a supervisor speaks with its collaborators and the user (behaviour.md 11.2).
pub const MESSAGE_TOOL: &str = "AgentCommunication__sendMessage";
/// Its parameter that names whom.
pub const RECIPIENT: &str = "recipient";
/// Its parameter that says what.
pub const CONTENT: &str = "content";
/// The recipient that is no agent.
pub const USER: &str = "User";
/// The parameter of the tools that search knowledge bases.
pub const SEARCH_QUERY: &str = "searchQuery";

/// An agent ready to run. Immutable, shared by every turn that runs on it.
#[derive(Debug)]
pub struct AgentPlan {
    /// What it was made from.
    pub definition: AgentDefinition,
    /// The content hash of the definition.
    pub hash: String,
    /// How strictly Lambda replies are read.
    pub strictness: Strictness,
    /// The parsed ORCHESTRATION template.
    pub template: Template,
    /// The tools, in the order of the action groups.
    pub tools: Arc<[Tool]>,
    /// Those of the tools that Anthropic has definitions of its own for.
    pub vendor_tools: Arc<[VendorTool]>,
    /// How the template has the model call tools.
    pub syntax: CallSyntax,
    /// The steps besides ORCHESTRATION.
    pub steps: Vec<StepPlan>,
    /// The tools as text, for templates that place them (`$tools$`).
    pub tools_text: String,
    /// Whether the model may ask the user.
    pub asks_user: bool,
    /// Whether the model may run code.
    pub runs_code: bool,
    actions: HashMap<String, Arc<Action>>,
}

/// A step besides ORCHESTRATION, ready to run.
#[derive(Clone, Debug, PartialEq)]
pub struct StepPlan {
    /// Which.
    pub prompt_type: PromptType,
    /// Its prompt.
    pub prompt: PromptDefinition,
    /// The parsed template.
    pub template: Template,
}

/// Why a definition cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The ORCHESTRATION template.
    #[error(
        "The provided BasePromptTemplate for the ORCHESTRATION prompt type has failed validation with  the following message: Invalid JSON in the prompt. Check the BasePromptTemplate and retry your request. ({0})"
    )]
    Template(#[from] TemplateError),
    /// The template of another step.
    #[error(
        "The provided BasePromptTemplate for the {prompt_type} prompt type has failed validation with  the following message: Invalid JSON in the prompt. Check the BasePromptTemplate and retry your request. ({cause})"
    )]
    StepTemplate {
        /// Which step.
        prompt_type: PromptType,
        /// What is wrong.
        cause: TemplateError,
    },
}

/// The actions of one action group.
///
/// # Errors
/// [`SchemaError`] where its schema cannot be used.
pub fn actions_of(
    name: &str,
    kind: &ActionGroupKind,
    strictness: Strictness,
) -> Result<Vec<Action>, SchemaError> {
    match kind {
        ActionGroupKind::Functions {
            functions,
            executor,
        } => action::function::actions(name, functions, executor, strictness),
        ActionGroupKind::Tools { tools, executor } => {
            action::tool::actions(name, tools, executor, strictness)
        }
        ActionGroupKind::Api { schema, executor } => {
            action::openapi::actions(name, schema, executor, strictness)
        }
        ActionGroupKind::UserInput => Ok(Vec::new()),
        ActionGroupKind::BuiltIn { signature, params } => {
            let group = built_in::read(name, *signature, params)?;
            Ok(group.action.into_iter().collect())
        }
    }
}

impl AgentPlan {
    /// Makes a definition ready.
    ///
    /// # Errors
    /// [`PlanError`] naming what is wrong.
    pub fn compile(definition: AgentDefinition, strictness: Strictness) -> Result<Self, PlanError> {
        let template = Template::parse(&definition.orchestration.template)?;
        let mut tools = Vec::new();
        let mut actions: HashMap<String, Arc<Action>> = HashMap::new();
        let mut vendor_tools = Vec::new();
        let mut asks_user = false;
        // A disabled ORCHESTRATION passes the input straight to the model (behaviour.md 4.1).
        let groups = if definition.orchestration.enabled {
            definition.action_groups.as_slice()
        } else {
            &[]
        };
        for group in groups {
            asks_user |= group.kind == ActionGroupKind::UserInput;
            if let ActionGroupKind::BuiltIn { signature, params } = &group.kind {
                vendor_tools.extend(built_in::read(&group.name, *signature, params)?.vendor_tool);
            }
            for mut action in actions_of(&group.name, &group.kind, strictness)? {
                action.typed_arguments = group.typed_arguments;
                tools.push(action.tool());
                if let Some(first) = actions.get(&action.tool_name) {
                    return Err(SchemaError::DuplicateTool {
                        tool_name: action.tool_name,
                        first: first.action_group.clone(),
                        second: action.action_group,
                    }
                    .into());
                }
                actions.insert(action.tool_name.clone(), Arc::new(action));
            }
        }
        if asks_user {
            tools.push(ask_user_tool());
        }
        if definition.orchestration.enabled {
            tools.extend(definition.knowledge_bases.iter().map(knowledge_base_tool));
            let collaboration = definition.collaboration.as_ref();
            let collaborators = collaboration.map_or(&[][..], |all| &all.collaborators);
            if !collaborators.is_empty() {
                tools.push(message_tool(collaborators));
            }
        }
        let syntax = syntax::of_template(&definition.orchestration.template);
        let steps = definition
            .steps
            .iter()
            .map(|step| {
                Ok(StepPlan {
                    prompt_type: step.prompt_type,
                    template: Template::parse(&step.prompt.template).map_err(|cause| {
                        PlanError::StepTemplate {
                            prompt_type: step.prompt_type,
                            cause,
                        }
                    })?,
                    prompt: step.prompt.clone(),
                })
            })
            .collect::<Result<Vec<_>, PlanError>>()?;
        let runs_code = actions
            .values()
            .any(|action| action.executor == Executor::CodeInterpreter);
        Ok(Self {
            hash: definition.content_hash(),
            definition,
            strictness,
            template,
            tools_text: syntax::tools_text(syntax, &tools),
            syntax,
            steps,
            tools: tools.into(),
            vendor_tools: vendor_tools.into(),
            asks_user,
            runs_code,
            actions,
        })
    }

    /// The action behind a tool name.
    pub fn action(&self, tool_name: &str) -> Option<&Arc<Action>> {
        self.actions.get(tool_name)
    }

    /// The names of all tools, sorted.
    pub fn tool_names(&self) -> Vec<String> {
        let mut names: Vec<&str> = self.actions.keys().map(String::as_str).collect();
        if self.asks_user {
            names.push(ASK_USER_TOOL);
        }
        if !self.collaborators().is_empty() {
            names.push(MESSAGE_TOOL);
        }
        let searches: Vec<String> = self
            .knowledge_bases()
            .iter()
            .map(|base| search_tool(&base.id))
            .collect();
        let mut names: Vec<String> = names.into_iter().map(ToOwned::to_owned).collect();
        names.extend(searches);
        names.sort_unstable();
        names
    }

    /// The model of the ORCHESTRATION step.
    pub fn model(&self) -> &str {
        self.definition
            .orchestration
            .foundation_model
            .as_deref()
            .unwrap_or(&self.definition.foundation_model)
    }

    /// The sampling parameters of the ORCHESTRATION step.
    pub fn inference(&self) -> Inference {
        inference(&self.definition.orchestration.inference)
    }

    /// A step besides ORCHESTRATION, if it is enabled.
    pub fn step(&self, prompt_type: PromptType) -> Option<&StepPlan> {
        self.steps
            .iter()
            .find(|step| step.prompt_type == prompt_type && step.prompt.enabled)
    }

    /// The action of an action group's function or operation.
    pub fn action_of(&self, matches: impl Fn(&Action) -> bool) -> Option<&Arc<Action>> {
        self.actions.values().find(|action| matches(action))
    }

    /// The knowledge base that a tool searches.
    pub fn knowledge_base(&self, tool_name: &str) -> Option<&KnowledgeBaseDefinition> {
        let id = tool_name
            .strip_prefix(SEARCH_TOOL.0)?
            .strip_suffix(SEARCH_TOOL.1)?;
        self.knowledge_bases().iter().find(|base| base.id == id)
    }

    /// The knowledge bases that the model may search.
    pub fn knowledge_bases(&self) -> &[KnowledgeBaseDefinition] {
        if self.definition.orchestration.enabled {
            &self.definition.knowledge_bases
        } else {
            &[]
        }
    }

    /// The collaborators that the model may call.
    pub fn collaborators(&self) -> &[CollaboratorDefinition] {
        match &self.definition.collaboration {
            Some(collaboration) if self.definition.orchestration.enabled => {
                &collaboration.collaborators
            }
            _ => &[],
        }
    }

    /// The collaborator of that name.
    pub fn collaborator(&self, name: &str) -> Option<&CollaboratorDefinition> {
        self.collaborators()
            .iter()
            .find(|collaborator| collaborator.name == name)
    }

    /// Whether there is a tool of that name.
    pub fn has_tool(&self, name: &str) -> bool {
        self.actions.contains_key(name)
            || (self.asks_user && name == ASK_USER_TOOL)
            || (name == MESSAGE_TOOL && !self.collaborators().is_empty())
            || self.knowledge_base(name).is_some()
    }

    /// Whether requests go to a classifier first (`SUPERVISOR_ROUTER`).
    pub fn routes(&self) -> bool {
        self.definition
            .collaboration
            .as_ref()
            .is_some_and(|collaboration| collaboration.mode == AgentCollaboration::SupervisorRouter)
            && !self.collaborators().is_empty()
    }

    /// The knowledge base that is searched before any model is asked: the agent's only one, where it
    /// has nothing else and its prompt is the default one (behaviour.md 9.10).
    pub fn sole_knowledge_base(&self) -> Option<&KnowledgeBaseDefinition> {
        let [base] = self.knowledge_bases() else {
            return None;
        };
        let alone = self.actions.is_empty()
            && !self.asks_user
            && self.collaborators().is_empty()
            && !self.definition.orchestration.overridden
            && self
                .step(PromptType::KnowledgeBaseResponseGeneration)
                .is_some();
        alone.then_some(base)
    }

    /// Whether what is found in [`AgentPlan::sole_knowledge_base`] is answered from in place of the
    /// loop. AWS was recorded to do so for every model but Nova, which plans with the results.
    pub fn answers_from_search(&self) -> bool {
        Family::of(self.model()) != Family::Nova
    }

    /// The tools as the request carries them: none, where the template has the model write its calls
    /// into its text.
    pub fn request_tools(&self) -> Arc<[Tool]> {
        if self.syntax.is_text() {
            Arc::default()
        } else {
            Arc::clone(&self.tools)
        }
    }

    /// Which rules the prompts carry; what varies from turn to turn is the caller's to set.
    pub fn situation(&self) -> Situation {
        Situation {
            syntax: self.syntax,
            acts: !self.actions.is_empty(),
            searches: !self.knowledge_bases().is_empty(),
            asks_user: self.asks_user,
            runs_code: self.runs_code,
            collaborates: !self.collaborators().is_empty(),
            ..Situation::default()
        }
    }
}

/// What the tool that searches a knowledge base is called, around its id (behaviour.md 1.9).
const SEARCH_TOOL: (&str, &str) = ("GET__x_amz_knowledgebase_", "__Search");

/// The tool that searches a knowledge base.
pub fn search_tool(knowledge_base_id: &str) -> String {
    format!("{}{knowledge_base_id}{}", SEARCH_TOOL.0, SEARCH_TOOL.1)
}

fn knowledge_base_tool(base: &KnowledgeBaseDefinition) -> Tool {
    action::tool(
        &search_tool(&base.id),
        Some(base.description.clone()),
        json!({
            "type": "object",
            "properties": {SEARCH_QUERY: {"type": "string", "description": "A natural language question to search for, complete in itself."}},
            "required": [SEARCH_QUERY]
        }),
    )
}

fn message_tool(collaborators: &[CollaboratorDefinition]) -> Tool {
    let names: Vec<&str> = collaborators
        .iter()
        .map(|collaborator| collaborator.name.as_str())
        .chain([USER])
        .collect();
    action::tool(
        MESSAGE_TOOL,
        Some("Sends a message to an agent and gives its reply, or sends the answer or a question to the User. To speak with several agents, send a message to each at the same time.".to_owned()),
        json!({
            "type": "object",
            "properties": {
                RECIPIENT: {"type": "string", "enum": names, "description": "The name of the agent, or User."},
                CONTENT: {"type": "string", "description": "The message. Agents know nothing but what it says."}
            },
            "required": [RECIPIENT, CONTENT]
        }),
    )
}

fn ask_user_tool() -> Tool {
    action::tool(
        ASK_USER_TOOL,
        Some("Asks the user a question and waits for the reply.".to_owned()),
        json!({
            "type": "object",
            "properties": {"question": {"type": "string", "description": "The question to the user."}},
            "required": ["question"]
        }),
    )
}

/// AWS's sampling parameters as a model request has them.
pub fn inference(given: &InferenceConfiguration) -> Inference {
    Inference {
        max_tokens: given
            .maximum_length
            .and_then(|tokens| u32::try_from(tokens).ok()),
        temperature: given.temperature,
        top_p: given.top_p,
        top_k: given.top_k.and_then(|top_k| u32::try_from(top_k).ok()),
        stop_sequences: given.stop_sequences.clone().unwrap_or_default(),
    }
}
