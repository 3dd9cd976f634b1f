//! AWS names as Rust names.

/// Words that need a trailing underscore as a Rust identifier.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe",
    "unsized", "use", "virtual", "where", "while", "yield",
];

/// `agentId` → `agent_id`, `type` → `type_`.
pub(super) fn field(name: &str) -> String {
    let mut field = snake(name);
    if KEYWORDS.contains(&field.as_str()) {
        field.push('_');
    }
    field
}

/// `CreateAgent` → `CREATE_AGENT`.
pub(super) fn constant(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

/// `returnControl` → `ReturnControl`.
pub(super) fn type_name(name: &str) -> String {
    capitalise(name)
}

/// `RETURN_CONTROL` → `ReturnControl`, `AMAZON.UserInput` → `AmazonUserInput`, `5m` → `V5m`.
pub(super) fn variant(value: &str) -> String {
    let mut variant = String::new();
    for word in value.split(|c: char| !c.is_ascii_alphanumeric()) {
        if word.chars().any(|c| c.is_ascii_lowercase()) {
            variant.push_str(&capitalise(word));
        } else {
            variant.push_str(&capitalise(&word.to_ascii_lowercase()));
        }
    }
    if !variant.starts_with(|c: char| c.is_ascii_alphabetic()) {
        variant.insert(0, 'V');
    }
    if variant == "Self" {
        variant.push('_');
    }
    variant
}

fn capitalise(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + chars.as_str()
    })
}

/// Splits before an upper-case letter that follows a lower-case letter or digit, or that begins a
/// word after an acronym.
fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 8);
    for (i, &c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            let after_word = !chars[i - 1].is_ascii_uppercase() && chars[i - 1] != '_';
            let ends_acronym = chars[i - 1].is_ascii_uppercase()
                && chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
            if after_word || ends_acronym {
                snake.push('_');
            }
        }
        snake.push(if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        });
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_like_rust() {
        for (name, expected) in [
            ("agentId", "agent_id"),
            ("type", "type_"),
            ("s3BucketName", "s3_bucket_name"),
            ("sourceARN", "source_arn"),
            ("URLPattern", "url_pattern"),
            ("topK", "top_k"),
        ] {
            assert_eq!(field(name), expected);
        }
        for (value, expected) in [
            ("PRE_PROCESSING", "PreProcessing"),
            ("AMAZON.UserInput", "AmazonUserInput"),
            ("ANTHROPIC.TextEditor", "AnthropicTextEditor"),
            ("end_turn", "EndTurn"),
            ("5m", "V5m"),
            ("x-aac", "XAac"),
            ("S3", "S3"),
            ("SELF", "Self_"),
            ("NotPrepared", "NotPrepared"),
        ] {
            assert_eq!(variant(value), expected);
        }
        assert_eq!(constant("CreateAgent"), "CREATE_AGENT");
    }
}
