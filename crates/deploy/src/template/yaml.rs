//! YAML and JSON text to nodes with positions.
//!
//! JSON is read as the YAML it is. CloudFormation's short tags become their long forms (`!GetAtt a.b`
//! is `Fn::GetAtt: [a, b]`), anchors are followed, and a key that stands twice is an error, as a
//! silent winner would be a trap.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::node::{Content, Key, Mark, Node, Problem};

/// CloudFormation takes 1 MB from S3; more is the wrong file.
pub const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Aliases let a small text stand for a large tree.
const NODES_MAX: usize = 500_000;
/// Deeper than any template; the reader calls itself.
const DEPTH_MAX: usize = 100;

/// The tree of a template's text.
///
/// # Errors
/// The text is no YAML, or not one document of it. The problem says where.
pub fn parse(text: &str) -> Result<Node, Problem> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Problem::new(
            Mark::default(),
            format!("the template is larger than {TEXT_BYTES_MAX} bytes"),
        ));
    }
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        anchors: BTreeMap::new(),
        nodes: 0,
    };
    builder.document()
}

struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

fn mark(marker: Marker) -> Mark {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Mark {
        line: count(marker.line()),
        column: count(marker.col()).saturating_add(1),
    }
}

fn unreadable(error: &ScanError) -> Problem {
    Problem::new(
        mark(*error.marker()),
        format!("this is not valid YAML: {}", error.info()),
    )
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(unreadable(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(Problem::new(
                        mark(span.start),
                        "a template is one YAML document, here a second begins",
                    ));
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                Event::StreamEnd => {
                    return root
                        .ok_or_else(|| Problem::new(Mark::default(), "the template is empty"));
                }
                _ => {
                    return Err(Problem::new(mark(span.start), "this is not valid YAML"));
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Problem> {
        let mark = mark(span.start);
        self.count(mark, 1)?;
        if depth > DEPTH_MAX {
            return Err(Problem::new(
                mark,
                format!("the template is nested deeper than {DEPTH_MAX} levels"),
            ));
        }
        let (content, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let content = scalar(&text, style, tag.as_deref());
                (content, anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    items.push(self.node(event, span, depth + 1)?);
                }
                (Content::List(items), anchor, tag)
            }
            Event::MappingStart(anchor, tag) => {
                let entries = self.entries(depth)?;
                (Content::Map(entries), anchor, tag)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| {
                    Problem::new(mark, "this alias stands inside the node it names")
                })?;
                self.count(mark, size(&node))?;
                return Ok(node);
            }
            _ => return Err(Problem::new(mark, "this is not valid YAML")),
        };
        let node = tagged(Node::new(mark, content), tag.as_deref())?;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Problem> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let key_mark = mark(span.start);
            let key = self.node(event, span, depth + 1)?;
            let Some(text) = key.as_text().map(str::to_owned) else {
                return Err(Problem::new(key_mark, "a key is text"));
            };
            if text == "<<" {
                return Err(Problem::new(
                    key_mark,
                    "merge keys (<<) are not supported, neither here nor by CloudFormation",
                ));
            }
            if !seen.insert(text.clone()) {
                return Err(Problem::new(
                    key_mark,
                    format!("the key {text} stands here twice"),
                ));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let key = Key {
                mark: key_mark,
                text,
            };
            entries.push((key, value));
        }
    }

    fn count(&mut self, mark: Mark, nodes: usize) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            return Err(Problem::new(
                mark,
                format!("the template has more than {NODES_MAX} values"),
            ));
        }
        Ok(())
    }
}

