//! Glyphs as the page draws them, put together to lines.
//!
//! Positions are kept in the frame of the text itself, so that turned pages and vertical writing are
//! nothing special. Invariant: lines come out in the order they are drawn, which is the order of
//! reading for nearly all programs that write PDFs, and never hold a glyph twice that is drawn twice in
//! one place to look bold.

use std::panic::resume_unwind;

use hayro_interpret::font::{Glyph, GlyphRun, PositionedGlyph};
use hayro_interpret::hayro_cmap::{BfString, WritingMode};
use hayro_interpret::hayro_syntax::object::Dict;
use hayro_interpret::kurbo::{Affine, BezPath, Point, Vec2};
use hayro_interpret::{
    BlendMode, ClipPath, Device, DrawMode, DrawProps, Image, ImageDrawProps, SoftMask,
};

use super::script::{is_leftward, logical};
use crate::blocks::text_budget;
use crate::error::Error;
use crate::limits::{Budget, Limits, amount};

/// Units of a glyph's own space in one em.
const EM: f64 = 1000.0;

/// Distances in ems. A gap from here on is a space between words.
const GAP_OF_WORDS: f64 = 0.17;
/// How far above or below the line an index or exponent stands.
const SAME_LINE: f64 = 0.45;
/// How far back a glyph may stand and still follow: kerning, accents.
const BACK: f64 = 1.0;
/// How far to the left of a line the next word stands, where the line runs to the left.
const LEFTWARD_GAP: f64 = 1.5;
/// How far apart the same text drawn twice is.
const DRAWN_AGAIN: f64 = 0.2;

/// The cosine of an angle that is no turn.
const STRAIGHT: f64 = 0.99;

/// What the interpreter is unwound with.
pub(super) struct Stopped(pub(super) Error);

/// A line of text.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) text: String,
    /// Where it goes, as a unit vector of the page.
    pub(super) direction: Vec2,
    /// Where it begins and ends, along its direction.
    pub(super) start: f64,
    pub(super) end: f64,
    /// How far up its baseline is, across its direction.
    pub(super) height: f64,
    /// Its size: that of most of its text.
    pub(super) size: f64,
}

/// Collects lines.
#[derive(Debug)]
pub(super) struct Glyphs {
    lines: Vec<Line>,
    open: Option<Open>,
    /// What was drawn last, and where.
    last: Option<(String, Point)>,
    /// Marked contents that are open, and whether each is page furniture.
    marks: Vec<bool>,
    text: Budget,
    drawings: Budget,
    seen: u64,
    unknown: u64,
    images: u64,
}

/// The line that is being drawn.
#[derive(Debug)]
struct Open {
    line: Line,
    /// The sizes of all glyphs together, to find that of most.
    sizes: f64,
    glyphs: Vec<Part>,
    /// Whether letters are among them that run from right to left.
    leftward: bool,
}

/// A glyph of a line: where it stands, and where its text ends in the line's.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: f64,
    end: f64,
    text_end: usize,
}

/// A glyph in the frame of its text.
struct Placed {
    text: Option<BfString>,
    at: Point,
    direction: Vec2,
    start: f64,
    end: f64,
    height: f64,
    size: f64,
}

