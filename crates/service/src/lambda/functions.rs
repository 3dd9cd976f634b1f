//! Functions: made, shown, changed, listed and removed.
//!
//! A function is active as soon as the answer says that it is there: its code has been unpacked before.

use std::collections::BTreeMap;

use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::lambda::{
    ApplicationLogLevel, Architecture, Concurrency, CreateFunctionRequest, DeleteFunctionRequest,
    DeleteFunctionResponse, Environment, EnvironmentResponse, EphemeralStorage,
    FunctionCodeLocation, FunctionConfiguration, GetFunctionConfigurationRequest,
    GetFunctionRequest, GetFunctionResponse, LastUpdateStatus, ListFunctionsRequest,
    ListFunctionsResponse, LogFormat, LoggingConfig, PackageType, SnapStart, SnapStartApplyOn,
    SnapStartOptimizationStatus, SnapStartResponse, State, SystemLogLevel, TracingConfig,
    TracingConfigResponse, TracingMode, UpdateFunctionCodeRequest,
    UpdateFunctionConfigurationRequest, VpcConfig, VpcConfigResponse, ops as op,
};
use outcrop_store::{Expect, Order, StoreError, Write};

use super::code::{self, Archive, Source};
use super::documents::{CodeRef, FunctionDoc, VersionDoc, last_modified};
use super::reference::{self, Reference};
use super::{LATEST, check_revision, function_key, invalid, page, rules, version_key};
use crate::control::{List, Refused};
use crate::records::{Scope, Stored, kind, put};
use crate::{Service, error, scope};

/// Lambda's default, in seconds.
const TIMEOUT_S: i32 = 3;
/// Lambda's default, in MB.
const MEMORY_MB: i32 = 128;
/// Lambda's default, in MB.
const STORAGE_MB: i32 = 512;
/// What an answer to a successful deletion has as its status.
const DELETED: i32 = 204;

impl Handle<op::CreateFunction> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: CreateFunctionRequest,
    ) -> Result<FunctionConfiguration, Exception> {
        self.check_takes_code()?;
        let reference = Reference::read(cx, &input.function_name, None)?;
        if !reference.is_of(cx) || reference.qualifier.is_some() {
            let name = &input.function_name;
            return Err(invalid(format!("{name} is no name of a new function.")));
        }
        let configuration = self.new_configuration(&reference, &input)?;
        if let Some(tags) = &input.tags {
            rules::check_tags(tags)?;
        }
        self.check_free(cx, &reference).await?;
        let archive = self
            .archive(&Source {
                zip_file: input.code.zip_file.as_ref(),
                s3_bucket: input.code.s3_bucket.as_deref(),
                s3_key: input.code.s3_key.as_deref(),
                s3_object_version: input.code.s3_object_version.as_deref(),
                image_uri: input.code.image_uri.as_deref(),
            })
            .await?;
        let scope = scope(cx);
        let code = self.store_code(&scope, &reference.name, &archive).await?;
        let mut doc = FunctionDoc {
            configuration,
            code,
            last_version: 0,
            published: None,
            tags: input.tags.unwrap_or_default(),
            concurrency: None,
            policies: BTreeMap::new(),
        };
        set_code(&mut doc.configuration, &archive);
        let version = input
            .publish
            .unwrap_or(false)
            .then(|| self.cut(&reference, &mut doc, None));
        let mut writes = vec![put(
            function_key(&scope, &reference.name),
            &doc,
            Expect::Absent,
            None,
        )];
        writes.extend(
            version
                .as_ref()
                .map(|version| put_version(&scope, &reference, version)),
        );
        if let Err(cause) = self.write(writes).await {
            self.take_back(&scope, &reference.name, &doc.code).await;
            return Err(match cause {
                StoreError::Stale { .. } => taken(&reference.name),
                other => error::store(other),
            });
        }
        Ok(version.map_or(doc.configuration, |version| version.configuration))
    }
}

