//! Reads an `InvokeAgentRequest`: what it asks for, and what of it Outcrop cannot do.

use outcrop_engine::action::Strictness;
use outcrop_engine::action::lambda::Attributes;
use outcrop_engine::orchestration::{
    Budget, Caller, Confirmation, ConversationView, ReturnedResult, ReturnedTarget,
};
use outcrop_engine::port::Latency;
use outcrop_model::converse;
use outcrop_model::exception::Exception;
use outcrop_model::runtime::{
    ApiResult, BedrockModelConfigurations, ConfirmationState, ContentBlock, ContentBody,
    ConversationRole, FunctionResult, ImageInput, ImageInputFormat, ImageInputSource,
    InvocationResultMember, InvokeAgentRequest, KnowledgeBaseConfiguration, Message,
    PerformanceConfigLatency, PromptCreationConfigurations, ResponseState, SessionState,
};
use std::collections::BTreeMap;

use super::files::{self, GivenFile};
use crate::knowledge::retrieve::Ask as Search;

/// Why an empty history message is refused (behaviour.md 3.4).
const EMPTY_HISTORY_TEXT: &str = "The conversation history that you provided is incorrectly formatted. The text in content block cannot be null or empty.";

/// The content type of an image among results.
const IMAGES: &str = "IMAGES";
/// Largest image of a result. Anthropic takes 5 MB in Base64; no model that AWS offers takes more.
const IMAGE_BYTES_MAX: usize = 3_750_000;

/// A request, read.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// Agent id or name.
    pub(crate) agent: String,
    /// Alias id or name.
    pub(crate) alias: String,
    /// The session's id.
    pub(crate) session_id: String,
    /// What the client wants done.
    pub(crate) ask: Ask,
    /// `endSession`.
    pub(crate) end_session: bool,
    /// `enableTrace`.
    pub(crate) trace: bool,
    /// `streamFinalResponse`.
    pub(crate) stream: Option<bool>,
    /// `applyGuardrailInterval`.
    pub(crate) guardrail_interval: Option<u32>,
    /// Session attributes to merge in.
    pub(crate) session_attributes: Attributes,
    /// Prompt attributes of this turn.
    pub(crate) prompt_session_attributes: Attributes,
    /// `conversationHistory`.
    pub(crate) conversation_history: Vec<converse::Message>,
    /// `files`.
    pub(crate) files: Vec<GivenFile>,
    /// `memoryId`.
    pub(crate) memory_id: Option<String>,
    /// `promptCreationConfigurations`.
    pub(crate) conversation_view: ConversationView,
    /// `knowledgeBaseConfigurations`.
    pub(crate) knowledge_bases: Vec<KnowledgeBaseConfiguration>,
    /// `performanceConfig`.
    pub(crate) latency: Option<Latency>,
    /// What the turn takes from the one that begins it, for a collaborator's.
    pub(crate) nested: Option<Nested>,
}

/// What a collaborator's turn takes from its supervisor's.
#[derive(Clone, Debug)]
pub(crate) struct Nested {
    /// Who calls.
    pub(crate) caller: Caller,
    /// The session's id in the store. No client can name it.
    pub(crate) session: String,
    /// What the turn may spend.
    pub(crate) budget: Budget,
    /// How long the session lasts without a turn: as long as the supervisor's.
    pub(crate) idle_ttl_s: u32,
}

/// What a request wants done.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Answer this.
    Input(String),
    /// Go on with these results.
    Results {
        /// `invocationId`.
        invocation_id: String,
        /// At least one.
        results: Vec<ReturnedResult>,
    },
    /// Nothing but the end of the session.
    Nothing,
}

impl Invocation {
    /// Reads a request.
    ///
    /// # Errors
    /// A `ValidationException` naming the member that is missing, wrong, or not supported.
    pub(crate) fn read(input: InvokeAgentRequest) -> Result<Self, Exception> {
        let end_session = input.end_session.unwrap_or(false);
        let streaming = input.streaming_configurations.unwrap_or_default();
        let state = input.session_state.unwrap_or_default();
        let ask = ask(input.input_text, &state, end_session)?;
        let files = files::read(state.files.unwrap_or_default())?;
        if matches!(ask, Ask::Results { .. }) && !files.is_empty() {
            return Err(Exception::validation(
                "Validation failed: sessionState.files cannot be given with sessionState.returnControlInvocationResults. Give the files with the next inputText.",
            ));
        }
        Ok(Self {
            agent: input.agent_id,
            alias: input.agent_alias_id,
            session_id: input.session_id,
            ask,
            end_session,
            trace: input.enable_trace.unwrap_or(false),
            stream: streaming.stream_final_response,
            guardrail_interval: streaming
                .apply_guardrail_interval
                .and_then(|interval| u32::try_from(interval).ok()),
            session_attributes: state.session_attributes.unwrap_or_default(),
            prompt_session_attributes: state.prompt_session_attributes.unwrap_or_default(),
            conversation_history: history(
                state
                    .conversation_history
                    .and_then(|history| history.messages),
            )?,
            files,
            memory_id: input.memory_id,
            conversation_view: conversation_view(input.prompt_creation_configurations),
            knowledge_bases: knowledge_bases(state.knowledge_base_configurations)?,
            latency: latency(input.bedrock_model_configurations),
            nested: None,
        })
    }

