//! Guardrails: the DRAFT that is edited, the numbered versions cut from it, and their tags.
//!
//! Kept and shown here, evaluated in `crate::guardrails`. What a definition must be like is in
//! [`definition`]; a pattern that cannot run is refused when it is given, not when a text comes.
//!
//! Invariant: every write below a guardrail carries its own document at the revision that was read, so
//! that a version holds a state the DRAFT really had, and no number is given twice.

mod definition;
mod tags;

use std::collections::BTreeMap;

use outcrop_engine::action::Strictness;
use outcrop_model::bedrock::{
    CreateGuardrailRequest, CreateGuardrailResponse, CreateGuardrailVersionRequest,
    CreateGuardrailVersionResponse, DeleteGuardrailRequest, DeleteGuardrailResponse,
    GetGuardrailRequest, GetGuardrailResponse, GuardrailSummary, ListGuardrailsRequest,
    ListGuardrailsResponse, Tag, UpdateGuardrailRequest, UpdateGuardrailResponse, ops as op,
};
use outcrop_model::control::Agent;
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_store::{Expect, Key, Order, Write};

use super::paging::List;
use super::{DRAFT, Refused, attempts, name_conflict, quotas, tags as resource_tags, tags_key};
use crate::records::{AgentDoc, GuardrailDoc, Scope, Stored, kind, put};
use crate::{Service, scope};

/// Characters of a fresh id.
const ID_LEN: usize = 12;

/// The tag that fixes the id of a new guardrail.
const ID_TAG: &str = "outcrop:id";

/// What begins a guardrail's ARN after partition and service.
const RESOURCE: &str = "guardrail/";

/// What a `guardrailIdentifier` names.
pub(crate) struct Reference;

impl Reference {
    /// The id of an id or of an ARN of this account and region.
    pub(crate) fn parse(cx: &CallContext, identifier: &str) -> Option<String> {
        if !identifier.starts_with("arn:") {
            return Some(identifier.to_owned());
        }
        let mut parts = identifier.splitn(6, ':').skip(2);
        let (service, region, account, resource) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let here = service == "bedrock" && region == cx.region && account == cx.account_id;
        let id = resource.strip_prefix(RESOURCE)?;
        here.then(|| id.to_owned())
    }
}

impl Handle<op::CreateGuardrail> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: CreateGuardrailRequest,
    ) -> Result<CreateGuardrailResponse, Exception> {
        let tags = tag_map(input.tags.as_deref())?;
        resource_tags::check(tags.as_ref(), self.settings.strictness)?;
        definition::check(cx, &input, self.settings.strictness)?;
        let guardrail = attempts(|| self.create_guardrail(cx, &input, tags.as_ref())).await?;
        Ok(CreateGuardrailResponse {
            created_at: guardrail.created_at,
            guardrail_arn: guardrail.guardrail_arn,
            guardrail_id: guardrail.guardrail_id,
            version: guardrail.version,
        })
    }
}

impl Handle<op::GetGuardrail> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetGuardrailRequest,
    ) -> Result<GetGuardrailResponse, Exception> {
        let id = id(cx, &input.guardrail_identifier)?;
        let scope = scope(cx);
        match input.guardrail_version.as_deref() {
            None | Some(DRAFT) => Ok(self.guardrail(&scope, &id).await?.body.guardrail),
            Some(number) => Ok(self.guardrail_version(&scope, &id, number).await?.body),
        }
    }
}

impl Handle<op::UpdateGuardrail> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UpdateGuardrailRequest,
    ) -> Result<UpdateGuardrailResponse, Exception> {
        let id = id(cx, &input.guardrail_identifier)?;
        let input = definition::of_update(input);
        definition::check(cx, &input, self.settings.strictness)?;
        let attempt = || self.update_guardrail(cx, &id, &input);
        let guardrail = self.in_turn(&scope(cx), &id, attempt).await?;
        Ok(UpdateGuardrailResponse {
            guardrail_arn: guardrail.guardrail_arn,
            guardrail_id: guardrail.guardrail_id,
            updated_at: guardrail.updated_at,
            version: guardrail.version,
        })
    }
}

