//! Return of control, answered by a person: what to ask, and the `sessionState` made of the answers.
//!
//! Pure but for [`Person`], which a test replaces.

use std::io;

use serde_json::{Map, Value, json};

use super::event::{Parameter, ReturnControl, ReturnedCall, Wanted};
use super::line::{Line, Tone, clean};
use super::render::arguments;

/// Somebody who can be asked.
pub(crate) trait Person {
    /// Shows lines.
    fn tell(&mut self, lines: &[Line]);
    /// Asks for one line; `None` when there is nobody there.
    fn ask(&mut self, question: &str) -> io::Result<Option<String>>;
}

/// Why control could not be handed back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// Nobody there.
    #[error(
        "the agent asks the caller to make a call, and there is nobody to ask (standard input has ended)"
    )]
    Nobody,
    /// Standard input is broken.
    #[error("standard input cannot be read")]
    Input(#[from] io::Error),
}

/// Asks about each call and returns the `sessionState` that answers them all.
pub(crate) fn answer(
    control: &ReturnControl,
    person: &mut impl Person,
) -> Result<Value, ControlError> {
    let mut results = Vec::new();
    for call in &control.invocation_inputs {
        results.push(answer_one(call, person)?);
    }
    Ok(json!({
        "invocationId": control.invocation_id,
        "returnControlInvocationResults": results,
    }))
}

fn answer_one(call: &ReturnedCall, person: &mut impl Person) -> Result<Value, ControlError> {
    person.tell(&[describe(call)]);
    let wanted = match call {
        ReturnedCall::FunctionInvocationInput(call) => call.wanted,
        ReturnedCall::ApiInvocationInput(call) => call.wanted,
    };
    let confirmed = match wanted {
        Wanted::Result => None,
        Wanted::UserConfirmation | Wanted::UserConfirmationAndResult => Some(confirm(person)?),
    };
    let body = match (wanted, confirmed) {
        (Wanted::UserConfirmation, _) | (_, Some(false)) => None,
        (Wanted::Result | Wanted::UserConfirmationAndResult, _) => {
            Some(ask(person, "result (begin with ! to report a failure): ")?)
        }
    };
    Ok(result(call, confirmed, body.as_deref()))
}

fn describe(call: &ReturnedCall) -> Line {
    let (collaborator, target, parameters): (_, String, Vec<&Parameter>) = match call {
        ReturnedCall::FunctionInvocationInput(call) => (
            &call.collaborator_name,
            format!("{}.{}", call.action_group, call.function),
            call.parameters.iter().collect(),
        ),
        ReturnedCall::ApiInvocationInput(call) => (
            &call.collaborator_name,
            format!(
                "{} {} {}",
                call.action_group, call.http_method, call.api_path
            ),
            call.parameters
                .iter()
                .chain(call.request_body.properties())
                .collect(),
        ),
    };
    let text = format!("{target}({})", arguments(parameters.into_iter()));
    let who = match collaborator {
        Some(name) => format!("the collaborator {}", clean(name)),
        None => "the agent".to_owned(),
    };
    Line::new([
        (Tone::Question, &format!("{who} asks you to call ")),
        (Tone::Call, &clean(&text)),
    ])
}

fn ask(person: &mut impl Person, question: &str) -> Result<String, ControlError> {
    person.ask(question)?.ok_or(ControlError::Nobody)
}

fn confirm(person: &mut impl Person) -> Result<bool, ControlError> {
    loop {
        match ask(person, "confirm? [y/n] ")?
            .trim()
            .to_lowercase()
            .as_str()
        {
            "y" | "yes" | "confirm" => return Ok(true),
            "n" | "no" | "deny" => return Ok(false),
            _ => {}
        }
    }
}

