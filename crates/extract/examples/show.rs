//! Prints the blocks of a file, for whoever works on the parsers: `cargo run -p outcrop-extract
//! --example show FILE`.

use std::time::Instant;

use outcrop_extract::{File, Limits, extract};

fn main() {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: show FILE");
        std::process::exit(2);
    };
    let content = match std::fs::read(&path) {
        Ok(content) => content.into(),
        Err(error) => {
            eprintln!("{path}: {error}");
            std::process::exit(1);
        }
    };
    let file = File {
        name: path,
        mime_type: None,
        content,
    };
    let begun = Instant::now();
    let extracted = extract(&file, &Limits::DEFAULT);
    let took = begun.elapsed();
    match extracted {
        Ok(document) => {
            println!("title: {:?}", document.title);
            for block in &document.blocks {
                println!("[{:?} {:?}] {}", block.kind, block.page, block.text);
            }
            eprintln!("{} blocks in {took:?}", document.blocks.len());
        }
        Err(error) => println!("error: {error}"),
    }
}
