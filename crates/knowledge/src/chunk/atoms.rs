//! A document taken apart into what is not cut any further.
//!
//! Each text goes to the token counter once, in windows of bounded size, since counters may be slow
//! and some take more than linear time for a long text.

use std::ops::Range;
use std::sync::Arc;

use super::sentence::sentences;
use super::{Chunk, Parent, TokenCounter};
use crate::document::{Block, BlockKind, Extracted};

/// Most bytes that the token counter is given at once.
const WINDOW_BYTES_MAX: usize = 16 * 1024;
/// Most bytes that are taken for one token. Some models take a word that they do not know for one
/// token however long it is; a chunk of such words would have no end.
const TOKEN_BYTES_MAX: usize = 64;
/// Of an overlong sentence, the share of a piece within which a better place to cut is looked for.
const SLACK_SHARE: usize = 4;

/// A part of a block's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Atom {
    /// The block, by its place.
    block: usize,
    /// The bytes of its text, trailing white space included.
    range: Range<usize>,
    /// At least 1, so that the length of a run is bounded.
    pub(super) tokens: usize,
    /// Whether what follows belongs to it.
    pub(super) heading: bool,
}

/// A document's atoms in order. Together they are its text.
#[derive(Debug)]
pub(super) struct Atoms {
    document: Arc<Extracted>,
    atoms: Vec<Atom>,
}

impl Atoms {
    /// Takes a document apart into atoms of at most `max_tokens`.
    pub(super) fn of(
        document: Arc<Extracted>,
        max_tokens: usize,
        counter: &dyn TokenCounter,
    ) -> Self {
        let mut builder = Builder {
            counter,
            max_tokens,
            line_tokens: counter.count("\n"),
            paragraph_tokens: counter.count("\n\n"),
            atoms: Vec::new(),
        };
        let mut before = None;
        for (index, block) in document.blocks.iter().enumerate() {
            let gap = match before.map(|before| separator(before, block)) {
                None => 0,
                Some(LINE) => builder.line_tokens,
                Some(_) => builder.paragraph_tokens,
            };
            builder.block(index, block, gap);
            before = Some(block);
        }
        let atoms = builder.atoms;
        Self { document, atoms }
    }

    pub(super) fn list(&self) -> &[Atom] {
        &self.atoms
    }

    /// A run of atoms as a chunk.
    pub(super) fn chunk(&self, run: Range<usize>, parent: Option<Arc<Parent>>) -> Chunk {
        let atoms = &self.atoms[run.clone()];
        Chunk {
            text: self.text(run).into(),
            tokens: atoms.iter().map(|atom| atom.tokens).sum(),
            page: atoms
                .first()
                .and_then(|atom| self.document.blocks[atom.block].page),
            parent,
        }
    }

    /// The text of a run, blocks parted by line breaks.
    pub(super) fn text(&self, run: Range<usize>) -> String {
        let mut text = String::new();
        let mut rest = self.atoms[run].iter().peekable();
        let mut before: Option<&Block> = None;
        while let Some(first) = rest.next() {
            let mut end = first.range.end;
            while let Some(next) = rest.next_if(|next| next.block == first.block) {
                end = next.range.end;
            }
            let block = &self.document.blocks[first.block];
            let part = &block.text[first.range.start..end];
            if part.trim().is_empty() {
                continue;
            }
            if let Some(before) = before {
                text.truncate(text.trim_end().len());
                text.push_str(separator(before, block));
            }
            // The indentation of the first line of code says something.
            text.push_str(if block.kind == BlockKind::Code {
                part.trim_start_matches(['\n', '\r'])
            } else {
                part.trim_start()
            });
            before = Some(block);
        }
        text.truncate(text.trim_end().len());
        text
    }
}

const LINE: &str = "\n";
const PARAGRAPH: &str = "\n\n";

/// What parts two blocks: rows and items that follow each other are one table, one list.
fn separator(before: &Block, after: &Block) -> &'static str {
    match (before.kind, after.kind) {
        (BlockKind::Row, BlockKind::Row) | (BlockKind::ListItem, BlockKind::ListItem) => LINE,
        _ => PARAGRAPH,
    }
}

struct Builder<'a> {
    counter: &'a dyn TokenCounter,
    max_tokens: usize,
    line_tokens: usize,
    paragraph_tokens: usize,
    atoms: Vec<Atom>,
}

