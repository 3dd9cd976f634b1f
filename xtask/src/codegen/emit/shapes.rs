//! Emits the shapes as Rust types that serde turns into AWS's JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Target, header};
use crate::codegen::ir::{Kind, Member, Model, Shape, TimestampFormat};
use crate::codegen::names;

pub(in crate::codegen) fn emit(target: Target, model: &Model) -> String {
    let emitter = Emitter {
        target,
        model,
        defaults: shapes_with_default(model),
    };
    let mut out = header(&format!("The shapes of `{}`.", target.model));
    out.push_str(
        "#![allow(missing_docs, reason = \"AWS documents its shapes\")]\n\
         #![allow(clippy::large_enum_variant, reason = \"unions follow the model\")]\n\
         #![allow(clippy::struct_excessive_bools, reason = \"structures follow the model\")]\n\n",
    );
    let mut body = String::new();
    for (name, shape) in &model.shapes {
        body.push_str(&emitter.shape(name, shape));
    }
    for (used, import) in [
        ("BTreeMap<", "use std::collections::BTreeMap;\n\n"),
        ("Serialize", "use serde::{Deserialize, Serialize};\n"),
        ("Value", "use serde_json::Value;\n\n"),
        ("Blob", "use crate::blob::Blob;\n"),
        ("redacted_debug!", "use crate::sensitive::redacted_debug;\n"),
        ("string_enum!", "use crate::string_enum::string_enum;\n"),
        ("Timestamp", "use crate::timestamp::{self, Timestamp};\n"),
    ] {
        if body.contains(used) {
            out.push_str(import);
        }
    }
    out + "\n" + &body
}

struct Emitter<'a> {
    target: Target,
    model: &'a Model,
    defaults: BTreeMap<&'a str, bool>,
}

