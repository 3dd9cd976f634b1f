//! One operation of a document: what the model reads of it, and what a call of it carries.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Reader, operation, schema};
use crate::action::call::ApiBody;
use crate::action::{Action, ActionParameter, ActionTarget, SchemaError, tool_name};

/// What a body is called that has no properties of its own.
const WHOLE_BODY: &str = "body";
/// How the user's consent is asked for (behaviour.md 2.1).
const CONFIRMATION: &str = "x-requireConfirmation";

impl<'a> Reader<'a> {
    pub(super) fn action(
        &mut self,
        path: &str,
        method: &str,
        operation: &'a Value,
        item: &'a Map<String, Value>,
    ) -> Option<Action> {
        let place = format!("paths.'{path}'({method})");
        let Some(operation) = operation.as_object() else {
            self.wrong(format!("attribute {place} is not of type `object`"));
            return None;
        };
        let operation_id = self.operation_id(&place, path, method, operation);
        let description = self.description(path, operation, &operation_id);
        self.check_responses(&place, operation);
        let described = self.described(&place, operation, item);
        let mut parameters: Vec<ActionParameter> = Vec::new();
        for (name, parameter) in &described {
            let place = format!("{place}.parameters.[{name}]");
            parameters.push(self.parameter(&place, name, parameter));
        }
        self.add_undeclared(path, &described, &mut parameters);
        let body = self.body(&place, method, operation, &mut parameters);
        let requires_confirmation = self.confirmation(&place, operation);
        if operation_id.contains("__") {
            let name = operation_id.clone();
            self.reading
                .names
                .push(SchemaError::DoubleUnderscore { name });
        }
        let verb = method.to_ascii_uppercase();
        let parts = [verb.as_str(), self.action_group, &operation_id];
        let tool_name = tool_name::checked(&parts).unwrap_or_else(|unfit| {
            self.reading.names.push(SchemaError::ToolName {
                name: unfit.whole.clone(),
            });
            unfit.shortened()
        });
        Some(Action {
            tool_name,
            action_group: self.action_group.to_owned(),
            description: Some(description),
            target: ActionTarget::Api {
                path: path.to_owned(),
                method: verb,
                body_media_type: body.as_ref().map(|body| body.media_type.clone()),
            },
            executor: self.executor.clone(),
            requires_confirmation,
            computer_use: false,
            typed_arguments: false,
            parameters,
            operation: Some(Arc::new(operation::read(
                &operation_id,
                described.into_iter().map(|(_, parameter)| parameter),
                body,
            ))),
        })
    }

