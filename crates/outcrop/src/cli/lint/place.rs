//! Where in which file a finding stands.
//!
//! A template's nodes know their lines, also those of a schema in a file or a text of its own. What
//! cannot be found exactly is placed at the nearest thing above it.

use std::path::Path;

use outcrop_deploy::intrinsics::file_of;
use outcrop_deploy::node::{Content, Mark, Node};
use outcrop_deploy::template;
use outcrop_engine::lint::Place;

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spot {
    /// As the command line or the template names it.
    pub(super) file: Option<String>,
    /// From 1; 0: none.
    pub(super) line: u32,
    /// From 1; 0: not known.
    pub(super) column: u32,
}

/// The properties of an agent in a template.
#[derive(Clone, Copy)]
pub(super) struct InTemplate<'a> {
    /// The template, as the command line names it.
    pub(super) file: &'a str,
    /// Nothing in them evaluated.
    pub(super) properties: &'a Node,
    /// Where the agent's logical id stands.
    pub(super) logical: Mark,
    /// The folder of the template, ending in a slash, or empty.
    pub(super) folder: &'a str,
}

impl InTemplate<'_> {
    /// Where the agent begins.
    pub(super) fn agent(&self) -> Spot {
        self.spot(self.logical)
    }

    /// A property of the agent itself.
    pub(super) fn property(&self, name: &str) -> Spot {
        match entry(self.properties, name) {
            Some((mark, _)) => self.spot(mark),
            None => self.agent(),
        }
    }

    /// A finding's place. `api` is the text of the group's API schema, where it has one.
    pub(super) fn of(&self, place: &Place, api: Option<&str>) -> Spot {
        let Some(name) = &place.action_group else {
            return self.agent();
        };
        let groups = self.properties.get("ActionGroups").and_then(Node::items);
        let found = named(groups.unwrap_or_default(), "ActionGroupName", name);
        let Some(group) = found else {
            return self.property("ActionGroups");
        };
        let Some(action) = &place.action else {
            return self.spot(group.mark);
        };
        if let Some(functions) = group
            .get("FunctionSchema")
            .and_then(|schema| schema.get("Functions"))
            .and_then(Node::items)
        {
            return self.function(functions, action, place.parameter.as_deref(), group.mark);
        }
        let payload = group
            .get("ApiSchema")
            .and_then(|schema| schema.get("Payload"));
        match (payload, api) {
            (Some(payload), Some(api)) => {
                self.operation(payload, api, action, place.parameter.as_deref())
            }
            _ => self.spot(group.mark),
        }
    }

    fn function(
        &self,
        functions: &[Node],
        action: &str,
        parameter: Option<&str>,
        above: Mark,
    ) -> Spot {
        let Some(function) = named(functions, "Name", action) else {
            return self.spot(above);
        };
        let parameters = function.get("Parameters");
        let parameter = parameter.and_then(|name| entry(parameters?, name));
        self.spot(parameter.map_or(function.mark, |(mark, _)| mark))
    }

    /// A place in an API schema: in its file, else in the template where its text is.
    pub(super) fn operation(
        &self,
        payload: &Node,
        api: &str,
        action: &str,
        parameter: Option<&str>,
    ) -> Spot {
        let inside = in_document(api, action, parameter);
        if let Some(path) = file_of(payload) {
            return Spot {
                file: Some(format!("{}{path}", self.folder)),
                line: inside.line,
                column: inside.column,
            };
        }
        match &payload.content {
            Content::Text(text) => self.inside(text, payload.mark, inside.line),
            _ => self.spot(payload.mark),
        }
    }

    /// A line of a text of the template, or of the file that it takes in.
    pub(super) fn line_of(&self, node: &Node, line: usize) -> Spot {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        match (file_of(node), &node.content) {
            (Some(path), _) => Spot {
                file: Some(format!("{}{path}", self.folder)),
                line,
                column: 0,
            },
            (None, Content::Text(text)) => self.inside(text, node.mark, line),
            _ => self.spot(node.mark),
        }
    }

    /// A line of a text that stands in the template: a block of YAML, which keeps its lines. JSON has
    /// all of a text on one.
    fn inside(&self, text: &str, begins: Mark, line: u32) -> Spot {
        if !text.contains('\n')
            || Path::new(self.file)
                .extension()
                .is_some_and(|kind| kind.eq_ignore_ascii_case("json"))
        {
            return self.spot(begins);
        }
        Spot {
            file: Some(self.file.to_owned()),
            line: begins.line.saturating_add(line.saturating_sub(1)),
            column: 0,
        }
    }

    /// A place of the template.
    pub(super) fn spot(&self, mark: Mark) -> Spot {
        Spot {
            file: Some(self.file.to_owned()),
            line: mark.line,
            column: mark.column,
        }
    }
}

