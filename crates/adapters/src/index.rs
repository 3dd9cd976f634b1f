//! Where chunks are kept and found outside this process: PostgreSQL, OpenSearch, and the choice between
//! them and the engine in process (`outcrop_index`).
//!
//! All of them are the same [`outcrop_engine::port::ChunkIndex`], held to it by one suite of tests
//! against an oracle that compares everything with everything.

mod key;
pub mod opensearch;
pub mod postgres;
pub mod routing;
