//! What the API shows of a resource as the definition that makes it again.
//!
//! A service shows more than it was given: ids, states, times, and defaults written out. What it made
//! itself is left off; what cannot be given to it again is noted. Two services that show the same
//! resource give the same definition, whichever of them writes out its defaults.

use serde_json::{Map, Value, json};

use super::Notes;
use super::shapes::{member, unknown};
use crate::mapping::Form;

/// Members that services make themselves.
const MADE_BY_THE_SERVICE: [&str; 22] = [
    "__type",
    "actionGroupId",
    "agentAliasArn",
    "agentAliasHistoryEvents",
    "agentAliasId",
    "agentAliasStatus",
    "agentArn",
    "agentId",
    "agentStatus",
    "agentVersion",
    "arn",
    "clientToken",
    "collaboratorId",
    "createdAt",
    "failureReasons",
    "id",
    "lastUpdatedAt",
    "preparedAt",
    "recommendedActions",
    "status",
    "updatedAt",
    "version",
];
/// Ids by which a knowledge base and its data sources are reached.
const IDS: [&str; 3] = ["dataSourceId", "knowledgeBaseArn", "knowledgeBaseId"];

/// Members whose default, written out, says nothing.
const DEFAULTS: [(&str, &str); 6] = [
    ("actionGroupState", "ENABLED"),
    ("agentCollaboration", "DISABLED"),
    ("aliasInvocationState", "ACCEPT_INVOCATIONS"),
    ("knowledgeBaseState", "ENABLED"),
    ("orchestrationType", "DEFAULT"),
    ("relayConversationHistory", "DISABLED"),
];

/// The definition of a resource. `what` names it in notes.
pub(super) fn definition(
    form: &Form,
    extra: &[&str],
    object: &Value,
    what: &str,
    notes: &mut Notes,
) -> Map<String, Value> {
    let mut definition = Map::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        let target = member(form.shape, name).filter(|_| !form.hidden.contains(&name.as_str()));
        if is_empty(value) || is_default(name, value) {
            continue;
        }
        if let Some(member) = target {
            for path in unknown(member.target, value) {
                notes.missing(format!(
                    "{what}: {name}.{path} is newer than this program and was left out"
                ));
            }
            definition.insert(name.clone(), value.clone());
        } else if extra.contains(&name.as_str()) {
            definition.insert(name.clone(), value.clone());
        } else if !MADE_BY_THE_SERVICE.contains(&name.as_str()) && !IDS.contains(&name.as_str()) {
            notes.missing(format!(
                "{what}: {name} is shown by the API but cannot be given at creation, or is newer than this program; it was left out"
            ));
        }
    }
    definition
}

/// Services show "none" in several ways.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_default(name: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    DEFAULTS.contains(&(name, text))
}

/// An action group names its signature differently when it is shown.
pub(super) fn action_group(mut shown: Value) -> Value {
    if let Value::Object(members) = &mut shown
        && let Some(signature) = members.remove("parentActionSignature")
    {
        members.insert("parentActionGroupSignature".to_owned(), signature);
    }
    shown
}

/// Leaves of the prompts what was chosen: a prepared agent shows every default written out, and takes
/// none of them back (behaviour.md 4.1, 4.2).
pub(super) fn prompts(definition: &mut Map<String, Value>) {
    let has_memory = definition.contains_key("memoryConfiguration");
    let routes = definition.get("agentCollaboration") == Some(&json!("SUPERVISOR_ROUTER"));
    let Some(Value::Object(overrides)) = definition.get_mut("promptOverrideConfiguration") else {
        return;
    };
    let shown = match overrides.remove("promptConfigurations") {
        Some(Value::Array(shown)) => shown,
        _ => Vec::new(),
    };
    let mut chosen: Vec<Value> = shown
        .into_iter()
        .filter_map(|prompt| chosen_of(prompt, has_memory, routes))
        .collect();
    chosen.sort_by_key(|prompt| prompt["promptType"].to_string());
    if !chosen.is_empty() {
        overrides.insert("promptConfigurations".to_owned(), Value::Array(chosen));
    }
    overrides.retain(|_, value| !is_empty(value));
    if overrides.is_empty() {
        definition.remove("promptOverrideConfiguration");
    } else if !overrides.contains_key("promptConfigurations") {
        overrides.insert("promptConfigurations".to_owned(), json!([]));
    }
}

