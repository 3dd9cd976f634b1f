//! What AWS read in models' replies, and what the readers here read in the same replies.
//!
//! The recordings are named by `OUTCROP_RECORDINGS`; without them there is nothing to compare. Texts
//! are compared without the white space at their ends: AWS keeps what surrounds the tags it takes out.

use std::path::{Path, PathBuf};

use outcrop_engine::converse::{assistant_text, text_of};
use outcrop_engine::prompt::steps::Route;
use outcrop_engine::prompt::syntax::{self, CallSyntax};
use outcrop_engine::prompt::{answer, steps};
use serde_json::Value;

/// The parts of a recording's traces: the kind of trace, the part's name and its value.
type Parts = Vec<(String, String, Value)>;

#[expect(
    clippy::disallowed_methods,
    reason = "the recordings lie outside of the checkout"
)]
fn recordings() -> Vec<(PathBuf, Parts)> {
    let Ok(folder) = std::env::var("OUTCROP_RECORDINGS") else {
        println!("skipped: OUTCROP_RECORDINGS names no folder of recordings");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = Path::new(&folder)
        .read_dir()
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a recording");
            (path, parts(&text))
        })
        .collect()
}

fn parts(text: &str) -> Parts {
    let mut parts = Vec::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).expect("a line of JSON");
        let traces = event["payload"]["trace"].as_object();
        for (kind, trace) in traces.into_iter().flatten() {
            for (name, part) in trace.as_object().into_iter().flatten() {
                parts.push((kind.clone(), name.clone(), part.clone()));
            }
        }
    }
    parts
}

/// The text of a raw response, in whichever family's form, and whether it holds native calls.
fn said(part: &Value) -> Option<(String, bool)> {
    let raw = part["rawResponse"]["content"].as_str()?;
    let Ok(message) = serde_json::from_str::<Value>(raw) else {
        return Some((raw.to_owned(), false));
    };
    let blocks = message
        .pointer("/content")
        .or_else(|| message.pointer("/output/message/content"))?
        .as_array()?;
    let text: String = blocks
        .iter()
        .filter_map(|block| block["text"].as_str())
        .collect();
    let calls = blocks
        .iter()
        .any(|block| block["type"] == "tool_use" || block["toolUse"].is_object());
    Some((text, calls))
}

/// In one recording AWS shows line breaks as they stand in the JSON of the reply.
fn same(ours: &str, theirs: &str, place: &str) {
    let theirs = theirs.replace("\\n", "\n");
    assert_eq!(ours.trim(), theirs.trim(), "{place}");
}

#[test]
fn rationales_and_answers_are_read_as_aws_reads_them() {
    let (mut rationales, mut answers) = (0, 0);
    for (path, parts) in recordings() {
        let place = path.display().to_string();
        // A recorded orchestrator function plans by itself: nothing of it is read.
        let custom = parts
            .iter()
            .any(|(kind, _, _)| kind == "customOrchestrationTrace");
        for (index, (kind, name, part)) in parts.iter().enumerate() {
            if custom || kind != "orchestrationTrace" || name != "modelInvocationOutput" {
                continue;
            }
            let Some((text, calls)) = said(part) else {
                continue;
            };
            // Of several thoughts AWS shows all from the first to the last, what lies between too.
            let one_thought = text.matches("</thinking>").count() == 1;
            let reading = answer::read(&text, true);
            for (kind, name, part) in parts.iter().skip(index + 1) {
                if kind != "orchestrationTrace" || name == "modelInvocationOutput" {
                    break;
                }
                if name == "rationale" && reading.thinking.is_some() && one_thought {
                    let text = part["text"].as_str().expect("a text");
                    let ours = reading.thinking.as_deref().unwrap_or_default();
                    same(ours, text, &place);
                    rationales += 1;
                }
                if let Some(text) = part["finalResponse"]["text"].as_str()
                    && !calls
                {
                    same(&reading.answer, text, &place);
                    answers += 1;
                }
            }
        }
    }
    println!("{rationales} rationales and {answers} answers are the same");
}

#[test]
fn the_steps_are_read_as_aws_reads_them() {
    for (path, parts) in recordings() {
        let place = path.display().to_string();
        for (kind, name, part) in &parts {
            let Some((text, _)) = said(part) else {
                continue;
            };
            let parsed = &part["parsedResponse"];
            match (kind.as_str(), name.as_str()) {
                ("preProcessingTrace", "modelInvocationOutput") => {
                    let read = steps::pre_processing(&text);
                    assert_eq!(Some(read.is_valid), parsed["isValid"].as_bool(), "{place}");
                    let rationale = parsed["rationale"].as_str().unwrap_or_default();
                    same(&read.rationale.unwrap_or_default(), rationale, &place);
                }
                ("postProcessingTrace", "modelInvocationOutput") => {
                    let theirs = parsed["text"].as_str().expect("a text");
                    let refused = !steps::pre_processing(&text).is_valid;
                    let ours = if refused {
                        steps::refusal(steps::pre_processing(&text).category).to_owned()
                    } else {
                        steps::post_processing(&text)
                    };
                    same(&ours, theirs, &place);
                }
                ("routingClassifierTrace", "modelInvocationOutput") => {
                    let routed = parts.iter().find_map(|(kind, name, part)| {
                        let routes = kind == "routingClassifierTrace" && name == "invocationInput";
                        let name =
                            part.pointer("/agentCollaboratorInvocationInput/agentCollaboratorName");
                        routes.then(|| name.and_then(Value::as_str)).flatten()
                    });
                    let expected = match routed {
                        Some(agent) => Route::Agent(agent.to_owned()),
                        None => Route::Undecided,
                    };
                    let agents = ["CodeReviewAgent", "MathAgent", "agentaws"];
                    assert_eq!(steps::routing(&text, &agents), expected, "{place}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn calls_in_text_are_read_and_refused_as_on_aws() {
    for (path, parts) in recordings() {
        let place = path.display().to_string();
        for (index, (_, name, part)) in parts.iter().enumerate() {
            let Some((text, false)) = said(part) else {
                continue;
            };
            if name != "modelInvocationOutput" || !text.contains("<function_calls>") {
                continue;
            }
            // Whether AWS knew the tool shows in what came next.
            let acted = parts
                .iter()
                .skip(index + 1)
                .take_while(|(_, name, _)| name != "modelInvocationOutput")
                .any(|(_, name, _)| name == "invocationInput");
            let known = |_: &str| acted;
            let decoded = syntax::decode(CallSyntax::Xml, &assistant_text(&text), &known, "t");
            assert_eq!(decoded.malformed.is_none(), acted, "{place}: {text}");
            let Some(reprompt) = decoded.malformed else {
                continue;
            };
            let next = parts.iter().skip(index + 1).find_map(|(_, name, part)| {
                (name == "modelInvocationInput").then(|| part["text"].as_str().unwrap_or_default())
            });
            let prompt = collapsed(&next.expect("asked again").replace("\\n", " "));
            assert!(
                prompt.contains(&collapsed(&reprompt)),
                "{place}: {reprompt}"
            );
            assert_eq!(text_of(&decoded.message), text);
        }
    }
}

/// White space as AWS shows it in prompts.
fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
