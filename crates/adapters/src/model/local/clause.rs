//! Splits a request into the single things it asks for, with their conditions.
//!
//! "Where is A-482, and can you cancel it if it hasn't shipped?" asks twice, and the second only
//! under a condition. English only; a text it cannot split stays one goal, which the choice of a
//! tool then takes as a whole.

use super::condition::Condition;
use super::words;

/// The most goals taken of one request, which bounds the calls of a turn.
const GOALS_LIMIT: usize = 6;

/// One thing asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Goal {
    /// The words, condition left out.
    pub(super) text: String,
    /// Under which condition.
    pub(super) condition: Option<Condition>,
}

const ASKING: &[&str] = &[
    "please", "can", "could", "would", "will", "if", "unless", "what", "what's", "where",
    "where's", "when", "who", "how", "which", "why", "is", "are", "do", "does", "did", "has",
    "have", "let", "i'd", "i",
];

const VERBS: &[&str] = &[
    "add",
    "apply",
    "arrange",
    "ask",
    "assign",
    "block",
    "book",
    "buy",
    "calculate",
    "call",
    "cancel",
    "change",
    "charge",
    "check",
    "close",
    "confirm",
    "convert",
    "create",
    "delete",
    "disable",
    "display",
    "email",
    "enable",
    "fetch",
    "file",
    "find",
    "freeze",
    "get",
    "give",
    "increase",
    "reduce",
    "list",
    "lock",
    "look",
    "lower",
    "make",
    "mark",
    "move",
    "notify",
    "open",
    "order",
    "pay",
    "place",
    "play",
    "post",
    "put",
    "raise",
    "register",
    "remind",
    "remove",
    "renew",
    "report",
    "request",
    "reschedule",
    "reserve",
    "return",
    "schedule",
    "search",
    "sell",
    "send",
    "set",
    "show",
    "sign",
    "start",
    "stop",
    "submit",
    "subscribe",
    "switch",
    "tell",
    "track",
    "transfer",
    "translate",
    "turn",
    "unlock",
    "update",
    "upgrade",
    "write",
];

/// Words before "if" that make it mean "whether".
const WHETHER: &[&str] = &[
    "tell",
    "me",
    "check",
    "see",
    "know",
    "ask",
    "out",
    "verify",
    "confirm",
    "sure",
    "wonder",
    "wondering",
];

/// Words that begin a statement about the state of things.
const SUBJECTS: &[&str] = &[
    "my", "the", "i", "i've", "i'm", "it", "it's", "he", "she", "we", "they", "there", "this",
    "that", "these", "our", "his", "her",
];

/// The goals of `text`, in order; at least one.
pub(super) fn goals(text: &str) -> Vec<Goal> {
    let mut clauses = Vec::new();
    for sentence in sentences(text) {
        clauses.extend(split_requests(sentence));
    }
    if clauses.iter().any(|clause| is_request(clause)) && clauses.len() > 1 {
        clauses = join_statements(clauses);
    }
    if clauses.len() > GOALS_LIMIT {
        let rest = clauses.split_off(GOALS_LIMIT - 1).join(" ");
        clauses.push(rest);
    }
    if clauses.is_empty() {
        clauses.push(text.trim().to_owned());
    }
    clauses.iter().map(|clause| goal(clause)).collect()
}

fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, letter) in text.char_indices() {
        let end = at + letter.len_utf8();
        let next = text[end..].chars().next();
        let ends = match letter {
            '?' | '!' | ';' | '\n' => true,
            '.' => next.is_none_or(char::is_whitespace) && !is_abbreviation(&text[start..at]),
            _ => false,
        };
        if ends {
            found.push(text[start..end].trim());
            start = end;
        }
    }
    found.push(text[start..].trim());
    found.retain(|sentence| sentence.chars().any(char::is_alphanumeric));
    found
}

fn is_abbreviation(before: &str) -> bool {
    let last = before
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or_default();
    [
        "dr", "mr", "mrs", "ms", "prof", "st", "no", "nr", "e.g", "i.e",
    ]
    .contains(&last.to_lowercase().as_str())
}

/// Splits at "and", "then" and the like where what follows begins another request.
fn split_requests(sentence: &str) -> Vec<String> {
    let found = words::words(sentence);
    let mut clauses = Vec::new();
    let mut start = 0;
    for (index, word) in found.iter().enumerate().skip(1) {
        if word.start < start || !["and", "then", "also", "but"].contains(&word.text.as_str()) {
            continue;
        }
        let follows = found[index + 1..].iter().find(|next| {
            !["and", "then", "also", "please", "afterwards"].contains(&next.text.as_str())
        });
        let begins = follows.is_some_and(|next| {
            let written = sentence[next.start..]
                .split_whitespace()
                .next()
                .unwrap_or_default();
            let written = written
                .trim_end_matches([',', '?', '.', '!'])
                .to_lowercase();
            ASKING.contains(&written.as_str()) || VERBS.contains(&next.text.as_str())
        });
        // "between two and find" never happens, "if it shipped, then" does: a condition is no request.
        let opened = sentence[start..word.start].trim().to_lowercase();
        let only_condition = opened.starts_with("if ") || opened.starts_with("unless ");
        if begins && !only_condition {
            clauses.push(
                sentence[start..word.start]
                    .trim_end_matches([',', ' '])
                    .trim()
                    .to_owned(),
            );
            start = word.end;
        }
    }
    clauses.push(sentence[start..].trim().to_owned());
    clauses.retain(|clause| clause.chars().any(char::is_alphanumeric));
    clauses
}

