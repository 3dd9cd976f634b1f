//! The inside of an answer: its text without the tags that name sources, and what rests on which
//! source (behaviour.md 4.7, 6.5).
//!
//! Text is given out as it comes, but for white space at the beginning and in parts, which is held until
//! it is known whether a part begins or ends there. Invariant: text that was given out is never taken
//! back.

/// A part of an answer that names its sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerPart {
    /// Where it begins in the answer, bytes.
    pub start: usize,
    /// Where it ends, bytes, exclusive.
    pub end: usize,
    /// The ids of the sources, as the model wrote them.
    pub sources: Vec<String>,
}

/// What stands between the parts of an answer: a space, as on AWS, or a blank line where a part has
/// lines of its own or the next begins like the item of a list.
pub fn part_break(before: &str, next: &str) -> &'static str {
    let begins = next.trim_start().chars().next();
    let begins_item =
        begins.is_some_and(|first| "-*#+|>\u{2022}".contains(first) || first.is_ascii_digit());
    if begins_item || before.trim_start().contains('\n') {
        "\n\n"
    } else {
        " "
    }
}

const TAGS: [(&str, Tag); 8] = [
    ("<answer_part>", Tag::PartOpen),
    ("</answer_part>", Tag::PartClose),
    ("<text>", Tag::Text),
    ("</text>", Tag::Text),
    ("<sources>", Tag::SourcesOpen),
    ("</sources>", Tag::SourcesClose),
    ("<source>", Tag::SourceOpen),
    ("</source>", Tag::SourceClose),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    PartOpen,
    PartClose,
    Text,
    SourcesOpen,
    SourcesClose,
    SourceOpen,
    SourceClose,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Plain,
    Part,
    Sources,
    Source,
}

/// Reads the inside of one answer.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact about what was read, none a state of it: that is the place"
)]
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    /// Whether the white space in texts of parts is given out as it comes.
    verbatim: bool,
    /// Whether such a text is being read: between `<text>` and `</text>`.
    in_text: bool,
    place: Place,
    /// Whether the sources being read stand inside a part.
    in_part: bool,
    /// What may be the beginning of a tag.
    pending: String,
    /// White space of which it is not known yet whether it belongs to the answer.
    gap: String,
    text: String,
    /// Whether the next text begins a part of its own.
    breaks: bool,
    /// Where the last part, or the text before the first, begins.
    latest: usize,
    has_parts: bool,
    /// Where the text that the next sources speak of begins.
    start: Option<usize>,
    source: String,
    sources: Vec<String>,
    parts: Vec<AnswerPart>,
}

impl Body {
    /// A reader that leaves the texts of parts as the model writes them.
    pub(super) fn verbatim() -> Self {
        Self {
            verbatim: true,
            ..Self::default()
        }
    }

    /// Reads more.
    pub(super) fn feed(&mut self, text: &str) {
        let joined;
        let mut rest = text;
        if !self.pending.is_empty() {
            self.pending.push_str(text);
            joined = std::mem::take(&mut self.pending);
            rest = joined.as_str();
        }
        while let Some(at) = rest.find('<') {
            let (before, from) = rest.split_at(at);
            self.text(before);
            let known = TAGS.iter().filter(|(_, tag)| self.knows(*tag));
            if let Some((name, tag)) = known.clone().find(|(name, _)| from.starts_with(name)) {
                self.tag(*tag);
                rest = from.get(name.len()..).unwrap_or_default();
            } else if known.clone().any(|(name, _)| name.starts_with(from)) {
                from.clone_into(&mut self.pending);
                return;
            } else {
                let (bracket, behind) = from.split_at(1);
                self.text(bracket);
                rest = behind;
            }
        }
        self.text(rest);
    }

    /// The text as far as it is known.
    pub(super) fn known(&self) -> &str {
        &self.text
    }

    /// The parts whose sources are known.
    pub(super) fn parts(&self) -> &[AnswerPart] {
        &self.parts
    }

    /// Ends the answer.
    pub(super) fn finish(mut self) -> (String, Vec<AnswerPart>) {
        self.close();
        (self.text, self.parts)
    }

    /// Takes what is held back as it is: the answer has ended.
    pub(super) fn close(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.text(&pending);
        self.end_sources();
        let gap = std::mem::take(&mut self.gap);
        if !self.has_parts {
            self.text.push_str(&gap);
        }
    }

