//! A stream recorded from AWS: its events, what the model said in it, what the searches found.
//!
//! Read from the folder that `OUTCROP_RECORDINGS` names; nothing of it is kept here.

use std::path::Path;

use serde_json::Value;

/// One recorded response.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) name: &'static str,
    /// Kind and payload, in order.
    pub(crate) events: Vec<(String, Value)>,
}

/// What the model said in one call.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) stop_reason: String,
    pub(crate) input_tokens: i32,
    pub(crate) output_tokens: i32,
    /// The search results it cites: the id that AWS drew, and which result of the search it is.
    pub(crate) cited: Vec<(String, usize)>,
}

/// One piece of a reply.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Text(String),
    Call {
        id: String,
        name: String,
        input: Value,
    },
}

impl Recording {
    /// The recording, or none where there are no recordings; that is printed.
    #[expect(
        clippy::disallowed_methods,
        reason = "recordings lie outside of the project"
    )]
    pub(crate) fn open(name: &'static str) -> Option<Self> {
        let Ok(folder) = std::env::var("OUTCROP_RECORDINGS") else {
            println!("skipped: OUTCROP_RECORDINGS names no folder of recordings");
            return None;
        };
        let path = Path::new(&folder).join(format!("{name}.jsonl"));
        let text = std::fs::read_to_string(&path).expect("the recording can be read");
        let events = text
            .lines()
            .map(|line| {
                let entry: Value = serde_json::from_str(line).expect("a line is JSON");
                let kind = entry["event"].as_str().expect("a kind").to_owned();
                (kind, entry["payload"].clone())
            })
            .collect();
        Some(Self { name, events })
    }

    /// The parts of this name, in order.
    pub(crate) fn parts(&self, wanted: &str) -> Vec<&Value> {
        self.events
            .iter()
            .filter_map(|(_, payload)| payload["trace"].as_object()?.values().next()?.get(wanted))
            .collect()
    }

    /// What the model said, call by call.
    pub(crate) fn replies(&self) -> Vec<Reply> {
        let found = self.references();
        let found = found.first().and_then(Value::as_array).cloned();
        let found = found.unwrap_or_default();
        // The answer's own citations tell which result an id stands for.
        let cited: Vec<usize> = self
            .events
            .iter()
            .filter_map(|(_, payload)| payload["attribution"]["citations"].as_array())
            .flatten()
            .filter_map(|citation| citation["retrievedReferences"].as_array())
            .flatten()
            .filter_map(|cited| {
                found
                    .iter()
                    .position(|one| one["content"] == cited["content"])
            })
            .collect();
        let outputs = self.parts("modelInvocationOutput");
        outputs.iter().map(|output| reply(output, &cited)).collect()
    }

    /// What was found, search by search.
    pub(crate) fn references(&self) -> Vec<Value> {
        self.parts("observation")
            .iter()
            .filter_map(|observation| observation.get("knowledgeBaseLookupOutput"))
            .map(|output| output["retrievedReferences"].clone())
            .collect()
    }

    /// What the actions said, call by call.
    pub(crate) fn action_texts(&self) -> Vec<String> {
        self.parts("observation")
            .iter()
            .filter_map(|observation| observation.get("actionGroupInvocationOutput"))
            .map(|output| text(&output["text"]).to_owned())
            .collect()
    }

    /// Id of the knowledge base that was searched.
    pub(crate) fn knowledge_base(&self) -> &str {
        let inputs = self.parts("invocationInput");
        let lookup = inputs
            .iter()
            .find_map(|input| input.get("knowledgeBaseLookupInput"))
            .expect("a search");
        text(&lookup["knowledgeBaseId"])
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn reply(output: &Value, cited: &[usize]) -> Reply {
    let raw: Value = serde_json::from_str(text(&output["rawResponse"]["content"])).expect("JSON");
    let (blocks, stop_reason) = if raw.get("output").is_some() {
        (&raw["output"]["message"]["content"], &raw["stopReason"])
    } else {
        (&raw["content"], &raw["stop_reason"])
    };
    let pieces = blocks.as_array().expect("a list").iter().map(piece);
    let tokens = |name: &str| {
        let count = output["metadata"]["usage"][name].as_i64();
        i32::try_from(count.unwrap_or_default()).expect("a count of tokens")
    };
    Reply {
        pieces: pieces.collect(),
        stop_reason: stop_reason.as_str().unwrap_or("end_turn").to_owned(),
        input_tokens: tokens("inputTokens"),
        output_tokens: tokens("outputTokens"),
        cited: sources(text(&output["rawResponse"]["content"]))
            .into_iter()
            .enumerate()
            .map(|(order, id)| (id, cited.get(order).copied().unwrap_or(order)))
            .collect(),
    }
}

/// A content block of a Claude message or of a Converse reply, nulls and all.
fn piece(block: &Value) -> Piece {
    let used = if block["type"] == "tool_use" {
        Some((block, "id"))
    } else {
        block
            .get("toolUse")
            .filter(|used| !used.is_null())
            .map(|used| (used, "toolUseId"))
    };
    match used {
        Some((used, id)) => Piece::Call {
            id: text(&used[id]).to_owned(),
            name: text(&used["name"]).to_owned(),
            input: used["input"].clone(),
        },
        None => Piece::Text(text(&block["text"]).to_owned()),
    }
}

/// The ids of search results that a text shows, in their order; what merely explains the form is none.
pub(crate) fn sources(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("<source>") {
        let Some((id, after)) = after.split_once("</source>") else {
            break;
        };
        let id = id.replace("\\n", "\n");
        let id = id.trim();
        let plain =
            !id.is_empty() && id.len() <= 8 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain && !found.iter().any(|known| known == id) {
            found.push(id.to_owned());
        }
        rest = after;
    }
    found
}
