//! JSON text for people: over several lines, its members in the order they have.
//!
//! Works on the text, since a parsed object would give its members in another order.

/// JSON text over several lines, its members in the order they have.
pub(crate) fn pretty(json: &str) -> String {
    let mut text = String::new();
    let mut depth = 0;
    let mut characters = json.chars().peekable();
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    };
    let mut in_string = false;
    while let Some(character) = characters.next() {
        if !in_string && character.is_whitespace() {
            continue;
        }
        text.push(character);
        match character {
            '\\' if in_string => text.extend(characters.next()),
            '"' => in_string = !in_string,
            _ if in_string => {}
            '{' | '[' => {
                while characters.next_if(|next| next.is_whitespace()).is_some() {}
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    line(&mut text, depth);
                }
            }
            ',' => line(&mut text, depth),
            ':' => text.push(' '),
            _ => {}
        }
        if !in_string {
            while characters.next_if(|next| next.is_whitespace()).is_some() {}
        }
        if !in_string
            && characters
                .peek()
                .is_some_and(|next| matches!(next, '}' | ']'))
        {
            depth = depth.saturating_sub(1);
            line(&mut text, depth);
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn pretty_text_is_the_same_json() {
        let value = json!({"a": [], "b": {"c": "x\"{[,:]}\\"}, "d": [1, {"e": {}}], "f": ""});
        let text = pretty(&value.to_string());
        assert_eq!(pretty(&text), text);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert_eq!(text, format!("{value:#}\n"));
    }
}