    fn operation_id(
        &mut self,
        place: &str,
        path: &str,
        method: &str,
        operation: &Map<String, Value>,
    ) -> String {
        if let Some(id) = operation.get("operationId").and_then(Value::as_str) {
            if self.operation_ids.iter().any(|known| known == id) {
                self.unlike_aws(
                    format!("attribute {place}.operationId is repeated"),
                    "methods tell the operations apart",
                );
            }
            self.operation_ids.push(id.to_owned());
            return id.to_owned();
        }
        let words: Vec<&str> = path
            .split(|character: char| !character.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let id = format!("{method}_{}", words.join("_"));
        self.lacks(
            &format!("{place}.operationId"),
            &format!("it is called {id}"),
        );
        id
    }

    fn description(
        &mut self,
        path: &str,
        operation: &Map<String, Value>,
        operation_id: &str,
    ) -> String {
        if let Some(description) = text(operation, "description") {
            return description.to_owned();
        }
        let summary = text(operation, "summary");
        self.unlike_aws(
            format!("'description' is missing for path: {path}"),
            match summary {
                Some(_) => "its summary serves as description",
                None => "its operation id serves as description",
            },
        );
        summary.unwrap_or(operation_id).to_owned()
    }

    fn confirmation(&mut self, place: &str, operation: &Map<String, Value>) -> bool {
        let given = match operation.get(CONFIRMATION) {
            None => return false,
            Some(Value::Bool(flag)) => {
                let instead = if *flag { "ENABLED" } else { "DISABLED" };
                self.unlike_aws(
                    format!(
                        "attribute {place}.{CONFIRMATION} is {flag}, expected ENABLED or DISABLED"
                    ),
                    &format!("it is read as {instead}"),
                );
                return *flag;
            }
            Some(given) => given,
        };
        let is = |state: &str| {
            given
                .as_str()
                .is_some_and(|text| text.eq_ignore_ascii_case(state))
        };
        // Misread, an action would run that the user should have been asked about.
        if !is("ENABLED") && !is("DISABLED") {
            self.wrong(format!(
                "attribute {place}.{CONFIRMATION} is {given}, expected ENABLED or DISABLED"
            ));
        }
        is("ENABLED")
    }

    /// The parameters by name, references followed. The operation's own override the path's.
    fn described(
        &mut self,
        place: &str,
        operation: &'a Map<String, Value>,
        item: &'a Map<String, Value>,
    ) -> Vec<(&'a str, &'a Map<String, Value>)> {
        let mut out: Vec<(&str, &Map<String, Value>)> = Vec::new();
        for holder in [operation, item] {
            let listed = match holder.get("parameters") {
                None | Some(Value::Null) => continue,
                Some(Value::Array(listed)) => listed,
                Some(_) => {
                    self.wrong(format!(
                        "attribute {place}.parameters is not of type `array`"
                    ));
                    continue;
                }
            };
            for parameter in listed {
                let Some(parameter) = self.follow(parameter) else {
                    continue;
                };
                let Some(parameter) = parameter.as_object() else {
                    self.wrong(format!(
                        "attribute {place}.parameters holds what is no object"
                    ));
                    continue;
                };
                let Some(name) = parameter.get("name").and_then(Value::as_str) else {
                    self.missing(&format!("{place}.parameters.['unknown'].name"));
                    continue;
                };
                // One argument of the model's serves all places of its name.
                if !out.iter().any(|(known, _)| *known == name) {
                    out.push((name, parameter));
                }
            }
        }
        out
    }

    fn parameter(
        &mut self,
        place: &str,
        name: &str,
        parameter: &'a Map<String, Value>,
    ) -> ActionParameter {
        let location = parameter.get("in").and_then(Value::as_str);
        match location {
            Some("path" | "query" | "header") => {}
            Some("cookie") => self.unlike_aws(
                format!("attribute {place}.in is cookie, which an agent cannot send"),
                "it is passed on like the other parameters",
            ),
            Some(other) => self.wrong(format!(
                "attribute {place}.in is {other}, expected path, query, header or cookie"
            )),
            None => self.lacks(&format!("{place}.in"), "it is passed on like the others"),
        }
        let description = text(parameter, "description");
        if description.is_none() {
            self.lacks(
                &format!("{place}.description"),
                "its name has to say it all",
            );
        }
        let content = parameter.get("content").and_then(Value::as_object);
        let described = parameter
            .get("schema")
            .or_else(|| content?.values().next()?.get("schema"));
        let mut schema = match described {
            Some(described) => schema::simplified(self.schema(described)),
            None => Map::new(),
        };
        if let Some(text) = description {
            schema.insert("description".to_owned(), Value::from(text));
        }
        let required = location == Some("path")
            || parameter.get("required").and_then(Value::as_bool) == Some(true);
        self.parameter_of(place, name, schema, required)
    }

    /// A parameter that the path's template names and nobody describes is text.
    fn add_undeclared(
        &mut self,
        path: &str,
        described: &[(&str, &Map<String, Value>)],
        parameters: &mut Vec<ActionParameter>,
    ) {
        let holes = path
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}'));
        for (name, _) in holes {
            let is_described = |(known, parameter): &(&str, &Map<String, Value>)| {
                *known == name && parameter.get("in").is_none_or(|place| place == "path")
            };
            if name.is_empty() || described.iter().any(is_described) {
                continue;
            }
            self.unlike_aws(
                format!(
                    "attribute paths.'{path}'. Declared path parameter {name} needs to be defined as a path or operation level parameter"
                ),
                "it is a required parameter of type string",
            );
            let known = parameters.iter_mut().find(|known| known.name == name);
            if let Some(known) = known {
                known.required = true;
                continue;
            }
            let text = Map::from_iter([("type".to_owned(), Value::from("string"))]);
            let parameter = self.parameter_of(path, name, text, true);
            parameters.push(parameter);
        }
    }