/// The entry of a mapping with the place of its key.
pub(super) fn entry<'a>(node: &'a Node, name: &str) -> Option<(Mark, &'a Node)> {
    let entries = node.entries()?;
    let found = entries.iter().find(|(key, _)| key.text == name);
    found.map(|(key, value)| (key.mark, value))
}

/// The element that has this text under `key`.
pub(super) fn named<'a>(items: &'a [Node], key: &str, name: &str) -> Option<&'a Node> {
    items
        .iter()
        .find(|item| item.get(key).and_then(Node::as_text) == Some(name))
}

/// Where an operation (`GET /orders/{id}`), or one of its parameters, stands in a document; the start
/// where that cannot be told.
fn in_document(document: &str, action: &str, parameter: Option<&str>) -> Mark {
    let start = Mark { line: 1, column: 1 };
    let Ok(root) = template::parse(document) else {
        return start;
    };
    let Some((method, path)) = action.split_once(' ') else {
        return start;
    };
    let Some((above, item)) = root.get("paths").and_then(|paths| entry(paths, path)) else {
        return start;
    };
    let Some((mark, operation)) = entry(item, &method.to_ascii_lowercase()) else {
        return above;
    };
    let Some(parameter) = parameter else {
        return mark;
    };
    let lists = [operation.get("parameters"), item.get("parameters")];
    let mut lists = lists.into_iter().flatten().filter_map(Node::items);
    if let Some(found) = lists.find_map(|list| named(list, "name", parameter)) {
        return found.mark;
    }
    let content = operation
        .get("requestBody")
        .and_then(|body| body.get("content"));
    let mut media = content.and_then(Node::entries).into_iter().flatten();
    let found = media.find_map(|(_, media)| {
        let properties = media.get("schema")?.get("properties")?;
        entry(properties, parameter).map(|(mark, _)| mark)
    });
    found.unwrap_or(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "openapi: 3.0.0\npaths:\n  /orders/{id}:\n    get:\n      parameters:\n        - name: id\n          in: path\n    post:\n      requestBody:\n        content:\n          application/json:\n            schema:\n              properties:\n                note: {type: string}\n";

    #[test]
    fn places_in_a_document() {
        for (action, parameter, line) in [
            ("GET /orders/{id}", None, 4),
            ("GET /orders/{id}", Some("id"), 6),
            ("POST /orders/{id}", Some("note"), 14),
            ("POST /orders/{id}", Some("other"), 8),
            ("PUT /orders/{id}", None, 3),
            ("GET /other", None, 1),
        ] {
            let mark = in_document(DOCUMENT, action, parameter);
            assert_eq!(mark.line, line, "{action} {parameter:?}");
        }
    }

    fn indented(text: &str, by: usize) -> String {
        let margin = " ".repeat(by);
        let lines = text.lines();
        lines.fold(String::new(), |all, line| all + &margin + line + "\n")
    }

    #[test]
    fn places_in_a_template() {
        let text = format!(
            "ActionGroups:\n  - ActionGroupName: Orders\n    FunctionSchema:\n      Functions:\n        - Name: find\n          Parameters:\n            id: {{Type: string}}\n  - ActionGroupName: Api\n    ApiSchema:\n      Payload: |\n{}  - ActionGroupName: Filed\n    ApiSchema:\n      Payload: !File schemas/api.yaml\n",
            indented(DOCUMENT, 8)
        );
        let properties = template::parse(&text).unwrap();
        let place = InTemplate {
            file: "t.yaml",
            properties: &properties,
            logical: Mark { line: 1, column: 1 },
            folder: "",
        };
        let at = |group: &str, action: Option<&str>, parameter: Option<&str>| {
            let spot = place.of(
                &Place {
                    action_group: Some(group.to_owned()),
                    action: action.map(str::to_owned),
                    parameter: parameter.map(str::to_owned),
                },
                Some(DOCUMENT),
            );
            (spot.file.unwrap(), spot.line)
        };
        let here = |line| ("t.yaml".to_owned(), line);
        assert_eq!(at("Orders", None, None), here(2));
        assert_eq!(at("Orders", Some("find"), None), here(5));
        assert_eq!(at("Orders", Some("find"), Some("id")), here(7));
        assert_eq!(at("Api", Some("GET /orders/{id}"), None), here(14));
        let filed = at("Filed", Some("GET /orders/{id}"), Some("id"));
        assert_eq!(filed, ("schemas/api.yaml".to_owned(), 6));
    }
}
