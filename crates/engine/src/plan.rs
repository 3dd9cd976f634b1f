//! A definition made ready to run: schemas read, tools named, template parsed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use outcrop_model::converse::Tool;
use serde_json::json;

use crate::action::{self, Action, SchemaError, Strictness, built_in};
use crate::definition::{ActionGroupKind, AgentDefinition, Executor};
use crate::port::{Inference, VendorTool};
use crate::prompt::default;
use crate::prompt::template::{Template, TemplateError};

/// The tool by which a model asks the user (behaviour.md 12.2).
pub const ASK_USER_TOOL: &str = "user__askuser";

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
    /// The tools as text, for templates that place them (`$tools$`).
    pub tools_text: String,
    /// Whether the model may ask the user.
    pub asks_user: bool,
    /// Whether the model may run code.
    pub runs_code: bool,
    actions: HashMap<String, Arc<Action>>,
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
        let mut tools_text = String::new();
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
                describe(&mut tools_text, &action);
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
        let runs_code = actions
            .values()
            .any(|action| action.executor == Executor::CodeInterpreter);
        Ok(Self {
            hash: definition.content_hash(),
            definition,
            strictness,
            template,
            tools: tools.into(),
            vendor_tools: vendor_tools.into(),
            tools_text,
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
    pub fn tool_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.actions.keys().map(String::as_str).collect();
        if self.asks_user {
            names.push(ASK_USER_TOOL);
        }
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
        let given = &self.definition.orchestration.inference;
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

    /// The rule for asking the user, empty where the agent may not.
    pub fn ask_user_rule(&self) -> &'static str {
        if self.asks_user {
            default::ASK_USER_RULE
        } else {
            ""
        }
    }

    /// The rule for running code, empty where the agent may not.
    pub fn code_rule(&self) -> &'static str {
        if self.runs_code {
            default::CODE_INTERPRETER_RULE
        } else {
            ""
        }
    }
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

fn describe(out: &mut String, action: &Action) {
    let _ = writeln!(
        out,
        "<tool_description><tool_name>{}</tool_name><description>{}</description><parameters>",
        action.tool_name,
        action.description.as_deref().unwrap_or_default()
    );
    for parameter in &action.parameters {
        let _ = writeln!(
            out,
            "<parameter><name>{}</name><type>{}</type><is_required>{}</is_required></parameter>",
            parameter.name,
            parameter.type_.as_str(),
            parameter.required
        );
    }
    out.push_str("</parameters></tool_description>\n");
}
