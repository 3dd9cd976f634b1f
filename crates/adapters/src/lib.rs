//! The outside world behind the engine's ports: model providers, action executors, document sources.
//!
//! The only crate that talks to foreign networks and processes. It knows neither the services that
//! drive it nor the stores; it meets them at `outcrop_engine::port`. No adapter retries by itself:
//! the driver does, because only it knows whether output has already begun. Embeddings are the exception:
//! their answers come whole.

pub mod action;
#[cfg(target_os = "linux")]
pub mod code;
pub mod embed;
pub mod extract;
mod glob;
pub mod http;
pub mod index;
pub mod model;
pub mod packages;
pub mod rerank;
#[cfg(target_os = "linux")]
pub mod sandbox;
pub mod source;
pub mod system;
pub mod weights;
