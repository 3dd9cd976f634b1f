//! Texts of completion models, cut into what each speaker says (behaviour.md 4.3).
//!
//! Claude 2's form has `Human:` and `Assistant:` behind a blank line; Titan's has `System:`, `User:`
//! and `Bot:` at the beginning of a line. Speakers in an indented or run-on example are left alone.

use outcrop_model::converse::ConversationRole;

/// A cut text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Transcript {
    /// What stands before the first speaker, or what `System:` says.
    pub system: String,
    /// What the others say, in order.
    pub messages: Vec<(ConversationRole, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    System,
    Human,
    User,
    Assistant,
    Bot,
}

const SPEAKERS: [(&str, Speaker); 5] = [
    ("System:", Speaker::System),
    ("Human:", Speaker::Human),
    ("User:", Speaker::User),
    ("Assistant:", Speaker::Assistant),
    ("Bot:", Speaker::Bot),
];

/// The speakers of `text` and what they say; `None` where it has none.
pub(super) fn cut(text: &str) -> Option<Transcript> {
    let mut parts: Vec<(Speaker, String)> = vec![(Speaker::System, String::new())];
    let mut after_blank = true;
    for line in text.split_inclusive('\n') {
        let (speaker, said) = speaker_of(line, after_blank);
        after_blank = line.trim().is_empty();
        if let Some(speaker) = speaker {
            parts.push((speaker, String::new()));
        }
        if let Some((_, out)) = parts.last_mut() {
            out.push_str(said);
        }
    }
    if !is_transcript(&parts) {
        return None;
    }
    let mut transcript = Transcript {
        system: String::new(),
        messages: Vec::new(),
    };
    for (speaker, said) in parts {
        let said = said.trim();
        let role = match speaker {
            Speaker::System => {
                if !transcript.system.is_empty() && !said.is_empty() {
                    transcript.system.push_str("\n\n");
                }
                transcript.system.push_str(said);
                continue;
            }
            Speaker::Human | Speaker::User => ConversationRole::User,
            Speaker::Assistant | Speaker::Bot => ConversationRole::Assistant,
        };
        if !said.is_empty() {
            transcript.messages.push((role, said.to_owned()));
        }
    }
    Some(transcript)
}

fn speaker_of(line: &str, after_blank: bool) -> (Option<Speaker>, &str) {
    for (marker, speaker) in SPEAKERS {
        let stands = match speaker {
            Speaker::Human | Speaker::Assistant => after_blank.then(|| line.trim_start()),
            Speaker::System | Speaker::User | Speaker::Bot => Some(line),
        };
        if let Some(said) = stands.and_then(|line| line.strip_prefix(marker)) {
            return (Some(speaker), said);
        }
    }
    (None, line)
}

/// A text that merely mentions a speaker is none: the one who asks must be followed by the one who
/// answers, or the text must begin with `System:`.
fn is_transcript(parts: &[(Speaker, String)]) -> bool {
    let asks = |speaker| matches!(speaker, Speaker::Human | Speaker::User);
    let first_asks = parts.iter().position(|(speaker, _)| asks(*speaker));
    let Some(first_asks) = first_asks else {
        return false;
    };
    let answered = parts
        .iter()
        .skip(first_asks)
        .any(|(speaker, _)| matches!(speaker, Speaker::Assistant | Speaker::Bot));
    let begins_with_system = match parts {
        [(_, before), (Speaker::System, _), ..] => before.trim().is_empty(),
        _ => false,
    };
    answered || begins_with_system
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_completion_models_are_cut() {
        let claude = cut(
            "\n\nHuman: You help.\n$functions$\n\n<q>$question$</q>\n\nAssistant: Well, $agent_scratchpad$",
        );
        assert_eq!(
            claude,
            Some(Transcript {
                system: String::new(),
                messages: vec![
                    (
                        ConversationRole::User,
                        "You help.\n$functions$\n\n<q>$question$</q>".to_owned()
                    ),
                    (
                        ConversationRole::Assistant,
                        "Well, $agent_scratchpad$".to_owned()
                    ),
                ]
            })
        );
        let titan = cut("System: Be brief.\nUser: $question$\nThought: $thought$");
        assert_eq!(
            titan,
            Some(Transcript {
                system: "Be brief.".to_owned(),
                messages: vec![(
                    ConversationRole::User,
                    "$question$\nThought: $thought$".to_owned()
                )]
            })
        );
        let leading = cut("$instruction$\n\nHuman: $question$\n\nAssistant:").expect("cut");
        assert_eq!(leading.system, "$instruction$");
        assert_eq!(leading.messages.len(), 1);
    }

    #[test]
    fn a_text_that_mentions_speakers_is_left_alone() {
        for text in [
            "You are a pirate. $instruction$",
            "Answer like this:\n  Human: hi\n  Assistant: ahoy\n",
            "\n\nHuman: only a question",
            "Human and Assistant: two words",
            "",
        ] {
            assert_eq!(cut(text), None, "{text}");
        }
    }
}