impl Handle<op::UpdateFunctionCode> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UpdateFunctionCodeRequest,
    ) -> Result<FunctionConfiguration, Exception> {
        self.check_takes_code()?;
        rules::refuse_unsupported(&[
            ("PublishTo", input.publish_to.is_some()),
            (
                "S3ObjectStorageMode",
                input.s3_object_storage_mode.is_some(),
            ),
            ("SourceKMSKeyArn", input.source_kms_key_arn.is_some()),
        ])?;
        let reference = unqualified(cx, &input.function_name)?;
        let current = self.lambda_function(cx, &reference).await?;
        check_function_revision(input.revision_id.as_deref(), &current.body)?;
        let archive = self
            .archive(&Source {
                zip_file: input.zip_file.as_ref(),
                s3_bucket: input.s3_bucket.as_deref(),
                s3_key: input.s3_key.as_deref(),
                s3_object_version: input.s3_object_version.as_deref(),
                image_uri: input.image_uri.as_deref(),
            })
            .await?;
        if input.dry_run.unwrap_or(false) {
            let mut configuration = current.body.configuration;
            set_code(&mut configuration, &archive);
            return Ok(configuration);
        }
        let scope = scope(cx);
        let code = self.store_code(&scope, &reference.name, &archive).await?;
        let attempt = || self.replace_code(cx, &reference, &input, &archive, &code);
        let replaced = self.in_turn(&scope, &line(&reference), attempt).await;
        if replaced.is_err() {
            self.take_back(&scope, &reference.name, &code).await;
        }
        replaced
    }
}

impl Handle<op::UpdateFunctionConfiguration> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UpdateFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, Exception> {
        let reference = unqualified(cx, &input.function_name)?;
        rules::check_environment(input.environment.as_ref())?;
        rules::refuse_unsupported(&[
            ("Layers", is_given(input.layers.as_ref())),
            (
                "FileSystemConfigs",
                is_given(input.file_system_configs.as_ref()),
            ),
            ("ImageConfig", input.image_config.is_some()),
            (
                "CapacityProviderConfig",
                input.capacity_provider_config.is_some(),
            ),
            ("DurableConfig", input.durable_config.is_some()),
            ("RuntimeConfig", input.runtime_config.is_some()),
            ("AcceleratorConfig", input.accelerator_config.is_some()),
        ])?;
        let attempt = || self.reconfigure(cx, &reference, &input);
        self.in_turn(&scope(cx), &line(&reference), attempt).await
    }
}

impl Handle<op::GetFunction> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetFunctionRequest,
    ) -> Result<GetFunctionResponse, Exception> {
        let reference = Reference::read(cx, &input.function_name, input.qualifier.as_deref())?;
        let function = self.lambda_function(cx, &reference).await?;
        let configuration = self.configuration(cx, &reference, &function.body).await?;
        let version = configuration.version.as_deref().unwrap_or(LATEST);
        let location = self.code_link(cx, &reference.name, version).await?;
        let FunctionDoc {
            tags, concurrency, ..
        } = function.body;
        Ok(GetFunctionResponse {
            code: Some(FunctionCodeLocation {
                repository_type: Some("S3".to_owned()),
                location: Some(location),
                ..FunctionCodeLocation::default()
            }),
            configuration: Some(configuration),
            concurrency: concurrency.map(|reserved| Concurrency {
                reserved_concurrent_executions: Some(reserved),
            }),
            tags: (!tags.is_empty()).then_some(tags),
            tags_error: None,
        })
    }
}

impl Handle<op::GetFunctionConfiguration> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, Exception> {
        let reference = Reference::read(cx, &input.function_name, input.qualifier.as_deref())?;
        let function = self.lambda_function(cx, &reference).await?;
        self.configuration(cx, &reference, &function.body).await
    }
}