    /// A collaborator's turn.
    pub(crate) fn nested(nested: Nested, session_id: String, ask: Ask) -> Self {
        Self {
            agent: String::new(),
            alias: String::new(),
            session_id,
            ask,
            end_session: false,
            trace: false,
            stream: Some(false),
            guardrail_interval: None,
            session_attributes: Attributes::new(),
            prompt_session_attributes: Attributes::new(),
            conversation_history: Vec::new(),
            files: Vec::new(),
            memory_id: None,
            conversation_view: ConversationView::default(),
            knowledge_bases: Vec::new(),
            latency: None,
            nested: Some(nested),
        }
    }
}

fn latency(given: Option<BedrockModelConfigurations>) -> Option<Latency> {
    match given?.performance_config?.latency? {
        PerformanceConfigLatency::Optimized => Some(Latency::Optimized),
        _ => Some(Latency::Standard),
    }
}

/// How knowledge bases are searched in this turn.
fn knowledge_bases(
    given: Option<Vec<KnowledgeBaseConfiguration>>,
) -> Result<Vec<KnowledgeBaseConfiguration>, Exception> {
    let given = given.unwrap_or_default();
    let managed = |one: &KnowledgeBaseConfiguration| {
        let retrieval = &one.retrieval_configuration;
        retrieval.managed_search_configuration.is_some()
    };
    if given.iter().any(managed) {
        return Err(Exception::validation(
            "sessionState.knowledgeBaseConfigurations.retrievalConfiguration.managedSearchConfiguration is not supported by Outcrop. Use vectorSearchConfiguration.",
        ));
    }
    for one in &given {
        let search = &one.retrieval_configuration.vector_search_configuration;
        Search::of(search.clone(), Strictness::Relaxed)?;
    }
    Ok(given)
}

/// How much of the earlier conversation the model is to see; all of it where nothing is said.
pub(crate) fn conversation_view(given: Option<PromptCreationConfigurations>) -> ConversationView {
    let given = given.unwrap_or_default();
    ConversationView {
        previous_turns: given
            .previous_conversation_turns_to_include
            .and_then(|turns| u32::try_from(turns).ok()),
        exclude_thinking: given.exclude_previous_thinking_steps.unwrap_or(false),
    }
}

fn ask(
    input_text: Option<String>,
    state: &SessionState,
    end_session: bool,
) -> Result<Ask, Exception> {
    // inputText is ignored if there are results (behaviour.md 2.3).
    if let Some(members) = &state.return_control_invocation_results
        && !members.is_empty()
    {
        let Some(invocation_id) = state.invocation_id.clone().filter(|id| !id.is_empty()) else {
            return Err(Exception::validation(
                "Validation failed: sessionState.invocationId is required with sessionState.returnControlInvocationResults.",
            ));
        };
        let results = members.iter().map(result).collect::<Result<_, _>>()?;
        return Ok(Ask::Results {
            invocation_id,
            results,
        });
    }
    match input_text {
        Some(text) if !text.trim().is_empty() => Ok(Ask::Input(text)),
        _ if end_session => Ok(Ask::Nothing),
        _ => Err(Exception::validation(
            "Validation failed: inputText is required unless sessionState.returnControlInvocationResults or endSession is given.",
        )),
    }
}

fn result(member: &InvocationResultMember) -> Result<ReturnedResult, Exception> {
    match member {
        InvocationResultMember::FunctionResult(result) => function_result(result),
        InvocationResultMember::ApiResult(result) => api_result(result),
        _ => Err(Exception::validation(
            "Validation failed: expected apiResult or functionResult in sessionState.returnControlInvocationResults.",
        )),
    }
}

fn function_result(result: &FunctionResult) -> Result<ReturnedResult, Exception> {
    let Some(function) = &result.function else {
        return Err(Exception::validation(
            "Validation failed: functionResult.function is required.",
        ));
    };
    let Content { body, image } = content(result.response_body.as_ref(), &["TEXT", IMAGES])?;
    Ok(ReturnedResult {
        action_group: result.action_group.clone(),
        target: ReturnedTarget::Function(function.clone()),
        agent_id: result.agent_id.clone(),
        confirmation: confirmation(result.confirmation_state),
        body,
        image,
        failed: result.response_state == Some(ResponseState::Failure),
        reprompt: result.response_state == Some(ResponseState::Reprompt),
    })
}

