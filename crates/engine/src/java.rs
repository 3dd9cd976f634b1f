//! Java's `toString` of collections, which AWS uses where it turns structured values into strings.
//!
//! Array and object arguments reach Lambda handlers and return-of-control callers in this form
//! (behaviour.md 1.2), and so do the messages in `modelInvocationInput.text`. Handlers written for
//! AWS parse it, so it is kept although JSON would be kinder.

use std::fmt::Write as _;

use serde_json::Value;

/// `value` as Java's collections print it: strings bare, lists `[a, b]`, maps `{k=v, k2=v2}`.
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// Appends [`to_string`] of `value` to `out`.
pub fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                out.push_str(name);
                out.push('=');
                write_value(out, member);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_string;

    #[test]
    fn prints_what_aws_was_seen_to_print() {
        for (value, expected) in [
            (json!(17), "17"),
            (json!(true), "true"),
            (json!("plain text"), "plain text"),
            (json!(["photo", "invoice"]), "[photo, invoice]"),
            (
                json!([{"id": "AccidentImages", "requirement": "Please upload"}]),
                "[{id=AccidentImages, requirement=Please upload}]",
            ),
            (
                json!({"a": null, "b": [1.5, false]}),
                "{a=null, b=[1.5, false]}",
            ),
        ] {
            assert_eq!(to_string(&value), expected);
        }
    }
}
