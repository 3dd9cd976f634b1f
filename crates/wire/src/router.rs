//! Which operation a request is for, over the routes of all services at once.
//!
//! More literal segments from the left win; among equals the form of the trailing slash that the
//! model has wins; what is then still equal stands in [`COLLISIONS`], which a test keeps complete.
//! A `Host` that begins with a service's endpoint prefix leaves only that service's routes.

use std::collections::HashMap;

use outcrop_model::operation::{OperationSpec, Segment, Service};

/// Two operations that the same request line may mean.
#[derive(Clone, Copy, Debug)]
pub struct Collision {
    /// The operation of the control plane.
    pub control: &'static str,
    /// The operation of the runtime.
    pub runtime: &'static str,
    /// What tells them apart.
    pub by: Tell,
}

/// What tells two colliding operations apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// One is modelled with a trailing slash, the other without.
    TrailingSlash,
    /// The label is the ARN of a session for the runtime, of anything else for the control plane.
    SessionArn,
}

/// Every pair of operations that differ in nothing but what [`Tell`] says.
pub const COLLISIONS: &[Collision] = &[
    Collision {
        control: "PrepareAgent",
        runtime: "InvokeInlineAgent",
        by: Tell::TrailingSlash,
    },
    Collision {
        control: "ListTagsForResource",
        runtime: "ListTagsForResource",
        by: Tell::SessionArn,
    },
    Collision {
        control: "TagResource",
        runtime: "TagResource",
        by: Tell::SessionArn,
    },
    Collision {
        control: "UntagResource",
        runtime: "UntagResource",
        by: Tell::SessionArn,
    },
];

/// What the resource part of a session's ARN begins with, plain and percent-encoded.
const SESSION_MARKS: [&str; 3] = [":session/", "%3Asession%2F", ":session%2F"];

/// The routes, indexed by method and number of segments.
#[derive(Debug)]
pub struct Table {
    specs: Vec<&'static OperationSpec>,
    by_shape: HashMap<(&'static str, usize), Vec<Candidate>>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    index: usize,
    specificity: u64,
}

/// An operation a request line means.
#[derive(Debug, PartialEq, Eq)]
pub struct Match<'p> {
    /// Its index among the operations the table was made from.
    pub index: usize,
    /// Its labels, still percent-encoded.
    pub labels: Vec<(&'static str, &'p str)>,
}

impl Table {
    /// Indexes these operations.
    pub fn new(specs: impl IntoIterator<Item = &'static OperationSpec>) -> Self {
        let specs: Vec<_> = specs.into_iter().collect();
        let mut by_shape: HashMap<_, Vec<Candidate>> = HashMap::new();
        for (index, spec) in specs.iter().enumerate() {
            let candidates = by_shape.entry((spec.method, spec.uri.len())).or_default();
            candidates.push(Candidate {
                index,
                specificity: specificity(spec),
            });
        }
        for candidates in by_shape.values_mut() {
            candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.specificity));
        }
        Self { specs, by_shape }
    }

    /// Finds the operation for a request line; `path` is as received, percent-encoded.
    pub fn find<'p>(&self, method: &str, path: &'p str, host: Option<&str>) -> Option<Match<'p>> {
        let service = host.and_then(service_of_host);
        let (trimmed, slash) = match path.strip_suffix('/') {
            Some(trimmed) => (trimmed, true),
            None => (path, false),
        };
        let segments: Vec<&str> = trimmed.split('/').skip(1).collect();
        let key = (known_method(method)?, segments.len());
        let mut best: Option<u64> = None;
        let mut found: Vec<usize> = Vec::new();
        for candidate in self.by_shape.get(&key)? {
            if best.is_some_and(|best| candidate.specificity < best) {
                break;
            }
            let spec = self.specs[candidate.index];
            if service.is_none_or(|service| spec.service == service) && fits(spec, &segments) {
                best = Some(candidate.specificity);
                found.push(candidate.index);
            }
        }
        let index = self.decide(&found, slash, trimmed)?;
        Some(Match {
            index,
            labels: labels(self.specs[index], &segments),
        })
    }

    fn decide(&self, found: &[usize], slash: bool, path: &str) -> Option<usize> {
        let as_modelled = |index: &usize| self.specs[*index].trailing_slash == slash;
        let tolerant = !found.iter().any(as_modelled);
        let mut candidates = found
            .iter()
            .copied()
            .filter(|index| tolerant || as_modelled(index));
        let first = candidates.next()?;
        let Some(second) = candidates.next() else {
            return Some(first);
        };
        let is_session = SESSION_MARKS.iter().any(|mark| path.contains(mark));
        let service = if is_session {
            Service::Runtime
        } else {
            Service::Control
        };
        [first, second]
            .into_iter()
            .find(|&index| self.specs[index].service == service)
    }
}

/// The methods of the tables as static text.
fn known_method(method: &str) -> Option<&'static str> {
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]
        .into_iter()
        .find(|known| *known == method)
}

fn service_of_host(host: &str) -> Option<Service> {
    let (prefix, _) = host.split_once('.')?;
    let services = [
        Service::Control,
        Service::Runtime,
        Service::Converse,
        Service::Bedrock,
        Service::Lambda,
    ];
    services
        .into_iter()
        .find(|service| service.endpoint_prefix() == prefix)
}

/// Literal segments as bits, the leftmost the highest: comparing these numbers among routes of the
/// same length compares segment by segment.
fn specificity(spec: &OperationSpec) -> u64 {
    spec.uri.iter().fold(0, |bits, segment| {
        bits << 1 | u64::from(matches!(segment, Segment::Literal(_)))
    })
}

fn fits(spec: &OperationSpec, segments: &[&str]) -> bool {
    spec.uri
        .iter()
        .zip(segments)
        .all(|(expected, actual)| match expected {
            Segment::Literal(literal) => literal == actual,
            Segment::Label(_) | Segment::GreedyLabel(_) => !actual.is_empty(),
        })
}

fn labels<'p>(spec: &OperationSpec, segments: &[&'p str]) -> Vec<(&'static str, &'p str)> {
    let pairs = spec.uri.iter().zip(segments);
    let labels = pairs.filter_map(|(expected, actual)| match expected {
        Segment::Literal(_) => None,
        Segment::Label(name) | Segment::GreedyLabel(name) => Some((*name, *actual)),
    });
    labels.collect()
}

#[cfg(test)]
mod tests;
