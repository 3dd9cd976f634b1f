//! An agent with one action of every kind, and a bench that feeds a run and prints its effects.

use std::collections::BTreeMap;
use std::sync::Arc;

use outcrop_engine::action::Strictness;
use outcrop_engine::definition::{
    ActionGroupDefinition, ActionGroupKind, AgentDefinition, Executor, PromptDefinition,
};
use outcrop_engine::files::SessionFile;
use outcrop_engine::orchestration::{
    ActionResult, ActionReturned, AgentIdentity, Budget, ControlReturned, Conversation,
    ConversationView, Effect, Effects, Emission, Event, EventKind, ModelReplied, Outcome,
    RequestInfo, ReturnedResult, Run, Started, TokenCounts,
};
use outcrop_engine::plan::AgentPlan;
use outcrop_engine::prompt::default;
use outcrop_model::control::{
    ActionGroupSignature, Function, ParameterDetail, PromptType, RequireConfirmation, Type,
};
use outcrop_model::converse::{ContentBlock, ConversationRole, Message, StopReason, ToolUseBlock};
use outcrop_model::timestamp::Timestamp;
use serde_json::{Value, json};

/// Lambda that the agent's own functions run on.
pub(crate) const LAMBDA: &str = "arn:aws:lambda:us-west-2:111111111111:function:order-tools";

fn function(name: &str, parameters: &[(&str, bool)], confirms: bool) -> Function {
    let parameters: BTreeMap<String, ParameterDetail> = parameters
        .iter()
        .map(|(name, required)| {
            let detail = ParameterDetail {
                description: None,
                required: Some(*required),
                type_: Type::String,
            };
            ((*name).to_owned(), detail)
        })
        .collect();
    Function {
        description: Some(format!("Does {name}.")),
        name: name.to_owned(),
        parameters: Some(parameters),
        require_confirmation: confirms.then_some(RequireConfirmation::Enabled),
    }
}

fn group(name: &str, executor: Executor, functions: Vec<Function>) -> ActionGroupDefinition {
    ActionGroupDefinition {
        name: name.to_owned(),
        description: None,
        kind: ActionGroupKind::Functions {
            functions,
            executor,
        },
        typed_arguments: false,
    }
}

/// Orders: `status` runs, `cancel` asks for confirmation; Client: `open` and `pay` return control,
/// `pay` with confirmation; and the user may be asked.
pub(crate) fn plan() -> Arc<AgentPlan> {
    plan_with(Vec::new())
}

/// The same, and code may be run and the screen of a computer be used.
pub(crate) fn code_plan() -> Arc<AgentPlan> {
    let built_in = |name: &str, signature| ActionGroupDefinition {
        name: name.to_owned(),
        description: None,
        kind: ActionGroupKind::BuiltIn {
            signature,
            params: BTreeMap::new(),
        },
        typed_arguments: false,
    };
    plan_with(vec![
        built_in("Code", ActionGroupSignature::AmazonCodeInterpreter),
        built_in("Screen", ActionGroupSignature::AnthropicComputer),
    ])
}

fn plan_with(more: Vec<ActionGroupDefinition>) -> Arc<AgentPlan> {
    plan_of(|definition| definition.action_groups.extend(more))
}

/// The same agent, changed.
pub(crate) fn plan_of(change: impl FnOnce(&mut AgentDefinition)) -> Arc<AgentPlan> {
    let mut definition = AgentDefinition {
        instruction: "You are a helpful customer support assistant.".to_owned(),
        foundation_model: "anthropic.claude-opus-4-7".to_owned(),
        idle_session_ttl_s: 600,
        orchestration: PromptDefinition {
            enabled: true,
            overridden: false,
            template: default::template(PromptType::Orchestration).to_owned(),
            inference: default::inference(PromptType::Orchestration),
            foundation_model: None,
            additional_fields: None,
            parser_overridden: false,
        },
        action_groups: vec![
            group(
                "Orders",
                Executor::Lambda(LAMBDA.to_owned()),
                vec![
                    function("status", &[("order_id", true)], false),
                    function("cancel", &[("order_id", true), ("reason", false)], true),
                ],
            ),
            group(
                "Client",
                Executor::ReturnControl,
                vec![
                    function("open", &[("date", true)], false),
                    function("pay", &[], true),
                ],
            ),
            ActionGroupDefinition {
                name: "Ask".to_owned(),
                description: None,
                kind: ActionGroupKind::UserInput,
                typed_arguments: false,
            },
        ],
        steps: Vec::new(),
        parser_lambda: None,
        guardrail: None,
        memory: None,
        orchestrator_lambda: None,
        collaboration: None,
        knowledge_bases: Vec::new(),
    };
    change(&mut definition);
    Arc::new(AgentPlan::compile(definition, Strictness::Relaxed).expect("a valid plan"))
}

/// A bench: a run, its journal, its clock.
pub(crate) struct Bench {
    pub(crate) run: Run,
    pub(crate) journal: Vec<Event>,
    pub(crate) before: Conversation,
    clock_ns: i64,
}

