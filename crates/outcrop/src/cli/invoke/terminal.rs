//! The terminal of `outcrop invoke`: where lines, answers and questions really go.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::control::Person;
use super::line::{Line, Tone, clean};
use crate::cli::colour_wanted;

/// Columns assumed where there is no terminal to ask.
const WIDTH_WITHOUT_TERMINAL: usize = 100;
/// A line typed at the prompt may hold a whole JSON document, but not more than AWS takes.
const LINE_LIMIT_BYTES: u64 = 25_000_000;

/// Standard error for the trace, standard output for the answer, standard input for questions.
pub(crate) struct Terminal {
    colour: bool,
    answer_is_shown: bool,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        Self {
            colour: colour_wanted(&io::stderr()),
            answer_is_shown: io::stdout().is_terminal(),
        }
    }

    /// Columns of the trace.
    pub(crate) fn width() -> usize {
        rustix::termios::tcgetwinsize(io::stderr())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|columns| *columns > 0)
            .unwrap_or(WIDTH_WITHOUT_TERMINAL)
    }

    /// Lines of the trace.
    pub(crate) fn lines(&mut self, lines: &[Line]) {
        let mut stderr = io::stderr().lock();
        for line in lines {
            // A closed standard error is the reader's choice; the answer still counts.
            let _ = writeln!(stderr, "{}", line.paint(self.colour));
        }
    }

    /// A remark of this program.
    pub(crate) fn note(&mut self, text: &str) {
        self.lines(&[Line::new([(Tone::Quiet, text)])]);
    }

    /// A failure that does not end the program.
    pub(crate) fn error(&mut self, text: &str) {
        self.lines(&[Line::new([
            (Tone::Failure, "error: "),
            (Tone::Plain, &clean(text)),
        ])]);
    }

    /// A piece of the answer. Escape sequences in it are harmless to a pipe, not to a terminal.
    pub(crate) fn answer(&mut self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.answer_is_shown {
            stdout.write_all(clean(text).as_bytes())?;
        } else {
            stdout.write_all(text.as_bytes())?;
        }
        stdout.flush()
    }

    /// One line for a program.
    pub(crate) fn json(value: &serde_json::Value) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{value}")?;
        stdout.flush()
    }

    /// Asks for a line; `None` at the end of standard input.
    pub(crate) fn prompt(&mut self, question: &str) -> io::Result<Option<String>> {
        let prompt = Line::new([(Tone::Question, question)]).paint(self.colour);
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{prompt}").and_then(|()| stderr.flush());
        drop(stderr);
        let mut line = String::new();
        let read = io::Read::take(io::stdin().lock(), LINE_LIMIT_BYTES).read_line(&mut line)?;
        if !io::stdin().is_terminal() {
            // Nobody pressed the key that would have ended the line on the screen.
            self.note("");
        }
        Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl Person for Terminal {
    fn tell(&mut self, lines: &[Line]) {
        self.lines(lines);
    }

    fn ask(&mut self, question: &str) -> io::Result<Option<String>> {
        self.prompt(question)
    }
}
