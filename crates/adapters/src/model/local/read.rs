//! Reads a model request into what the planner works on.
//!
//! Left out on purpose, being of no use to this model: cache points, reasoning of earlier messages,
//! sampling parameters (it always answers with what it finds likeliest), and additional fields.
//! What would change the meaning of a request, an image for example, is refused instead.

use outcrop_engine::plan::ASK_USER_TOOL;
use outcrop_engine::port::{ModelError, ModelRequest};
use outcrop_model::converse::{
    ContentBlock, ConversationRole, Message, Tool as ToolDefinition, ToolChoice, ToolInputSchema,
    ToolResultBlock, ToolResultContentBlock, ToolResultStatus, ToolUseBlock,
};

use crate::model::content;

use super::dialogue::{Call, Dialogue, Entry, Outcome};
use super::planner::Freedom;
use super::tool::Tool;

/// A request in the planner's terms.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// The tools, without the one that asks the user.
    pub(super) tools: Vec<Tool>,
    /// Whether questions are put through the tool for that.
    pub(super) asks_by_tool: bool,
    /// The conversation.
    pub(super) dialogue: Dialogue,
    /// How far the choice is open.
    pub(super) freedom: Freedom,
    /// Tokens to answer with at most.
    pub(super) max_tokens: Option<u32>,
    /// Texts that end the answer.
    pub(super) stop_sequences: Vec<String>,
}

/// Reads `request`.
///
/// # Errors
/// [`ModelError::Rejected`] for content this model cannot take.
pub(super) fn work(request: &ModelRequest) -> Result<Work, ModelError> {
    let mut dialogue = Dialogue {
        system: content::system(request)?.into_owned(),
        entries: Vec::new(),
    };
    let fields = request.fields.as_deref();
    if fields.is_some_and(|fields| fields.output_config.is_some()) {
        return Err(rejected("outputConfig"));
    }
    let mut asked = Vec::new();
    for message in &request.messages {
        entries(message, &mut dialogue.entries, &mut asked)?;
    }
    let mut tools = Vec::with_capacity(request.tools.len());
    let mut asks_by_tool = false;
    for definition in request.tools.iter() {
        match definition {
            ToolDefinition::ToolSpec(spec) if spec.name == ASK_USER_TOOL => asks_by_tool = true,
            ToolDefinition::ToolSpec(spec) => {
                let ToolInputSchema::Json(schema) = &spec.input_schema else {
                    return Err(rejected("a tool's input schema that is not JSON"));
                };
                let description = spec.description.as_deref().unwrap_or_default();
                tools.push(Tool::new(&spec.name, description, schema));
            }
            ToolDefinition::CachePoint(_) => {}
            _ => return Err(rejected("a tool that is not defined by a schema")),
        }
    }
    let freedom = match &request.tool_choice {
        None | Some(ToolChoice::Auto(_)) => Freedom::Auto,
        Some(ToolChoice::Any(_)) => Freedom::SomeTool,
        Some(ToolChoice::Tool(choice)) => Freedom::ThisTool(choice.name.clone()),
        Some(_) => return Err(rejected("a tool choice of an unknown kind")),
    };
    Ok(Work {
        tools,
        asks_by_tool,
        dialogue,
        freedom,
        max_tokens: request.inference.max_tokens,
        stop_sequences: request.inference.stop_sequences.clone(),
    })
}

fn rejected(what: &str) -> ModelError {
    ModelError::Rejected {
        detail: format!("the local model does not take {what}"),
    }
}

