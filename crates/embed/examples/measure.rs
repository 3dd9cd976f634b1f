//! How fast a model makes vectors on one thread: `measure FOLDER TEXTS`.
//!
//! The folder holds the model's files; each line of the file is a text. Prints texts a second, all of them
//! one after another in slices as the server makes them, and the median time of one text alone.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times of a measurement are far below 2^52"
)]

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outcrop_embed::{Engine, ModelFolder, Tokens};

/// Texts of one slice.
const SLICE: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, texts] = arguments.as_slice() else {
        return Err("usage: measure FOLDER TEXTS".into());
    };
    let texts: Vec<Arc<str>> = std::fs::read_to_string(texts)?
        .lines()
        .map(Arc::from)
        .collect();
    let model = ModelFolder::read(Path::new(folder))?;
    let tokens = Arc::new(Tokens::load(&model.tokenizer)?);
    let engine = Engine::load(&model, tokens, NonZeroUsize::MIN)?;
    engine.embed(texts.get(..1).unwrap_or_default())?;

    let started = Instant::now();
    for slice in texts.chunks(SLICE) {
        engine.embed(slice)?;
    }
    let rate = texts.len() as f64 / started.elapsed().as_secs_f64();

    let mut alone: Vec<Duration> = Vec::with_capacity(texts.len());
    for text in texts.chunks(1) {
        let started = Instant::now();
        engine.embed(text)?;
        alone.push(started.elapsed());
    }
    alone.sort_unstable();
    let median = alone.get(alone.len() / 2).copied().unwrap_or_default();
    println!(
        "{} texts: {rate:.1} a second, one alone {:.1} ms",
        texts.len(),
        median.as_secs_f64() * 1e3
    );
    Ok(())
}
