//! The tables of one service with every name resolved, ready to be walked.
//!
//! Built once per router. Resolving is the only thing that happens here; binding, checking and
//! validating are walks over this. Regular expressions are compiled when first needed and kept.

use std::sync::OnceLock;

use outcrop_model::operation::{
    Binding, Length, MemberSpec, Pattern, Range, ServiceSpec, ShapeKind, ShapeSpec, TimestampFormat,
};
use regex::Regex;

/// A resolved service.
#[derive(Debug)]
pub struct Schema {
    /// The tables this was made from.
    pub spec: &'static ServiceSpec,
    shapes: Box<[Shape]>,
}

/// The place of a shape in its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShapeId(usize);

/// A resolved shape.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) sensitive: bool,
    pub(crate) kind: Kind,
}

/// What a shape is.
#[derive(Debug)]
pub(crate) enum Kind {
    Structure(Box<[Member]>),
    Union(Box<[Member]>),
    List {
        member: ShapeId,
        length: Length,
    },
    Map {
        key: ShapeId,
        value: ShapeId,
        length: Length,
    },
    String {
        length: Length,
        pattern: Option<LazyPattern>,
    },
    Enum(&'static [&'static str]),
    Integer(Range<i64>),
    Long(Range<i64>),
    Float(Range<f64>),
    Double(Range<f64>),
    Boolean,
    Blob {
        length: Length,
    },
    Timestamp(Option<TimestampFormat>),
    Document,
}

/// A resolved member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) binding: Binding,
    pub(crate) target: ShapeId,
}

/// A pattern that is compiled at its first use.
#[derive(Debug)]
pub(crate) struct LazyPattern {
    spec: Pattern,
    compiled: OnceLock<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    accept: Regex,
    reject: Option<Regex>,
}

impl Schema {
    /// Resolves the tables of a service.
    ///
    /// # Panics
    /// When a row names a shape that is not there, which the generator refuses to emit.
    pub fn new(spec: &'static ServiceSpec) -> Self {
        let shapes = spec.shapes.iter().map(|shape| Shape {
            sensitive: shape.sensitive,
            kind: resolve(spec.shapes, shape),
        });
        Self {
            spec,
            shapes: shapes.collect(),
        }
    }

    pub(crate) fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0]
    }

    pub(crate) fn id(&self, name: &str) -> ShapeId {
        find(self.spec.shapes, name)
    }

    /// The members of a structure or union, none for anything else.
    pub(crate) fn members(&self, id: ShapeId) -> &[Member] {
        match &self.shape(id).kind {
            Kind::Structure(members) | Kind::Union(members) => members,
            _ => &[],
        }
    }

    /// Compiles every pattern, to show that each one can be.
    #[cfg(test)]
    pub(crate) fn compile_patterns(&self) {
        for shape in &self.shapes {
            if let Kind::String {
                pattern: Some(pattern),
                ..
            } = &shape.kind
            {
                pattern.matches("");
            }
        }
    }
}

fn find(shapes: &[ShapeSpec], name: &str) -> ShapeId {
    shapes
        .binary_search_by_key(&name, |shape| shape.name)
        .map(ShapeId)
        .expect("the generator emits no name that leads nowhere")
}

fn resolve(shapes: &[ShapeSpec], shape: &ShapeSpec) -> Kind {
    let members = |members: &'static [MemberSpec]| {
        let members = members.iter().map(|member| Member {
            name: member.name,
            required: member.required,
            binding: member.binding,
            target: find(shapes, member.target),
        });
        members.collect()
    };
    match shape.kind {
        ShapeKind::Structure(list) => Kind::Structure(members(list)),
        ShapeKind::Union(list) => Kind::Union(members(list)),
        ShapeKind::List { member, length } => Kind::List {
            member: find(shapes, member),
            length,
        },
        ShapeKind::Map { key, value, length } => Kind::Map {
            key: find(shapes, key),
            value: find(shapes, value),
            length,
        },
        ShapeKind::String { length, pattern } => Kind::String {
            length,
            pattern: pattern.map(|spec| LazyPattern {
                spec,
                compiled: OnceLock::new(),
            }),
        },
        ShapeKind::Enum(values) => Kind::Enum(values),
        ShapeKind::Integer(range) => Kind::Integer(range),
        ShapeKind::Long(range) => Kind::Long(range),
        ShapeKind::Float(range) => Kind::Float(range),
        ShapeKind::Double(range) => Kind::Double(range),
        ShapeKind::Boolean => Kind::Boolean,
        ShapeKind::Blob { length } => Kind::Blob { length },
        ShapeKind::Timestamp(format) => Kind::Timestamp(format),
        ShapeKind::Document => Kind::Document,
    }
}

