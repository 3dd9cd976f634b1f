//! The response, checked member by member (behaviour.md 4.9, 4.10).

use std::collections::BTreeMap;

use outcrop_model::control::PromptType;
use serde_json::Value;

use super::member::Object;
use super::{Parsed, ParsedCall, ParsedNext, ParsedRoute, ParsedTarget};
use crate::action::Strictness;
use crate::action::lambda::reply::{shown, wrong};
use crate::action::lambda::{REPLY_BYTES_MAX_RELAXED, REPLY_BYTES_MAX_STRICT, ReplyFault};
use crate::citation::GeneratedPart;
use crate::prompt::steps::{Route, TopicSummary};

/// Most calls that one response may ask for.
const CALLS_MAX: usize = 100;

/// Reads the response of a parser function to the event of `prompt_type`.
///
/// # Errors
/// [`ReplyFault`] naming the member, what was expected and what came.
pub fn read(
    payload: &[u8],
    prompt_type: PromptType,
    strictness: Strictness,
) -> Result<Parsed, ReplyFault> {
    let limit = match strictness {
        Strictness::Strict => REPLY_BYTES_MAX_STRICT,
        Strictness::Relaxed => REPLY_BYTES_MAX_RELAXED,
    };
    if payload.len() > limit {
        return Err(ReplyFault::generic(format!(
            "the reply: expected at most {limit} bytes, got {}",
            payload.len()
        )));
    }
    let json: Value = serde_json::from_slice(payload).map_err(|error| {
        ReplyFault::generic(format!(
            "the reply is not JSON: {error}; it begins with {}",
            shown(Some(&Value::from(String::from_utf8_lossy(payload))))
        ))
    })?;
    let response = Object::root(&json)?;
    match response.get("messageVersion") {
        None => {}
        Some(Value::String(version)) if version == "1.0" || version == "2.0" => {}
        other => return Err(wrong("messageVersion", "\"1.0\" or \"2.0\"", other)),
    }
    check_type(&response, prompt_type, strictness)?;
    parsed(&response, prompt_type, strictness)
}

/// The response must answer the event's prompt type; a careful reader needs no echo.
fn check_type(
    response: &Object<'_>,
    prompt_type: PromptType,
    strictness: Strictness,
) -> Result<(), ReplyFault> {
    match response.get("promptType") {
        Some(Value::String(given)) if given == prompt_type.as_str() => Ok(()),
        None if strictness == Strictness::Relaxed => Ok(()),
        _ => Err(response.wrong("promptType", prompt_type.as_str())),
    }
}

fn parsed(
    response: &Object<'_>,
    prompt_type: PromptType,
    strictness: Strictness,
) -> Result<Parsed, ReplyFault> {
    match prompt_type {
        PromptType::PreProcessing => {
            let parsed = response.object("preProcessingParsedResponse")?;
            Ok(Parsed::PreProcessing {
                is_valid: parsed.truth("isValidInput")?,
                rationale: parsed.text_if_any("rationale")?,
            })
        }
        PromptType::RoutingClassifier => {
            routing(&response.object("routingClassifierParsedResponse")?).map(Parsed::Routing)
        }
        PromptType::KnowledgeBaseResponseGeneration => {
            let parsed = response.object("knowledgeBaseResponseGenerationParsedResponse")?;
            let generated = parsed.object("generatedResponse")?;
            Ok(Parsed::KnowledgeBaseResponse(parts(&generated)?))
        }
        PromptType::PostProcessing => {
            let parsed = response.object("postProcessingParsedResponse")?;
            Ok(Parsed::PostProcessing {
                text: parsed.text("responseText")?,
                parts: cited(&parsed)?,
            })
        }
        PromptType::MemorySummarization => {
            let parsed = response.object("memorySummarizationParsedResponse")?;
            memory(&parsed).map(Parsed::Memory)
        }
        // The type is open to future values of AWS; every other one known is named above.
        _ => orchestration(&response.object("orchestrationParsedResponse")?, strictness),
    }
}