fn size(node: &Node) -> usize {
    match &node.content {
        Content::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Content::Map(entries) => 1 + entries.iter().map(|(_, value)| size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// A scalar: only plain ones can be anything but text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Content {
    let forced = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    let short = tag.is_some_and(|tag| !tag.is_yaml_core_schema());
    if style != ScalarStyle::Plain || forced || short {
        return Content::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ if is_number(text) => Content::Number(text.to_owned()),
        _ => Content::Text(text.to_owned()),
    }
}

/// Decimal numbers only: account ids with a leading zero are text to every reader of templates.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.split(['.', 'e', 'E']).next().unwrap_or_default();
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    digits.starts_with(|first: char| first.is_ascii_digit())
        && !leading_zero
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Puts a short tag into its long form.
fn tagged(node: Node, tag: Option<&Tag>) -> Result<Node, Problem> {
    let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) else {
        return Ok(node);
    };
    let mark = node.mark;
    if tag.handle != "!" {
        return Err(Problem::new(mark, format!("the tag {tag} is not known")));
    }
    let suffix = tag.suffix.as_str();
    let (name, value) = match suffix {
        "Ref" | "Condition" => (suffix.to_owned(), node),
        "GetAtt" => ("Fn::GetAtt".to_owned(), attribute(node)),
        "" => return Ok(node),
        _ => (format!("Fn::{suffix}"), node),
    };
    let key = Key { mark, text: name };
    Ok(Node::new(mark, Content::Map(vec![(key, value)])))
}

/// `a.b.c` is the attribute `b.c` of `a`.
fn attribute(node: Node) -> Node {
    match node.as_text().and_then(|text| text.split_once('.')) {
        Some((resource, attribute)) => {
            let parts = [resource, attribute].map(|part| Node::text(node.mark, part));
            Node::new(node.mark, Content::List(parts.into()))
        }
        None => node,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;
    use crate::node::Mark;

    #[test]
    fn short_tags_are_their_long_forms() {
        let node = parse(
            "a: !Ref X\nb: !GetAtt X.Arn\nc: !Sub 'p-${X}'\nd: !Join [',', [a, !Ref B]]\n\
             e: !If [C, 1, !Ref AWS::NoValue]\nf: !Condition C\ng: !Sub\n  - '${x}'\n  - x: 1\n\
             h: !GetAtt [X, Arn]\ni: !File a.txt\nj: !FindInMap [M, !Ref R, k]\n",
        )
        .expect("reads");
        assert_eq!(
            node.to_json(),
            json!({
                "a": {"Ref": "X"},
                "b": {"Fn::GetAtt": ["X", "Arn"]},
                "c": {"Fn::Sub": "p-${X}"},
                "d": {"Fn::Join": [",", ["a", {"Ref": "B"}]]},
                "e": {"Fn::If": ["C", 1, {"Ref": "AWS::NoValue"}]},
                "f": {"Condition": "C"},
                "g": {"Fn::Sub": ["${x}", {"x": 1}]},
                "h": {"Fn::GetAtt": ["X", "Arn"]},
                "i": {"Fn::File": "a.txt"},
                "j": {"Fn::FindInMap": ["M", {"Ref": "R"}, "k"]},
            })
        );
    }

    #[test]
    fn scalars_keep_their_text() {
        let node =
            parse("a: 1.10\nb: 0123\nc: '5'\nd: true\ne: ~\nf: !Ref 5\ng: -3\n").expect("reads");
        assert_eq!(node.get("a").and_then(|node| node.as_text()), Some("1.10"));
        assert_eq!(
            node.to_json(),
            json!({"a": 1.1, "b": "0123", "c": "5", "d": true, "e": null, "f": {"Ref": "5"}, "g": -3})
        );
    }

    #[test]
    fn every_node_knows_its_place() {
        let node = parse("Resources:\n  A:\n    Type: x\n    List:\n      - 1\n").expect("reads");
        let resource = node
            .get("Resources")
            .and_then(|node| node.get("A"))
            .expect("A");
        let (key, value) = &resource.entries().expect("a mapping")[0];
        assert_eq!(key.mark, Mark { line: 3, column: 5 });
        assert_eq!(
            value.mark,
            Mark {
                line: 3,
                column: 11
            }
        );
    }

    #[test]
    fn json_and_anchors() {
        let node =
            parse("{\n\t\"a\": [1, \"\\u00e9\"],\n\t\"b\": {\"c\": null}\n}").expect("reads");
        assert_eq!(node.to_json(), json!({"a": [1, "é"], "b": {"c": null}}));
        let node = parse("a: &x {b: 1}\nc: *x\n").expect("reads");
        assert_eq!(node.to_json(), json!({"a": {"b": 1}, "c": {"b": 1}}));
    }

    #[test]
    fn what_is_wrong_has_a_line() {
        for (text, shown) in [
            ("a: 1\na: 2\n", "line 2: the key a stands here twice"),
            ("", "the template is empty"),
            (
                "a: 1\n---\nb: 2\n",
                "line 2: a template is one YAML document, here a second begins",
            ),
            (
                "a:\n  <<: {b: 1}\n",
                "line 2: merge keys (<<) are not supported, neither here nor by CloudFormation",
            ),
        ] {
            let problem = parse(text).expect_err("is refused");
            assert_eq!(problem.to_string(), shown);
        }
        let problem = parse("a: [1\nb: 2\n").expect_err("is refused");
        assert!(problem.to_string().contains("not valid YAML"), "{problem}");
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let inner = format!("*a{}, ", level - 1).repeat(10);
            let line = format!("a{level}: &a{level} [{inner}]\n");
            text.push_str(&line);
        }
        let problem = parse(&text).expect_err("is refused");
        assert!(problem.text.contains("more than"), "{problem}");
    }
}