    /// Outside a part a text may well speak of `<text>` or `<source>`.
    fn knows(&self, tag: Tag) -> bool {
        match self.place {
            Place::Plain => matches!(tag, Tag::PartOpen | Tag::PartClose | Tag::SourcesOpen),
            Place::Part => matches!(
                tag,
                Tag::PartOpen | Tag::PartClose | Tag::Text | Tag::SourcesOpen | Tag::SourceOpen
            ),
            Place::Sources | Place::Source => tag != Tag::Text,
        }
    }

    fn tag(&mut self, tag: Tag) {
        match tag {
            Tag::PartOpen => {
                self.end_sources();
                self.begin(Place::Part);
            }
            Tag::PartClose => {
                self.end_sources();
                self.begin(Place::Plain);
            }
            Tag::SourcesOpen => {
                self.gap.clear();
                self.has_parts = true;
                if self.place != Place::Sources {
                    self.in_part = self.place == Place::Part;
                }
                self.place = Place::Sources;
            }
            Tag::SourcesClose => {
                let in_part = self.in_part;
                self.end_sources();
                self.begin(if in_part { Place::Part } else { Place::Plain });
            }
            Tag::SourceOpen => {
                self.end_source();
                if self.place == Place::Part {
                    // Claude 2's parts name their sources without a list around them.
                    self.gap.clear();
                    self.in_part = true;
                }
                self.place = Place::Source;
            }
            Tag::SourceClose => {
                self.end_source();
                self.place = Place::Sources;
            }
            Tag::Text => {
                self.gap.clear();
                self.in_text = self.verbatim && self.place == Place::Part && !self.in_text;
            }
        }
        if self.place != Place::Part {
            self.in_text = false;
        }
    }

    fn begin(&mut self, place: Place) {
        self.place = place;
        self.has_parts = true;
        self.breaks = true;
        self.start = None;
        self.gap.clear();
    }

    fn end_source(&mut self) {
        let source = std::mem::take(&mut self.source);
        let source = source.trim();
        if !source.is_empty() {
            self.sources.push(source.to_owned());
        }
    }

    fn end_sources(&mut self) {
        self.end_source();
        let sources = std::mem::take(&mut self.sources);
        if let Some(start) = self.start
            && !sources.is_empty()
        {
            self.parts.push(AnswerPart {
                start,
                end: self.text.trim_end().len(),
                sources,
            });
        }
    }

    fn text(&mut self, text: &str) {
        match self.place {
            Place::Sources => {}
            Place::Source => self.source.push_str(text),
            Place::Plain | Place::Part if self.in_text => self.written(text),
            Place::Plain | Place::Part => self.spoken(text),
        }
    }

    /// The text of a part as it stands, set off from the one before where the model has not done so.
    fn written(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.breaks
            && !self.text.is_empty()
            && !self.text.ends_with(char::is_whitespace)
            && !text.starts_with(char::is_whitespace)
        {
            self.end_part(text);
        }
        self.breaks = false;
        self.start.get_or_insert(self.text.len());
        self.text.push_str(text);
    }

    fn spoken(&mut self, text: &str) {
        let spoken = text.trim_start();
        let (space, _) = text.split_at(text.len() - spoken.len());
        // Where no part is in sight, text is given out just as the model wrote it.
        let holds = self.has_parts || self.text.is_empty();
        if holds {
            self.gap.push_str(space);
        } else {
            self.text.push_str(space);
        }
        if spoken.is_empty() {
            return;
        }
        let gap = std::mem::take(&mut self.gap);
        if self.breaks {
            self.end_part(spoken);
        } else if !self.text.is_empty() {
            // An answer begins with its first word, as AWS's do.
            self.text.push_str(&gap);
        }
        self.breaks = false;
        self.start.get_or_insert(self.text.len());
        let kept = if self.has_parts {
            spoken.trim_end()
        } else {
            spoken
        };
        self.text.push_str(kept);
        self.gap.push_str(spoken.split_at(kept.len()).1);
    }

    /// Sets the text off from `next`, by what it lacks of the break between them.
    fn end_part(&mut self, next: &str) {
        if self.text.is_empty() {
            return;
        }
        let before = self.text.get(self.latest..).unwrap_or_default();
        let wanted = part_break(before, next);
        let spaces = |byte: &u8| *byte == b' ' || *byte == b'\n';
        let has = self.text.bytes().rev().take_while(spaces);
        let missing = if wanted == " " {
            usize::from(has.count() == 0)
        } else {
            let lines = has.filter(|byte| *byte == b'\n').count();
            wanted.len().saturating_sub(lines)
        };
        let (_, lacking) = wanted.split_at(wanted.len() - missing);
        self.text.push_str(lacking);
        self.latest = self.text.len();
    }
}
