//! What prompts list of an agent: its collaborators, what it can route to, what it remembers
//! (behaviour.md 4.4, 11.2, 11.4).

use std::fmt::Write as _;

use crate::definition::{
    ActionGroupDefinition, ActionGroupKind, CollaboratorDefinition, KnowledgeBaseDefinition,
};

/// The recipient by which a supervisor speaks to whoever it works for.
pub const USER: &str = "User";

/// `$agent_collaborators$`: one line an agent, the user last.
pub fn agent_collaborators(collaborators: &[CollaboratorDefinition]) -> String {
    let mut out = String::new();
    for agent in collaborators {
        let _ = writeln!(
            out,
            "<agent name=\"{}\">{}</agent>",
            agent.name,
            agent.instruction.trim()
        );
    }
    let _ = write!(
        out,
        "<agent name=\"{USER}\">This is the one you work for. A message to the User ends your work on the request.</agent>"
    );
    out
}

/// `$multi_agent_collaboration$`, for templates that say nothing of agents themselves.
pub fn multi_agent_collaboration(collaborators: &[CollaboratorDefinition]) -> String {
    if collaborators.is_empty() {
        return String::new();
    }
    format!(
        "You can send messages to these agents with the AgentCommunication__sendMessage tool:\n<agents>\n{}\n</agents>",
        agent_collaborators(collaborators)
    )
}

/// `$reachable_agents$`: one line an agent.
pub fn reachable_agents(collaborators: &[CollaboratorDefinition]) -> String {
    let lines: Vec<String> = collaborators
        .iter()
        .map(|agent| {
            format!(
                "<agent id=\"{}\">{}</agent>",
                agent.name,
                agent.instruction.trim()
            )
        })
        .collect();
    lines.join("\n")
}

/// `$knowledge_base_routing$`: the supervisor's own knowledge bases.
pub fn knowledge_base_routing(knowledge_bases: &[KnowledgeBaseDefinition]) -> String {
    let lines: Vec<String> = knowledge_bases
        .iter()
        .map(|base| {
            format!(
                "<knowledge_base id=\"{}\">{}</knowledge_base>",
                base.id,
                base.description.trim()
            )
        })
        .collect();
    lines.join("\n")
}

/// `$action_routing$`: the supervisor's own functions, by action group.
pub fn action_routing(groups: &[ActionGroupDefinition]) -> String {
    let lines: Vec<String> = groups
        .iter()
        .filter(|group| group.kind != ActionGroupKind::UserInput)
        .map(|group| {
            let description = group.description.as_deref().unwrap_or_default().trim();
            format!(
                "<functions name=\"{}\">{description}</functions>",
                group.name
            )
        })
        .collect();
    lines.join("\n")
}

/// `$memory_content$`: summaries of earlier sessions, oldest first.
pub fn memory_content(summaries: &[String]) -> String {
    if summaries.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "Summaries of earlier conversations with this user, the oldest first:\n<memory_synopsis>\n",
    );
    for summary in summaries {
        let _ = writeln!(out, "<summary>{}</summary>", summary.trim());
    }
    out.push_str("</memory_synopsis>");
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_have_a_line_for_each() {
        let math: CollaboratorDefinition = serde_json::from_value(json!({
            "name": "Math", "alias_arn": "arn", "instruction": " Sums. ", "relays_history": false,
        }))
        .expect("a collaborator");
        let listed = agent_collaborators(std::slice::from_ref(&math));
        let lines: Vec<&str> = listed.lines().collect();
        assert_eq!(lines[0], "<agent name=\"Math\">Sums.</agent>");
        assert!(lines[1].starts_with("<agent name=\"User\">"));
        assert_eq!(
            reachable_agents(&[math]),
            "<agent id=\"Math\">Sums.</agent>"
        );
        assert_eq!(multi_agent_collaboration(&[]), "");
        let base: KnowledgeBaseDefinition =
            serde_json::from_value(json!({"id": "KB", "description": "Facts"})).expect("a base");
        assert_eq!(
            knowledge_base_routing(&[base]),
            "<knowledge_base id=\"KB\">Facts</knowledge_base>"
        );
        let group = |name: &str, kind| ActionGroupDefinition {
            name: name.to_owned(),
            description: Some("Books".to_owned()),
            kind,
            typed_arguments: false,
        };
        let groups = [
            group("Ask", ActionGroupKind::UserInput),
            group(
                "Trips",
                ActionGroupKind::Functions {
                    functions: Vec::new(),
                    executor: crate::definition::Executor::ReturnControl,
                },
            ),
        ];
        assert_eq!(
            action_routing(&groups),
            "<functions name=\"Trips\">Books</functions>"
        );
        assert_eq!(memory_content(&[]), "");
        assert!(memory_content(&["a".to_owned()]).contains("<summary>a</summary>"));
    }
}
