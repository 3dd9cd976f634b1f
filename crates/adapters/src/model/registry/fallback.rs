//! Which models are asked where one fails: the `fallback` lists of all entries, followed to their ends.
//!
//! A list names models. Each is looked up like any other, and where it belongs to another entry that
//! has a list of its own, that list goes on. A model of the same entry is one of its own and no way on.

use super::{RegistryError, names};
use crate::glob::NameGlob;

/// Most models behind one; each may cost the caller a whole timeout.
pub const CHAIN_MAX: usize = 8;

/// What of an entry decides its chain.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its glob.
    pub pattern: &'a str,
    /// The models it names.
    pub fallback: &'a [String],
    /// The one id that all its models are asked as, if there is one.
    pub upstream_model: Option<&'a str>,
}

/// One wrong name in a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fallback `{target}` of model pattern `{pattern}` {detail}")]
pub struct FallbackError {
    /// Which entry, counted from 0.
    pub entry: usize,
    /// Its glob.
    pub pattern: String,
    /// The model as named.
    pub target: String,
    /// What is wrong with it.
    pub detail: String,
}

/// The chain of each entry, in the order of the entries.
///
/// # Errors
/// A pattern that is no glob, or the first name that leads nowhere, back, or too far.
pub fn chains(entries: &[Entry<'_>]) -> Result<Vec<Vec<String>>, RegistryError> {
    let matchers = entries
        .iter()
        .map(|entry| super::build::matcher(entry.pattern))
        .collect::<Result<Vec<_>, _>>()?;
    let walk = Walk {
        entries,
        matchers: &matchers,
    };
    (0..entries.len())
        .map(|first| {
            let mut chain = Vec::new();
            walk.follow(&mut vec![first], &mut chain)?;
            Ok(chain)
        })
        .collect()
}

struct Walk<'a> {
    entries: &'a [Entry<'a>],
    matchers: &'a [NameGlob],
}

impl Walk<'_> {
    /// Adds what the last entry of `path` names, and what lies behind that.
    fn follow(&self, path: &mut Vec<usize>, chain: &mut Vec<String>) -> Result<(), RegistryError> {
        let Some((&at, entry)) = path
            .last()
            .and_then(|at| Some((at, self.entries.get(*at)?)))
        else {
            return Ok(());
        };
        for (index, target) in entry.fallback.iter().enumerate() {
            let fault = |detail: String| {
                RegistryError::Fallback(FallbackError {
                    entry: at,
                    pattern: entry.pattern.to_owned(),
                    target: target.clone(),
                    detail,
                })
            };
            let Some(to) = self.entry_of(target) else {
                return Err(fault("matches no [[models]] entry".to_owned()));
            };
            if to == at && entry.upstream_model.is_some() {
                return Err(fault(
                    "leads back to the same upstream_model of the same entry".to_owned(),
                ));
            }
            if to != at && path.contains(&to) {
                return Err(fault(format!(
                    "leads back to itself: {}",
                    self.loop_of(path, to)
                )));
            }
            if entry
                .fallback
                .iter()
                .take(index)
                .any(|other| other == target)
            {
                return Err(fault("is named twice".to_owned()));
            }
            if !chain.contains(target) {
                chain.push(target.clone());
            }
            if chain.len() > CHAIN_MAX {
                return Err(fault(format!(
                    "is one too many: at most {CHAIN_MAX} models"
                )));
            }
            if to != at {
                path.push(to);
                self.follow(path, chain)?;
                path.pop();
            }
        }
        Ok(())
    }

    fn entry_of(&self, model: &str) -> Option<usize> {
        let names = names(model);
        self.matchers
            .iter()
            .position(|matcher| names.iter().any(|name| matcher.is_match(name)))
    }

    /// The patterns from `to` around to `to`.
    fn loop_of(&self, path: &[usize], to: usize) -> String {
        let from = path.iter().skip_while(|at| **at != to);
        from.chain([&to])
            .filter_map(|at| self.entries.get(*at))
            .map(|entry| entry.pattern)
            .collect::<Vec<_>>()
            .join(" -> ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: &[(&str, &[&str], Option<&str>)]) -> Result<Vec<Vec<String>>, String> {
        let lists: Vec<Vec<String>> = entries
            .iter()
            .map(|(_, fallback, _)| fallback.iter().map(|name| (*name).to_owned()).collect())
            .collect();
        let entries: Vec<Entry<'_>> = entries
            .iter()
            .zip(&lists)
            .map(|((pattern, _, upstream_model), fallback)| Entry {
                pattern,
                fallback,
                upstream_model: *upstream_model,
            })
            .collect();
        chains(&entries).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_are_followed_to_their_ends() {
        let chains = check(&[
            ("claude*", &["us.amazon.nova-pro", "tiny"], None),
            ("amazon.*", &["spare", "amazon.nova-lite"], None),
            ("spare", &["tiny"], None),
            ("tiny", &[], Some("qwen")),
        ]);
        let chains = chains.expect("chains");
        assert_eq!(
            chains[0],
            ["us.amazon.nova-pro", "spare", "tiny", "amazon.nova-lite"]
        );
        assert_eq!(chains[1], ["spare", "tiny", "amazon.nova-lite"]);
        assert_eq!(chains[2], ["tiny"]);
        assert!(chains[3].is_empty());
    }

    #[test]
    fn wrong_names_are_told() {
        for (entries, expected) in [
            (
                vec![("a", &["b"][..], None)],
                "fallback `b` of model pattern `a` matches no [[models]] entry",
            ),
            (
                vec![("a*", &["a2"][..], Some("up"))],
                "fallback `a2` of model pattern `a*` leads back to the same upstream_model of the same entry",
            ),
            (
                vec![
                    ("a", &["b"][..], None),
                    ("b", &["c"], None),
                    ("c", &["a"], None),
                ],
                "fallback `a` of model pattern `c` leads back to itself: a -> b -> c -> a",
            ),
            (
                vec![("a", &["b", "b"][..], None), ("b", &[], None)],
                "fallback `b` of model pattern `a` is named twice",
            ),
            (
                vec![(
                    "*",
                    &["1", "2", "3", "4", "5", "6", "7", "8", "9"][..],
                    None,
                )],
                "fallback `9` of model pattern `*` is one too many: at most 8 models",
            ),
        ] {
            assert_eq!(check(&entries).expect_err(expected), expected);
        }
    }
}
