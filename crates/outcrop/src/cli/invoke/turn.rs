//! One `InvokeAgent` call: sent, and its events shown as they come.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use outcrop_model::runtime::InvokeAgentRequest;
use outcrop_wire::event_stream::{Frame, FrameError, FrameReader};
use serde_json::{Value, json};

use super::event::{Event, ReturnControl, Unreadable};
use super::line::Line;
use super::render::Renderer;
use super::target::{Target, TargetError};
use super::terminal::Terminal;

/// How turns are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The sum at the end, too.
    pub(crate) trace: bool,
    /// Events as JSON instead of drawings.
    pub(crate) json: bool,
}

/// How a turn ended.
pub(crate) enum Outcome {
    /// With an answer.
    Answered,
    /// With calls for the caller.
    Returned(ReturnControl),
}

/// Why a turn gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnError {
    /// Before the stream began.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The agent failed; its stream ends with the reason.
    #[error("{name}: {message}")]
    Failed { name: String, message: String },
    /// The stream is none.
    #[error("the answer is no event stream")]
    Frame(#[from] FrameError),
    /// An event of it cannot be read.
    #[error(transparent)]
    Event(#[from] Unreadable),
    /// It ended with neither an answer nor an error.
    #[error("the answer ended early")]
    Early,
    /// Standard output is gone.
    #[error("the answer cannot be written")]
    Output(#[from] io::Error),
}

/// Sends `request` and shows what comes back.
pub(crate) async fn run(
    target: &Target,
    request: &InvokeAgentRequest,
    view: View,
    terminal: &mut Terminal,
) -> Result<Outcome, TurnError> {
    let begun = Instant::now();
    let mut response = target.invoke(request).await?;
    let mut frames = FrameReader::default();
    let mut show = Show::new(view);
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| target.broken(&error))?
    {
        frames.push(&piece);
        while let Some(frame) = frames.next_frame()? {
            match frame {
                Frame::Event { name, payload } => show.event(&name, &payload, terminal)?,
                Frame::Exception { name, payload } => {
                    show.end_answer(terminal)?;
                    return Err(failure(name, &payload));
                }
            }
        }
    }
    frames.finish()?;
    show.finish(begun.elapsed(), terminal)
}

fn failure(name: String, payload: &Bytes) -> TurnError {
    let message = serde_json::from_slice::<Value>(payload)
        .ok()
        .and_then(|payload| Some(payload.get("message")?.as_str()?.to_owned()))
        .unwrap_or_else(|| "no reason given".to_owned());
    TurnError::Failed { name, message }
}

/// What has been shown of a turn so far.
struct Show {
    view: View,
    renderer: Renderer,
    text: Utf8Pieces,
    sources: Vec<Line>,
    answered: bool,
    /// Some of the answer has been written.
    begun: bool,
    /// Standard output is within a line of the answer.
    within_line: bool,
    returned: Option<ReturnControl>,
}

impl Show {
    fn new(view: View) -> Self {
        Self {
            view,
            renderer: Renderer::new(Terminal::width()),
            text: Utf8Pieces::default(),
            sources: Vec::new(),
            answered: false,
            begun: false,
            within_line: false,
            returned: None,
        }
    }

    fn event(
        &mut self,
        name: &str,
        payload: &Bytes,
        terminal: &mut Terminal,
    ) -> Result<(), TurnError> {
        let event = Event::decode(name, payload)?;
        if self.view.json {
            let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
            Terminal::json(&json!({ name: payload }))?;
        } else {
            self.draw(&event, terminal)?;
        }
        match event {
            Event::Chunk(_) => self.answered = true,
            Event::ReturnControl(control) => self.returned = Some(control),
            Event::Trace(_) | Event::Files(_) | Event::Other(_) => {}
        }
        Ok(())
    }

    fn draw(&mut self, event: &Event, terminal: &mut Terminal) -> Result<(), TurnError> {
        let lines = self.renderer.event(event);
        if let Event::Chunk(chunk) = event {
            let text = self.text.push(&chunk.bytes());
            // Agents often begin with an empty line, which `--json` shows.
            let text = if self.begun { &text } else { text.trim_start() };
            if !text.is_empty() {
                if !self.within_line {
                    terminal.note("");
                }
                terminal.answer(text)?;
                self.begun = true;
                self.within_line = !text.ends_with('\n');
            }
            // Sources of a streamed answer would come between its words.
            self.sources.extend(lines);
        } else if !lines.is_empty() {
            if self.within_line {
                // To standard error, so that the answer itself gains no line break.
                terminal.note("");
                self.within_line = false;
            }
            terminal.lines(&lines);
        }
        Ok(())
    }

    /// Ends the answer's last line.
    fn end_answer(&mut self, terminal: &mut Terminal) -> Result<(), TurnError> {
        if !self.view.json && self.answered {
            let rest = self.text.finish();
            let end = if self.within_line || !rest.is_empty() {
                "\n"
            } else {
                ""
            };
            terminal.answer(&format!("{rest}{end}"))?;
            self.within_line = false;
        }
        Ok(())
    }

    fn finish(mut self, elapsed: Duration, terminal: &mut Terminal) -> Result<Outcome, TurnError> {
        self.end_answer(terminal)?;
        if self.view.trace && !self.view.json {
            let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            terminal.note("");
            terminal.lines(&self.sources);
            terminal.lines(&[self.renderer.totals(elapsed_ms)]);
        }
        match self.returned {
            Some(control) => Ok(Outcome::Returned(control)),
            None if self.answered => Ok(Outcome::Answered),
            None => Err(TurnError::Early),
        }
    }
}

/// Text that arrives in pieces which may end within a character.
#[derive(Debug, Default)]
struct Utf8Pieces {
    rest: Vec<u8>,
}

impl Utf8Pieces {
    /// The characters that are complete now. Bytes that are no UTF-8 become replacement characters.
    fn push(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    self.rest.clear();
                    return text;
                }
                Err(error) => {
                    let rest = self.rest.split_off(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(&self.rest));
                    self.rest = rest;
                    // Without a length the character may yet be completed.
                    let Some(wrong) = error.error_len() else {
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.rest.drain(..wrong);
                }
            }
        }
    }

    fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Utf8Pieces;

    #[test]
    fn characters_are_put_together() {
        let mut pieces = Utf8Pieces::default();
        let text = "a\u{20ac}b".as_bytes();
        assert_eq!(pieces.push(&text[..2]), "a");
        assert_eq!(pieces.push(&text[2..]), "\u{20ac}b");
        assert_eq!(pieces.push(b"x\xffy\xe2"), "x\u{fffd}y");
        assert_eq!(pieces.finish(), "\u{fffd}");
        assert_eq!(pieces.finish(), "");
    }
}