impl Glyphs {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            lines: Vec::new(),
            open: None,
            last: None,
            marks: Vec::new(),
            text: text_budget(limits),
            drawings: Budget::new("PDF", "drawing operations", limits.drawings),
            seen: 0,
            unknown: 0,
            images: 0,
        }
    }

    /// The lines of the page that was drawn.
    pub(super) fn end_page(&mut self) -> Vec<Line> {
        self.end_line();
        self.last = None;
        self.marks.clear();
        std::mem::take(&mut self.lines)
    }

    /// How many glyphs were drawn.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// How many of them nobody knows the character of.
    pub(super) fn unknown(&self) -> u64 {
        self.unknown
    }

    /// How many pictures were drawn.
    pub(super) fn images(&self) -> u64 {
        self.images
    }

    /// Counts one drawing, and leaves the interpreter when there were too many.
    fn count(&mut self) {
        if let Err(error) = self.drawings.spend(1) {
            resume_unwind(Box::new(Stopped(error)));
        }
    }

    fn end_line(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        let line = open.finish();
        if !line.text.trim().is_empty() {
            self.lines.push(line);
        }
    }

    fn run(&mut self, placed: &[Placed]) {
        let mut text = String::new();
        for glyph in placed {
            self.seen += 1;
            match &glyph.text {
                Some(BfString::Char(character)) => text.push(*character),
                Some(BfString::String(string)) => text.push_str(string),
                None => self.unknown += 1,
            }
        }
        let Some(first) = placed.first() else {
            return;
        };
        if let Err(error) = self.text.spend(amount(text.len())) {
            resume_unwind(Box::new(Stopped(error)));
        }
        let again = self.last.as_ref().is_some_and(|(before, at)| {
            *before == text && at.distance(first.at) < DRAWN_AGAIN * first.size
        });
        if !again {
            for glyph in placed {
                self.glyph(glyph);
            }
        }
        self.last = Some((text, first.at));
    }

    fn glyph(&mut self, glyph: &Placed) {
        if self.open.as_ref().is_some_and(|open| !open.takes(glyph)) {
            self.end_line();
        }
        let open = self.open.get_or_insert_with(|| Open::new(glyph));
        open.add(glyph);
    }
}

impl Open {
    fn new(glyph: &Placed) -> Self {
        Self {
            line: Line {
                text: String::new(),
                direction: glyph.direction,
                start: glyph.start,
                end: glyph.start,
                height: glyph.height,
                size: glyph.size,
            },
            sizes: 0.0,
            glyphs: Vec::new(),
            leftward: false,
        }
    }

    fn finish(self) -> Line {
        let mut line = self.line;
        let count = u32::try_from(self.glyphs.len()).unwrap_or(u32::MAX);
        line.size = self.sizes / f64::from(count.max(1));
        if self.leftward {
            line.text = logical(&seen(&line.text, &self.glyphs, line.size));
        }
        line
    }

    /// Whether `glyph` stands on this line.
    fn takes(&self, glyph: &Placed) -> bool {
        let size = self.line.size.max(glyph.size);
        self.line.direction.dot(glyph.direction) > STRAIGHT
            && (glyph.height - self.line.height).abs() < SAME_LINE * size
            && (glyph.start > self.line.end - BACK * size || self.goes_left(glyph, size))
    }

    /// Whether `glyph` goes on to the left of this line. Producers draw such lines in either order.
    fn goes_left(&self, glyph: &Placed, size: f64) -> bool {
        if !self.leftward && !glyph.is_leftward() {
            return false;
        }
        let gap = self.line.start - glyph.end;
        // A number within the line runs to the right again.
        let follows = self
            .glyphs
            .last()
            .is_some_and(|last| (glyph.start - last.end).abs() < BACK * size);
        follows || gap > -BACK * size && gap < LEFTWARD_GAP * size
    }

    fn add(&mut self, glyph: &Placed) {
        let line = &mut self.line;
        let gap = glyph.start - line.end;
        let spaced = line.text.is_empty() || line.text.ends_with(' ');
        if gap > GAP_OF_WORDS * glyph.size.min(line.size) && !spaced {
            line.text.push(' ');
        }
        match &glyph.text {
            Some(BfString::Char(character)) => push(&mut line.text, *character),
            Some(BfString::String(string)) => {
                string
                    .chars()
                    .for_each(|character| push(&mut line.text, character));
            }
            None => {}
        }
        line.start = line.start.min(glyph.start);
        line.end = line.end.max(glyph.end);
        self.sizes += glyph.size;
        self.leftward |= glyph.is_leftward();
        self.glyphs.push(Part {
            start: glyph.start,
            end: glyph.end,
            text_end: line.text.len(),
        });
    }
}

impl Placed {
    fn is_leftward(&self) -> bool {
        match &self.text {
            Some(BfString::Char(character)) => is_leftward(*character),
            Some(BfString::String(string)) => string.chars().any(is_leftward),
            None => false,
        }
    }
}

