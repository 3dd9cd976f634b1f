//! Functions over text: Sub, Join, Split, Base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Failed, Scope, Variables, first_later, problem, text_of};
use crate::node::{Content, Mark, Node};

impl Scope<'_> {
    pub(super) fn join(&self, mark: Mark, argument: &Node) -> Result<Node, Failed> {
        const USAGE: &str = "Fn::Join takes a separator and a list of texts";
        let [separator, list]: [Node; 2] = self.arguments(argument, mark, USAGE)?;
        if let Some(later) = first_later([&list]) {
            return Ok(Node::new(mark, later));
        }
        let items = list.items().ok_or_else(|| problem(mark, USAGE))?;
        let parts: Vec<&str> = items
            .iter()
            .map(|item| text_of(item, USAGE))
            .collect::<Result<_, _>>()?;
        Ok(Node::text(mark, parts.join(text_of(&separator, USAGE)?)))
    }

    pub(super) fn split(&self, mark: Mark, argument: &Node) -> Result<Node, Failed> {
        const USAGE: &str = "Fn::Split takes a separator and a text";
        let [separator, text]: [Node; 2] = self.arguments(argument, mark, USAGE)?;
        if let Some(later) = first_later([&text]) {
            return Ok(Node::new(mark, later));
        }
        let separator = text_of(&separator, USAGE)?;
        if separator.is_empty() {
            return Err(problem(mark, "Fn::Split needs a separator"));
        }
        let parts = text_of(&text, USAGE)?
            .split(separator)
            .map(|part| Node::text(mark, part))
            .collect();
        Ok(Node::new(mark, Content::List(parts)))
    }

    pub(super) fn base64(&self, mark: Mark, argument: &Node) -> Result<Node, Failed> {
        let value = self.argument(argument)?;
        if let Some(later) = first_later([&value]) {
            return Ok(Node::new(mark, later));
        }
        let text = text_of(&value, "Fn::Base64 takes a text")?;
        Ok(Node::text(mark, STANDARD.encode(text)))
    }

    pub(super) fn sub(&self, mark: Mark, argument: &Node) -> Result<Node, Failed> {
        const USAGE: &str = "Fn::Sub takes a text, or a list of a text and a mapping";
        let (text, variables) = match argument.items() {
            None => (self.argument(argument)?, Variables::new()),
            Some([text, variables]) => {
                let entries = variables.entries().ok_or_else(|| problem(mark, USAGE))?;
                let variables = entries
                    .iter()
                    .map(|(key, value)| Ok((key.text.clone(), self.argument(value)?)))
                    .collect::<Result<_, Failed>>()?;
                (self.argument(text)?, variables)
            }
            Some(_) => return Err(problem(mark, USAGE)),
        };
        let text = text_of(&text, USAGE)?;
        let mut made = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            made.push_str(before);
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| problem(mark, "Fn::Sub: a ${ has no closing brace"))?;
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                made.push_str("${");
                made.push_str(literal);
                made.push('}');
                continue;
            }
            let value = self.variable(mark, name.trim(), &variables)?;
            if let Some(later) = first_later([&value]) {
                return Ok(Node::new(mark, later));
            }
            let shown = value.as_text().ok_or_else(|| {
                problem(
                    mark,
                    format!("Fn::Sub: ${{{name}}} is {}, not text", value.kind()),
                )
            })?;
            made.push_str(shown);
        }
        made.push_str(rest);
        Ok(Node::text(mark, made))
    }

    fn variable(&self, mark: Mark, name: &str, variables: &Variables) -> Result<Node, Failed> {
        if let Some(value) = variables.get(name) {
            return Ok(value.clone());
        }
        match name.split_once('.') {
            Some((resource, attribute)) => {
                let parts = [resource, attribute].map(|part| Node::text(mark, part));
                self.get_att(mark, &Node::new(mark, Content::List(parts.into())))
            }
            None => self.reference(mark, name),
        }
    }
}
