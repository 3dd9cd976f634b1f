//! The address of a database: what a `postgres://` URL says, as libpq understands it.
//!
//! `sslmode` and `sslrootcert` have libpq's meanings; `schema` is this program's own. Everything else is
//! the driver's to read (host, port, user, password, dbname, `application_name`, `connect_timeout`,
//! `keepalives…`, `options`, `target_session_attrs`, several hosts). A parameter nobody knows is an
//! error. Never shows a password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::SslMode;

/// Where the tables are unless the URL's `schema` says otherwise. The store's SQL files name it.
const SCHEMA_DEFAULT: &str = "outcrop";

/// Longest name PostgreSQL keeps whole.
const SCHEMA_BYTES_MAX: usize = 63;

/// Unless the URL has its own `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection whose other end is silently gone must be found out well before the system's two hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// The address of a database, checked. Shown without its password.
#[derive(Clone)]
pub struct DatabaseUrl {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) trust: Trust,
    schema: String,
}

/// What is asked of the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nothing: the connection is encrypted against listeners, not against impostors
    /// (`sslmode=prefer` and `require`, as in libpq).
    Anyone,
    /// That an authority of this file signed it (`verify-ca`; `require` with a file).
    Authority(PathBuf),
    /// That it was signed for this host, by an authority of the file or of the system (`verify-full`).
    Host(Option<PathBuf>),
}

/// Why a text is no database address. Says nothing that is secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("a database URL begins with postgres://")]
    Scheme,
    /// A parameter has a value it cannot have.
    #[error("`{name}` of a database URL is {expected}")]
    Parameter {
        /// Which.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// The driver does not understand the rest.
    #[error("the database URL cannot be read")]
    Malformed(#[source] tokio_postgres::Error),
}

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if !is_postgres(text) {
            return Err(UrlError::Scheme);
        }
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let mut own = Own::default();
        let mut rest = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            if !own.take(parameter) {
                rest.push(parameter);
            }
        }
        let mut driver_url = base.to_owned();
        if !rest.is_empty() {
            driver_url = format!("{base}?{}", rest.join("&"));
        }
        let mut config: tokio_postgres::Config = driver_url.parse().map_err(UrlError::Malformed)?;
        let (ssl_mode, trust) = own.tls()?;
        config.ssl_mode(ssl_mode);
        if config.get_application_name().is_none() {
            config.application_name("outcrop");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config.keepalives_idle(KEEPALIVE_IDLE);
        Ok(Self {
            config,
            trust,
            schema: own.schema()?,
        })
    }
}

