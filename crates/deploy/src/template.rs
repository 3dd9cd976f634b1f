//! Reading a template: text to nodes.

mod yaml;

pub use yaml::{TEXT_BYTES_MAX, parse};
