//! Python's words: names that are none of its own, texts that end where they should.

use serde_json::Value;

const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// Text inside a docstring or a comment: on one line, unable to end it.
pub(super) fn doc(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .join(" ")
        .chars()
        .filter(|character| !character.is_control())
        .map(|character| match character {
            '"' => '\'',
            '\\' => '/',
            other => other,
        })
        .collect()
}

/// A Python string.
pub(super) fn literal(text: &str) -> String {
    // JSON's escapes are Python's, but for the characters beyond 16 bits, which stay as they are.
    Value::from(text).to_string()
}

/// A JSON value as Python writes it.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => literal(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(self::value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members = members.iter();
            let members: Vec<String> = members
                .map(|(name, member)| format!("{}: {}", literal(name), self::value(member)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// Whether a text may stand as a name.
pub(super) fn is_identifier(text: &str) -> bool {
    let mut characters = text.chars();
    let begins = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    begins
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
        && !KEYWORDS.contains(&text)
}

/// A name near to `text` that is not taken yet; takes it.
pub(super) fn identifier(text: &str, taken: &mut Vec<String>) -> String {
    let mut name = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() || (character == '_' && !name.is_empty()) {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_end_matches('_');
    let name = if is_identifier(name) {
        name.to_owned()
    } else {
        format!("do_{name}")
    };
    free(&name, taken)
}

/// `get_order-status` as `GetOrderStatus`; takes it.
pub(super) fn class(parts: &[&str], taken: &mut Vec<String>) -> String {
    let words = parts
        .iter()
        .flat_map(|part| part.split(|character: char| !character.is_ascii_alphanumeric()));
    let mut name = String::new();
    for word in words {
        let mut characters = word.chars();
        name.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        name.extend(characters);
    }
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        name.insert_str(0, "Do");
    }
    free(&name, taken)
}

fn free(name: &str, taken: &mut Vec<String>) -> String {
    let mut free = name.to_owned();
    let mut number = 2;
    while taken.contains(&free) {
        free = format!("{name}_{number}");
        number += 1;
    }
    taken.push(free.clone());
    free
}

/// Text as part of a file's name: no separators, no dots to climb by, nothing a shell expands.
pub(crate) fn file_name(text: &str) -> String {
    let kept: String = text
        .chars()
        .map(|character| {
            let fits = character.is_ascii_alphanumeric() || character == '_' || character == '-';
            if fits { character } else { '-' }
        })
        .take(100)
        .collect();
    let trimmed = kept.trim_matches('-');
    if trimmed.is_empty() {
        "unnamed".to_owned()
    } else {
        trimmed.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let mut taken = vec!["json".to_owned()];
        let mut name = |text: &str| identifier(text, &mut taken);
        assert_eq!(name("get_order-status"), "get_order_status");
        assert_eq!(name("get_order status"), "get_order_status_2");
        assert_eq!(name("class"), "do_class");
        assert_eq!(name("7days"), "do_7days");
        assert_eq!(name("json"), "json_2");
        assert_eq!(name("{}"), "do_");
        let mut taken = Vec::new();
        assert_eq!(
            class(&["get_order-status", "Arguments"], &mut taken),
            "GetOrderStatusArguments"
        );
        assert_eq!(class(&["7", "Arguments"], &mut taken), "Do7Arguments");
    }

    #[test]
    fn texts_cannot_get_out() {
        assert_eq!(doc("a \"\"\" \n b\\"), "a ''' b/");
        assert_eq!(literal("a\"\n"), r#""a\"\n""#);
        assert_eq!(file_name("../../etc"), "etc");
    }
}
