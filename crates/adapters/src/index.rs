//! Where chunks are kept and found: an engine in process, PostgreSQL, OpenSearch, and the choice between
//! them.
//!
//! All of them are the same [`outcrop_engine::port::ChunkIndex`], held to it by one suite of tests
//! against an oracle that compares everything with everything.

pub mod embedded;
mod key;
pub mod opensearch;
pub mod postgres;
pub mod routing;