impl Handle<op::DeleteGuardrail> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DeleteGuardrailRequest,
    ) -> Result<DeleteGuardrailResponse, Exception> {
        let id = id(cx, &input.guardrail_identifier)?;
        let version = input.guardrail_version.as_deref();
        self.check_guardrail_unused(cx, &id, version).await?;
        let attempt = || self.delete_guardrail(cx, &id, version);
        self.in_turn(&scope(cx), &id, attempt).await?;
        Ok(DeleteGuardrailResponse {})
    }
}

impl Handle<op::CreateGuardrailVersion> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: CreateGuardrailVersionRequest,
    ) -> Result<CreateGuardrailVersionResponse, Exception> {
        let id = id(cx, &input.guardrail_identifier)?;
        let attempt = || self.cut_guardrail_version(cx, &id, &input);
        let version = self.in_turn(&scope(cx), &id, attempt).await?;
        Ok(CreateGuardrailVersionResponse {
            guardrail_id: id,
            version,
        })
    }
}

impl Handle<op::ListGuardrails> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListGuardrailsRequest,
    ) -> Result<ListGuardrailsResponse, Exception> {
        let scope = scope(cx);
        let list = |kind, parent| List {
            operation: op::ListGuardrails::SPEC.name,
            scope: &scope,
            kind,
            parent,
            order: Order::Created,
        };
        let (max_results, next_token) = (input.max_results, input.next_token.as_deref());
        let Some(identifier) = &input.guardrail_identifier else {
            let list = list(kind::GUARDRAIL, "");
            let page = list.page(max_results, next_token)?;
            let (found, next_token) = self.list::<GuardrailDoc>(&list, page).await?;
            let drafts = found.into_iter().map(|document| document.guardrail);
            return Ok(ListGuardrailsResponse {
                guardrails: drafts.map(summary).collect(),
                next_token,
            });
        };
        let id = id(cx, identifier)?;
        let draft = self.guardrail(&scope, &id).await?.body.guardrail;
        let list = list(kind::GUARDRAIL_VERSION, &id);
        let page = list.page(max_results, next_token)?;
        let (with_draft, versions, next_token) = self.list_versions(&list, page).await?;
        let shown = with_draft.then_some(draft).into_iter().chain(versions);
        Ok(ListGuardrailsResponse {
            guardrails: shown.map(summary).collect(),
            next_token,
        })
    }
}

impl Service {
    async fn guardrail(&self, scope: &Scope, id: &str) -> Result<Stored<GuardrailDoc>, Exception> {
        self.load(key(scope, id)).await?.ok_or_else(|| missing(id))
    }

    async fn guardrail_version(
        &self,
        scope: &Scope,
        id: &str,
        number: &str,
    ) -> Result<Stored<GetGuardrailResponse>, Exception> {
        let version = self.load(version_key(scope, id, number)).await?;
        version.ok_or_else(|| missing(&format!("{id} version {number}")))
    }

    async fn create_guardrail(
        &self,
        cx: &CallContext,
        input: &CreateGuardrailRequest,
        tags: Option<&BTreeMap<String, String>>,
    ) -> Result<GetGuardrailResponse, Refused> {
        let scope = scope(cx);
        let client_token = input.client_request_token.as_deref();
        let token = self
            .token::<op::CreateGuardrail>(cx, client_token, input)
            .await?;
        if let Some(made) = &token.made
            && let Some(guardrail) = self.load::<GuardrailDoc>(key(&scope, made)).await?
        {
            return Ok(guardrail.body.guardrail);
        }
        let quota = quotas::GUARDRAILS;
        self.check_room(cx, quota, kind::GUARDRAIL, "").await?;
        let id = self.guardrail_id(&scope, tags).await?;
        let now = self.now();
        let document = GuardrailDoc {
            guardrail: definition::draft(cx, &id, input, now),
            last_version: 0,
        };
        let guardrail = &document.guardrail;
        let mut writes: Vec<Write> = token.remember(&id, now).into_iter().collect();
        let name = Some(guardrail.name.as_str());
        writes.push(put(key(&scope, &id), &document, Expect::Absent, name));
        writes.push(resource_tags::put(
            &scope,
            &guardrail.guardrail_arn,
            tags.cloned(),
        ));
        self.write(writes)
            .await
            .map_err(|cause| name_conflict(cause, "Create", &guardrail.name))?;
        Ok(document.guardrail)
    }