/// The glyphs' texts from left to right, with spaces where there are gaps.
fn seen(text: &str, glyphs: &[Part], size: f64) -> String {
    let mut begin = 0;
    let mut parts: Vec<(f64, f64, &str)> = Vec::with_capacity(glyphs.len());
    for glyph in glyphs {
        let part = text.get(begin..glyph.text_end).unwrap_or_default();
        parts.push((glyph.start, glyph.end, part));
        begin = glyph.text_end;
    }
    parts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut seen = String::with_capacity(text.len());
    let mut right = f64::INFINITY;
    for (start, end, part) in parts {
        let part = part.trim();
        if part.is_empty() || start - right > GAP_OF_WORDS * size {
            seen.push(' ');
        }
        seen.push_str(part);
        right = end;
    }
    seen
}

/// Adds a character: white space once, ligatures as their letters.
fn push(text: &mut String, character: char) {
    let letters = match character {
        '\u{FB00}' => "ff",
        '\u{FB01}' => "fi",
        '\u{FB02}' => "fl",
        '\u{FB03}' => "ffi",
        '\u{FB04}' => "ffl",
        '\u{FB05}' | '\u{FB06}' => "st",
        _ if character.is_whitespace() => {
            if !text.is_empty() && !text.ends_with(' ') {
                text.push(' ');
            }
            return;
        }
        // Private characters are pictures of the font's own.
        _ if character.is_control() || ('\u{E000}'..='\u{F8FF}').contains(&character) => return,
        _ => return text.push(character),
    };
    text.push_str(letters);
}

/// None for a glyph without size or place.
fn place(glyph: &PositionedGlyph<'_>, transform: Affine, mode: WritingMode) -> Option<Placed> {
    let transform = transform * glyph.transform();
    let at = transform * Point::ZERO;
    let across = transform * Point::new(EM, 0.0) - at;
    let up = transform * Point::new(0.0, EM) - at;
    let size = up.hypot();
    let (along, advance) = match mode {
        WritingMode::Horizontal => {
            let width = match &**glyph {
                Glyph::Outline(outline) => outline.advance_width(),
                Glyph::Type3(drawn) => drawn.advance_width(),
            };
            (across, f64::from(width.unwrap_or(500.0)) / EM)
        }
        WritingMode::Vertical => (-up, 1.0),
    };
    let length = along.hypot();
    if !(size.is_finite() && length.is_finite() && size > 0.0 && length > 0.0) {
        return None;
    }
    let direction = along / length;
    let start = at.to_vec2().dot(direction);
    let height = at.to_vec2().dot(Vec2::new(-direction.y, direction.x));
    let end = start + advance.max(0.0) * length;
    (start.is_finite() && height.is_finite() && end.is_finite()).then(|| Placed {
        text: glyph.as_unicode(),
        at,
        direction,
        start,
        end,
        height,
        size,
    })
}

impl Device<'_> for Glyphs {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, '_>, props: DrawProps<'_>, _: &DrawMode) {
        self.count();
        if self.marks.contains(&true) {
            return;
        }
        let placed: Vec<Placed> = run
            .glyphs()
            .iter()
            .filter_map(|glyph| place(glyph, props.transform, run.writing_mode()))
            .collect();
        self.run(&placed);
    }

    fn begin_marked_content(&mut self, tag: &[u8], _: Option<&Dict<'_>>) {
        self.count();
        self.marks.push(tag == b"Artifact");
    }

    fn end_marked_content(&mut self) {
        self.marks.pop();
    }

    fn draw_image(&mut self, _: Image<'_, '_>, _: ImageDrawProps<'_>) {
        self.count();
        self.images += 1;
    }

    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'_>, _: &DrawMode) {
        self.count();
    }

    fn push_clip_path(&mut self, _: &ClipPath) {
        self.count();
    }

    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'_>>, _: BlendMode) {
        self.count();
    }

    fn pop_clip(&mut self) {}

    fn pop_transparency_group(&mut self) {}
}