fn chosen_of(prompt: Value, has_memory: bool, routes: bool) -> Option<Value> {
    let Value::Object(mut prompt) = prompt else {
        return None;
    };
    prompt.remove("__type");
    if let Some(Value::Object(inference)) = prompt.get_mut("inferenceConfiguration") {
        inference.remove("__type");
    }
    if prompt.get("promptCreationMode") == Some(&json!("OVERRIDDEN")) {
        return Some(Value::Object(prompt));
    }
    let prompt_type = prompt.get("promptType").and_then(Value::as_str);
    let state = default_state(prompt_type.unwrap_or_default(), has_memory, routes);
    prompt.retain(|name, value| match name.as_str() {
        "basePromptTemplate" | "inferenceConfiguration" => false,
        "parserMode" | "promptCreationMode" => *value == json!("OVERRIDDEN"),
        "promptState" => *value != json!(state),
        _ => !is_empty(value),
    });
    // The type alone chooses nothing.
    (prompt.len() > 1).then_some(Value::Object(prompt))
}

/// Whether a step runs where nobody chose (behaviour.md 4.1).
fn default_state(prompt_type: &str, has_memory: bool, routes: bool) -> &'static str {
    let runs = match prompt_type {
        "PRE_PROCESSING" | "POST_PROCESSING" => false,
        "MEMORY_SUMMARIZATION" => has_memory,
        "ROUTING_CLASSIFIER" => routes,
        _ => true,
    };
    if runs { "ENABLED" } else { "DISABLED" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mapping;

    #[test]
    fn what_the_service_made_is_left_off_and_what_is_new_is_noted() {
        let shown = json!({
            "agentId": "A1B2C3D4E5", "agentName": "a", "agentStatus": "PREPARED",
            "agentCollaboration": "DISABLED", "guardrailConfiguration": {},
            "memoryConfiguration": {"enabledMemoryTypes": ["SESSION_SUMMARY"], "forgets": 1},
            "moodConfiguration": {"mood": "good"}
        });
        let mut notes = Notes::default();
        let definition = definition(&mapping::AGENT, &[], &shown, "agent a", &mut notes);
        let mut names: Vec<&String> = definition.keys().collect();
        names.sort();
        assert_eq!(names, ["agentName", "memoryConfiguration"]);
        let missing: Vec<&String> = notes.missing.iter().collect();
        assert_eq!(missing.len(), 2);
        assert!(
            missing[0].contains("memoryConfiguration.forgets"),
            "{missing:?}"
        );
        assert!(missing[1].contains("moodConfiguration"), "{missing:?}");
    }

    #[test]
    fn only_chosen_prompts_stay() {
        let mut shown = json!({"promptOverrideConfiguration": {"promptConfigurations": [
            {"promptType": "PRE_PROCESSING", "promptCreationMode": "DEFAULT", "parserMode": "DEFAULT",
             "promptState": "DISABLED", "basePromptTemplate": "x", "inferenceConfiguration": {"topK": 1}},
            {"promptType": "POST_PROCESSING", "promptCreationMode": "DEFAULT", "parserMode": "DEFAULT",
             "promptState": "ENABLED", "basePromptTemplate": "x"},
            {"promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN", "parserMode": "DEFAULT",
             "promptState": "ENABLED", "basePromptTemplate": "mine",
             "inferenceConfiguration": {"__type": "java", "temperature": 0.5}}
        ]}});
        let definition = shown.as_object_mut().unwrap();
        prompts(definition);
        assert_eq!(
            definition["promptOverrideConfiguration"]["promptConfigurations"],
            json!([
                {"promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN",
                 "parserMode": "DEFAULT", "promptState": "ENABLED", "basePromptTemplate": "mine",
                 "inferenceConfiguration": {"temperature": 0.5}},
                {"promptType": "POST_PROCESSING", "promptState": "ENABLED"}
            ])
        );
    }

    #[test]
    fn defaults_alone_choose_nothing() {
        let mut shown = json!({"promptOverrideConfiguration": {"promptConfigurations": [
            {"promptType": "ORCHESTRATION", "promptCreationMode": "DEFAULT", "promptState": "ENABLED"}
        ]}});
        let definition = shown.as_object_mut().unwrap();
        prompts(definition);
        assert!(definition.is_empty());
    }
}