fn orchestration(parsed: &Object<'_>, strictness: Strictness) -> Result<Parsed, ReplyFault> {
    let rationale = parsed.text_if_any("rationale")?;
    let next = match reprompt(parsed)? {
        Some(text) => ParsedNext::Reprompt(text),
        None => next(&parsed.object("responseDetails")?, strictness)?,
    };
    Ok(Parsed::Orchestration { rationale, next })
}

/// `parsingErrorDetails`, which goes before everything else.
fn reprompt(parsed: &Object<'_>) -> Result<Option<String>, ReplyFault> {
    match parsed.object_if_any("parsingErrorDetails")? {
        Some(error) => error.text_if_any("repromptResponse"),
        None => Ok(None),
    }
}

const INVOCATION_TYPES: &str =
    "ACTION_GROUP, KNOWLEDGE_BASE, AGENT_COLLABORATOR, ASK_USER or FINISH";

fn next(details: &Object<'_>, strictness: Strictness) -> Result<ParsedNext, ReplyFault> {
    let given = details.text("invocationType")?;
    match given.as_str() {
        "ACTION_GROUP" | "KNOWLEDGE_BASE" | "AGENT_COLLABORATOR" => {
            calls(details, &given, strictness)
        }
        "ASK_USER" => {
            let asked = details.object("agentAskUser")?;
            Ok(ParsedNext::AskUser {
                text: asked.text("responseText")?,
                id: asked.text_if_any("id")?,
            })
        }
        "FINISH" => {
            let answer = details.object("agentFinalResponse")?;
            Ok(ParsedNext::Finish {
                text: answer.text("responseText")?,
                parts: cited(&answer)?,
            })
        }
        _ => Err(details.wrong("invocationType", INVOCATION_TYPES)),
    }
}

/// The calls: one in version 1.0, lists in 2.0, where functions and knowledge bases may go together.
fn calls(
    details: &Object<'_>,
    invocation_type: &str,
    strictness: Strictness,
) -> Result<ParsedNext, ReplyFault> {
    let mut calls = Vec::new();
    let many = |name: &str, names: &str| -> Result<Vec<Object<'_>>, ReplyFault> {
        let mut found = details.objects(names)?;
        found.extend(details.object_if_any(name)?);
        Ok(found)
    };
    for call in many("actionGroupInvocation", "actionGroupInvocations")? {
        calls.push(action(&call, strictness)?);
    }
    for call in many("agentKnowledgeBase", "agentKnowledgeBases")? {
        calls.push(lookup(&call)?);
    }
    for call in many(
        "agentCollaboratorInvocation",
        "agentCollaboratorInvocations",
    )? {
        calls.push(collaborator(&call)?);
    }
    if calls.is_empty() {
        return Err(details.not_one_of(match invocation_type {
            "KNOWLEDGE_BASE" => "agentKnowledgeBase, agentKnowledgeBases",
            "AGENT_COLLABORATOR" => "agentCollaboratorInvocation",
            _ => "actionGroupInvocation, actionGroupInvocations",
        }));
    }
    if calls.len() > CALLS_MAX {
        return Err(ReplyFault::generic(format!(
            "responseDetails: expected at most {CALLS_MAX} calls, got {}",
            calls.len()
        )));
    }
    Ok(ParsedNext::Calls(calls))
}

fn action(call: &Object<'_>, strictness: Strictness) -> Result<ParsedCall, ReplyFault> {
    let action_group = call.text("actionGroupName")?;
    let target = if let Some(function) = call.text_if_any("functionName")? {
        ParsedTarget::Function {
            action_group,
            function,
        }
    } else if let Some(api_name) = call.text_if_any("apiName")? {
        ParsedTarget::Api {
            action_group,
            api_name,
            verb: call.text("verb")?,
        }
    } else {
        return Err(call.not_one_of("functionName, apiName"));
    };
    let mut arguments = BTreeMap::new();
    if let Some(input) = call.object_if_any("actionGroupInput")? {
        for (name, _) in input.members() {
            arguments.insert(name.clone(), argument(&input, name, strictness)?);
        }
    }
    Ok(ParsedCall {
        id: call.text_if_any("id")?,
        target,
        arguments,
    })
}

