//! The operations of Lambda: functions from zip archives, their versions, aliases, policies, and calls.
//!
//! Nothing is run here; a call goes through the port that also serves agents. Code is kept in the
//! store in pieces, so that every server on it can run a function, and unpacked through a port.
//!
//! Invariant: a function document names only code that is in the store.

mod aliases;
mod code;
mod concurrency;
pub mod directory;
mod documents;
mod functions;
pub(crate) mod grants;
mod invoke;
pub mod links;
mod permissions;
mod reference;
mod rules;
mod tags;
mod versions;

use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::CallContext;
use outcrop_model::lambda::{AliasConfiguration, FunctionConfiguration};
use outcrop_store::{Key, Page};

use crate::control::List;
use crate::records::{Scope, Stored, kind};
use crate::{Service, scope};
use documents::{FunctionDoc, VersionDoc};
use reference::Reference;

/// The version that is not published.
const LATEST: &str = "$LATEST";

/// Lambda's own bound of a page.
const ITEMS_PER_PAGE: i32 = 50;

/// What the client asks for of a listing.
fn page(list: &List<'_>, max_items: Option<i32>, marker: Option<&str>) -> Result<Page, Exception> {
    let items = max_items.unwrap_or(ITEMS_PER_PAGE).min(ITEMS_PER_PAGE);
    list.page(Some(items), marker).map_err(|_| {
        invalid("Marker is not valid. Use the NextMarker of the previous response, or none to start over.")
    })
}

/// A rule of Lambda that the input breaks.
fn invalid(message: impl Into<String>) -> Exception {
    Exception::new(ExceptionKind::InvalidParameterValue, message)
}

/// The 404 of a function or of one of its versions.
fn no_function(arn: &str) -> Exception {
    Exception::not_found(format!("Function not found: {arn}"))
}

/// Refuses a change of something that is not at the revision the client has seen.
fn check_revision(asked: Option<&str>, actual: Option<&str>, what: &str) -> Result<(), Exception> {
    if asked.is_none() || asked == actual {
        return Ok(());
    }
    Err(Exception::new(
        ExceptionKind::PreconditionFailed,
        format!(
            "The RevisionId provided does not match the latest RevisionId. Call the {what} API to retrieve \
             the latest RevisionId"
        ),
    ))
}

fn function_key(scope: &Scope, name: &str) -> Key {
    scope.key(kind::LAMBDA_FUNCTION, "", name)
}

fn version_key(scope: &Scope, name: &str, version: &str) -> Key {
    scope.key(kind::LAMBDA_VERSION, name, version)
}

fn alias_key(scope: &Scope, name: &str, alias: &str) -> Key {
    scope.key(kind::LAMBDA_ALIAS, name, alias)
}

/// What a qualifier stands for.
enum Qualified {
    /// The unpublished version.
    Latest,
    /// A published version.
    Version(Box<Stored<VersionDoc>>),
    /// An alias, and the version it names first.
    Alias(Box<Stored<AliasConfiguration>>, Box<Stored<VersionDoc>>),
}

impl Service {
    /// The function a client names, or the 404.
    async fn lambda_function(
        &self,
        cx: &CallContext,
        reference: &Reference,
    ) -> Result<Stored<FunctionDoc>, Exception> {
        let found = self.find_lambda_function(cx, reference).await?;
        found.ok_or_else(|| no_function(&reference.arn()))
    }

    async fn find_lambda_function(
        &self,
        cx: &CallContext,
        reference: &Reference,
    ) -> Result<Option<Stored<FunctionDoc>>, Exception> {
        if !reference.is_of(cx) {
            return Ok(None);
        }
        self.load(function_key(&scope(cx), &reference.name)).await
    }

    /// Whether a function of this name was uploaded.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn is_uploaded(&self, cx: &CallContext, name: &str) -> Result<bool, Exception> {
        let found = self
            .load::<FunctionDoc>(function_key(&scope(cx), name))
            .await?;
        Ok(found.is_some())
    }

    /// What the reference's qualifier stands for, or the 404.
    async fn qualified(
        &self,
        cx: &CallContext,
        reference: &Reference,
    ) -> Result<Qualified, Exception> {
        let scope = scope(cx);
        let name = &reference.name;
        let version = match reference.qualifier.as_deref() {
            None | Some(LATEST) => return Ok(Qualified::Latest),
            Some(version) if reference::is_number(version) => version,
            Some(alias) => {
                let found = self
                    .load::<AliasConfiguration>(alias_key(&scope, name, alias))
                    .await?;
                let alias = found.ok_or_else(|| no_function(&reference.arn()))?;
                let number = alias.body.function_version.clone().unwrap_or_default();
                if number == LATEST {
                    return Ok(Qualified::Latest);
                }
                let version = self.lambda_version(cx, reference, &number).await?;
                return Ok(Qualified::Alias(Box::new(alias), Box::new(version)));
            }
        };
        let version = self.lambda_version(cx, reference, version).await?;
        Ok(Qualified::Version(Box::new(version)))
    }

    async fn lambda_version(
        &self,
        cx: &CallContext,
        reference: &Reference,
        version: &str,
    ) -> Result<Stored<VersionDoc>, Exception> {
        let key = version_key(&scope(cx), &reference.name, version);
        let found = self.load(key).await?;
        found.ok_or_else(|| no_function(&reference.with_qualifier(version).arn()))
    }

    /// What `GetFunctionConfiguration` shows of the version a reference stands for.
    async fn configuration(
        &self,
        cx: &CallContext,
        reference: &Reference,
        function: &FunctionDoc,
    ) -> Result<FunctionConfiguration, Exception> {
        let mut configuration = match self.qualified(cx, reference).await? {
            Qualified::Latest => function.configuration.clone(),
            Qualified::Version(version) | Qualified::Alias(_, version) => {
                version.body.configuration
            }
        };
        configuration.function_arn = Some(reference.arn());
        Ok(configuration)
    }
}
