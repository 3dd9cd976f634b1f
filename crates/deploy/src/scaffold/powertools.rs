//! Handlers on Powertools for AWS Lambda: its resolvers dispatch and make the replies, the types of
//! `actions.py` read the arguments, which Powertools leaves as text where they are lists or objects.

use std::fmt::Write as _;

use super::python::literal;
use super::types::Shaped;
use super::{OperationKind, ScaffoldError, Uses, plain};

/// The newest that was tried.
pub(super) const REQUIREMENTS: &str = "aws-lambda-powertools==3.37.0\n";

/// That a resolver can serve all operations.
pub(super) fn check(uses: &Uses) -> Result<(), ScaffoldError> {
    let operations: Vec<_> = uses.operations.iter().collect();
    let is_function = |kind: &OperationKind| matches!(kind, OperationKind::Function { .. });
    let functions = operations
        .iter()
        .filter(|(_, operation)| is_function(&operation.kind))
        .count();
    if functions != 0 && functions != operations.len() {
        return Err(ScaffoldError::MixedKinds);
    }
    for (index, ((group, key), _)) in operations.iter().enumerate() {
        let before = operations.iter().take(index);
        let mut same = before.filter(|((_, known), _)| known == key);
        if let Some(((first, _), _)) = same.next() {
            return Err(ScaffoldError::SameKey {
                key: key.clone(),
                first: first.clone(),
                second: group.clone(),
            });
        }
    }
    Ok(())
}

/// The file of types.
pub(super) fn actions(shaped: &Shaped<'_>) -> String {
    format!("{}{}", plain::head(shaped), plain::types(shaped))
}

/// The file of the work.
pub(super) fn handler(name: &str, uses: &Uses, shaped: &Shaped<'_>) -> String {
    let takes_functions = shaped
        .operations
        .first()
        .is_none_or(|one| matches!(one.operation.kind, OperationKind::Function { .. }));
    let mut text = plain::introduction(name);
    let classes: Vec<&str> = shaped
        .operations
        .iter()
        .map(|operation| operation.class.as_str())
        .collect();
    if takes_functions {
        let _ = write!(
            text,
            "\nfrom aws_lambda_powertools.event_handler import BedrockAgentFunctionResolver\n\n\
             {}\n\napp = BedrockAgentFunctionResolver()\n",
            imports(&classes, false)
        );
    } else {
        let _ = write!(
            text,
            "\nimport json\n\n\
             from aws_lambda_powertools.event_handler import BedrockAgentResolver, Response\n\n\
             {}\n\n\
             # The types of actions.py validate, so that pydantic is not needed.\n\
             app = BedrockAgentResolver(enable_validation=False)\n\n\n\
             @app.exception_handler(ArgumentError)\n\
             def wrong_argument(error):\n    \
             return Response(400, \"application/json\", json.dumps(str(error)))\n",
            imports(&classes, true)
        );
    }
    for operation in &shaped.operations {
        let _ = write!(
            text,
            "\n\n{}\ndef {}():\n    \"\"\"{}\"\"\"\n    arguments = {}.read(Given(app.current_event.raw_event))\n    return {}\n",
            route(&operation.operation.kind),
            operation.function,
            plain::docstring(operation),
            operation.class,
            plain::stub(operation)
        );
    }
    text.push_str("\n\ndef handle(event, context):\n");
    text.push_str(&plain::other_calls(uses));
    text.push_str("    return app.resolve(event, context)\n");
    text
}

fn imports(classes: &[&str], with_error: bool) -> String {
    let mut names = classes.to_vec();
    names.push("Given");
    if with_error {
        names.push("ArgumentError");
    }
    names.sort_by_key(|name| name.to_lowercase());
    let lines: Vec<String> = names.iter().map(|name| format!("    {name},\n")).collect();
    format!("from actions import (\n{})\n", lines.concat())
}

fn route(kind: &OperationKind) -> String {
    match kind {
        OperationKind::Function { name } => format!("@app.tool(name={})", literal(name)),
        OperationKind::Api { path, method } => {
            // A rule is a regular expression, and the event has the path's template as it is.
            format!(
                "@app.route({}, method={})",
                literal(&escaped(path)),
                literal(method)
            )
        }
    }
}

fn escaped(path: &str) -> String {
    let mut out = String::new();
    for character in path.chars() {
        if ".+*?()[]|^$\\{}".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}
