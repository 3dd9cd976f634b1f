//! What a run would change, for people: values side by side, texts of several lines as text diffs.

use std::fmt::Write as _;

use serde_json::Value;
use similar::TextDiff;

use crate::node::is_later;
use crate::plan::{Action, Plan, Step};
use crate::resource::ALIAS_CONTENT;

/// Lines of unchanged text around a change.
const CONTEXT_LINES: usize = 3;
/// A text shorter than this, of one line, is shown whole.
const SHORT_CHARS: usize = 120;

/// The plan as a list, one line a step, and below each update what it changes.
pub fn details(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        if step.action == Action::Keep || step.is_paper {
            continue;
        }
        text.push_str(&line(step));
        text.push('\n');
        if let (Some(before), Some(after)) = (&step.before, &step.after) {
            differences("", Some(before), Some(after), &mut text);
        }
    }
    text
}

/// One step in one line.
pub fn line(step: &Step) -> String {
    let (sign, note) = match &step.action {
        _ if step.is_paper => (".", " (not applicable here)".to_owned()),
        Action::Create => ("+", String::new()),
        Action::Update(members) => {
            let is_move = members.iter().any(|member| member == ALIAS_CONTENT);
            let shown: Vec<&str> = members
                .iter()
                .filter(|member| *member != ALIAS_CONTENT)
                .map(String::as_str)
                .collect();
            let mut note = String::new();
            if !shown.is_empty() {
                note = format!(": {}", shown.join(", "));
            }
            if is_move {
                note.push_str(" (new version of the agent)");
            }
            ("~", note)
        }
        Action::Replace(members) => ("±", format!(": replaced, for {}", members.join(", "))),
        Action::Delete => ("-", String::new()),
        Action::Forget => ("-", " (retained on the server)".to_owned()),
        Action::Keep => ("=", String::new()),
    };
    format!("{sign} {} {}{note}", step.logical, step.type_name)
}

fn differences(path: &str, before: Option<&Value>, after: Option<&Value>, text: &mut String) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new)))
            if after.and_then(is_later).is_none() =>
        {
            let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
            names.sort();
            names.dedup();
            for name in names.into_iter().filter(|name| *name != ALIAS_CONTENT) {
                let path = join(path, name);
                differences(&path, old.get(name), new.get(name), text);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                let path = format!("{path}[{index}]");
                differences(&path, old.get(index), new.get(index), text);
            }
        }
        (Some(Value::String(old)), Some(Value::String(new))) if is_long(old) || is_long(new) => {
            let _ = writeln!(text, "    {path}:");
            let diff = TextDiff::from_lines(old.as_str(), new.as_str());
            let diff = diff
                .unified_diff()
                .context_radius(CONTEXT_LINES)
                .to_string();
            for line in diff.lines().filter(|line| !line.starts_with('\\')) {
                let _ = writeln!(text, "      {line}");
            }
        }
        (old, new) => {
            let _ = writeln!(text, "    {path}: {} -> {}", shown(old), shown(new));
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn is_long(text: &str) -> bool {
    text.contains('\n') || text.chars().count() > SHORT_CHARS
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "(none)".to_owned(),
        Some(value) => match is_later(value) {
            Some(what) => format!("(known after {what})"),
            None => value.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prompts_are_shown_as_text_diffs() {
        let before =
            json!({"instruction": "You help.\nBe brief.\n", "ttl": 600, "groups": [{"name": "a"}]});
        let after = json!({"instruction": "You help.\nBe kind.\n", "ttl": 900, "groups": [{"name": "a"}, {"name": "b"}], "agentContent": "x"});
        let plan = Plan {
            steps: vec![Step {
                logical: "Bot".to_owned(),
                type_name: "AWS::Bedrock::Agent".to_owned(),
                action: Action::Update(vec!["instruction".to_owned(), "ttl".to_owned()]),
                is_paper: false,
                before: Some(before),
                after: Some(after),
            }],
        };
        assert_eq!(
            details(&plan),
            "~ Bot AWS::Bedrock::Agent: instruction, ttl\n    groups[1]: (none) -> {\"name\":\"b\"}\n    \
             instruction:\n      @@ -1,2 +1,2 @@\n       You help.\n      -Be brief.\n      +Be kind.\n    ttl: 600 -> 900\n"
        );
    }
}