impl Bench {
    pub(crate) fn new(plan: Arc<AgentPlan>, before: impl Into<Conversation>) -> Self {
        let before = before.into();
        Self {
            run: Run::new(plan, before.clone()),
            journal: Vec::new(),
            before,
            clock_ns: 1_700_000_000_000_000_000,
        }
    }

    /// Feeds one fact and gives the effects.
    pub(crate) fn feed(&mut self, kind: EventKind) -> Effects {
        self.clock_ns += 1_000_000;
        let event = Event {
            at: Timestamp::from_nanos(self.clock_ns),
            kind,
        };
        let mut effects = Effects::new();
        self.run.step(&event, &mut effects);
        self.journal.push(event);
        effects
    }

    pub(crate) fn start(&mut self, input: &str, budget: Budget) -> Effects {
        self.begin(input, budget, Vec::new())
    }

    pub(crate) fn start_with(&mut self, input: &str, files: Vec<Arc<SessionFile>>) -> Effects {
        self.begin(input, Budget::default(), files)
    }

    fn begin(&mut self, input: &str, budget: Budget, files: Vec<Arc<SessionFile>>) -> Effects {
        self.feed(EventKind::Started(Box::new(Started {
            run_id: "run".to_owned(),
            plan: self.run.plan().hash.clone(),
            agent: AgentIdentity {
                agent_id: "AGENTAGENT".to_owned(),
                agent_name: "support-bot".to_owned(),
                alias_id: "TSTALIASID".to_owned(),
                version: "DRAFT".to_owned(),
            },
            session_id: "s-1".to_owned(),
            request: request("req-1"),
            input_text: input.to_owned(),
            session_attributes: BTreeMap::new(),
            prompt_session_attributes: BTreeMap::new(),
            conversation_history: Vec::new(),
            files,
            budget,
            caller: None,
            memory_id: None,
            memory: Vec::new(),
            conversation_view: ConversationView::default(),
            knowledge_bases: Vec::new(),
        })))
    }

    pub(crate) fn reply(&mut self, blocks: Vec<ContentBlock>) -> Effects {
        self.reply_for(StopReason::EndTurn, blocks)
    }

    pub(crate) fn reply_for(
        &mut self,
        stop_reason: StopReason,
        blocks: Vec<ContentBlock>,
    ) -> Effects {
        let at = Timestamp::from_nanos(self.clock_ns);
        self.feed(EventKind::ModelReplied(Box::new(ModelReplied {
            client_request_id: "model-call".to_owned(),
            started_at: at,
            message: Arc::new(Message {
                role: ConversationRole::Assistant,
                content: blocks,
            }),
            stop_reason,
            usage: TokenCounts {
                input: 10,
                output: 5,
                ..TokenCounts::default()
            },
            streamed_bytes: 0,
            cited_parts: 0,
            guarded: None,
            answered_by: None,
            invocation_id: "uuid".to_owned(),
        })))
    }

    pub(crate) fn returned(&mut self, index: usize, payload: &str, error: Option<&str>) -> Effects {
        let at = Timestamp::from_nanos(self.clock_ns);
        self.feed(EventKind::ActionReturned(Box::new(ActionReturned {
            index,
            client_request_id: "action-call".to_owned(),
            started_at: at,
            ended_at: at,
            result: ActionResult::Replied {
                payload: payload.to_owned(),
                function_error: error.map(ToOwned::to_owned),
                log_tail: None,
                request_id: None,
            },
        })))
    }

    /// A reply to the first call, with what its function left behind.
    pub(crate) fn returned_with(
        &mut self,
        payload: &str,
        log_tail: Option<&str>,
        request_id: Option<&str>,
    ) -> Effects {
        let at = Timestamp::from_nanos(self.clock_ns);
        self.feed(EventKind::ActionReturned(Box::new(ActionReturned {
            index: 0,
            client_request_id: "action-call".to_owned(),
            started_at: at,
            ended_at: at,
            result: ActionResult::Replied {
                payload: payload.to_owned(),
                function_error: None,
                log_tail: log_tail.map(ToOwned::to_owned),
                request_id: request_id.map(ToOwned::to_owned),
            },
        })))
    }

    pub(crate) fn control(&mut self, results: Vec<ReturnedResult>) -> Effects {
        self.feed(EventKind::ControlReturned(Box::new(ControlReturned {
            request: request("req-2"),
            results,
            invocation_id: "next-uuid".to_owned(),
            session_attributes: BTreeMap::new(),
            prompt_session_attributes: BTreeMap::new(),
        })))
    }
}

fn request(id: &str) -> RequestInfo {
    RequestInfo {
        request_id: id.to_owned(),
        trace: true,
        stream: false,
        guardrail_interval: None,
    }
}

pub(crate) fn text(text: &str) -> ContentBlock {
    ContentBlock::Text(text.to_owned())
}

