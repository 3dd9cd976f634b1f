//! A child for tests, whose parser does what the file's name says.

use std::process::ExitCode;

use outcrop_adapters::extract::child;
use outcrop_engine::port::{ExtractCall, ExtractError, Extraction};
use outcrop_knowledge::document::Extracted;

fn main() -> ExitCode {
    child::run_if_asked(parse).unwrap_or(ExitCode::FAILURE)
}

#[expect(clippy::needless_pass_by_value, reason = "the form that parsers have")]
fn parse(call: ExtractCall) -> Result<Extraction, ExtractError> {
    let text = match call.name.as_str() {
        "spin" => loop {
            std::hint::spin_loop();
        },
        "eat" => {
            let mut eaten: Vec<Vec<u8>> = Vec::new();
            loop {
                eaten.push(vec![1; 16 * 1024 * 1024]);
            }
        }
        "overflow" => deeper(0).to_string(),
        "exit" => std::process::exit(7),
        "refuse" => return Err(ExtractError::Malformed("refused".to_owned())),
        // What may be done here: each with what came of it.
        "try" => tried(),
        "process" => std::process::id().to_string(),
        _ => format!("{} bytes", call.content.len()),
    };
    Ok(Extraction::Document(Extracted::plain(text)))
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn deeper(depth: u64) -> u64 {
    std::hint::black_box([depth; 64]).iter().sum::<u64>() + deeper(depth + 1)
}

fn tried() -> String {
    let open = std::fs::read("/etc/passwd").is_ok();
    let list = std::fs::read_dir("/").is_ok();
    let connect = std::net::TcpListener::bind("127.0.0.1:0").is_ok();
    let start = std::process::Command::new("/bin/true").status().is_ok();
    let thread = std::thread::Builder::new().spawn(|| {}).is_ok();
    let variables = std::env::vars_os().count();
    format!("{open} {list} {connect} {start} {thread} {variables}")
}
