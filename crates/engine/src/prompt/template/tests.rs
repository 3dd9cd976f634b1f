//! Templates of every family: parsed, filled, refused.

use outcrop_model::control::PromptType;

use super::*;

fn values() -> Values<'static> {
    Values {
        instruction: "Be kind.",
        question: "Where is $instruction$?",
        ..Values::default()
    }
}

#[test]
fn placeholders_that_are_none_are_found() {
    let text =
        "$instruction$ costs $5 and $6\n$instructions$ $question$ US$ $todays_date$ $todays_date$";
    let found = unknown_placeholders(text);
    let found: Vec<(&str, usize)> = found
        .iter()
        .map(|one| (one.name.as_str(), one.line))
        .collect();
    assert_eq!(found, [("instructions", 2), ("todays_date", 2)]);
}

#[test]
fn placeholders_of_other_prompts_are_found() {
    let found = misplaced_placeholders(
        "$question$ $nothing$\n$latest_response$",
        PromptType::Orchestration,
    );
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name.as_str(), found[0].line),
        ("latest_response", 2)
    );
}

#[test]
fn fills_known_placeholders_once_and_leaves_unknown_ones() {
    let template = Template::parse(
        "{\"system\": \"$instruction$\nCall <$TOOL_NAME> for $5$. $memory_content$\",
          \"messages\": [{\"role\": \"user\", \"content\": [{\"text\": \"$question$\"}]},
                         {\"role\": \"assistant\", \"content\": \"$agent_scratchpad$\"},
                         {\"role\": \"assistant\", \"content\": \"Thought:\"}]}",
    )
    .expect("valid");
    let filled = template.fill(&values());
    assert_eq!(filled.system, "Be kind.\nCall <$TOOL_NAME> for $5$. ");
    assert_eq!(
        filled.before,
        [(ConversationRole::User, "Where is $instruction$?".to_owned())]
    );
    assert_eq!(
        filled.after,
        [(ConversationRole::Assistant, "Thought:".to_owned())]
    );
}

#[test]
fn a_plain_text_without_the_question_is_the_system_text() {
    let filled = Template::parse("You are a pirate. $instruction$")
        .expect("valid")
        .fill(&values());
    assert_eq!(filled.system, "You are a pirate. Be kind.");
    assert_eq!(filled.before.len(), 1);
}

#[test]
fn a_plain_text_with_the_question_is_the_user_message() {
    let filled = Template::parse("$instruction$ Q: $question$ $agent_scratchpad$")
        .expect("valid")
        .fill(&values());
    assert_eq!(filled.system, "");
    assert_eq!(
        filled.before,
        [(
            ConversationRole::User,
            "Be kind. Q: Where is $instruction$? ".to_owned()
        )]
    );
}

#[test]
fn a_broken_template_says_where() {
    // Each text has its mistake at the mark, which is taken out.
    for marked in [
        "{\"system\": \"x\",\n \"messages\": [^}",
        "{\"system\": ^x}",
        "{\"system\": \"one\ntwo\tthree\nfour\" ^\"messages\": []}",
        "{\"system\": \"a \\\" b\n\u{e9}\u{e9}\", ^}",
        "{\"system\": \"one\n\ntwo\"^",
        "{\"system\": \"never ends\n^",
    ] {
        let place = marked.find('^').expect("a mark");
        let before = marked.get(..place).expect("before the mark");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().expect("a line").chars().count() + 1;
        let error = Template::parse(&marked.replace('^', "")).expect_err("broken");
        let expected = format!("line {line}, column {column}: ");
        let said = error.to_string();
        assert!(said.starts_with(&expected), "{marked}: {said}");
        assert!(!said.contains(" at line "), "{said}");
    }
}

#[test]
fn a_template_of_another_shape_says_where() {
    for (text, message) in [
        (
            "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}, {\"role\": \"system\", \"content\": \"x\"}]}",
            "messages[1].role: expected user or assistant, got system",
        ),
        (
            "{\"messages\": [{\"role\": \"user\"}]}",
            "messages[0].content: expected text or a list of text blocks",
        ),
        (
            "{\"system\": [{\"image\": 1}]}",
            "system: expected text or a list of text blocks",
        ),
        (
            "{\"messages\": {}}",
            "messages: expected a list of messages",
        ),
    ] {
        let error = Template::parse(text).expect_err(message);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn each_family_of_templates_fills_to_the_same_conversation() {
    let claude_3 = r#"{"anthropic_version": "bedrock-2023-05-31", "system": "$instruction$",
        "messages": [{"role": "user", "content": "$question$"}, {"role": "assistant", "content": "$agent_scratchpad$"}]}"#;
    let claude_35 = r#"{"anthropic_version": "bedrock-2023-05-31", "system": "$instruction$",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "$question$"}]},
                     {"role": "assistant", "content": [{"type": "text", "text": "$agent_scratchpad$"}]}]}"#;
    let nova = r#"{"system": "$instruction$", "messages": [{"role": "user", "content": [{"text": "$question$"}]},
        {"role": "assistant", "content": [{"text": "$agent_scratchpad$"}]},
        {"role": "assistant", "content": [{"text": "Thought: <thinking>\n(1)"}]}]}"#;
    let claude_2 = "$instruction$\n\nHuman: $question$\n\nAssistant: $agent_scratchpad$";
    let titan = "System: $model_instruction$\nUser: $question$\nBot: $agent_scratchpad$$thought$";
    for (template, prefill) in [
        (claude_3, None),
        (claude_35, None),
        (nova, Some("Thought: <thinking>\n(1)")),
        (claude_2, None),
        (titan, Some("Thought:")),
    ] {
        let filled = Template::parse(template).expect(template).fill(&Values {
            thought: "Thought:",
            ..values()
        });
        assert_eq!(filled.system, "Be kind.", "{template}");
        assert_eq!(
            filled.before,
            [(ConversationRole::User, "Where is $instruction$?".to_owned())],
            "{template}"
        );
        assert_eq!(filled.prefill(), prefill, "{template}");
        assert_eq!(filled.check(), Ok(()), "{template}");
    }
}