impl Emitter<'_> {
    fn shape(&self, name: &str, shape: &Shape) -> String {
        match &shape.kind {
            Kind::Structure(members) => self.structure(name, shape, members),
            Kind::Union(members) | Kind::EventStream(members) => self.union(name, shape, members),
            Kind::Enum(values) => string_enum(name, values),
            _ => String::new(),
        }
    }

    fn structure(&self, name: &str, shape: &Shape, members: &[Member]) -> String {
        let is_stream = |member: &&Member| {
            !matches!(self.model.shape(&member.target).kind, Kind::EventStream(_))
        };
        let members: Vec<_> = members.iter().filter(is_stream).collect();
        let hidden: BTreeSet<_> = members
            .iter()
            .filter(|member| self.hides(&member.target))
            .map(|member| member.name.as_str())
            .collect();
        let mut out = self.derives(name, shape.sensitive || !hidden.is_empty());
        if members.is_empty() {
            writeln!(out, "pub struct {name} {{}}\n").expect("writing to a string cannot fail");
        } else {
            writeln!(out, "pub struct {name} {{").expect("writing to a string cannot fail");
            for member in &members {
                out.push_str(&self.field(name, member));
            }
            out.push_str("}\n\n");
        }
        if shape.sensitive {
            writeln!(out, "redacted_debug!({name});\n").expect("writing to a string cannot fail");
        } else if !hidden.is_empty() {
            let how = members.iter().map(|member| {
                let how = if hidden.contains(member.name.as_str()) {
                    "hidden"
                } else {
                    "shown"
                };
                format!("{}: {how}", names::field(&member.name))
            });
            let how = how.collect::<Vec<_>>().join(", ");
            writeln!(out, "redacted_debug!({name} {{ {how} }});\n")
                .expect("writing to a string cannot fail");
        }
        out
    }

    fn derives(&self, name: &str, own_debug: bool) -> String {
        let mut derives = vec!["Clone"];
        if !own_debug {
            derives.push("Debug");
        }
        if self.defaults.get(name).copied().unwrap_or(false) {
            derives.push("Default");
        }
        derives.extend(["PartialEq", "Serialize", "Deserialize"]);
        format!("#[derive({})]\n", derives.join(", "))
    }

    fn field(&self, owner: &str, member: &Member) -> String {
        let field = names::field(&member.name);
        let mut attributes = Vec::new();
        if field != member.name {
            attributes.push(format!("rename = {:?}", member.name));
        }
        if !member.required {
            attributes.push("default".to_owned());
            attributes.push("skip_serializing_if = \"Option::is_none\"".to_owned());
        }
        if let Some(form) = self.timestamp_form(&member.target) {
            let option = if member.required { "" } else { "::option" };
            attributes.push(format!("with = \"timestamp::{form}{option}\""));
        }
        let mut type_ = self.type_of(&member.target);
        if self.reaches(&member.target, owner) {
            type_ = format!("Box<{type_}>");
        }
        if !member.required {
            type_ = format!("Option<{type_}>");
        }
        let attributes = if attributes.is_empty() {
            String::new()
        } else {
            format!("#[serde({})]\n", attributes.join(", "))
        };
        format!("{attributes}pub {field}: {type_},\n")
    }

    fn union(&self, name: &str, shape: &Shape, members: &[Member]) -> String {
        let members: Vec<_> = members
            .iter()
            .filter(|member| {
                !matches!(
                    self.model.shape(&member.target).kind,
                    Kind::Exception { .. }
                )
            })
            .collect();
        let hides_all = shape.sensitive || members.iter().any(|member| self.hides(&member.target));
        let mut out = self.derives(name, hides_all);
        writeln!(out, "#[non_exhaustive]\npub enum {name} {{")
            .expect("writing to a string cannot fail");
        for member in members {
            let mut type_ = self.type_of(&member.target);
            if self.reaches(&member.target, name) {
                type_ = format!("Box<{type_}>");
            }
            let form = self
                .timestamp_form(&member.target)
                .map_or_else(String::new, |form| {
                    format!(", with = \"timestamp::{form}\"")
                });
            writeln!(
                out,
                "#[serde(rename = {:?}{form})]\n{}({type_}),",
                member.name,
                names::type_name(&member.name)
            )
            .expect("writing to a string cannot fail");
        }
        out.push_str("}\n\n");
        if hides_all {
            writeln!(out, "redacted_debug!({name});\n").expect("writing to a string cannot fail");
        }
        out
    }

    fn type_of(&self, name: &str) -> String {
        match &self.model.shape(name).kind {
            Kind::Structure(_) | Kind::Union(_) | Kind::EventStream(_) | Kind::Enum(_) => {
                name.to_owned()
            }
            Kind::Exception { .. } => unreachable!("exceptions are no members of shapes"),
            Kind::List { member, .. } => {
                assert!(
                    self.timestamp_form(member).is_none(),
                    "{name}: a list of timestamps"
                );
                format!("Vec<{}>", self.type_of(member))
            }
            Kind::Map { value, .. } => {
                assert!(
                    self.timestamp_form(value).is_none(),
                    "{name}: a map of timestamps"
                );
                format!("BTreeMap<String, {}>", self.type_of(value))
            }
            Kind::String { .. } => "String".to_owned(),
            Kind::Integer(_) => "i32".to_owned(),
            Kind::Long(_) => "i64".to_owned(),
            Kind::Float(_) => "f32".to_owned(),
            Kind::Double(_) => "f64".to_owned(),
            Kind::Boolean => "bool".to_owned(),
            Kind::Blob { .. } => "Blob".to_owned(),
            Kind::Timestamp(_) => "Timestamp".to_owned(),
            Kind::Document => "Value".to_owned(),
        }
    }

    /// The module of `outcrop_model::timestamp` that writes this shape, if it is a timestamp.
    fn timestamp_form(&self, name: &str) -> Option<&'static str> {
        let Kind::Timestamp(format) = self.model.shape(name).kind else {
            return None;
        };
        Some(match format {
            None | Some(TimestampFormat::EpochSeconds) => "epoch_seconds",
            Some(TimestampFormat::Iso8601) if self.target.module == "control" => "micros",
            Some(TimestampFormat::Iso8601) => "nanos",
            Some(TimestampFormat::HttpDate) => {
                unreachable!("{name}: HTTP dates stand in headers, and no header is a timestamp")
            }
        })
    }

    /// Whether a member of this shape must be hidden by its owner: structures, unions and enums
    /// that are sensitive hide themselves, other types cannot.
    fn hides(&self, name: &str) -> bool {
        let shape = self.model.shape(name);
        match &shape.kind {
            Kind::Structure(_) | Kind::Union(_) | Kind::EventStream(_) => false,
            Kind::List { member, .. } => shape.sensitive || self.hides(member),
            Kind::Map { key, value, .. } => shape.sensitive || self.hides(key) || self.hides(value),
            _ => shape.sensitive,
        }
    }

    /// Whether a value of shape `from` holds one of shape `to` without a list or map between.
    fn reaches(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(name) = open.pop() {
            if name == to {
                return true;
            }
            if seen.insert(name) {
                open.extend(
                    self.model
                        .members(name)
                        .iter()
                        .map(|member| member.target.as_str()),
                );
            }
        }
        false
    }
}

fn string_enum(name: &str, values: &[String]) -> String {
    let mut seen = BTreeSet::new();
    let mut out = format!("string_enum!({name} {{\n");
    for value in values {
        let variant = names::variant(value);
        assert!(
            seen.insert(variant.clone()),
            "{name}: two values become {variant}"
        );
        writeln!(out, "{variant} = {value:?},").expect("writing to a string cannot fail");
    }
    out + "});\n\n"
}

/// Which structures have a default: all their required members have one.
fn shapes_with_default(model: &Model) -> BTreeMap<&str, bool> {
    let mut known = BTreeMap::new();
    for name in model.shapes.keys() {
        has_default(model, name, &mut known);
    }
    known
}

fn has_default<'a>(model: &'a Model, name: &'a str, known: &mut BTreeMap<&'a str, bool>) -> bool {
    if let Some(&answer) = known.get(name) {
        return answer;
    }
    let answer = match &model.shape(name).kind {
        Kind::Structure(members) => {
            // A required cycle has no default; assume so while looking.
            known.insert(name, false);
            members.iter().all(|member| {
                !member.required
                    || matches!(model.shape(&member.target).kind, Kind::EventStream(_))
                    || has_default(model, &member.target, known)
            })
        }
        Kind::Union(_)
        | Kind::EventStream(_)
        | Kind::Exception { .. }
        | Kind::Enum(_)
        | Kind::Timestamp(_) => false,
        _ => true,
    };
    known.insert(name, answer);
    answer
}
