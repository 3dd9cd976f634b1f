//! Functions registered while the server runs: a folder of code, found by the name in an ARN.
//!
//! Only what is known of them is kept here; the executor that runs them asks for it at each call.

use std::collections::BTreeMap;

use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_store::{Expect, Key, Write};
use serde::{Deserialize, Serialize};

use crate::records::{Scope, kind, put};
use crate::{Service, error, scope};

/// Lambda's limit of a function's name.
const NAME_CHARS: usize = 64;
/// Lambda's own limit.
const TIMEOUT_S_MAX: u64 = 900;
/// Lambda's limit of all variables together.
const ENVIRONMENT_BYTES_MAX: usize = 4096;
/// Longest path most systems take.
const PATH_BYTES_MAX: usize = 4096;
/// Lambda's limit of a handler's name.
const HANDLER_CHARS: usize = 128;

/// What executes the code of a registered function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Runtime {
    /// Python, through AWS's runtime interface client.
    Python,
    /// Node.js.
    Node,
    /// The folder's executable `bootstrap`, which speaks the Runtime API.
    Provided,
}

/// A registered function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalFunction {
    /// What executes the code.
    pub runtime: Runtime,
    /// `module.function`.
    pub handler: String,
    /// The folder, an absolute path on the server's machine.
    pub code: String,
    /// Changes when the code does; workers of another hash are not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_hash: Option<String>,
    /// Longest invocation.
    pub timeout_seconds: u64,
    /// Told to the handler.
    pub memory_mb: u32,
    /// Variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

impl LocalFunction {
    fn check(&self) -> Result<(), Exception> {
        let refuse = |member: &str, text: String| {
            Err(Exception::validation(format!("{member}: {text}")).with_field(member, text))
        };
        let has_module = self.handler.contains('.') || self.runtime == Runtime::Provided;
        if !has_module || self.handler.chars().count() > HANDLER_CHARS {
            let text = "a handler is module.function, such as app.lambda_handler";
            return refuse("handler", text.to_owned());
        }
        if !self.code.starts_with('/') || self.code.len() > PATH_BYTES_MAX {
            return refuse("code", "the folder is given as an absolute path".to_owned());
        }
        if !(1..=TIMEOUT_S_MAX).contains(&self.timeout_seconds) {
            let text = format!("a function may take 1 to {TIMEOUT_S_MAX} seconds");
            return refuse("timeoutSeconds", text);
        }
        let bytes: usize = self
            .environment
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if bytes > ENVIRONMENT_BYTES_MAX {
            let text = format!("variables may have {ENVIRONMENT_BYTES_MAX} bytes together");
            return refuse("environment", text);
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), Exception> {
    let fits = (1..=NAME_CHARS).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if fits {
        Ok(())
    } else {
        Err(Exception::validation(format!(
            "{name:?} is no function name: 1 to {NAME_CHARS} letters, digits, - and _"
        )))
    }
}

pub(crate) fn key(scope: &Scope, name: &str) -> Key {
    scope.key(kind::FUNCTION, "", name)
}

impl Service {
    /// Registers a function, or changes it.
    ///
    /// # Errors
    /// `ValidationException` when it breaks a rule, `ConflictException` when an uploaded one has the name.
    pub async fn put_function(
        &self,
        cx: &CallContext,
        name: &str,
        function: &LocalFunction,
    ) -> Result<(), Exception> {
        check_name(name)?;
        function.check()?;
        if self.is_uploaded(cx, name).await? {
            return Err(Exception::conflict(format!(
                "The function {name} was uploaded through the Lambda API; delete it there first."
            )));
        }
        let write = put(key(&scope(cx), name), function, Expect::Any, None);
        self.write(vec![write]).await.map_err(error::store)?;
        Ok(())
    }

    /// Whether a function of this name is registered.
    pub(crate) async fn is_registered(
        &self,
        cx: &CallContext,
        name: &str,
    ) -> Result<bool, Exception> {
        let found = self.load::<LocalFunction>(key(&scope(cx), name)).await?;
        Ok(found.is_some())
    }

    /// A registered function.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub async fn function(&self, cx: &CallContext, name: &str) -> Result<LocalFunction, Exception> {
        let found = self.load::<LocalFunction>(key(&scope(cx), name)).await?;
        found
            .map(|found| found.body)
            .ok_or_else(|| no_function(name))
    }

    /// Forgets a function; its code stays where it is.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub async fn delete_function(&self, cx: &CallContext, name: &str) -> Result<(), Exception> {
        self.function(cx, name).await?;
        let write = Write::Delete {
            key: key(&scope(cx), name),
            expect: Expect::Any,
        };
        self.write(vec![write]).await.map_err(error::store)?;
        Ok(())
    }

    /// All registered functions by name.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn functions(
        &self,
        cx: &CallContext,
    ) -> Result<BTreeMap<String, LocalFunction>, Exception> {
        let found = self
            .children::<LocalFunction>(&scope(cx), kind::FUNCTION, "")
            .await?;
        let pairs = found
            .into_iter()
            .map(|stored| (stored.key.id.to_string(), stored.body));
        Ok(pairs.collect())
    }
}

fn no_function(name: &str) -> Exception {
    Exception::not_found(format!("no function {name} is registered here"))
}
