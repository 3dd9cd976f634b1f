//! Resources in an order in which they can be made: what is needed first, else as written.

use std::collections::BTreeSet;

use super::Wanted;
use crate::node::Problem;

/// The order.
///
/// # Errors
/// Resources that need each other, named.
pub(super) fn sorted(resources: &[Wanted]) -> Result<Vec<Wanted>, Problem> {
    let mut left: Vec<&Wanted> = resources.iter().collect();
    let mut done = BTreeSet::new();
    let mut sorted = Vec::with_capacity(resources.len());
    while !left.is_empty() {
        let ready = left
            .iter()
            .position(|wanted| wanted.depends_on.iter().all(|need| done.contains(need)));
        let Some(ready) = ready else {
            return Err(circle(&left));
        };
        let wanted = left.remove(ready);
        done.insert(wanted.logical().to_owned());
        sorted.push(wanted.clone());
    }
    Ok(sorted)
}

/// Walks along needs until a resource comes again.
fn circle(left: &[&Wanted]) -> Problem {
    let mut path: Vec<&Wanted> = Vec::new();
    let mut next = left.first().copied();
    while let Some(wanted) = next {
        let seen = path
            .iter()
            .position(|one| one.logical() == wanted.logical());
        if let Some(from) = seen {
            let mut names: Vec<&str> = path.iter().skip(from).map(|one| one.logical()).collect();
            names.push(wanted.logical());
            let text = format!("resources need each other: {}", names.join(" -> "));
            return Problem::new(wanted.declared.logical.mark, text);
        }
        path.push(wanted);
        next = left
            .iter()
            .find(|one| wanted.depends_on.contains(one.logical()))
            .copied();
    }
    // Not reached: every resource left needs another that is left.
    Problem::new(crate::node::Mark::default(), "resources need each other")
}