/// Adds what a message says. `asked` holds the ids of calls that only asked the user.
fn entries(
    message: &Message,
    entries: &mut Vec<Entry>,
    asked: &mut Vec<String>,
) -> Result<(), ModelError> {
    let mut text = String::new();
    for block in &message.content {
        match block {
            ContentBlock::Text(part) => {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(part);
            }
            ContentBlock::ToolUse(tool_use) if tool_use.name == ASK_USER_TOOL => {
                let question = tool_use
                    .input
                    .get("question")
                    .and_then(|text| text.as_str());
                entries.push(Entry::Assistant(question.unwrap_or_default().to_owned()));
                asked.push(tool_use.tool_use_id.clone());
            }
            ContentBlock::ToolUse(tool_use) => entries.push(call(tool_use)),
            ContentBlock::ToolResult(result) if asked.contains(&result.tool_use_id) => {}
            ContentBlock::ToolResult(result) => entries.push(Entry::Outcome(outcome(result)?)),
            ContentBlock::CachePoint(_) | ContentBlock::ReasoningContent(_) => {}
            _ => return Err(rejected("content other than text and tool calls")),
        }
    }
    match message.role {
        ConversationRole::Assistant => {
            let said = spoken(&text);
            // Beside a call stands only its reason.
            let calls = message
                .content
                .iter()
                .any(|block| matches!(block, ContentBlock::ToolUse(_)));
            if !said.is_empty() && !calls {
                entries.push(Entry::Assistant(said));
            }
        }
        _ if !text.trim().is_empty() => entries.push(Entry::User(text.trim().to_owned())),
        _ => {}
    }
    Ok(())
}

fn call(tool_use: &ToolUseBlock) -> Entry {
    Entry::Call(Call {
        id: tool_use.tool_use_id.clone(),
        tool: tool_use.name.clone(),
        input: tool_use.input.clone(),
    })
}

fn outcome(result: &ToolResultBlock) -> Result<Outcome, ModelError> {
    let mut text = String::new();
    for block in &result.content {
        match block {
            ToolResultContentBlock::Text(part) => text.push_str(part),
            ToolResultContentBlock::Json(value) => text.push_str(&value.to_string()),
            _ => return Err(rejected("a tool result other than text and JSON")),
        }
    }
    Ok(Outcome {
        id: result.tool_use_id.clone(),
        text,
        success: result.status != Some(ToolResultStatus::Error),
    })
}

/// What an assistant's message tells the user: its answer, without thinking.
fn spoken(text: &str) -> String {
    let mut rest = text;
    let mut said = String::new();
    while let Some(start) = rest.find("<thinking>") {
        said.push_str(&rest[..start]);
        rest = rest[start..]
            .find("</thinking>")
            .map_or("", |end| &rest[start + end + 11..]);
    }
    said.push_str(rest);
    said.replace("<answer>", "")
        .replace("</answer>", "")
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_said_to_the_user_is_kept() {
        assert_eq!(
            spoken("<thinking>hm</thinking>\n<answer>Yes.</answer>"),
            "Yes."
        );
        assert_eq!(spoken("Yes. <thinking>never ends"), "Yes.");
        assert_eq!(spoken("<answer>Which?</answer>"), "Which?");
    }

    #[test]
    fn a_question_put_through_the_tool_reads_as_a_question() {
        let message = |role, content| Message { role, content };
        let question = serde_json::json!({"question": "Which order?"});
        let ask = ToolUseBlock {
            input: question,
            name: ASK_USER_TOOL.to_owned(),
            tool_use_id: "t1".to_owned(),
            type_: None,
        };
        let closing = ToolResultBlock {
            content: vec![ToolResultContentBlock::Text(
                "The reply follows.".to_owned(),
            )],
            status: None,
            tool_use_id: "t1".to_owned(),
            type_: None,
        };
        let messages = [
            message(
                ConversationRole::User,
                vec![ContentBlock::Text("Cancel my order.".to_owned())],
            ),
            message(
                ConversationRole::Assistant,
                vec![ContentBlock::ToolUse(ask)],
            ),
            message(
                ConversationRole::User,
                vec![
                    ContentBlock::ToolResult(closing),
                    ContentBlock::Text("A-482".to_owned()),
                ],
            ),
        ];
        let mut read = Vec::new();
        let mut asked = Vec::new();
        for message in &messages {
            entries(message, &mut read, &mut asked).expect("plain content");
        }
        let dialogue = Dialogue {
            system: String::new(),
            entries: read,
        };
        assert_eq!(dialogue.request(), "Cancel my order.\nA-482");
        assert!(dialogue.steps().is_empty());
    }
}