    fn check_responses(&mut self, place: &str, operation: &'a Map<String, Value>) {
        let Some(responses) = operation.get("responses").and_then(Value::as_object) else {
            return self.missing(&format!("{place}.responses"));
        };
        for (status, response) in responses {
            let described = self
                .object(response)
                .and_then(|response| response.get("description"));
            if described.is_none_or(|text| !text.is_string()) && !status.starts_with("x-") {
                self.lacks(
                    &format!("{place}.responses.{status}.description"),
                    "the model is not told of responses",
                );
            }
        }
    }

    /// Adds the body's properties as parameters and gives its form.
    fn body(
        &mut self,
        place: &str,
        method: &str,
        operation: &'a Map<String, Value>,
        parameters: &mut Vec<ActionParameter>,
    ) -> Option<ApiBody> {
        let place = format!("{place}.requestBody");
        let body = self.object(operation.get("requestBody")?)?;
        if matches!(method, "get" | "delete") {
            self.unlike_aws(
                format!("attribute {place} is unsupported"),
                "it is sent all the same",
            );
        }
        let content = body.get("content").and_then(Value::as_object);
        let Some((media_type, media)) = content.and_then(preferred) else {
            self.missing(&format!("{place}.content"));
            return None;
        };
        let schema = match media.get("schema") {
            Some(described) => schema::simplified(self.schema(described)),
            None => Map::new(),
        };
        let body_required = body.get("required").and_then(Value::as_bool) == Some(true);
        let properties = schema::properties(&schema);
        let is_whole = properties.is_none();
        let properties =
            properties.unwrap_or_else(|| vec![(WHOLE_BODY.to_owned(), schema, body_required)]);
        for (name, property, required) in properties {
            let parameter = self.parameter_of(&place, &name, property, required);
            self.add_property(&place, parameter, parameters);
        }
        Some(ApiBody {
            media_type: media_type.clone(),
            is_whole,
        })
    }

    /// A property that is called like a parameter is the same thing, said twice, as in `PUT
    /// /orders/{id}` with an order that has an `id`: the model gives it once, and it goes to both
    /// places. With another type it cannot be the same.
    fn add_property(
        &mut self,
        place: &str,
        property: ActionParameter,
        parameters: &mut Vec<ActionParameter>,
    ) {
        let known = parameters
            .iter_mut()
            .find(|known| known.name == property.name);
        match known {
            None => parameters.push(ActionParameter {
                in_body: true,
                ..property
            }),
            Some(known) if known.type_ == property.type_ => {
                known.also_in_body = true;
                known.required |= property.required;
            }
            Some(known) => {
                let (here, there) = (property.type_.as_str(), known.type_.as_str());
                self.wrong(format!(
                    "attribute {place} property {} of type {here} has the name of a parameter of type {there}",
                    property.name
                ));
            }
        }
    }

    fn parameter_of(
        &mut self,
        place: &str,
        name: &str,
        mut schema: Map<String, Value>,
        required: bool,
    ) -> ActionParameter {
        let kind = schema::kind_of(&schema);
        if let Some(unknown) = &kind.unknown {
            self.unlike_aws(
                format!(
                    "attribute {place} type of {name} is {unknown}, expected string, number, integer, boolean, array or object"
                ),
                &format!("it is read as {}", kind.type_.as_str()),
            );
        }
        schema::complete(&mut schema, &kind);
        ActionParameter {
            name: name.to_owned(),
            type_: kind.type_,
            required,
            in_body: false,
            also_in_body: false,
            schema: Value::Object(schema),
        }
    }
}

/// The member as text, where it is text and says something.
fn text<'v>(members: &'v Map<String, Value>, member: &str) -> Option<&'v str> {
    let text = members.get(member)?.as_str()?;
    (!text.trim().is_empty()).then_some(text)
}

/// The body's form that is sent: JSON where there is a choice.
fn preferred(content: &Map<String, Value>) -> Option<(&String, &Value)> {
    content
        .get_key_value("application/json")
        .or_else(|| {
            content
                .iter()
                .find(|(media_type, _)| media_type.contains("json"))
        })
        .or_else(|| content.iter().next())
}