impl Handle<op::ListFunctions> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListFunctionsRequest,
    ) -> Result<ListFunctionsResponse, Exception> {
        rules::refuse_unsupported(&[("MasterRegion", input.master_region.is_some())])?;
        let scope = scope(cx);
        let list = List {
            operation: "ListFunctions",
            scope: &scope,
            kind: kind::LAMBDA_FUNCTION,
            parent: "",
            order: Order::Id,
        };
        let page = page(&list, input.max_items, input.marker.as_deref())?;
        let (found, next_marker) = self.list::<FunctionDoc>(&list, page).await?;
        let mut functions = Vec::with_capacity(found.len());
        for doc in found {
            let name = doc.configuration.function_name.clone().unwrap_or_default();
            let mut configuration = doc.configuration;
            if input.function_version.is_some() {
                configuration.function_arn = configuration
                    .function_arn
                    .map(|arn| format!("{arn}:{LATEST}"));
                functions.push(configuration);
                let versions = self
                    .children::<VersionDoc>(&scope, kind::LAMBDA_VERSION, &name)
                    .await?;
                functions.extend(
                    versions
                        .into_iter()
                        .map(|version| version.body.configuration),
                );
            } else {
                functions.push(configuration);
            }
        }
        Ok(ListFunctionsResponse {
            functions: Some(functions),
            next_marker,
        })
    }
}

impl Handle<op::DeleteFunction> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DeleteFunctionRequest,
    ) -> Result<DeleteFunctionResponse, Exception> {
        let reference = Reference::read(cx, &input.function_name, input.qualifier.as_deref())?;
        let scope = scope(cx);
        match reference.qualifier.as_deref() {
            None => {
                let attempt = || self.remove_function(cx, &reference);
                self.in_turn(&scope, &line(&reference), attempt).await?;
            }
            Some(LATEST) => {
                return Err(invalid(
                    "$LATEST version cannot be deleted without deleting the function.",
                ));
            }
            Some(version) if reference::is_number(version) => {
                let attempt = || self.remove_version(cx, &reference, version);
                self.in_turn(&scope, &line(&reference), attempt).await?;
            }
            Some(alias) => {
                return Err(invalid(format!(
                    "Deletion of aliases is not currently supported by DeleteFunction: {alias} is no version."
                )));
            }
        }
        Ok(DeleteFunctionResponse {
            status_code: Some(DELETED),
        })
    }
}

impl Service {
    /// Refuses code where the configuration says that clients bring none.
    fn check_takes_code(&self) -> Result<(), Exception> {
        if self.settings.takes_code {
            return Ok(());
        }
        Err(Exception::new(
            ExceptionKind::AccessDenied,
            "This server takes no functions from clients, because it listens beyond loopback. Set \
             `register_functions = true` in its configuration to let everybody who may sign requests run \
             code on its machine, in the sandbox.",
        ))
    }

    /// Refuses a name that a function has, also one registered by a deployment.
    async fn check_free(&self, cx: &CallContext, reference: &Reference) -> Result<(), Exception> {
        if self.find_lambda_function(cx, reference).await?.is_some() {
            return Err(taken(&reference.name));
        }
        if self.is_registered(cx, &reference.name).await? {
            return Err(Exception::conflict(format!(
                "Function already exist: {}. It runs from a folder, registered by `outcrop deploy` or \
                 through /_outcrop/v1/functions; remove it there first.",
                reference.name
            )));
        }
        Ok(())
    }