fn result(call: &ReturnedCall, confirmed: Option<bool>, body: Option<&str>) -> Value {
    let (member, content_type, agent_id) = match call {
        ReturnedCall::FunctionInvocationInput(call) => ("functionResult", "TEXT", &call.agent_id),
        ReturnedCall::ApiInvocationInput(call) => ("apiResult", "application/json", &call.agent_id),
    };
    let mut result = Map::new();
    let mut set = |key: &str, value: Value| result.insert(key.to_owned(), value);
    match call {
        ReturnedCall::FunctionInvocationInput(call) => {
            set("actionGroup", json!(call.action_group));
            set("function", json!(call.function));
        }
        ReturnedCall::ApiInvocationInput(call) => {
            set("actionGroup", json!(call.action_group));
            set("apiPath", json!(call.api_path));
            set("httpMethod", json!(call.http_method));
        }
    }
    if let Some(agent_id) = agent_id {
        set("agentId", json!(agent_id));
    }
    if let Some(confirmed) = confirmed {
        set(
            "confirmationState",
            json!(if confirmed { "CONFIRM" } else { "DENY" }),
        );
    }
    if let Some(body) = body {
        let (body, failed) = match body.strip_prefix('!') {
            Some(reason) => (reason.trim(), true),
            None => (body.trim(), false),
        };
        set("responseBody", json!({ content_type: { "body": body } }));
        if failed {
            // The model hears it and goes on, which FAILURE would not let it.
            set("responseState", json!("REPROMPT"));
        }
        if member == "apiResult" {
            set("httpStatusCode", json!(if failed { 500 } else { 200 }));
        }
    }
    json!({ member: result })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;

    use serde_json::{Value, json};

    use super::super::event::{Event, ReturnControl};
    use super::super::line::Line;
    use super::{Person, answer};

    struct Script {
        answers: VecDeque<&'static str>,
        told: Vec<String>,
    }

    impl Person for Script {
        fn tell(&mut self, lines: &[Line]) {
            self.told.extend(lines.iter().map(|line| line.paint(false)));
        }

        fn ask(&mut self, question: &str) -> io::Result<Option<String>> {
            self.told.push(question.to_owned());
            Ok(self.answers.pop_front().map(str::to_owned))
        }
    }

    fn control(payload: &Value) -> ReturnControl {
        let Event::ReturnControl(control) =
            Event::decode("returnControl", payload.to_string().as_bytes()).unwrap()
        else {
            panic!("another event");
        };
        control
    }

    fn answered(payload: &Value, answers: &[&'static str]) -> (Result<Value, String>, Vec<String>) {
        let mut script = Script {
            answers: answers.iter().copied().collect(),
            told: Vec::new(),
        };
        let state = answer(&control(payload), &mut script).map_err(|error| error.to_string());
        (state, script.told)
    }

    fn weather(wanted: &str) -> Value {
        json!({"invocationId": "id-1", "invocationInputs": [{"functionInvocationInput": {
            "actionGroup": "weather", "actionInvocationType": wanted, "agentId": "A1B2C3D4E5",
            "function": "today", "parameters": [{"name": "city", "type": "string", "value": "Oslo"}]}}]})
    }

    #[test]
    fn a_result() {
        let (state, told) = answered(&weather("RESULT"), &["rain, 9 C"]);
        assert_eq!(
            state.unwrap(),
            json!({"invocationId": "id-1", "returnControlInvocationResults": [{"functionResult": {
                "actionGroup": "weather", "agentId": "A1B2C3D4E5", "function": "today",
                "responseBody": {"TEXT": {"body": "rain, 9 C"}}}}]})
        );
        assert_eq!(
            told,
            [
                "the agent asks you to call weather.today(city: Oslo)",
                "result (begin with ! to report a failure): "
            ]
        );
    }

    #[test]
    fn a_confirmation_and_its_result() {
        let (state, _) = answered(
            &weather("USER_CONFIRMATION_AND_RESULT"),
            &["perhaps", "Y", "! no such city"],
        );
        assert_eq!(
            state.unwrap()["returnControlInvocationResults"][0]["functionResult"],
            json!({"actionGroup": "weather", "agentId": "A1B2C3D4E5", "confirmationState": "CONFIRM",
                "function": "today", "responseBody": {"TEXT": {"body": "no such city"}},
                "responseState": "REPROMPT"})
        );
        let (state, _) = answered(&weather("USER_CONFIRMATION"), &["n"]);
        assert_eq!(
            state.unwrap()["returnControlInvocationResults"][0]["functionResult"],
            json!({"actionGroup": "weather", "agentId": "A1B2C3D4E5", "confirmationState": "DENY",
                "function": "today"})
        );
    }

    #[test]
    fn an_api_operation() {
        let payload = json!({"invocationId": "id-1", "invocationInputs": [{"apiInvocationInput": {
            "actionGroup": "claims", "actionInvocationType": "RESULT", "apiPath": "/notify",
            "httpMethod": "POST", "parameters": [], "requestBody": {"content": {"application/json":
            {"properties": [{"name": "claimId", "type": "string", "value": "7"}]}}}}}]});
        let (state, told) = answered(&payload, &["{\"sent\": true}"]);
        assert_eq!(
            state.unwrap()["returnControlInvocationResults"][0]["apiResult"],
            json!({"actionGroup": "claims", "apiPath": "/notify", "httpMethod": "POST",
                "httpStatusCode": 200, "responseBody": {"application/json": {"body": "{\"sent\": true}"}}})
        );
        assert_eq!(
            told[0],
            "the agent asks you to call claims POST /notify(claimId: 7)"
        );
    }

    #[test]
    fn a_call_of_a_collaborator() {
        let mut payload = weather("RESULT");
        payload["invocationInputs"][0]["functionInvocationInput"]["collaboratorName"] =
            json!("skies");
        let (state, told) = answered(&payload, &["rain"]);
        assert_eq!(
            told[0],
            "the collaborator skies asks you to call weather.today(city: Oslo)"
        );
        // The agent's id leads the result back to the collaborator.
        let result = &state.unwrap()["returnControlInvocationResults"][0]["functionResult"];
        assert_eq!(result["agentId"], "A1B2C3D4E5");
    }

    #[test]
    fn nobody_there() {
        let (state, _) = answered(&weather("RESULT"), &[]);
        assert!(state.unwrap_err().contains("nobody to ask"));
    }
}
