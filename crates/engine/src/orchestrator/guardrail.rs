//! `APPLY_GUARDRAIL`: what the function wants judged, and the judgement it is told.
//!
//! AWS documents neither form. Both are those of `ApplyGuardrail` in `bedrock-runtime`, which is what
//! AWS's sample writes.

use outcrop_model::control::GuardrailConfiguration;
use outcrop_model::runtime::GuardrailAssessment;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::action::lambda::ReplyFault;
use crate::action::lambda::reply::{object, wrong};
use crate::port::{Assessment, GuardrailSource};

/// Most blocks that one judgement takes; the service model has no bound of its own.
const BLOCKS_MAX: usize = 256;
/// The members of the request.
const MEMBERS: [&str; 5] = [
    "guardrailIdentifier",
    "guardrailVersion",
    "source",
    "content",
    "outputScope",
];

/// What is to be judged.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardrailAsk {
    /// `guardrailIdentifier` and `guardrailVersion`; a member that is left out is the agent's own.
    pub guardrail: GuardrailConfiguration,
    /// Whether it is judged as input or as output.
    pub source: GuardrailSource,
    /// The text; several blocks are judged as one, a line each.
    pub text: String,
}

/// Reads the request.
pub(super) fn read(request: &Value, path: &str) -> Result<GuardrailAsk, ReplyFault> {
    let request = object(request, path)?;
    if let Some(unknown) = request.keys().find(|key| !MEMBERS.contains(&key.as_str())) {
        return Err(ReplyFault::generic(format!(
            "{path}.{unknown}: expected one of {}, as in a request of ApplyGuardrail",
            MEMBERS.join(", ")
        )));
    }
    let source = match request.get("source") {
        None | Some(Value::Null) => GuardrailSource::Input,
        Some(Value::String(source)) if source == "INPUT" => GuardrailSource::Input,
        Some(Value::String(source)) if source == "OUTPUT" => GuardrailSource::Output,
        other => return Err(wrong(&format!("{path}.source"), "INPUT or OUTPUT", other)),
    };
    let content = format!("{path}.content");
    let blocks = match request.get("content") {
        Some(Value::Array(blocks)) if (1..=BLOCKS_MAX).contains(&blocks.len()) => blocks,
        other => {
            let expected = format!("a list of 1 to {BLOCKS_MAX} blocks");
            return Err(wrong(&content, &expected, other));
        }
    };
    let blocks: Vec<Block<'_>> = blocks
        .iter()
        .enumerate()
        .map(|(index, block)| Block::read(block, &format!("{content}[{index}]")))
        .collect::<Result<_, _>>()?;
    // Where a block is marked, the others are only there for context.
    let marked = blocks.iter().any(|block| block.guarded);
    let texts: Vec<&str> = blocks
        .iter()
        .filter(|block| block.guarded || !marked)
        .map(|block| block.text)
        .collect();
    Ok(GuardrailAsk {
        guardrail: GuardrailConfiguration {
            guardrail_identifier: name(request, path, "guardrailIdentifier")?,
            guardrail_version: name(request, path, "guardrailVersion")?,
        },
        source,
        text: texts.join("\n"),
    })
}

fn name(
    request: &Map<String, Value>,
    path: &str,
    member: &str,
) -> Result<Option<String>, ReplyFault> {
    match request.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) if !name.is_empty() => Ok(Some(name.clone())),
        other => Err(wrong(&format!("{path}.{member}"), "a string", other)),
    }
}

struct Block<'a> {
    text: &'a str,
    guarded: bool,
}

impl<'a> Block<'a> {
    fn read(block: &'a Value, path: &str) -> Result<Self, ReplyFault> {
        let block = object(block, path)?;
        let path = format!("{path}.text");
        let Some(text) = block.get("text") else {
            return Err(wrong(
                &path,
                "an object, since only text is judged here",
                None,
            ));
        };
        let text = object(text, &path)?;
        let qualifiers = match text.get("qualifiers") {
            None | Some(Value::Null) => [].as_slice(),
            Some(Value::Array(qualifiers)) => qualifiers.as_slice(),
            other => return Err(wrong(&format!("{path}.qualifiers"), "a list", other)),
        };
        for (index, qualifier) in qualifiers.iter().enumerate() {
            if qualifier != "guard_content" {
                let path = format!("{path}.qualifiers[{index}]");
                let expected = "guard_content, since contextual grounding is not judged here";
                return Err(wrong(&path, expected, Some(qualifier)));
            }
        }
        match text.get("text") {
            Some(Value::String(text)) => Ok(Self {
                text,
                guarded: !qualifiers.is_empty(),
            }),
            other => Err(wrong(&format!("{path}.text"), "a string", other)),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssessmentJson<'a> {
    action: &'static str,
    action_reason: &'static str,
    outputs: Vec<OutputJson<'a>>,
    assessments: &'a [GuardrailAssessment],
}

#[derive(Serialize)]
struct OutputJson<'a> {
    text: &'a str,
}

/// `input.text` of `APPLY_GUARDRAIL_INVOKED` (behaviour.md 10.3).
pub fn assessment_text(assessment: &Assessment) -> String {
    let (action, action_reason) = match (assessment.intervened, assessment.blocked) {
        (false, _) => ("NONE", "No action."),
        (true, true) => ("GUARDRAIL_INTERVENED", "Guardrail blocked."),
        (true, false) => ("GUARDRAIL_INTERVENED", "Guardrail masked."),
    };
    let json = AssessmentJson {
        action,
        action_reason,
        outputs: assessment
            .text
            .iter()
            .map(|text| OutputJson { text })
            .collect(),
        assessments: &assessment.assessments,
    };
    serde_json::to_string(&json).expect("an assessment holds only string-keyed data")
}