    fn new_configuration(
        &self,
        reference: &Reference,
        input: &CreateFunctionRequest,
    ) -> Result<FunctionConfiguration, Exception> {
        rules::check_package(input.package_type)?;
        rules::refuse_unsupported(&[
            ("Layers", is_given(input.layers.as_ref())),
            (
                "FileSystemConfigs",
                is_given(input.file_system_configs.as_ref()),
            ),
            ("ImageConfig", input.image_config.is_some()),
            (
                "CodeSigningConfigArn",
                input.code_signing_config_arn.is_some(),
            ),
            ("PublishTo", input.publish_to.is_some()),
            (
                "S3ObjectStorageMode",
                input.code.s3_object_storage_mode.is_some(),
            ),
            ("SourceKMSKeyArn", input.code.source_kms_key_arn.is_some()),
            ("TenancyConfig", input.tenancy_config.is_some()),
            (
                "CapacityProviderConfig",
                input.capacity_provider_config.is_some(),
            ),
            ("DurableConfig", input.durable_config.is_some()),
            ("RuntimeConfig", input.runtime_config.is_some()),
            ("AcceleratorConfig", input.accelerator_config.is_some()),
        ])?;
        let (Some(runtime), Some(handler)) = (input.runtime, input.handler.clone()) else {
            return Err(invalid(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
            ));
        };
        rules::check_handler(rules::family(runtime)?, &handler)?;
        rules::check_environment(input.environment.as_ref())?;
        let name = &reference.name;
        Ok(FunctionConfiguration {
            function_name: Some(name.clone()),
            function_arn: Some(reference.unqualified_arn()),
            runtime: Some(runtime),
            role: Some(input.role.clone()),
            handler: Some(handler),
            description: Some(input.description.clone().unwrap_or_default()),
            timeout: Some(input.timeout.unwrap_or(TIMEOUT_S)),
            memory_size: Some(input.memory_size.unwrap_or(MEMORY_MB)),
            last_modified: Some(last_modified(self.now())),
            version: Some(LATEST.to_owned()),
            vpc_config: vpc(input.vpc_config.as_ref()),
            dead_letter_config: input.dead_letter_config.clone(),
            environment: environment(input.environment.clone()),
            kms_key_arn: input.kms_key_arn.clone().filter(|arn| !arn.is_empty()),
            tracing_config: Some(tracing(input.tracing_config.as_ref())),
            revision_id: Some(self.ports.ids.uuid()),
            state: Some(State::Active),
            last_update_status: Some(LastUpdateStatus::Successful),
            package_type: Some(PackageType::Zip),
            architectures: Some(
                input
                    .architectures
                    .clone()
                    .unwrap_or_else(|| vec![Architecture::X8664]),
            ),
            ephemeral_storage: Some(
                input
                    .ephemeral_storage
                    .clone()
                    .unwrap_or(EphemeralStorage { size: STORAGE_MB }),
            ),
            snap_start: Some(snap_start(input.snap_start.as_ref())),
            logging_config: Some(logging(name, input.logging_config.as_ref())),
            ..FunctionConfiguration::default()
        })
    }

    async fn replace_code(
        &self,
        cx: &CallContext,
        reference: &Reference,
        input: &UpdateFunctionCodeRequest,
        archive: &Archive,
        code: &CodeRef,
    ) -> Result<FunctionConfiguration, Refused> {
        let scope = scope(cx);
        let mut function = self.lambda_function(cx, reference).await?;
        check_function_revision(input.revision_id.as_deref(), &function.body)?;
        let dropped = self
            .drop_code(&scope, &reference.name, &function.body)
            .await?;
        function.body.code = code.clone();
        set_code(&mut function.body.configuration, archive);
        if let Some(architectures) = &input.architectures {
            function.body.configuration.architectures = Some(architectures.clone());
        }
        self.touch(&mut function.body.configuration);
        let version = input
            .publish
            .unwrap_or(false)
            .then(|| self.cut(reference, &mut function.body, None));
        let mut writes = vec![function.put(None)];
        writes.extend(
            version
                .as_ref()
                .map(|version| put_version(&scope, reference, version)),
        );
        writes.extend(dropped);
        self.write(writes).await?;
        Ok(version.map_or(function.body.configuration, |version| version.configuration))
    }

