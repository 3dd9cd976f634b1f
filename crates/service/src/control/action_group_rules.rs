//! What an action group must be like before it is stored, and its form for the engine
//! (behaviour.md 1.8, 7.4).

use std::collections::BTreeMap;

use outcrop_engine::action::openapi::DOCUMENT_BYTES_MAX;
use outcrop_engine::action::{Action, SchemaError, Strictness};
use outcrop_engine::definition::{ActionGroupKind, Executor};
use outcrop_engine::plan::actions_of;
use outcrop_model::control::{
    APISchema, ActionGroupExecutor, ActionGroupSignature, ActionGroupState, AgentActionGroup,
    FunctionSchema, S3Identifier,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;

use super::quotas;
use crate::records::Stored;
use crate::{Service, error, scope};

impl Service {
    /// Refuses a group that breaks a rule by itself or beside the agent's other groups.
    ///
    /// Another group's schema in S3 is not read for this: `PrepareAgent` sees them all.
    pub(super) async fn check_action_group(
        &self,
        group: &AgentActionGroup,
        others: &[Stored<AgentActionGroup>],
        verb: &str,
    ) -> Result<(), Exception> {
        let strictness = self.settings.strictness;
        check_members(group, strictness)?;
        check_is_free(group, others, verb)?;
        check_parameters(group, strictness)?;
        let kind = self.action_group_kind(group).await?;
        let actions = actions_of(&group.action_group_name, &kind, strictness)
            .map_err(|cause| error::schema(&cause))?;
        // The quota is one of the agent's own actions; what AWS brings along does not count.
        let mut count = if group.parent_action_signature.is_some() {
            0
        } else {
            actions.len()
        };
        for other in others {
            let known = known_actions(&other.body, strictness);
            count = count.saturating_add(known.len());
            check_tool_names(&actions, &known)?;
        }
        quotas::ACTIONS.check(count, strictness)?;
        check_group_counts(group, others, strictness)
    }

    /// What the group offers and who runs it, its schema read.
    pub(super) async fn action_group_kind(
        &self,
        group: &AgentActionGroup,
    ) -> Result<ActionGroupKind, Exception> {
        match group.parent_action_signature {
            None => {}
            Some(ActionGroupSignature::AmazonUserInput) => return Ok(ActionGroupKind::UserInput),
            Some(signature) => {
                let params = group.parent_action_group_signature_params.clone();
                return Ok(ActionGroupKind::BuiltIn {
                    signature,
                    params: params.unwrap_or_default(),
                });
            }
        }
        let name = &group.action_group_name;
        let executor = executor(group)?;
        if let Some(functions) = &group.function_schema {
            return Ok(ActionGroupKind::Functions {
                functions: self::functions(functions)?.to_vec(),
                executor,
            });
        }
        let schema = match &group.api_schema {
            Some(APISchema::Payload(schema)) => schema.clone(),
            Some(APISchema::S3(location)) => self.read_schema(name, location).await?,
            None => return self.offered(name, executor).await,
            Some(_) => return Err(no_schema()),
        };
        Ok(ActionGroupKind::Api { schema, executor })
    }

    /// The texts of the schemas in S3 that an agent's draft names, by action group. One that cannot be
    /// read is left out: whoever asks sees that it is.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn bucket_schemas(
        &self,
        cx: &CallContext,
        agent_id: &str,
    ) -> Result<BTreeMap<String, String>, Exception> {
        let groups = self.draft_groups(&scope(cx), agent_id).await?;
        let mut schemas = BTreeMap::new();
        for group in groups {
            if let Some(APISchema::S3(location)) = &group.api_schema
                && let Ok(text) = self.read_schema(&group.action_group_name, location).await
            {
                schemas.insert(group.action_group_name, text);
            }
        }
        Ok(schemas)
    }

    /// What a group without a schema offers: whoever serves its function may be able to tell.
    async fn offered(&self, name: &str, executor: Executor) -> Result<ActionGroupKind, Exception> {
        let Executor::Lambda(function) = &executor else {
            return Err(no_schema());
        };
        match self.ports.actions.tools(function).await {
            Ok(Some(tools)) => Ok(ActionGroupKind::Tools { tools, executor }),
            Ok(None) => Err(no_schema()),
            Err(cause) => Err(Exception::validation(format!(
                "Failed to create or update ActionGroup. Action group {name} has no schema, and the functions its executor serves could not be learnt: {cause}"
            ))),
        }
    }

    async fn read_schema(&self, name: &str, location: &S3Identifier) -> Result<String, Exception> {
        let (Some(bucket), Some(key)) = (&location.s3_bucket_name, &location.s3_object_key) else {
            return Err(Exception::validation(
                "s3BucketName and s3ObjectKey of apiSchema.s3 cannot be null",
            ));
        };
        let document = self
            .ports
            .documents
            .read(bucket, key, DOCUMENT_BYTES_MAX as u64)
            .await
            .map_err(|cause| error::schema_source(name, &cause))?;
        String::from_utf8(document.into()).map_err(|_| {
            error::schema(&SchemaError::OpenApi {
                action_group: name.to_owned(),
                details: vec![format!("s3://{bucket}/{key} is not UTF-8 text")],
            })
        })
    }
}

/// Refuses a group that breaks a rule by itself, as far as that shows without reading its schema.
pub(super) fn check_alone(
    group: &AgentActionGroup,
    strictness: Strictness,
) -> Result<(), Exception> {
    check_members(group, strictness)?;
    check_parameters(group, strictness)
}