    /// The id of a new guardrail: what its tags ask for, else a fresh one.
    async fn guardrail_id(
        &self,
        scope: &Scope,
        tags: Option<&BTreeMap<String, String>>,
    ) -> Result<String, Exception> {
        let Some(id) = tags.and_then(|tags| tags.get(ID_TAG)) else {
            let ids = &self.ports.ids;
            let mut id = format!("{}{}", ids.resource_id(), ids.resource_id()).to_lowercase();
            id.truncate(ID_LEN);
            return Ok(id);
        };
        let is_id = id.len() == ID_LEN
            && id
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !is_id {
            let message = format!(
                "The tag {ID_TAG} must be {ID_LEN} characters, each a to z or 0 to 9, but is {id}"
            );
            return Err(Exception::validation(message.clone()).with_field("tags", message));
        }
        let taken = self.load::<serde::de::IgnoredAny>(key(scope, id)).await?;
        if taken.is_some() {
            return Err(Exception::conflict(format!(
                "Could not perform Create operation, since the guardrail id {id} of the tag {ID_TAG} is already taken"
            )));
        }
        Ok(id.clone())
    }

    /// Refuses an agent whose guardrail is not there, where limits are strict. Else an agent can be
    /// prepared before its guardrail is made, and until then its turns fail.
    pub(super) async fn check_guardrail(
        &self,
        cx: &CallContext,
        agent: &Agent,
    ) -> Result<(), Exception> {
        let Some(named) = &agent.guardrail_configuration else {
            return Ok(());
        };
        if self.settings.strictness == Strictness::Relaxed {
            return Ok(());
        }
        let identifier = named.guardrail_identifier.as_deref().unwrap_or_default();
        let version = named.guardrail_version.as_deref().unwrap_or(DRAFT);
        let found = self.guardrails.check(cx, identifier, version).await;
        found.map_err(|error| Exception::validation(error.to_string()).with_source(error))
    }

    async fn update_guardrail(
        &self,
        cx: &CallContext,
        id: &str,
        input: &CreateGuardrailRequest,
    ) -> Result<GetGuardrailResponse, Refused> {
        let mut stored = self.guardrail(&scope(cx), id).await?;
        let before = &stored.body.guardrail;
        let after = definition::draft(cx, id, input, self.now());
        stored.body.guardrail = GetGuardrailResponse {
            created_at: before.created_at,
            // Without a key the guardrail keeps the one it has.
            kms_key_arn: after.kms_key_arn.or_else(|| before.kms_key_arn.clone()),
            ..after
        };
        self.write(vec![guard(&stored)])
            .await
            .map_err(|cause| name_conflict(cause, "Update", &input.name))?;
        Ok(stored.body.guardrail)
    }

    async fn delete_guardrail(
        &self,
        cx: &CallContext,
        id: &str,
        version: Option<&str>,
    ) -> Result<(), Refused> {
        let scope = scope(cx);
        let guardrail = self.guardrail(&scope, id).await?;
        let writes = match version {
            Some(number) => {
                let version = self.guardrail_version(&scope, id, number).await?;
                vec![
                    guard(&guardrail),
                    Write::Delete {
                        key: version.key,
                        expect: Expect::Revision(version.revision),
                    },
                ]
            }
            None => vec![
                Write::Delete {
                    key: guardrail.key.clone(),
                    expect: Expect::Revision(guardrail.revision),
                },
                Write::Delete {
                    key: tags_key(&scope, &guardrail.body.guardrail.guardrail_arn),
                    expect: Expect::Any,
                },
                Write::DeleteChildren {
                    scope: scope.0.clone(),
                    kind: kind::GUARDRAIL_VERSION,
                    parent: id.into(),
                },
            ],
        };
        self.write(writes).await?;
        Ok(())
    }

