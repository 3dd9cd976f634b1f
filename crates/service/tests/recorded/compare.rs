//! Two streams side by side, without what no two runs can have in common.
//!
//! Ids are named by the order in which they are first met, times and the texts of prompts and raw
//! replies are only there or not, and everything else must be the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::recording::text;

/// A difference that is meant: who has the leaf alone, or both with other values; and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meant {
    pub(crate) side: Side,
    /// A part of the leaf's path.
    pub(crate) path: &'static str,
    /// Why; it stands in COMPAT.md where it is of the product.
    pub(crate) reason: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Aws,
    Ours,
    Value,
}

#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn of(&mut self, kind: &str, id: &str) -> String {
        let known = self.0.keys().filter(|known| known.starts_with(kind));
        let next = format!("{kind}#{}", known.count());
        self.0.entry(format!("{kind} {id}")).or_insert(next).clone()
    }

    /// A call's own id: some calls have the request's.
    fn call(&self, id: &str) -> String {
        let known = self.0.get(&format!("request {id}"));
        known.cloned().unwrap_or_else(|| "its own".to_owned())
    }

    /// A text that begins with a request's id, that id named.
    fn request(&mut self, id: &str) -> String {
        match id.split_at_checked(36) {
            Some((uuid, rest)) => format!("{}{rest}", self.of("request", uuid)),
            None => id.to_owned(),
        }
    }
}

struct Row {
    line: String,
    leaves: BTreeMap<String, String>,
}

fn rows(events: &[(String, Value)]) -> Vec<Row> {
    let mut names = Names::default();
    events
        .iter()
        .map(|(kind, payload)| row(kind, payload, &mut names))
        .collect()
}

fn row(kind: &str, payload: &Value, names: &mut Names) -> Row {
    let mut leaves = BTreeMap::new();
    if kind == "chunk" {
        if let Some(attribution) = payload.get("attribution") {
            flatten("attribution", attribution, names, &mut leaves);
        }
        // Notebooks print answers trimmed; FINISH tells their blank lines.
        let said = chunk_text(payload).trim().to_owned();
        leaves.insert("bytes".to_owned(), said);
        return Row {
            line: kind.to_owned(),
            leaves,
        };
    }
    flatten("", payload, names, &mut leaves);
    let mut line = kind.to_owned();
    if let Some((name, trace)) = payload["trace"]
        .as_object()
        .and_then(|trace| trace.iter().next())
    {
        let (part, detail) = match trace.as_object().and_then(|trace| trace.iter().next()) {
            Some((part, detail)) if trace.get("traceId").is_none() => (part.as_str(), detail),
            _ => ("", trace),
        };
        let about = [&detail["invocationType"], &detail["type"]];
        let about = about
            .into_iter()
            .find_map(Value::as_str)
            .unwrap_or_default();
        line = format!(
            "{name} {part} {about} {}",
            names.request(text(&detail["traceId"]))
        );
    }
    Row { line, leaves }
}

/// A notebook printed the answer twice, the second time trimmed.
fn chunk_text(payload: &Value) -> String {
    if let Some(logged) = payload["bytes_decoded_from_log"].as_str() {
        let half = logged.len() / 2;
        return (0..=half)
            .rev()
            .filter_map(|end| logged.split_at_checked(end))
            .find(|(first, rest)| !first.is_empty() && rest.trim_start() == first.trim())
            .map_or_else(|| logged.to_owned(), |(first, _)| first.trim().to_owned());
    }
    let bytes = STANDARD.decode(text(&payload["bytes"])).expect("base64");
    String::from_utf8(bytes).expect("text")
}

fn flatten(path: &str, value: &Value, names: &mut Names, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, inner) in members {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                flatten(&path, inner, names, leaves);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, inner) in items.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), inner, names, leaves);
            }
        }
        leaf => {
            leaves.insert(path.to_owned(), told(path, leaf, names));
        }
    }
}

fn told(path: &str, leaf: &Value, names: &mut Names) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    let plain = leaf
        .as_str()
        .map_or_else(|| leaf.to_string(), ToOwned::to_owned);
    match name {
        "eventTime" | "startTime" | "endTime" | "totalTimeMs" | "operationTotalTimeMs" => {
            "a time".to_owned()
        }
        "traceId" => names.request(&plain),
        "clientRequestId" => names.call(&plain),
        // COMPAT.md tells of the white space around answers.
        "text" if path.ends_with("finalResponse.text") => plain.trim().to_owned(),
        "agentId" | "agentAliasId" | "agentVersion" | "sessionId" | "agentAliasArn" => {
            "an id".to_owned()
        }
        "knowledgeBaseId" => names.of("knowledge base", &plain),
        _ if path.ends_with("modelInvocationInput.text")
            || path.ends_with("rawResponse.content") =>
        {
            "a text".to_owned()
        }
        // Numbers of documents' metadata are doubles on the wire.
        _ => leaf.as_f64().map_or(plain, |number| number.to_string()),
    }
}

/// What differs and is not meant to, in words; and the reasons of what is meant to and does.
pub(crate) fn differences(
    recorded: &[(String, Value)],
    ours: &[(String, Value)],
    meant: &[Meant],
) -> (Vec<String>, BTreeSet<&'static str>) {
    let (theirs, ours) = (rows(recorded), rows(ours));
    let lines = |rows: &[Row]| {
        rows.iter()
            .map(|row| row.line.clone())
            .collect::<Vec<_>>()
            .join("\n")
    };
    if lines(&theirs) != lines(&ours) {
        let (theirs, ours) = (lines(&theirs), lines(&ours));
        let found = vec![format!("recorded:\n{theirs}\nours:\n{ours}")];
        return (found, BTreeSet::new());
    }
    let mut found = Vec::new();
    let mut met = BTreeSet::new();
    for (row, our) in theirs.iter().zip(&ours) {
        let mut note = |side: Side, path: &str, words: String| {
            let covered = meant
                .iter()
                .find(|one| one.side == side && path.contains(one.path));
            match covered {
                Some(one) => {
                    met.insert(one.reason);
                }
                None => found.push(format!("{}: {path}: {words}", row.line)),
            }
        };
        for (path, value) in &row.leaves {
            match our.leaves.get(path) {
                None => note(Side::Aws, path, format!("missing; AWS has {value}")),
                Some(other) if other != value => {
                    note(Side::Value, path, format!("AWS: {value}\nours: {other}"));
                }
                Some(_) => {}
            }
        }
        for (path, value) in &our.leaves {
            if !row.leaves.contains_key(path) {
                note(
                    Side::Ours,
                    path,
                    format!("AWS has no such member; ours is {value}"),
                );
            }
        }
    }
    (found, met)
}
