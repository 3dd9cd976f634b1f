//! The conformance suite over all backends, SQLite with its record cache and without.

#[path = "support/database.rs"]
mod database;

use std::ops::Deref;

use outcrop_store::{MemoryStore, Order, SqliteOptions, SqliteStore, store_conformance};
use tempfile::TempDir;

/// A store in a folder that goes with it.
struct Temporary {
    store: SqliteStore,
    _folder: TempDir,
}

impl Deref for Temporary {
    type Target = SqliteStore;

    fn deref(&self) -> &SqliteStore {
        &self.store
    }
}

/// Of the suite's kinds one in one order and one in both.
const LISTINGS: &[(&str, Order)] = &[
    ("agent", Order::Created),
    ("session", Order::Created),
    ("session", Order::UpdatedDescending),
];

fn sqlite_store(cache_bytes: usize, listings: &'static [(&'static str, Order)]) -> Temporary {
    let folder = TempDir::new().expect("a temporary folder");
    let options = SqliteOptions {
        cache_bytes,
        listings,
        ..SqliteOptions::new(folder.path())
    };
    Temporary {
        store: SqliteStore::open(&options).expect("the store opens"),
        _folder: folder,
    }
}

/// A store in a schema of its own; without a database the test ends here.
macro_rules! postgres_store {
    () => {
        match database::fresh_url() {
            Some(url) => Box::new(database::open(&url).await),
            None => return,
        }
    };
}

store_conformance!(memory, Box::new(MemoryStore::new()));
store_conformance!(sqlite, sqlite_store(32 << 20, LISTINGS));
store_conformance!(sqlite_small_cache, sqlite_store(64 << 10, &[]));
store_conformance!(sqlite_without_cache, sqlite_store(0, LISTINGS));
store_conformance!(postgres, postgres_store!());
