//! PDF: the text of each page in the order it is drawn, put together to lines and paragraphs.
//!
//! A PDF says where each glyph stands and little else. [`glyphs`] makes lines of glyphs, [`layout`]
//! makes blocks of lines. Pictures are not looked at, so a scan without a text layer has no text, and
//! is told so. Invariant: one page's content is unpacked at a time.

mod furniture;
mod glyphs;
mod layout;
mod script;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use bytes::Bytes;
use hayro_interpret::hayro_syntax::content::TypedIter;
use hayro_interpret::hayro_syntax::object::{Array, Object, Stream};
use hayro_interpret::hayro_syntax::page::Page;
use hayro_interpret::hayro_syntax::{DecryptionError, LoadPdfError, Pdf};
use hayro_interpret::kurbo::{Affine, Rect};
use hayro_interpret::{
    Context, InterpreterCache, InterpreterSettings, RenderContent, interpret, interpret_page,
};

use crate::blocks::Blocks;
use crate::error::Error;
use crate::format::Format;
use crate::limits::{Budget, Limits, amount};
use glyphs::{Glyphs, Line, Stopped};

/// Fonts are kept from page to page; after this many pages they are let go, since a file may have
/// some for each page.
const PAGES_A_CACHE: usize = 100;

/// Fewer glyphs than this say nothing about the others.
const GLYPHS_TELLING: u64 = 20;

/// The blocks of a PDF.
pub(crate) fn read(content: Bytes, limits: &Limits, blocks: &mut Blocks) -> Result<(), Error> {
    let pdf = Pdf::new(Arc::new(content)).map_err(refusal)?;
    let mut pages_budget = Budget::new("PDF", "pages", limits.pages);
    pages_budget.spend(amount(pdf.pages().len()))?;
    let settings = InterpreterSettings {
        // The page itself is drawn from what `content` unpacks.
        render_content: RenderContent::ANNOTATIONS,
        ..InterpreterSettings::default()
    };
    let mut glyphs = Glyphs::new(limits);
    let mut pages: Vec<Vec<Line>> = Vec::with_capacity(pdf.pages().len());
    for some in pdf.pages().chunks(PAGES_A_CACHE) {
        let cache = InterpreterCache::new();
        for page in some {
            let view = Rect::new(0.0, 0.0, 1.0, 1.0);
            let mut context =
                Context::new(Affine::IDENTITY, view, &cache, pdf.xref(), settings.clone());
            draw(page, &mut context, &mut glyphs)?;
            pages.push(glyphs.end_page());
        }
    }
    legible(&glyphs, pages.len())?;
    if let Some(title) = pdf.metadata().title.as_deref().and_then(title) {
        blocks.title(&title);
    }
    furniture::remove(&mut pages);
    layout::write(&pages, blocks)
}

/// Has the page drawn into `glyphs`. The interpreter cannot be asked to stop, so `glyphs` unwinds out
/// of it when a limit is met.
fn draw<'a>(page: &Page<'a>, context: &mut Context<'a>, glyphs: &mut Glyphs) -> Result<(), Error> {
    // The page's own `operations` keep what they unpack as long as the document is open.
    let content = content(page);
    let drawn = catch_unwind(AssertUnwindSafe(|| {
        interpret(TypedIter::new(&content), page.resources(), context, glyphs);
        interpret_page(page, context, glyphs);
    }));
    match drawn {
        Ok(()) => Ok(()),
        Err(payload) => match payload.downcast::<Stopped>() {
            Ok(stopped) => Err(stopped.0),
            Err(payload) => resume_unwind(payload),
        },
    }
}

/// What the page draws, unpacked.
fn content(page: &Page<'_>) -> Vec<u8> {
    const CONTENTS: &[u8] = b"Contents";
    let raw = page.raw();
    let mut content = Vec::new();
    let mut add = |stream: Stream<'_>| {
        if let Ok(part) = stream.decoded_data() {
            content.extend_from_slice(&part);
            // A token does not reach over the end of a stream.
            content.push(b'\n');
        }
    };
    if let Some(stream) = raw.get::<Stream<'_>>(CONTENTS) {
        add(stream);
    } else if let Some(streams) = raw.get::<Array<'_>>(CONTENTS) {
        streams
            .iter::<Object<'_>>()
            .filter_map(Object::into_stream)
            .for_each(add);
    }
    content
}

fn refusal(error: LoadPdfError) -> Error {
    let cause = match error {
        LoadPdfError::Decryption(DecryptionError::UnsupportedAlgorithm) => {
            "it is encrypted in a way that is not known"
        }
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => {
            return Error::Encrypted {
                format: Format::Pdf,
            };
        }
        LoadPdfError::Decryption(
            DecryptionError::MissingIDEntry | DecryptionError::InvalidEncryption,
        ) => "its encryption is broken",
        LoadPdfError::Invalid => "it has no pages that can be found",
    };
    Error::malformed(Format::Pdf)(cause)
}

/// Refuses what has pages and no text that can be read.
fn legible(glyphs: &Glyphs, pages: usize) -> Result<(), Error> {
    let (all, unknown) = (glyphs.seen(), glyphs.unknown());
    if all >= GLYPHS_TELLING && unknown * 2 > all {
        return Err(Error::NoText(format!(
            "this PDF draws {all} glyphs, and its fonts do not say which characters {unknown} of them \
             are; print it to a new PDF, or recognise its text with OCR"
        )));
    }
    if all == 0 && pages > 0 && glyphs.images() > 0 {
        return Err(Error::NoText(format!(
            "this PDF has pictures and no text ({pages} {}); scanned pages need a text layer, which OCR \
             makes",
            if pages == 1 { "page" } else { "pages" },
        )));
    }
    Ok(())
}

/// The title, unless it is what a program puts there when nobody gives one.
fn title(bytes: &[u8]) -> Option<String> {
    const NO_TITLES: [&str; 4] = [
        "untitled",
        "(anonymous)",
        "microsoft word - ",
        "(unspecified)",
    ];
    // Without a mark the strings are in a charset of PDF's own, which is Latin-1 for most.
    let text = match bytes {
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0xEF, 0xBB, 0xBF, ..] => {
            crate::charset::decode(bytes, None).ok()?.into_owned()
        }
        _ => encoding_rs::WINDOWS_1252
            .decode_without_bom_handling(bytes)
            .0
            .into_owned(),
    };
    let lower = text.trim().to_lowercase();
    // What a program writes that has no letters of the language.
    let unknown = lower.matches('?').count() * 3 > lower.len();
    let none = unknown || lower.is_empty() || NO_TITLES.iter().any(|none| lower.starts_with(none));
    (!none).then_some(text)
}