/// Whether a clause asks for something, rather than tells something.
pub(super) fn is_request(clause: &str) -> bool {
    let lower = clause.to_lowercase();
    let first = lower.split_whitespace().next().unwrap_or_default();
    let wishes = [
        "want",
        "need",
        "like to",
        "i'd like",
        "please",
        "can you",
        "could you",
        "would you",
        "help me",
    ];
    lower.ends_with('?')
        || wishes.iter().any(|wish| lower.contains(wish))
        || !SUBJECTS.contains(
            &first.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != '\''),
        )
}

/// Statements say more about the request next to them.
fn join_statements(clauses: Vec<String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    let mut waiting = String::new();
    for clause in clauses {
        if is_request(&clause) {
            joined.push(format!("{waiting} {clause}").trim().to_owned());
            waiting.clear();
        } else if let Some(last) = joined.last_mut() {
            last.push(' ');
            last.push_str(&clause);
        } else {
            waiting = format!("{waiting} {clause}");
        }
    }
    joined
}

fn goal(clause: &str) -> Goal {
    let lower = clause.to_ascii_lowercase();
    for opener in ["if ", "unless ", "in case "] {
        if lower.starts_with(opener) {
            return leading(clause, opener.len());
        }
        let Some(at) = lower.find(&format!(" {opener}")) else {
            continue;
        };
        let before = lower[..at]
            .split_whitespace()
            .next_back()
            .unwrap_or_default();
        if WHETHER.contains(&before) || at < 4 {
            continue;
        }
        let end = clause[at..]
            .find([',', '?', '.', '!'])
            .map_or(clause.len(), |end| at + end);
        let text = format!("{}{}", clause[..at].trim_end(), &clause[end..]);
        let condition = clause[at..end].trim().to_owned();
        return Goal {
            text,
            condition: Some(Condition { text: condition }),
        };
    }
    Goal {
        text: clause.to_owned(),
        condition: None,
    }
}

/// "if it is cancelled find flights": the condition ends at a comma, "then", or the verb that asks.
fn leading(clause: &str, opener: usize) -> Goal {
    let comma = clause.find(',').map(|at| (at, at + 1));
    let then = clause
        .to_ascii_lowercase()
        .find(" then ")
        .map(|at| (at, at + 6));
    let verb = words::words(clause)
        .into_iter()
        .skip(3)
        .find(|word| {
            word.start > opener && (VERBS.contains(&word.text.as_str()) || word.text == "please")
        })
        .map(|word| (word.start, word.start));
    let Some((end, start)) = [comma, then, verb].into_iter().flatten().min() else {
        return Goal {
            text: clause.to_owned(),
            condition: None,
        };
    };
    let text = clause[start..].trim().to_owned();
    if text.is_empty() {
        return Goal {
            text: clause.to_owned(),
            condition: None,
        };
    }
    Goal {
        text,
        condition: Some(Condition {
            text: clause[..end].trim().to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(request: &str) -> Vec<(String, Option<String>)> {
        goals(request)
            .into_iter()
            .map(|goal| (goal.text, goal.condition.map(|condition| condition.text)))
            .collect()
    }

    #[test]
    fn a_request_falls_into_its_goals() {
        assert_eq!(
            texts("Where is order A-482, and can you cancel it if it hasn't shipped?"),
            [
                ("Where is order A-482".into(), None),
                (
                    "can you cancel it?".into(),
                    Some("if it hasn't shipped".into())
                )
            ]
        );
        assert_eq!(
            texts("Check order A-1 and if it is late send a mail to Ana."),
            [
                ("Check order A-1".into(), None),
                ("send a mail to Ana.".into(), Some("if it is late".into()))
            ]
        );
        assert_eq!(
            texts("I need Dr. Weber and Dr. Lee on Friday."),
            [("I need Dr. Weber and Dr. Lee on Friday.".into(), None)]
        );
        assert_eq!(
            texts("My order A-1 is late. Please cancel it."),
            [("My order A-1 is late. Please cancel it.".into(), None)]
        );
        assert_eq!(
            texts("Tell me if order A-1 has shipped."),
            [("Tell me if order A-1 has shipped.".into(), None)]
        );
    }
}
