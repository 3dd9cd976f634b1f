//! Values of parameters: given, else the default, checked against what the declaration allows.

use std::collections::BTreeMap;

use regex::Regex;

use crate::node::{Content, Mark, Node, Problem};

/// The values of all parameters a template declares. What is wrong is reported.
pub fn values(
    declared: Option<&Node>,
    given: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Node> {
    let declared = declared.and_then(Node::entries).unwrap_or_default();
    for name in given.keys() {
        if !declared.iter().any(|(key, _)| key.text == *name) {
            let text = format!("the template has no parameter {name}");
            problems.push(Problem::new(Mark::default(), text));
        }
    }
    let mut values = BTreeMap::new();
    for (key, declaration) in declared {
        let name = &key.text;
        let default = declaration.get("Default");
        let text = match (given.get(name), default) {
            (Some(text), _) => text.clone(),
            (None, Some(default)) => {
                let Some(text) = list_text(default) else {
                    let text = format!("the default of {name} is text");
                    problems.push(Problem::new(default.mark, text));
                    continue;
                };
                text
            }
            (None, None) => {
                let text = format!("the parameter {name} has no value and no default");
                problems.push(Problem::new(key.mark, text));
                continue;
            }
        };
        let parameter = Parameter {
            name,
            mark: key.mark,
            declaration,
        };
        match parameter.value(&text) {
            Ok(Some(value)) => {
                values.insert(name.clone(), value);
            }
            // Names a value that only AWS knows: an error where something refers to it.
            Ok(None) => {}
            Err(detail) => problems.push(Problem::new(key.mark, detail)),
        }
    }
    values
}

fn list_text(node: &Node) -> Option<String> {
    match node.items() {
        Some(items) => {
            let parts: Option<Vec<&str>> = items.iter().map(Node::as_text).collect();
            parts.map(|parts| parts.join(","))
        }
        None => node.as_text().map(str::to_owned),
    }
}

struct Parameter<'a> {
    name: &'a str,
    mark: Mark,
    declaration: &'a Node,
}

impl Parameter<'_> {
    fn text(&self, member: &str) -> Option<&str> {
        self.declaration.get(member)?.as_text()
    }

    fn value(&self, text: &str) -> Result<Option<Node>, String> {
        let kind = self.text("Type").unwrap_or_default();
        let secret = self.text("NoEcho") == Some("true");
        let shown = if secret { "its value" } else { text };
        let name = self.name;
        let is_list = kind == "CommaDelimitedList" || kind.starts_with("List<");
        let parts: Vec<&str> = if is_list {
            text.split(',').map(str::trim).collect()
        } else {
            vec![text]
        };
        match kind {
            "" => return Err(format!("the parameter {name} has no Type")),
            _ if kind.starts_with("AWS::SSM::") => return Ok(None),
            _ if kind.starts_with("AWS::") || kind == "String" || is_list => {}
            "Number" => {}
            other => return Err(format!("the parameter type {other} is not supported")),
        }
        for part in &parts {
            self.check(part, kind)
                .map_err(|detail| format!("the parameter {name}: {shown} {detail}"))?;
        }
        let text = |part: &str| Node::text(self.mark, part);
        Ok(Some(if is_list {
            let items = parts.into_iter().map(text).collect();
            Node::new(self.mark, Content::List(items))
        } else {
            text(text_of(&parts))
        }))
    }

    fn check(&self, text: &str, kind: &str) -> Result<(), String> {
        let bound = |member: &str| self.text(member).and_then(|text| text.parse::<f64>().ok());
        if kind == "Number" || kind == "List<Number>" {
            let number: f64 = text.parse().map_err(|_| "is no number".to_owned())?;
            if bound("MinValue").is_some_and(|least| number < least) {
                return Err(format!(
                    "is below {}",
                    self.text("MinValue").unwrap_or_default()
                ));
            }
            if bound("MaxValue").is_some_and(|most| number > most) {
                return Err(format!(
                    "is above {}",
                    self.text("MaxValue").unwrap_or_default()
                ));
            }
        } else {
            #[expect(clippy::cast_precision_loss, reason = "texts are not that long")]
            let length = text.chars().count() as f64;
            if bound("MinLength").is_some_and(|least| length < least)
                || bound("MaxLength").is_some_and(|most| length > most)
            {
                return Err("has the wrong length".to_owned());
            }
        }
        if let Some(allowed) = self.declaration.get("AllowedValues").and_then(Node::items) {
            let allowed: Vec<&str> = allowed.iter().filter_map(Node::as_text).collect();
            if !allowed.contains(&text) {
                return Err(format!("is not one of {}", allowed.join(", ")));
            }
        }
        if let Some(pattern) = self.text("AllowedPattern") {
            let regex = Regex::new(&format!("^(?:{pattern})$"))
                .map_err(|_| format!("cannot be checked: {pattern} is no pattern"))?;
            if !regex.is_match(text) {
                let told = self.text("ConstraintDescription");
                return Err(told.map_or_else(
                    || format!("does not match {pattern}"),
                    |told| format!("is refused: {told}"),
                ));
            }
        }
        Ok(())
    }
}

fn text_of<'a>(parts: &[&'a str]) -> &'a str {
    parts.first().copied().unwrap_or_default()
}