/// Which members a group may and must have.
fn check_members(group: &AgentActionGroup, strictness: Strictness) -> Result<(), Exception> {
    let has_schema = group.api_schema.is_some() || group.function_schema.is_some();
    if let Some(signature) = group.parent_action_signature {
        let has_more = group.description.is_some() || group.action_group_executor.is_some();
        if has_schema || has_more {
            return Err(Exception::validation(format!(
                "description, apiSchema, functionSchema and actionGroupExecutor must be absent when parentActionGroupSignature is {signature}"
            )));
        }
        return Ok(());
    }
    if group.parent_action_group_signature_params.is_some() {
        let message =
            "parentActionGroupSignatureParams must be absent without a parentActionGroupSignature";
        return Err(
            Exception::validation(message).with_field("parentActionGroupSignatureParams", message)
        );
    }
    if group.api_schema.is_some() && group.function_schema.is_some() {
        return Err(no_schema());
    }
    // Relaxed limits leave it to whoever serves the group to say what it offers.
    let may_be_told = strictness == Strictness::Relaxed && group.action_group_executor.is_some();
    if !has_schema && !may_be_told {
        return Err(no_schema());
    }
    let is_idle = group.action_group_state == ActionGroupState::Disabled;
    let may_lack_executor = is_idle && strictness == Strictness::Relaxed;
    if group.action_group_executor.is_none() && !may_lack_executor {
        return Err(no_executor());
    }
    Ok(())
}

/// Names are unique, and a built-in action group can be there once. The store sees to names as well,
/// but two groups of one name have tools of one name, which would be complained of first.
fn check_is_free(
    group: &AgentActionGroup,
    others: &[Stored<AgentActionGroup>],
    verb: &str,
) -> Result<(), Exception> {
    for other in others {
        let (name, id) = (&other.body.action_group_name, &other.key.id);
        let same = if *name == group.action_group_name {
            format!("name {name}")
        } else if let Some(signature) = group.parent_action_signature
            && other.body.parent_action_signature == Some(signature)
        {
            format!("parentActionGroupSignature {signature}")
        } else {
            continue;
        };
        return Err(Exception::conflict(format!(
            "Could not perform {verb} operation, since the {name} (id: {id}) with the same {same} already exists"
        )));
    }
    Ok(())
}

fn check_parameters(group: &AgentActionGroup, strictness: Strictness) -> Result<(), Exception> {
    let Some(schema) = &group.function_schema else {
        return Ok(());
    };
    for function in functions(schema)? {
        let count = function
            .parameters
            .as_ref()
            .map_or(0, std::collections::BTreeMap::len);
        quotas::PARAMETERS.check(count, strictness)?;
    }
    Ok(())
}

fn check_group_counts(
    group: &AgentActionGroup,
    others: &[Stored<AgentActionGroup>],
    strictness: Strictness,
) -> Result<(), Exception> {
    let is_enabled =
        |group: &AgentActionGroup| group.action_group_state == ActionGroupState::Enabled;
    let enabled = others
        .iter()
        .filter(|other| is_enabled(&other.body))
        .count()
        + usize::from(is_enabled(group));
    quotas::ACTION_GROUPS.check(others.len().saturating_add(1), strictness)?;
    quotas::ENABLED_ACTION_GROUPS.check(enabled, strictness)
}

/// The actions of another group, as far as they are known without reading S3. What was stored has
/// been checked; a group that no longer passes is found by `PrepareAgent`.
fn known_actions(group: &AgentActionGroup, strictness: Strictness) -> Vec<Action> {
    let Ok(executor) = executor(group) else {
        return Vec::new();
    };
    let kind = match (&group.function_schema, &group.api_schema) {
        (Some(FunctionSchema::Functions(functions)), _) => ActionGroupKind::Functions {
            functions: functions.clone(),
            executor,
        },
        (_, Some(APISchema::Payload(schema))) => ActionGroupKind::Api {
            schema: schema.clone(),
            executor,
        },
        _ => return Vec::new(),
    };
    actions_of(&group.action_group_name, &kind, strictness).unwrap_or_default()
}

fn check_tool_names(actions: &[Action], known: &[Action]) -> Result<(), Exception> {
    for action in actions {
        if let Some(first) = known
            .iter()
            .find(|known| known.tool_name == action.tool_name)
        {
            return Err(error::schema(&SchemaError::DuplicateTool {
                tool_name: action.tool_name.clone(),
                first: first.action_group.clone(),
                second: action.action_group.clone(),
            }));
        }
    }
    Ok(())
}

/// Who runs the group's actions. One without an executor is disabled, and its schema is read only to
/// be checked.
fn executor(group: &AgentActionGroup) -> Result<Executor, Exception> {
    match &group.action_group_executor {
        Some(ActionGroupExecutor::Lambda(function)) => Ok(Executor::Lambda(function.clone())),
        Some(ActionGroupExecutor::CustomControl(_)) => Ok(Executor::ReturnControl),
        None if group.action_group_state == ActionGroupState::Disabled => {
            Ok(Executor::ReturnControl)
        }
        Some(_) | None => Err(no_executor()),
    }
}

fn functions(schema: &FunctionSchema) -> Result<&[outcrop_model::control::Function], Exception> {
    match schema {
        FunctionSchema::Functions(functions) => Ok(functions),
        _ => Err(no_schema()),
    }
}

fn no_schema() -> Exception {
    Exception::validation(
        "Failed to create or update ActionGroup. Try providing either apiSchema or functionSchema.",
    )
}

fn no_executor() -> Exception {
    let message = "actionGroupExecutor cannot be null. Give the ARN of a Lambda function as lambda, or RETURN_CONTROL as customControl.";
    Exception::validation(message).with_field("actionGroupExecutor", message)
}
