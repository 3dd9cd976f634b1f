//! Runs of atoms that fit a chunk.

use std::ops::Range;

use super::atoms::Atom;

/// The runs, in order. Each but the first begins with as many whole atoms of the end of the one
/// before as make at most `overlap_tokens`, fewer if the next atom would not fit then. Each ends
/// behind the one before it and none ends with a heading, unless there is no other way.
pub(super) fn runs(
    atoms: &[Atom],
    max_tokens: usize,
    overlap_tokens: usize,
) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut before: Option<Range<usize>> = None;
    std::iter::from_fn(move || {
        let done = before.as_ref().map_or(0, |run| run.end);
        let next = atoms.get(done)?;
        let start = before.as_ref().map_or(0, |run| {
            let room = overlap_tokens.min(max_tokens.saturating_sub(next.tokens));
            // At least one atom is left behind, or a run would hold the whole of the one before.
            overlap(atoms, run.start + 1..run.end, room)
        });
        let run = start..end(atoms, start, done, max_tokens);
        before = Some(run.clone());
        Some(run)
    })
}

/// Where the atoms at the end of `run` begin that have at most `room` tokens.
fn overlap(atoms: &[Atom], run: Range<usize>, room: usize) -> usize {
    let mut tokens = 0;
    let mut start = run.end;
    for atom in atoms[run].iter().rev() {
        tokens += atom.tokens;
        if tokens > room {
            break;
        }
        start -= 1;
    }
    start
}

/// Where a run from `start` ends that has all atoms before `done` and at least the one there.
fn end(atoms: &[Atom], start: usize, done: usize, max_tokens: usize) -> usize {
    let mut tokens: usize = atoms[start..=done].iter().map(|atom| atom.tokens).sum();
    let mut end = done + 1;
    for atom in &atoms[end..] {
        tokens = tokens.saturating_add(atom.tokens);
        if tokens > max_tokens {
            break;
        }
        end += 1;
    }
    if end < atoms.len() {
        let kept = atoms[done..end]
            .iter()
            .rev()
            .take_while(|atom| atom.heading);
        let headings = kept.count();
        if done + headings < end {
            return end - headings;
        }
    }
    end
}