impl DatabaseUrl {
    /// Where this program's tables are.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Whether the URL says which database of the server it means.
    pub fn names_database(&self) -> bool {
        self.config.get_dbname().is_some()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.config.get_user() {
            write!(f, "{user}@")?;
        }
        let ports = self.config.get_ports();
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match host {
                tokio_postgres::config::Host::Tcp(name) => f.write_str(name)?,
                #[cfg(unix)]
                tokio_postgres::config::Host::Unix(path) => write!(f, "{}", path.display())?,
            }
            if let Some(port) = ports.get(index).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())?;
        if self.schema != SCHEMA_DEFAULT {
            write!(f, "?schema={}", self.schema)?;
        }
        Ok(())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// Whether a text is meant as the address of a PostgreSQL database.
fn is_postgres(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

/// The parameters that are not the driver's.
#[derive(Default)]
struct Own {
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    schema: Option<String>,
}

impl Own {
    /// Keeps a parameter if it is one of these.
    fn take(&mut self, parameter: &str) -> bool {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let place = match name {
            "sslmode" => &mut self.sslmode,
            "sslrootcert" => &mut self.sslrootcert,
            "schema" => &mut self.schema,
            _ => return false,
        };
        *place = Some(percent_decode_str(value).decode_utf8_lossy().into_owned());
        true
    }

    fn tls(&self) -> Result<(SslMode, Trust), UrlError> {
        let file = self.sslrootcert.as_deref();
        let file = file.filter(|file| *file != "system").map(PathBuf::from);
        match (self.sslmode.as_deref(), file) {
            (Some("disable"), _) => Ok((SslMode::Disable, Trust::Anyone)),
            (None | Some("prefer"), _) => Ok((SslMode::Prefer, Trust::Anyone)),
            (Some("require"), None) => Ok((SslMode::Require, Trust::Anyone)),
            (Some("require" | "verify-ca"), Some(file)) => {
                Ok((SslMode::Require, Trust::Authority(file)))
            }
            (Some("verify-full"), file) => Ok((SslMode::Require, Trust::Host(file))),
            (Some("verify-ca"), None) => Err(UrlError::Parameter {
                name: "sslrootcert",
                expected: "needed by sslmode=verify-ca: the file with the authority's certificate",
            }),
            (Some(_), _) => Err(UrlError::Parameter {
                name: "sslmode",
                expected: "disable, prefer, require, verify-ca or verify-full",
            }),
        }
    }

    fn schema(self) -> Result<String, UrlError> {
        let schema = self.schema.unwrap_or_else(|| SCHEMA_DEFAULT.to_owned());
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = schema
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit());
        if begins && schema.bytes().all(plain) && schema.len() <= SCHEMA_BYTES_MAX {
            return Ok(schema);
        }
        Err(UrlError::Parameter {
            name: "schema",
            expected: "up to 63 of a-z, 0-9 and _, not beginning with a digit",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> DatabaseUrl {
        text.parse().expect("the URL is good")
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url = parse("postgres://me:s3cret@db.example:6000/agents?sslmode=disable&schema=blue");
        assert_eq!(
            url.to_string(),
            "postgres://me@db.example:6000/agents?schema=blue"
        );
        assert!(!format!("{url:?}").contains("s3cret"));
        assert_eq!(url.config.get_password(), Some(&b"s3cret"[..]));
    }

    #[test]
    fn sslmode_means_what_libpq_says() {
        let file = || PathBuf::from("/ca.pem");
        for (query, mode, trust) in [
            ("", SslMode::Prefer, Trust::Anyone),
            ("?sslmode=disable", SslMode::Disable, Trust::Anyone),
            ("?sslmode=require", SslMode::Require, Trust::Anyone),
            (
                "?sslmode=require&sslrootcert=%2Fca.pem",
                SslMode::Require,
                Trust::Authority(file()),
            ),
            (
                "?sslrootcert=/ca.pem&sslmode=verify-ca",
                SslMode::Require,
                Trust::Authority(file()),
            ),
            ("?sslmode=verify-full", SslMode::Require, Trust::Host(None)),
            (
                "?sslmode=verify-full&sslrootcert=system",
                SslMode::Require,
                Trust::Host(None),
            ),
            (
                "?sslmode=verify-full&sslrootcert=/ca.pem&application_name=x",
                SslMode::Require,
                Trust::Host(Some(file())),
            ),
        ] {
            let url = parse(&format!("postgresql://h/d{query}"));
            assert_eq!(
                (url.config.get_ssl_mode(), url.trust),
                (mode, trust),
                "{query}"
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, words) in [
            ("mysql://h/d", "postgres://"),
            ("host=h", "postgres://"),
            ("postgres://h/d?sslmode=allow", "sslmode"),
            ("postgres://h/d?sslmode=verify-ca", "sslrootcert"),
            ("postgres://h/d?schema=Robert'); DROP", "schema"),
            ("postgres://h/d?schema=", "schema"),
            ("postgres://me:s3cret@h/d?colour=red", "cannot be read"),
            ("postgres://me:s3cret@h:port/d", "cannot be read"),
        ] {
            let error = text.parse::<DatabaseUrl>().expect_err(text);
            assert!(error.to_string().contains(words), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