#[test]
fn a_message_for_the_history_alone_is_where_it_stands_anyway() {
    // As AWS's guide has it for Mistral.
    let template = Template::parse(
        r#"{"system": "$instruction$", "messages": [{"role": "user", "content": [{"text": "$question$"}]},
            {"role": "assistant", "content": [{"text": " $conversation_history$ "}]}]}"#,
    )
    .expect("valid");
    assert!(!template.places("conversation_history"));
    assert_eq!(template.fill(&values()).before.len(), 1);
}

#[test]
fn what_no_model_can_be_asked_is_found() {
    let nothing = Template::parse("{\"system\": \"$instruction$\"}")
        .expect("valid")
        .fill(&Values::default());
    assert!(nothing.check().is_err());
    let assistant_first =
        Template::parse(r#"{"messages": [{"role": "assistant", "content": "Hello."}]}"#)
            .expect("valid")
            .fill(&values());
    let error = assistant_first.check().expect_err("speaks first");
    assert_eq!(
        error.to_string(),
        format!("{UNUSABLE} (its first message is not the user's)")
    );
}

#[test]
fn an_input_without_a_place_is_a_message_and_one_with_a_place_is_not_repeated() {
    let values = Values {
        question: "asked by the user",
        query: "Q",
        search_results: "R",
        conversation: "C",
        ..Values::default()
    };
    for (template, system, messages) in [
        ("Results: $search_results$", "Results: R", vec!["Q"]),
        (
            "Results: $search_results$ for $query$",
            "",
            vec!["Results: R for Q"],
        ),
        ("Summarise: $conversation$", "", vec!["Summarise: C"]),
    ] {
        let template = Template::parse(template).expect("valid");
        let filled = template.fill(&values);
        assert_eq!(filled.system, system);
        let said: Vec<&str> = filled
            .before
            .iter()
            .map(|(_, text)| text.as_str())
            .collect();
        assert_eq!(said, messages);
    }
    let template = Template::parse("$conversation_history$ $question$").expect("valid");
    assert!(template.places("conversation_history"));
    assert!(!template.places("tools"));
}