    async fn cut_guardrail_version(
        &self,
        cx: &CallContext,
        id: &str,
        input: &CreateGuardrailVersionRequest,
    ) -> Result<String, Refused> {
        let scope = scope(cx);
        let client_token = input.client_request_token.as_deref();
        let token = self
            .token::<op::CreateGuardrailVersion>(cx, client_token, input)
            .await?;
        let mut guardrail = self.guardrail(&scope, id).await?;
        if let Some(made) = token.made {
            return Ok(made);
        }
        let quota = quotas::GUARDRAIL_VERSIONS;
        self.check_room(cx, quota, kind::GUARDRAIL_VERSION, id)
            .await?;
        let last = guardrail.body.last_version.saturating_add(1);
        guardrail.body.last_version = last;
        let (number, now) = (last.to_string(), self.now());
        let version = GetGuardrailResponse {
            created_at: now,
            description: input.description.clone(),
            updated_at: now,
            version: number.clone(),
            ..guardrail.body.guardrail.clone()
        };
        let mut writes: Vec<Write> = token.remember(&number, now).into_iter().collect();
        writes.push(guard(&guardrail));
        let key = version_key(&scope, id, &number);
        writes.push(put(key, &version, Expect::Absent, None));
        self.write(writes).await?;
        Ok(number)
    }

    /// Refuses to delete what the draft of an agent names. Its prepared states and versions may name
    /// it still: their turns fail then, which is what a guardrail that is gone has to do.
    async fn check_guardrail_unused(
        &self,
        cx: &CallContext,
        id: &str,
        version: Option<&str>,
    ) -> Result<(), Exception> {
        let scope = scope(cx);
        let list = List {
            operation: op::DeleteGuardrail::SPEC.name,
            scope: &scope,
            kind: kind::AGENT,
            parent: "",
            order: Order::UpdatedDescending,
        };
        let mut next_token: Option<String> = None;
        loop {
            let page = list.page(None, next_token.as_deref())?;
            let (agents, next) = self.list::<AgentDoc>(&list, page).await?;
            let user = agents.iter().map(|document| &document.agent).find(|agent| {
                agent.guardrail_configuration.as_ref().is_some_and(|named| {
                    let identifier = named.guardrail_identifier.as_deref().unwrap_or_default();
                    let same = Reference::parse(cx, identifier).is_some_and(|named| named == id);
                    same && version
                        .is_none_or(|version| named.guardrail_version.as_deref() == Some(version))
                })
            });
            if let Some(agent) = user {
                return Err(Exception::new(
                    ExceptionKind::ResourceInUse,
                    format!(
                        "The guardrail {id} is used by agent {}. Remove it from the agent first.",
                        agent.agent_id
                    ),
                ));
            }
            let Some(next) = next else {
                return Ok(());
            };
            next_token = Some(next);
        }
    }
}

/// Tags as a map; each key once.
fn tag_map(tags: Option<&[Tag]>) -> Result<Option<BTreeMap<String, String>>, Exception> {
    let mut map = BTreeMap::new();
    for tag in tags.unwrap_or_default() {
        if map.insert(tag.key.clone(), tag.value.clone()).is_some() {
            let message = format!("The tag key {} is given more than once", tag.key);
            return Err(Exception::validation(message.clone()).with_field("tags", message));
        }
    }
    Ok(tags.map(|_| map))
}

fn id(cx: &CallContext, identifier: &str) -> Result<String, Exception> {
    Reference::parse(cx, identifier).ok_or_else(|| missing(identifier))
}

fn missing(what: &str) -> Exception {
    Exception::not_found(format!("The guardrail {what} does not exist."))
}

fn guard(guardrail: &Stored<GuardrailDoc>) -> Write {
    guardrail.put(Some(&guardrail.body.guardrail.name))
}

fn key(scope: &Scope, id: &str) -> Key {
    scope.key(kind::GUARDRAIL, "", id)
}

fn version_key(scope: &Scope, id: &str, number: &str) -> Key {
    scope.key(kind::GUARDRAIL_VERSION, id, number)
}

fn summary(guardrail: GetGuardrailResponse) -> GuardrailSummary {
    GuardrailSummary {
        arn: guardrail.guardrail_arn,
        created_at: guardrail.created_at,
        cross_region_details: guardrail.cross_region_details,
        description: guardrail.description,
        id: guardrail.guardrail_id,
        name: guardrail.name,
        status: guardrail.status,
        updated_at: guardrail.updated_at,
        version: guardrail.version,
    }
}
