//! How a PostgreSQL database is reached: its URL, TLS, a connection, and text as it can hold it.
//!
//! What the store and the vector index have in common, and nothing else: it knows no table, keeps no
//! pool and sets no session up. Never shows a password.

mod text;
mod tls;
mod url;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error};

pub use text::{escape, unescape};
use tls::Tls;
pub use tls::TlsError;
pub use url::{DatabaseUrl, UrlError};

/// A database and all that is needed to connect to it.
#[derive(Clone)]
pub struct Connector {
    url: DatabaseUrl,
    tls: Tls,
}

impl Connector {
    /// Reads certificates where the URL names some; contacts nothing.
    ///
    /// # Errors
    /// The certificates cannot be used.
    pub fn new(url: DatabaseUrl) -> Result<Self, TlsError> {
        Ok(Self {
            tls: Tls::new(&url.trust)?,
            url,
        })
    }

    /// Where it connects to.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// The same server, with the database that `name` says where the URL names none.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        if !other.url.names_database() {
            other.url.config.dbname(name);
        }
        other
    }

    /// A connection, and the task that drives it; to abort that is to close the connection.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn connect(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, driver) = self.url.config.connect(self.tls.clone()).await?;
        let driver = tokio::spawn(async move {
            if let Err(cause) = driver.await {
                tracing::warn!(%cause, "a database connection has ended");
            }
        });
        Ok((client, driver))
    }
}
