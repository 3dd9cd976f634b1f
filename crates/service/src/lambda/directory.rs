//! Functions by name, for who runs them: uploaded ones with their code unpacked, and the folders that
//! deployments have registered.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use outcrop_engine::port::{Clock, FunctionPackages, Ids};
use outcrop_model::lambda::AliasConfiguration;
use outcrop_store::{Key, Record, Store};
use serde::de::DeserializeOwned;

use super::aliases::route;
use super::documents::{CodeRef, FunctionDoc, VersionDoc};
use super::reference::is_number;
use super::rules;
pub use super::rules::Family;
use super::{LATEST, alias_key, code, function_key, version_key};
use crate::outcrop_api::functions::{self, LocalFunction};
use crate::records::{self, Scope};

/// Seconds of a configuration without a timeout, which none has.
const TIMEOUT_S: i32 = 3;
/// Megabytes of a configuration without a memory size, which none has.
const MEMORY_MB: i32 = 128;

/// A function of this server, ready to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A folder that a deployment or a client of this machine has registered.
    Registered(LocalFunction),
    /// Code that was uploaded.
    Uploaded(UploadedFunction),
}

/// An uploaded function in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedFunction {
    /// Differs whenever anything about the function does, its code included.
    pub identity: String,
    /// The version's number, or `$LATEST`.
    pub version: String,
    /// What runs the code.
    pub family: Family,
    /// The unpacked code.
    pub folder: PathBuf,
    /// As configured.
    pub handler: String,
    /// Longest invocation, in seconds.
    pub timeout_s: u32,
    /// Memory of one worker, in MB.
    pub memory_mb: u32,
    /// Variables.
    pub environment: BTreeMap<String, String>,
    /// Reserved concurrent executions: more calls wait, and none are taken at 0.
    pub concurrency: Option<u32>,
}

/// See the module's description.
#[derive(Clone)]
pub struct FunctionDirectory {
    store: Arc<dyn Store>,
    packages: Arc<dyn FunctionPackages>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl FunctionDirectory {
    /// Over the store that the service writes.
    pub fn new(
        store: Arc<dyn Store>,
        packages: Arc<dyn FunctionPackages>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        Self {
            store,
            packages,
            clock,
            ids,
        }
    }

    /// The function of a name and a qualifier, if this server has it.
    ///
    /// # Errors
    /// What keeps the function from being run, in words.
    pub async fn find(
        &self,
        account_id: &str,
        region: &str,
        name: &str,
        qualifier: Option<&str>,
    ) -> Result<Option<Found>, String> {
        let scope = Scope::new(account_id, region);
        if let Some(function) = self.get::<FunctionDoc>(&function_key(&scope, name)).await? {
            let uploaded = self.uploaded(&scope, name, qualifier, function).await?;
            return Ok(uploaded.map(Found::Uploaded));
        }
        let registered = self
            .get::<LocalFunction>(&functions::key(&scope, name))
            .await?;
        Ok(registered.map(Found::Registered))
    }

    async fn uploaded(
        &self,
        scope: &Scope,
        name: &str,
        qualifier: Option<&str>,
        function: FunctionDoc,
    ) -> Result<Option<UploadedFunction>, String> {
        let concurrency = function
            .concurrency
            .map(|reserved| reserved.max(0).unsigned_abs());
        if concurrency == Some(0) {
            return Err("its reserved concurrency is 0, so that nobody may call it".to_owned());
        }
        let Some(number) = self.version(scope, name, qualifier).await? else {
            return Ok(None);
        };
        let (configuration, code) = if number == LATEST {
            (function.configuration, function.code)
        } else {
            let key = version_key(scope, name, &number);
            let Some(version) = self.get::<VersionDoc>(&key).await? else {
                return Ok(None);
            };
            (version.configuration, version.code)
        };
        let folder = self.folder(scope, name, &code).await?;
        let runtime = configuration.runtime.ok_or("it has no runtime")?;
        let family = rules::family(runtime).map_err(|error| error.message().to_owned())?;
        let revision = configuration.revision_id.as_deref().unwrap_or_default();
        let variables = configuration.environment.and_then(|given| given.variables);
        let timeout_s = configuration.timeout.unwrap_or(TIMEOUT_S).unsigned_abs();
        let memory_mb = configuration
            .memory_size
            .unwrap_or(MEMORY_MB)
            .unsigned_abs();
        Ok(Some(UploadedFunction {
            identity: format!("{revision}/{}/{concurrency:?}", code.sha256),
            version: number,
            family,
            folder,
            handler: configuration.handler.unwrap_or_default(),
            timeout_s,
            memory_mb,
            environment: variables.unwrap_or_default(),
            concurrency,
        }))
    }

    /// The version that a qualifier stands for now.
    async fn version(
        &self,
        scope: &Scope,
        name: &str,
        qualifier: Option<&str>,
    ) -> Result<Option<String>, String> {
        match qualifier {
            None | Some(LATEST) => Ok(Some(LATEST.to_owned())),
            Some(number) if is_number(number) => Ok(Some(number.to_owned())),
            Some(alias) => {
                let key = alias_key(scope, name, alias);
                let alias = self.get::<AliasConfiguration>(&key).await?;
                let version =
                    alias.and_then(|alias| route(&alias, self.ids.fraction()).map(str::to_owned));
                Ok(version)
            }
        }
    }

    /// The unpacked code, from the store if this machine does not have it yet.
    async fn folder(&self, scope: &Scope, name: &str, code: &CodeRef) -> Result<PathBuf, String> {
        if let Some(folder) = self.packages.find(&code.sha256).await {
            return Ok(folder);
        }
        let now_ms = self.clock.now().as_millis();
        let archive = code::load(&*self.store, now_ms, scope, name, code).await;
        let archive = archive.map_err(|error| error.to_string())?;
        let unpacked = self.packages.unpack(&code.sha256, archive).await;
        unpacked.map_err(|error| error.to_string())
    }

    async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, String> {
        let found: Result<Option<Record>, _> =
            self.store.get(key, self.clock.now().as_millis()).await;
        let found = found.map_err(|error| error.to_string())?;
        let read = found.map(|record| records::read(record).map(|stored| stored.body));
        read.transpose().map_err(|error| {
            error
                .internal_message()
                .unwrap_or(error.message())
                .to_owned()
        })
    }
}
