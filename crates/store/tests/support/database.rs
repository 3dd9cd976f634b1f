//! A PostgreSQL for the tests, and a schema of its own for each that asks.

#[path = "server.rs"]
mod server;

use outcrop_store::{PostgresOptions, PostgresStore};
pub(crate) use server::fresh_url;

/// Connections of a store under test; many tests run side by side on one server.
const CONNECTIONS: usize = 4;

/// How the tests open a store.
pub(crate) fn options(url: &str) -> PostgresOptions {
    PostgresOptions {
        connections: CONNECTIONS,
        ..PostgresOptions::new(url.parse().expect("the URL is good"))
    }
}

/// A store on a URL of [`fresh_url`].
pub(crate) async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(options(url))
        .await
        .expect("the store opens")
}