impl Builder<'_> {
    /// Adds a block's atoms; `gap` tokens part it from the block before.
    fn block(&mut self, index: usize, block: &Block, gap: usize) {
        let text = block.text.as_str();
        let heading = matches!(block.kind, BlockKind::Heading { .. });
        let spans = match block.kind {
            BlockKind::Code => lines(text),
            BlockKind::Paragraph
            | BlockKind::Row
            | BlockKind::ListItem
            | BlockKind::Heading { .. } => sentences(text),
        };
        let whole = matches!(
            block.kind,
            BlockKind::Row | BlockKind::ListItem | BlockKind::Heading { .. }
        );
        let mut spans = spans.into_iter().peekable();
        let mut gap = gap;
        let mut start = 0;
        for window in windows(text, spans.clone()) {
            let ends = self.token_ends(text, &window);
            if whole && window == (0..text.len()) && ends.len() + gap <= self.max_tokens {
                self.span(index, text, window, (&ends, 0), gap, heading);
                return;
            }
            let mut rest = ends.as_slice();
            while start < window.end {
                // A span that is longer than a window ends where the window does, and goes on.
                let end = spans
                    .next_if(|end| *end <= window.end)
                    .unwrap_or(window.end);
                let (tokens, behind) = rest.split_at(rest.partition_point(|at| *at <= end));
                // A token across the span's end has a part here, and is counted there.
                let last = tokens.last().copied().unwrap_or(start);
                let part = usize::from(!text[last..end].trim().is_empty());
                self.span(index, text, start..end, (tokens, part), gap, heading);
                (start, rest, gap) = (end, behind, 0);
            }
        }
    }

    /// Adds a span, in pieces if it is too long. `tokens` are where its tokens end, and how many it
    /// has behind them.
    fn span(
        &mut self,
        block: usize,
        text: &str,
        span: Range<usize>,
        tokens: (&[usize], usize),
        gap: usize,
        heading: bool,
    ) {
        let mut start = span.start;
        let (mut rest, part) = tokens;
        let mut gap = gap;
        let most = self.max_tokens;
        let atoms = &mut self.atoms;
        let mut push = |range: Range<usize>, tokens: usize| {
            atoms.push(Atom {
                block,
                range,
                tokens: tokens.clamp(1, most),
                heading,
            });
        };
        loop {
            // A gap that leaves no room is passed over: where a chunk begins, there is none.
            let room = most.saturating_sub(gap).max(1);
            if rest.len() + part <= room {
                push(start..span.end, rest.len() + part + gap);
                return;
            }
            let take = cut_at(text, &rest[..room]);
            let end = rest[take - 1];
            push(start..end, take + gap);
            (start, rest, gap) = (end, &rest[take..], 0);
        }
    }

    /// Where the tokens of a window end, none of them longer than [`TOKEN_BYTES_MAX`].
    fn token_ends(&self, text: &str, window: &Range<usize>) -> Vec<usize> {
        let ends = self.counter.token_ends(&text[window.clone()]);
        let mut filled = Vec::with_capacity(ends.len());
        let mut last = window.start;
        let mut fill = |to: usize, token: bool| {
            while to.saturating_sub(last) > TOKEN_BYTES_MAX {
                last = text.floor_char_boundary(last + TOKEN_BYTES_MAX);
                filled.push(last);
            }
            if token && to > last {
                last = to;
                filled.push(last);
            }
        };
        for end in ends {
            let end = window.start + end;
            // A counter that is wrong must not make us cut within a character.
            if end <= window.end && text.is_char_boundary(end) {
                fill(end, true);
            }
        }
        fill(window.end, false);
        filled
    }
}

/// How many of these tokens a piece of an overlong sentence takes: up to a line break or else a word's
/// end near the last one, else all.
fn cut_at(text: &str, ends: &[usize]) -> usize {
    let slack = ends.len() / SLACK_SHARE;
    let near = || {
        (ends.len() - slack..=ends.len())
            .rev()
            .filter(|take| *take > 0)
    };
    let next = |take: usize| text[ends[take - 1]..].chars().next();
    near()
        .find(|take| next(*take) == Some('\n'))
        .or_else(|| near().find(|take| next(*take).is_some_and(char::is_whitespace)))
        .unwrap_or(ends.len())
}

/// Where each line ends, its break included.
fn lines(text: &str) -> Vec<usize> {
    let mut ends: Vec<usize> = text
        .bytes()
        .enumerate()
        .filter_map(|(at, byte)| (byte == b'\n').then_some(at + 1))
        .collect();
    if ends.last() != Some(&text.len()) {
        ends.push(text.len());
    }
    ends
}

/// Parts of a text for the token counter: whole spans where they fit.
fn windows(text: &str, spans: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    let mut last = 0;
    for end in spans {
        if end - start > WINDOW_BYTES_MAX && last > start {
            windows.push(start..last);
            start = last;
        }
        while end - start > WINDOW_BYTES_MAX {
            let stop = window_end(text, start);
            windows.push(start..stop);
            start = stop;
        }
        last = end;
    }
    if start < text.len() {
        windows.push(start..text.len());
    }
    windows
}

/// Where a window within a long span ends: behind white space, if there is some in its last half.
fn window_end(text: &str, start: usize) -> usize {
    let stop = text.floor_char_boundary(start + WINDOW_BYTES_MAX);
    let half = text.floor_char_boundary(start + WINDOW_BYTES_MAX / 2);
    text[half..stop]
        .char_indices()
        .rev()
        .find(|(_, c)| c.is_whitespace())
        .map_or(stop, |(at, c)| half + at + c.len_utf8())
}
