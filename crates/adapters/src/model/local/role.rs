//! What a parameter is for, and how well a piece of text suits it by its looks and its neighbours.
//!
//! Judged by names and descriptions alone; the model's opinion is added elsewhere. Scores are in the
//! units of `arguments`: about 3 for a value that looks as it should, none for one that cannot be it.

use super::spans::{self, Look, Span};
use super::tool::{Kind, Parameter};
use super::words;

/// What a parameter holds, as its name and description tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// An e-mail address.
    Email,
    /// A web address.
    Url,
    /// A day.
    Date,
    /// A time of day.
    Time,
    /// A key of some record.
    Identifier,
    /// Prose: a reason, a message, a title.
    Prose,
    /// Anything else, mostly a name or a thing.
    Other,
}

/// Words in a name that make it a key.
const IDENTIFIER_NAMES: &[&str] = &[
    "id",
    "ids",
    "number",
    "no",
    "nr",
    "code",
    "sku",
    "isbn",
    "symbol",
    "ticker",
    "reference",
    "ref",
    "account",
    "card",
    "iban",
    "key",
    "uuid",
];
/// Words in a description that do.
const IDENTIFIER_DESCRIPTIONS: &[&str] = &[
    "id",
    "identifier",
    "symbol",
    "ticker",
    "code",
    "isbn",
    "sku",
];

/// The role of a parameter.
pub(super) fn of(parameter: &Parameter) -> Role {
    let named = words::words(&parameter.spoken);
    let described = words::words(&parameter.description);
    let name = |list: &[&str]| named.iter().any(|word| list.contains(&word.text.as_str()));
    let description = |list: &[&str]| {
        described
            .iter()
            .any(|word| list.contains(&word.text.as_str()))
    };
    if name(&["email", "mail"]) {
        Role::Email
    } else if name(&["url", "link", "website", "uri"]) {
        Role::Url
    } else if name(&[
        "reason",
        "message",
        "comment",
        "note",
        "notes",
        "body",
        "text",
        "title",
        "subject",
        "query",
        "question",
        "summary",
        "details",
        "feedback",
        "description",
        "content",
        "prompt",
        "remark",
        "topic",
    ]) {
        Role::Prose
    } else if name(&[
        "date", "day", "deadline", "birthday", "since", "until", "when", "week",
    ]) {
        Role::Date
    } else if name(&["time", "hour"]) {
        if description(&["date", "day"]) {
            Role::Date
        } else {
            Role::Time
        }
    } else if name(IDENTIFIER_NAMES) || description(IDENTIFIER_DESCRIPTIONS) {
        Role::Identifier
    } else if description(&["date", "day"]) {
        Role::Date
    } else if description(&["number"]) && parameter.kind == Kind::Text {
        Role::Identifier
    } else {
        Role::Other
    }
}

/// How well the looks suit; `None` where it cannot be the value.
pub(super) fn fit(parameter: &Parameter, kind: &Kind, span: &Span) -> Option<f64> {
    let example =
        example(parameter).is_some_and(|example| spans::shape(example) == spans::shape(&span.text));
    let bonus = if example { 2.0 } else { 0.0 };
    if matches!(kind, Kind::Integer | Kind::Number) {
        if !matches!(span.look, Look::Number(_)) {
            return None;
        }
        // "one" is more often a pronoun than a number.
        return Some(if span.text.eq_ignore_ascii_case("one") {
            0.6
        } else {
            2.0
        });
    }
    let shouted = span.text.len() > 1
        && span
            .text
            .chars()
            .all(|letter| letter.is_uppercase() || letter.is_ascii_digit());
    let in_digits = span.text.starts_with(|first: char| first.is_ascii_digit());
    let score = match (of(parameter), span.look) {
        (Role::Email, Look::Email) | (Role::Url, Look::Url) => 5.0,
        (Role::Date, Look::Date) | (Role::Time, Look::Time) | (Role::Prose, Look::Quoted) => 4.0,
        (Role::Prose, Look::Clause) => 3.5,
        (Role::Identifier, Look::Code) | (Role::Other, Look::Quoted | Look::Name) => 3.0,
        (Role::Identifier, Look::Name) if shouted => 2.5,
        (Role::Identifier, Look::Quoted) => 2.0,
        (Role::Identifier, Look::Number(_)) if in_digits => 2.0,
        (Role::Identifier, Look::Name) if example => 1.0,
        (Role::Prose, Look::Name) | (Role::Other, Look::Code) => 1.0,
        (Role::Prose, Look::Phrase) | (Role::Other, Look::Email) => 0.6,
        (Role::Time, Look::Date) => 0.5,
        (Role::Other, Look::Phrase) => 0.2,
        _ => return None,
    };
    Some(score + bonus)
}

/// What the words around a span say for or against a parameter.
pub(super) fn surroundings(parameter: &Parameter, span: &Span) -> f64 {
    let mut score = 0.0;
    let mut own = words::stems(&parameter.spoken);
    own.extend(words::stems(&parameter.description));
    let next_to = span
        .before
        .iter()
        .chain(&span.after)
        .any(|stem| own.contains(stem));
    let inside = words::stems(&span.text)
        .iter()
        .any(|stem| own.contains(stem));
    if next_to {
        score += 2.0;
    } else if inside && matches!(span.look, Look::Phrase | Look::Name) {
        score -= 1.0;
    }
    if span.look == Look::Phrase && span.introduced {
        score += 1.0;
    }
    let Some(preposition) = span.preposition.as_deref() else {
        return score;
    };
    match direction(parameter) {
        Some(wanted) if wanted.contains(&preposition) => score += 2.0,
        Some(_) if ["from", "to"].contains(&preposition) => score -= 2.0,
        Some(_) | None => {}
    }
    score
}

/// The prepositions that lead to the value of a parameter.
fn direction(parameter: &Parameter) -> Option<&'static [&'static str]> {
    const DIRECTIONS: &[(&[&str], &[&str])] = &[
        (
            &[
                "from",
                "origin",
                "source",
                "sender",
                "departure",
                "start",
                "begin",
                "first",
            ],
            &["from", "between"],
        ),
        (
            &[
                "to",
                "destination",
                "target",
                "arrival",
                "end",
                "recipient",
                "assignee",
                "last",
                "until",
            ],
            &["to", "until", "till"],
        ),
        (
            &[
                "city",
                "location",
                "place",
                "country",
                "branch",
                "room",
                "address",
                "restaurant",
                "hotel",
                "store",
            ],
            &["in", "at", "for", "near"],
        ),
        (&["date", "day"], &["on", "for"]),
        (&["time"], &["at", "by"]),
        (
            &["price", "threshold", "limit"],
            &["above", "below", "over", "under", "at"],
        ),
    ];
    let named = words::words(&parameter.spoken);
    let of_name = DIRECTIONS
        .iter()
        .find(|(names, _)| named.iter().any(|word| names.contains(&word.text.as_str())));
    of_name.map(|(_, prepositions)| *prepositions)
}

/// The value that a description gives as an example.
fn example(parameter: &Parameter) -> Option<&str> {
    let description = parameter.description.as_str();
    let at = ["e.g.", "for example", "such as", "example:", "like "]
        .iter()
        .find_map(|word| description.find(word).map(|at| at + word.len()))?;
    let rest = description[at..].trim_start_matches([' ', ',', ':', '"', '\'', '`']);
    let end = rest
        .find([' ', ',', ';', ')', '"', '\'', '`'])
        .unwrap_or(rest.len());
    let example = rest[..end].trim_end_matches('.');
    (!example.is_empty()).then_some(example)
}