pub(crate) fn call(id: &str, name: &str, input: Value) -> ContentBlock {
    ContentBlock::ToolUse(ToolUseBlock {
        tool_use_id: id.to_owned(),
        name: name.to_owned(),
        input,
        type_: None,
    })
}

/// A handler's good reply.
pub(crate) fn lambda_reply(function: &str, body: &str) -> String {
    json!({"messageVersion": "1.0", "response": {
        "actionGroup": "Orders", "function": function,
        "functionResponse": {"responseBody": {"TEXT": {"body": body}}}}})
    .to_string()
}

/// Effects as lines, one each, without times and long texts.
pub(crate) fn lines(effects: &[Effect]) -> String {
    let mut out = String::new();
    for effect in effects {
        out.push_str(&line(effect));
        out.push('\n');
    }
    out
}

fn line(effect: &Effect) -> String {
    match effect {
        Effect::CallModel(call) => {
            let roles: Vec<String> = call
                .request
                .messages
                .iter()
                .map(|message| shape(message))
                .collect();
            format!("call model: {}", roles.join(" | "))
        }
        Effect::CallAction(pending) => {
            let event: Value = serde_json::from_slice(&pending.event).expect("JSON");
            format!(
                "call action {} [{}]: {} {}",
                pending.index, pending.idempotency_key, event["function"], event["parameters"]
            )
        }
        Effect::ExecuteCode(pending) => {
            let files: Vec<&str> = pending
                .files
                .iter()
                .map(|file| file.name.as_str())
                .collect();
            format!("run code {} {:?}: {}", pending.index, files, pending.code)
        }
        Effect::Emit(Emission::Files(files)) => {
            let files: Vec<String> = files
                .iter()
                .map(|file| {
                    let bytes = file
                        .bytes
                        .as_ref()
                        .map_or(0, |bytes| bytes.as_bytes().len());
                    format!(
                        "{} {} {bytes}",
                        file.name.as_deref().unwrap_or_default(),
                        file.type_.as_deref().unwrap_or_default()
                    )
                })
                .collect();
            format!("files: {}", files.join(", "))
        }
        Effect::Emit(Emission::Chunk(text)) => format!("chunk: {text}"),
        Effect::Emit(Emission::Trace { trace, .. }) => {
            let mut json = serde_json::to_value(trace).expect("JSON");
            prune(&mut json);
            format!("trace: {json}")
        }
        Effect::Emit(Emission::Cited { text, attribution }) => format!(
            "chunk: {text} {}",
            serde_json::to_string(attribution).expect("JSON")
        ),
        Effect::CallOrchestrator(pending) => {
            let event: Value = serde_json::from_slice(&pending.event).expect("JSON");
            format!(
                "ask planner [{}]: {} {}",
                pending.idempotency_key,
                event["state"].as_str().expect("a state"),
                event["input"]["text"].as_str().expect("text")
            )
        }
        Effect::CallParser(pending) => format!(
            "call function {} [{}]: {}",
            pending.function,
            pending.idempotency_key,
            String::from_utf8_lossy(&pending.event)
        ),
        Effect::ApplyGuardrail(pending) => {
            format!("judge {:?}: {}", pending.source, pending.text)
        }
        Effect::CallCollaborator(pending) => {
            format!(
                "call collaborator {} {}: {:?}",
                pending.index, pending.collaborator.name, pending.ask
            )
        }
        Effect::Retrieve(pending) => {
            format!(
                "retrieve {} {}: {}",
                pending.index, pending.knowledge_base_id, pending.query
            )
        }
        Effect::Reveal(index) => format!("reveal {index}"),
        Effect::ReturnControl(payload) => format!(
            "return control: {}",
            serde_json::to_string(payload).expect("JSON")
        ),
        Effect::Finish(Outcome::Failed(failure)) => {
            format!("finish: {:?} {}", failure.kind, failure.message)
        }
        Effect::Finish(outcome) => format!("finish: {outcome:?}"),
    }
}

fn shape(message: &Message) -> String {
    let blocks: Vec<String> = message
        .content
        .iter()
        .map(|block| match block {
            ContentBlock::Text(text) => format!("{text:?}"),
            ContentBlock::ToolUse(tool_use) => format!("use {}", tool_use.tool_use_id),
            ContentBlock::ToolResult(result) => {
                let json = serde_json::to_value(result).expect("JSON");
                format!(
                    "result {} {} {}",
                    result.tool_use_id, json["status"], json["content"][0]["text"]
                )
            }
            other => format!("{other:?}"),
        })
        .collect();
    format!("{} {}", message.role.as_str(), blocks.join(" + "))
}

/// Drops what would make the lines long: the prompt, the raw response, times.
fn prune(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for long in [
                "metadata",
                "rawResponse",
                "inferenceConfiguration",
                "foundationModel",
            ] {
                members.remove(long);
            }
            if members.contains_key("type") && members.contains_key("text") {
                members.remove("text");
            }
            members.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}
