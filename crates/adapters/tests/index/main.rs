//! Indexes of chunks: one suite against an oracle, on each engine, and what each promises besides.

#[path = "../support/loopback.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod loopback;
#[path = "../../../store/tests/support/server.rs"]
mod server;

mod double;
mod embedded;
mod opensearch;
mod oracle;
mod postgres;
mod random;
mod routing;
mod suite;