fn api_result(result: &ApiResult) -> Result<ReturnedResult, Exception> {
    let (Some(path), Some(method)) = (&result.api_path, &result.http_method) else {
        return Err(Exception::validation(
            "Validation failed: apiResult.apiPath and apiResult.httpMethod are required.",
        ));
    };
    let client_error = result.http_status_code.is_some_and(|status| status >= 400);
    let Content { body, image } =
        content(result.response_body.as_ref(), &["application/json", "TEXT"])?;
    Ok(ReturnedResult {
        action_group: result.action_group.clone(),
        target: ReturnedTarget::Api {
            path: path.clone(),
            method: method.clone(),
        },
        agent_id: result.agent_id.clone(),
        confirmation: confirmation(result.confirmation_state),
        body,
        image,
        failed: result.response_state == Some(ResponseState::Failure),
        reprompt: client_error || result.response_state == Some(ResponseState::Reprompt),
    })
}

fn confirmation(state: Option<ConfirmationState>) -> Option<Confirmation> {
    match state? {
        ConfirmationState::Confirm => Some(Confirmation::Confirm),
        _ => Some(Confirmation::Deny),
    }
}

/// What a result holds.
#[derive(Default)]
struct Content {
    body: Option<String>,
    image: Option<converse::ImageBlock>,
}

/// The content under the first of `keys` that is given.
fn content(
    bodies: Option<&BTreeMap<String, ContentBody>>,
    keys: &[&str],
) -> Result<Content, Exception> {
    let Some(bodies) = bodies.filter(|bodies| !bodies.is_empty()) else {
        return Ok(Content::default());
    };
    let found = keys.iter().find_map(|key| bodies.get_key_value(*key));
    let Some((key, content)) = found else {
        let given: Vec<&str> = bodies.keys().map(String::as_str).collect();
        return Err(Exception::validation(format!(
            "Validation failed: expected responseBody to have the key {}, got {}.",
            keys.join(" or "),
            given.join(", ")
        )));
    };
    if keys.contains(&IMAGES) && bodies.len() > 1 {
        return Err(Exception::validation(
            "Validation failed: expected responseBody to have one of TEXT and IMAGES, got both.",
        ));
    }
    match (&content.images, key == IMAGES) {
        (None, false) => Ok(Content {
            body: content.body.clone(),
            image: None,
        }),
        (Some(images), true) => Ok(Content {
            body: content.body.clone(),
            image: Some(image(images)?),
        }),
        (Some(_), false) => Err(Exception::validation(format!(
            "Validation failed: images belong under responseBody.IMAGES, got them under {key}."
        ))),
        (None, true) => Err(Exception::validation(
            "Validation failed: responseBody.IMAGES.images is required.",
        )),
    }
}

/// The one image of a result.
fn image(images: &[ImageInput]) -> Result<converse::ImageBlock, Exception> {
    let [image] = images else {
        return Err(Exception::validation(format!(
            "Validation failed: expected exactly one image in responseBody.IMAGES.images, got {}.",
            images.len()
        )));
    };
    let format = match image.format {
        ImageInputFormat::Jpeg => converse::ImageFormat::Jpeg,
        ImageInputFormat::Gif => converse::ImageFormat::Gif,
        ImageInputFormat::Webp => converse::ImageFormat::Webp,
        _ => converse::ImageFormat::Png,
    };
    let ImageInputSource::Bytes(bytes) = &image.source else {
        return Err(Exception::validation(
            "Validation failed: expected bytes as the source of an image in responseBody.IMAGES.images.",
        ));
    };
    let length = bytes.as_bytes().len();
    if length > IMAGE_BYTES_MAX {
        return Err(Exception::validation(format!(
            "Validation failed: expected an image of at most {IMAGE_BYTES_MAX} bytes in responseBody.IMAGES.images, got {length}."
        )));
    }
    Ok(converse::ImageBlock {
        error: None,
        format,
        source: converse::ImageSource::Bytes(bytes.clone()),
    })
}

fn history(messages: Option<Vec<Message>>) -> Result<Vec<converse::Message>, Exception> {
    messages
        .unwrap_or_default()
        .into_iter()
        .map(|message| {
            let role = match message.role {
                ConversationRole::Assistant => converse::ConversationRole::Assistant,
                _ => converse::ConversationRole::User,
            };
            let content = message
                .content
                .into_iter()
                .map(|block| match block {
                    ContentBlock::Text(text) if !text.trim().is_empty() => {
                        Ok(converse::ContentBlock::Text(text))
                    }
                    _ => Err(Exception::validation(EMPTY_HISTORY_TEXT)),
                })
                .collect::<Result<Vec<_>, _>>()?;
            if content.is_empty() {
                return Err(Exception::validation(EMPTY_HISTORY_TEXT));
            }
            Ok(converse::Message { role, content })
        })
        .collect()
}
