//! Functions of this machine, Python ones with the real runtime interface client.
//!
//! The first run makes a Python environment below the target folder, which needs `python3` (3.10 or
//! newer) and a package index; later runs use it again. Where there is no Node.js, one from the index
//! is installed the same way.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[cfg(target_os = "linux")]
mod confined;
mod handlers;
mod measure;
mod reload;
mod runtimes;
mod support;
mod workers;
