//! What a call of a function gave, as text.
//!
//! The reply is what a script wants and goes to standard output; all that is said about it goes to
//! standard error.

use std::fmt::Write as _;

use serde_json::Value;

/// A member's text; empty where there is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Whether a turn would end with this reply.
pub(super) fn is_refused(reply: &Value) -> bool {
    reply["verdict"]["kind"] == "refused"
}

/// JSON over several lines; anything else as it is.
pub(super) fn pretty(payload: &str) -> String {
    match serde_json::from_str::<Value>(payload) {
        Ok(_) => crate::cli::json_text::pretty(payload).trim_end().to_owned(),
        Err(_) => payload.to_owned(),
    }
}

/// Shows a reply.
pub(super) fn reply(reply: &Value) {
    let payload = text(&reply["payload"]);
    if !payload.is_empty() {
        println!("{}", pretty(payload));
    }
    eprint!("{}", about(reply));
}

/// What is to be said about a reply: the log, how long it took, and what a turn would make of it.
fn about(reply: &Value) -> String {
    let mut out = String::new();
    let log = text(&reply["logTail"]).trim_end();
    if !log.is_empty() {
        let _ = writeln!(out, "log:\n{}", indented(log));
    }
    let duration = reply["durationMs"].as_f64().unwrap_or_default();
    let _ = writeln!(out, "took {duration:.1} ms");
    let verdict = &reply["verdict"];
    match text(&verdict["kind"]) {
        "accepted" => {
            let how = match (&verdict["reprompt"], &verdict["clientError"]) {
                (Value::Bool(true), _) => "asked to correct itself, the model would read",
                (_, Value::Bool(true)) => "told of an error, the model would read",
                _ => "the model would read",
            };
            let _ = writeln!(
                out,
                "the reply keeps the contract; {how}:\n{}",
                indented(text(&verdict["text"]))
            );
        }
        "refused" => {
            let _ = writeln!(out, "refused: {}", text(&verdict["message"]));
            let detail = text(&verdict["detail"]);
            if !detail.is_empty() {
                let _ = writeln!(out, "  {detail}");
            }
        }
        _ => {
            let _ = writeln!(
                out,
                "the event is no call of an action group, so that the reply was not checked"
            );
        }
    }
    out
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

/// A table of functions.
pub(super) fn functions(answer: &Value) -> String {
    let registered = answer["functions"].as_object().into_iter().flatten();
    let rows: Vec<[String; 3]> = registered
        .map(|(name, function)| {
            [
                name.clone(),
                text(&function["runtime"]).to_owned(),
                format!(
                    "{} in {}",
                    text(&function["handler"]),
                    text(&function["code"])
                ),
            ]
        })
        .collect();
    let configured = answer["configured"].as_array().into_iter().flatten();
    let configured = configured.map(|function| {
        let handler = text(&function["handler"]);
        let place = ["code", "url", "endpoint"].map(|member| text(&function[member]));
        let place = place.into_iter().find(|place| !place.is_empty());
        let what = match (handler, place) {
            ("", place) => place.unwrap_or_default().to_owned(),
            (handler, place) => format!("{handler} in {}", place.unwrap_or_default()),
        };
        [
            text(&function["match"]).to_owned(),
            text(&function["runtime"]).to_owned(),
            what,
        ]
    });
    let rows: Vec<[String; 3]> = rows.into_iter().chain(configured).collect();
    if rows.is_empty() {
        return "no functions\n".to_owned();
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let (first, second) = (width(0), width(1));
    rows.iter().fold(String::new(), |mut out, [a, b, c]| {
        let _ = writeln!(out, "{a:first$}  {b:second$}  {c}");
        out
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_of_a_reply() {
        expect![[r"
            log:
              looking up A-482
            took 3.2 ms
            the reply keeps the contract; the model would read:
              shipped
        "]]
        .assert_eq(&about(&json!({
            "payload": "{}", "logTail": "looking up A-482\n", "durationMs": 3.21,
            "verdict": {"kind": "accepted", "text": "shipped", "reprompt": false, "clientError": false}
        })));
        expect![[r#"
            took 0.4 ms
            refused: The server encountered an error processing the Lambda response.
              messageVersion: expected "1.0", got nothing
        "#]]
        .assert_eq(&about(&json!({
            "payload": "{}", "durationMs": 0.4,
            "verdict": {
                "kind": "refused",
                "message": "The server encountered an error processing the Lambda response.",
                "detail": "messageVersion: expected \"1.0\", got nothing"
            }
        })));
    }

    #[test]
    fn functions_in_columns() {
        let answer = json!({"functions": {
            "order-tools": {"runtime": "python", "handler": "app.handle", "code": "/srv/orders"},
            "tax": {"runtime": "python", "handler": "tax.handle", "code": "/srv/tax"}
        }});
        expect![[r"
            order-tools  python  app.handle in /srv/orders
            tax          python  tax.handle in /srv/tax
        "]]
        .assert_eq(&functions(&answer));
        assert_eq!(functions(&json!({"functions": {}})), "no functions\n");
    }
}