impl LazyPattern {
    /// AWS's text of the pattern.
    pub(crate) fn text(&self) -> &'static str {
        self.spec.text
    }

    /// Whether the whole of `value` matches.
    pub(crate) fn matches(&self, value: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| Compiled {
            accept: in_full(self.spec.accept.unwrap_or(self.spec.text)),
            reject: self.spec.reject.map(in_full),
        });
        compiled.accept.is_match(value)
            && !compiled
                .reject
                .as_ref()
                .is_some_and(|reject| reject.is_match(value))
    }
}

fn in_full(pattern: &str) -> Regex {
    Regex::new(&format!(r"\A(?:{pattern})\z")).expect("a test compiles every pattern of the tables")
}

#[cfg(test)]
mod tests {
    use super::*;
    use outcrop_model::{bedrock, control, converse, lambda, runtime};

    #[test]
    fn every_name_resolves_and_every_pattern_compiles() {
        for spec in [
            &control::tables::SERVICE,
            &runtime::tables::SERVICE,
            &converse::tables::SERVICE,
            &bedrock::tables::SERVICE,
            &lambda::tables::SERVICE,
        ] {
            let schema = Schema::new(spec);
            schema.compile_patterns();
            for operation in spec.operations {
                for name in operation.input.iter().chain(&operation.output) {
                    schema.id(name);
                }
            }
        }
    }

    fn matches(spec: &'static ServiceSpec, shape: &str, value: &str) -> bool {
        let schema = Schema::new(spec);
        let Kind::String {
            pattern: Some(pattern),
            ..
        } = &schema.shape(schema.id(shape)).kind
        else {
            panic!("{shape} has no pattern");
        };
        pattern.matches(value)
    }

    #[test]
    fn patterns_match_in_full_and_as_the_overlay_says() {
        let control = &control::tables::SERVICE;
        let runtime = &runtime::tables::SERVICE;
        let lambda = &lambda::tables::SERVICE;
        for (spec, shape, value, expected) in [
            (control, "Id", "ABCDEFGHIJ", true),
            (control, "Id", "ABCDEFGHIJK", false),
            (control, "Id", "xABCDEFGHIJ", false),
            (control, "AgentAliasId", "TSTALIASID", true),
            (control, "DeletableAgentAliasId", "TSTALIASID", false),
            (control, "DeletableAgentAliasId", "TSTALIASIX", true),
            (
                control,
                "TaggableResourcesArn",
                "arn:aws:bedrock:us-west-2:111111111111:agent/EITYAHSOCJ",
                true,
            ),
            (
                control,
                "TaggableResourcesArn",
                "arn:aws:s3:::bucket",
                false,
            ),
            (
                control,
                "OpenSearchManagedClusterIndexName",
                "index-1",
                true,
            ),
            (
                control,
                "OpenSearchManagedClusterIndexName",
                "-index",
                false,
            ),
            (runtime, "QueryGenerationInputTextString", "how many", true),
            (runtime, "QueryGenerationInputTextString", "  ", false),
            (runtime, "AgentAliasIdOrName", "PROD", true),
            (lambda, "Alias", "v1", true),
            (lambda, "Alias", "12", false),
            (lambda, "S3Bucket", "my.bucket", true),
            (lambda, "S3Bucket", "my.bucket.", false),
            (runtime, "AgentIdOrName", "support-agent", true),
            (runtime, "AgentIdOrName", "support agent", false),
        ] {
            assert_eq!(matches(spec, shape, value), expected, "{shape} {value}");
        }
    }
}
