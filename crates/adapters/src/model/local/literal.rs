//! Reads structured values out of tool results: JSON, and the `str()` of a Python dict or list, which
//! is what the usual Lambda handlers answer with.
//!
//! Invariant: a text that is not wholly one such literal gives `None`, never half of it.

use serde_json::{Map, Number, Value};

/// How deep a literal may nest; a tool's answer is foreign input and must not overflow the stack.
const DEPTH_LIMIT: usize = 32;

/// The object or array that `text` spells out, if it does.
pub(super) fn parse(text: &str) -> Option<Value> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    let mut reader = Reader { rest: text };
    let value = reader.value(0)?;
    reader.rest.trim().is_empty().then_some(value)
}

/// The scalar members of a value, with their keys.
pub(super) fn flatten(value: &Value, key: String, facts: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                flatten(member, name.clone(), facts);
            }
        }
        Value::Array(items) => {
            for item in items {
                flatten(item, key.clone(), facts);
            }
        }
        scalar => facts.push((key, scalar.clone())),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_LIMIT {
            return None;
        }
        self.space();
        match self.rest.chars().next()? {
            '{' => self.dict(depth),
            '[' => self.sequence(']', depth),
            '(' => self.sequence(')', depth),
            '\'' | '"' => self.string().map(Value::String),
            _ => self.bare(depth),
        }
    }

    fn dict(&mut self, depth: usize) -> Option<Value> {
        self.take('{')?;
        let mut members = Map::new();
        loop {
            if self.take('}').is_some() {
                return Some(Value::Object(members));
            }
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                other => other.to_string(),
            };
            self.take(':')?;
            members.insert(key, self.value(depth + 1)?);
            if self.take(',').is_none() {
                self.take('}')?;
                return Some(Value::Object(members));
            }
        }
    }

    fn sequence(&mut self, end: char, depth: usize) -> Option<Value> {
        if depth > DEPTH_LIMIT {
            return None;
        }
        self.rest = self.rest.get(1..)?;
        let mut items = Vec::new();
        loop {
            if self.take(end).is_some() {
                return Some(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            if self.take(',').is_none() {
                self.take(end)?;
                return Some(Value::Array(items));
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.rest.chars().next()?;
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => match letters.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    other => text.push(other),
                },
                _ if letter == quote => {
                    self.rest = self.rest.get(at + quote.len_utf8()..)?;
                    return Some(text);
                }
                _ => text.push(letter),
            }
        }
        None
    }

    /// A number, a keyword of either language, or a constructor such as `Decimal('1.5')`.
    fn bare(&mut self, depth: usize) -> Option<Value> {
        let end = self
            .rest
            .find(|letter: char| !(letter.is_alphanumeric() || "_.+-".contains(letter)))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "" => None,
            "None" | "null" => Some(Value::Null),
            "True" | "true" => Some(Value::Bool(true)),
            "False" | "false" => Some(Value::Bool(false)),
            _ if rest.starts_with('(') => self.constructor(word, depth),
            _ => number(word),
        }
    }

    fn constructor(&mut self, name: &str, depth: usize) -> Option<Value> {
        let Value::Array(arguments) = self.sequence(')', depth + 1)? else {
            return None;
        };
        match (name, arguments.as_slice()) {
            ("Decimal", [Value::String(digits)]) => number(digits),
            (_, parts) => {
                let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                Some(Value::String(parts.join("-")))
            }
        }
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        self.space();
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

fn number(word: &str) -> Option<Value> {
    if let Ok(whole) = word.parse::<i64>() {
        return Some(Value::Number(whole.into()));
    }
    word.parse()
        .ok()
        .and_then(Number::from_f64)
        .map(Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;

    #[test]
    fn python_and_json_literals_are_read() {
        let python =
            "{'order_id': 'A-482', 'eta': None, 'paid': True, 'n': [1, 2.5], 'it': \"it's\"}";
        let expected =
            json!({"order_id": "A-482", "eta": null, "paid": true, "n": [1, 2.5], "it": "it's"});
        assert_eq!(parse(python), Some(expected));
        assert_eq!(parse("{\"a\": 1}"), Some(json!({"a": 1})));
        assert_eq!(parse("{'p': Decimal('1.50')}"), Some(json!({"p": 1.5})));
    }

    #[test]
    fn other_texts_are_left_alone() {
        for text in ["shipped", "{'a': 1} and more", "{'a'", "[1,", "{'a': }", ""] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"[".repeat(10_000)), None);
    }
}
