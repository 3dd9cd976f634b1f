//! restJson1 as the agent services speak it, over the tables of `outcrop_model`.
//!
//! Pure protocol: bytes of a request in, a handler called, bytes of an answer out. No sockets, no
//! runtime and no business logic; the HTTP edge in `crates/outcrop` owns connections and limits.
//!
//! A request passes [`sigv4`], [`router`], [`bind`] (with `check` and [`validate`]), its handler,
//! and [`render`] or [`event_stream`]; [`dispatch::Router`] ties these together.

pub mod bind;
pub mod body;
mod check;
pub mod client;
pub mod codec;
pub mod decoder;
pub mod dispatch;
pub mod event_stream;
mod generated;
mod header;
mod path;
pub mod rejection;
pub mod render;
pub mod route;
pub mod router;
pub mod routes;
pub mod schema;
pub mod shape;
pub mod sigv4;
mod text;
pub mod validate;

pub use body::Body;
pub use dispatch::{Answered, Router, refuse};
pub use rejection::Rejection;