    async fn reconfigure(
        &self,
        cx: &CallContext,
        reference: &Reference,
        input: &UpdateFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, Refused> {
        let mut function = self.lambda_function(cx, reference).await?;
        check_function_revision(input.revision_id.as_deref(), &function.body)?;
        let configuration = &mut function.body.configuration;
        change(&reference.name, configuration, input);
        if let (Some(runtime), Some(handler)) = (configuration.runtime, &configuration.handler) {
            rules::check_handler(rules::family(runtime)?, handler)?;
        }
        self.touch(configuration);
        self.write(vec![function.put(None)]).await?;
        Ok(function.body.configuration)
    }

    /// Marks a configuration as changed now.
    fn touch(&self, configuration: &mut FunctionConfiguration) {
        configuration.last_modified = Some(last_modified(self.now()));
        configuration.revision_id = Some(self.ports.ids.uuid());
    }

    async fn remove_function(
        &self,
        cx: &CallContext,
        reference: &Reference,
    ) -> Result<(), Refused> {
        let scope = scope(cx);
        let name = &reference.name;
        let function = self.lambda_function(cx, reference).await?;
        let versions = self
            .children::<VersionDoc>(&scope, kind::LAMBDA_VERSION, name)
            .await?;
        let mut uploads: Vec<&CodeRef> =
            versions.iter().map(|version| &version.body.code).collect();
        uploads.push(&function.body.code);
        uploads.sort_by(|a, b| a.upload.cmp(&b.upload));
        uploads.dedup_by(|a, b| a.upload == b.upload);
        let mut writes = vec![Write::Delete {
            key: function.key.clone(),
            expect: Expect::Revision(function.revision),
        }];
        for kind in [kind::LAMBDA_VERSION, kind::LAMBDA_ALIAS] {
            writes.push(Write::DeleteChildren {
                scope: scope.0.clone(),
                kind,
                parent: name.as_str().into(),
            });
        }
        writes.extend(
            uploads
                .into_iter()
                .map(|upload| code::delete(&scope, name, upload)),
        );
        self.write(writes).await?;
        Ok(())
    }
}

/// What all writers of a function and its parts stand in line for.
pub(super) fn line(reference: &Reference) -> String {
    format!("lambda:{}", reference.name)
}

/// A function that is named without a qualifier, as what changes it must be.
pub(super) fn unqualified(cx: &CallContext, name: &str) -> Result<Reference, Exception> {
    let reference = Reference::read(cx, name, None)?;
    match reference.qualifier.as_deref() {
        None | Some(LATEST) => Ok(reference.without_qualifier()),
        Some(qualifier) => Err(invalid(format!(
            "This operation changes the unpublished version only; {qualifier} is another."
        ))),
    }
}

pub(super) fn put_version(scope: &Scope, reference: &Reference, version: &VersionDoc) -> Write {
    let number = version.configuration.version.as_deref().unwrap_or_default();
    let key = version_key(scope, &reference.name, number);
    put(key, version, Expect::Absent, None)
}

fn taken(name: &str) -> Exception {
    Exception::conflict(format!("Function already exist: {name}"))
}

fn check_function_revision(asked: Option<&str>, doc: &FunctionDoc) -> Result<(), Exception> {
    let actual = doc.configuration.revision_id.as_deref();
    check_revision(asked, actual, "GetFunction/GetAlias")
}

fn is_given<T>(list: Option<&Vec<T>>) -> bool {
    list.is_some_and(|list| !list.is_empty())
}

fn set_code(configuration: &mut FunctionConfiguration, archive: &Archive) {
    configuration.code_size = Some(archive.size());
    configuration.code_sha256 = Some(archive.code_sha256.clone());
}

/// Takes over what the client gave.
fn change(
    name: &str,
    configuration: &mut FunctionConfiguration,
    input: &UpdateFunctionConfigurationRequest,
) {
    fn set<T: Clone>(member: &mut Option<T>, given: Option<&T>) {
        if let Some(given) = given {
            *member = Some(given.clone());
        }
    }
    set(&mut configuration.role, input.role.as_ref());
    set(&mut configuration.handler, input.handler.as_ref());
    set(&mut configuration.description, input.description.as_ref());
    set(&mut configuration.timeout, input.timeout.as_ref());
    set(&mut configuration.memory_size, input.memory_size.as_ref());
    set(&mut configuration.runtime, input.runtime.as_ref());
    set(
        &mut configuration.ephemeral_storage,
        input.ephemeral_storage.as_ref(),
    );
    if let Some(given) = &input.dead_letter_config {
        let target = given.target_arn.as_deref().unwrap_or_default();
        configuration.dead_letter_config = (!target.is_empty()).then(|| given.clone());
    }
    if let Some(given) = &input.environment {
        configuration.environment = environment(Some(given.clone()));
    }
    if let Some(given) = &input.kms_key_arn {
        configuration.kms_key_arn = Some(given.clone()).filter(|arn| !arn.is_empty());
    }
    if let Some(given) = &input.vpc_config {
        configuration.vpc_config = vpc(Some(given));
    }
    if let Some(given) = &input.tracing_config {
        configuration.tracing_config = Some(tracing(Some(given)));
    }
    if let Some(given) = &input.snap_start {
        configuration.snap_start = Some(snap_start(Some(given)));
    }
    if let Some(given) = &input.logging_config {
        configuration.logging_config = Some(logging(name, Some(given)));
    }
}

/// No variables are no environment.
fn environment(given: Option<Environment>) -> Option<EnvironmentResponse> {
    let variables = given?.variables.filter(|variables| !variables.is_empty())?;
    Some(EnvironmentResponse {
        variables: Some(variables),
        error: None,
    })
}

fn tracing(given: Option<&TracingConfig>) -> TracingConfigResponse {
    let mode = given.and_then(|given| given.mode);
    TracingConfigResponse {
        mode: Some(mode.unwrap_or(TracingMode::PassThrough)),
    }
}

/// Snapshots are never made here, so there is none that could have been optimised.
fn snap_start(given: Option<&SnapStart>) -> SnapStartResponse {
    let apply_on = given.and_then(|given| given.apply_on);
    SnapStartResponse {
        apply_on: Some(apply_on.unwrap_or(SnapStartApplyOn::None)),
        optimization_status: Some(SnapStartOptimizationStatus::Off),
    }
}

/// Subnets and groups as given; no subnets are no VPC.
fn vpc(given: Option<&VpcConfig>) -> Option<VpcConfigResponse> {
    let given = given?;
    let subnet_ids = given.subnet_ids.clone().filter(|ids| !ids.is_empty())?;
    Some(VpcConfigResponse {
        subnet_ids: Some(subnet_ids),
        security_group_ids: Some(given.security_group_ids.clone().unwrap_or_default()),
        vpc_id: Some(String::new()),
        ipv6_allowed_for_dual_stack: Some(given.ipv6_allowed_for_dual_stack.unwrap_or(false)),
    })
}

fn logging(name: &str, given: Option<&LoggingConfig>) -> LoggingConfig {
    let mut logging = given.cloned().unwrap_or_default();
    let format = *logging.log_format.get_or_insert(LogFormat::Text);
    if format == LogFormat::Json {
        logging
            .application_log_level
            .get_or_insert(ApplicationLogLevel::Info);
        logging.system_log_level.get_or_insert(SystemLogLevel::Info);
    }
    logging
        .log_group
        .get_or_insert_with(|| format!("/aws/lambda/{name}"));
    logging
}

impl Service {
    /// A deletion of one version, which no alias may name.
    async fn remove_version(
        &self,
        cx: &CallContext,
        reference: &Reference,
        number: &str,
    ) -> Result<(), Refused> {
        let scope = scope(cx);
        let function = self.lambda_function(cx, reference).await?;
        let version = self.lambda_version(cx, reference, number).await?;
        self.check_unaliased(&scope, reference, number).await?;
        let mut others: Vec<Stored<VersionDoc>> = self
            .children(&scope, kind::LAMBDA_VERSION, &reference.name)
            .await?;
        others.retain(|other| other.key != version.key);
        let upload = &version.body.code.upload;
        let is_used = function.body.code.upload == *upload
            || others.iter().any(|other| other.body.code.upload == *upload);
        let mut writes = vec![
            // Nobody publishes or aliases meanwhile.
            function.put(None),
            Write::Delete {
                key: version.key.clone(),
                expect: Expect::Revision(version.revision),
            },
        ];
        if !is_used {
            writes.push(code::delete(&scope, &reference.name, &version.body.code));
        }
        self.write(writes).await?;
        Ok(())
    }
}