/// `{"value": …}`. Functions that pass a tool use on give numbers and lists as they are.
fn argument(input: &Object<'_>, name: &str, strictness: Strictness) -> Result<String, ReplyFault> {
    let given = input.get(name);
    let value = match given {
        Some(Value::Object(members)) if members.contains_key("value") => members.get("value"),
        Some(bare) if strictness == Strictness::Relaxed => Some(bare),
        _ => return Err(input.wrong(name, "an object with the member value")),
    };
    Ok(match value {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    })
}

fn lookup(call: &Object<'_>) -> Result<ParsedCall, ReplyFault> {
    Ok(ParsedCall {
        id: call.text_if_any("id")?,
        target: ParsedTarget::KnowledgeBase {
            id: call.text("knowledgeBaseId")?,
            query: call.object("searchQuery")?.text("value")?,
        },
        arguments: BTreeMap::new(),
    })
}

fn collaborator(call: &Object<'_>) -> Result<ParsedCall, ReplyFault> {
    Ok(ParsedCall {
        id: call.text_if_any("id")?,
        target: ParsedTarget::Collaborator {
            name: call.text("agentCollaboratorName")?,
            text: call.object("input")?.text("text")?,
        },
        arguments: BTreeMap::new(),
    })
}

fn routing(parsed: &Object<'_>) -> Result<ParsedRoute, ReplyFault> {
    if let Some(text) = reprompt(parsed)? {
        return Ok(ParsedRoute::Reprompt(text));
    }
    let details = parsed.object("responseDetails")?;
    let (route, text) = match details.text("type")?.as_str() {
        "AGENT" => {
            let call = details.object("agentCollaboratorInvocation")?;
            let text = match call.object_if_any("input")? {
                Some(input) => input.text_if_any("text")?,
                None => None,
            };
            (Route::Agent(call.text("agentCollaboratorName")?), text)
        }
        "LAST_AGENT" => (Route::LastAgent, None),
        "UNDECIDED" => (Route::Undecided, None),
        _ => return Err(details.wrong("type", "AGENT, LAST_AGENT or UNDECIDED")),
    };
    Ok(ParsedRoute::Decided { route, text })
}

fn cited(response: &Object<'_>) -> Result<Vec<GeneratedPart>, ReplyFault> {
    match response.object_if_any("citations")? {
        Some(citations) => parts(&citations),
        None => Ok(Vec::new()),
    }
}

fn parts(generated: &Object<'_>) -> Result<Vec<GeneratedPart>, ReplyFault> {
    let part = |part: &Object<'_>| {
        let references = part.objects("references")?;
        Ok(GeneratedPart {
            text: part.text("text")?,
            sources: references
                .iter()
                .map(|reference| reference.text("sourceId"))
                .collect::<Result<_, _>>()?,
        })
    };
    generated
        .objects("generatedResponseParts")?
        .iter()
        .map(part)
        .collect()
}

fn memory(parsed: &Object<'_>) -> Result<Vec<TopicSummary>, ReplyFault> {
    let topics = parsed.objects("topicwiseSummaries")?;
    if topics.is_empty() {
        return Err(parsed.wrong("topicwiseSummaries", "a list with at least one summary"));
    }
    topics
        .iter()
        .map(|topic| {
            Ok(TopicSummary {
                topic: topic.text_if_any("topic")?.unwrap_or_default(),
                summary: topic.text("summary")?,
            })
        })
        .collect()
}
