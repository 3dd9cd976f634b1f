//! Prompt management: prompts, the DRAFT that is edited and the numbered versions cut from it
//! (behaviour.md 14.3).
//!
//! Nothing here runs a prompt, and agents do not use them: they are kept and shown. What a prompt
//! must be like is in [`rules`]. A prompt is named by its id or its ARN; the ARN of a numbered
//! version is taken where a version can be meant.
//!
//! Invariant: every write below a prompt carries the prompt's own document at the revision that was
//! read, so that a version holds a state the DRAFT really had, and no number is given twice.

mod rules;

use outcrop_model::arn::PromptArn;
use outcrop_model::control::{
    CreatePromptRequest, CreatePromptResponse, CreatePromptVersionRequest,
    CreatePromptVersionResponse, DeletePromptRequest, DeletePromptResponse, GetPromptRequest,
    GetPromptResponse, IncludedData, ListPromptsRequest, ListPromptsResponse, PromptSummary,
    UpdatePromptRequest, UpdatePromptResponse, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{BATCH_WRITES_MAX, Expect, Key, Order, Write};

use super::paging::List;
use super::{DRAFT, Refused, attempts, gone, name_conflict, quotas, tags, tags_key};
use crate::records::{PromptDoc, Scope, Stored, kind, put};
use crate::{Service, scope};
use rules::Reference;

/// The same prompt as the answer of another operation: the four shapes have the same members.
macro_rules! answer {
    ($response:ident, $prompt:expr) => {{
        let prompt: GetPromptResponse = $prompt;
        $response {
            arn: prompt.arn,
            created_at: prompt.created_at,
            customer_encryption_key_arn: prompt.customer_encryption_key_arn,
            default_variant: prompt.default_variant,
            description: prompt.description,
            id: prompt.id,
            name: prompt.name,
            updated_at: prompt.updated_at,
            variants: prompt.variants,
            version: prompt.version,
        }
    }};
}

impl Handle<op::CreatePrompt> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: CreatePromptRequest,
    ) -> Result<CreatePromptResponse, Exception> {
        rules::check(&input)?;
        tags::check(input.tags.as_ref(), self.settings.strictness)?;
        let prompt = attempts(|| self.create_prompt(cx, &input)).await?;
        Ok(answer!(CreatePromptResponse, prompt))
    }
}

impl Handle<op::GetPrompt> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetPromptRequest,
    ) -> Result<GetPromptResponse, Exception> {
        let asked = input.prompt_version.as_deref();
        let reference = Reference::parse(cx, &input.prompt_identifier)?.at(asked)?;
        let scope = scope(cx);
        let prompt = match reference.version.as_deref() {
            None | Some(DRAFT) => self.prompt(&scope, &reference.id).await?.body.prompt,
            Some(number) => {
                let version = self.prompt_version(&scope, &reference.id, number).await?;
                version.body
            }
        };
        if input.included_data == Some(IncludedData::MetadataOnly) {
            return Ok(GetPromptResponse {
                variants: None,
                ..prompt
            });
        }
        Ok(prompt)
    }
}

impl Handle<op::UpdatePrompt> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UpdatePromptRequest,
    ) -> Result<UpdatePromptResponse, Exception> {
        let id = Reference::parse(cx, &input.prompt_identifier)?.draft()?;
        let input = definition(input);
        rules::check(&input)?;
        let prompt = self
            .in_turn(&scope(cx), &id, || self.update_prompt(cx, &id, &input))
            .await?;
        Ok(answer!(UpdatePromptResponse, prompt))
    }
}

impl Handle<op::DeletePrompt> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DeletePromptRequest,
    ) -> Result<DeletePromptResponse, Exception> {
        let asked = input.prompt_version.as_deref();
        let Reference { id, version } =
            Reference::parse(cx, &input.prompt_identifier)?.at(asked)?;
        let scope = scope(cx);
        match &version {
            None => {
                self.in_turn(&scope, &id, || self.delete_prompt(cx, &id))
                    .await?;
            }
            Some(number) => {
                let attempt = || self.delete_prompt_version(cx, &id, number);
                self.in_turn(&scope, &id, attempt).await?;
            }
        }
        Ok(DeletePromptResponse { id, version })
    }
}

impl Handle<op::CreatePromptVersion> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: CreatePromptVersionRequest,
    ) -> Result<CreatePromptVersionResponse, Exception> {
        tags::check(input.tags.as_ref(), self.settings.strictness)?;
        let id = Reference::parse(cx, &input.prompt_identifier)?.draft()?;
        let version = self
            .in_turn(&scope(cx), &id, || self.cut_prompt_version(cx, &id, &input))
            .await?;
        Ok(answer!(CreatePromptVersionResponse, version))
    }
}

impl Handle<op::ListPrompts> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListPromptsRequest,
    ) -> Result<ListPromptsResponse, Exception> {
        let scope = scope(cx);
        let list = |kind, parent| List {
            operation: op::ListPrompts::SPEC.name,
            scope: &scope,
            kind,
            parent,
            order: Order::Created,
        };
        let (max_results, next_token) = (input.max_results, input.next_token.as_deref());
        let Some(identifier) = &input.prompt_identifier else {
            let list = list(kind::PROMPT, "");
            let page = list.page(max_results, next_token)?;
            let (prompts, next_token) = self.list::<PromptDoc>(&list, page).await?;
            let prompts = prompts.into_iter().map(|document| document.prompt);
            return Ok(ListPromptsResponse {
                prompt_summaries: prompts.map(summary).collect(),
                next_token,
            });
        };
        let id = Reference::parse(cx, identifier)?.id;
        let draft = self.prompt(&scope, &id).await?.body.prompt;
        let list = list(kind::PROMPT_VERSION, &id);
        let page = list.page(max_results, next_token)?;
        let (with_draft, versions, next_token) = self.list_versions(&list, page).await?;
        let shown = with_draft.then_some(draft).into_iter().chain(versions);
        Ok(ListPromptsResponse {
            prompt_summaries: shown.map(summary).collect(),
            next_token,
        })
    }
}

impl Service {
    async fn prompt(&self, scope: &Scope, id: &str) -> Result<Stored<PromptDoc>, Exception> {
        self.load(key(scope, id)).await?.ok_or_else(gone)
    }

    async fn prompt_version(
        &self,
        scope: &Scope,
        id: &str,
        number: &str,
    ) -> Result<Stored<GetPromptResponse>, Exception> {
        let version = self.load(version_key(scope, id, number)).await?;
        version.ok_or_else(gone)
    }

    async fn create_prompt(
        &self,
        cx: &CallContext,
        input: &CreatePromptRequest,
    ) -> Result<GetPromptResponse, Refused> {
        let scope = scope(cx);
        let client_token = input.client_token.as_deref();
        let token = self
            .token::<op::CreatePrompt>(cx, client_token, input)
            .await?;
        if let Some(made) = &token.made
            && let Some(prompt) = self.load::<PromptDoc>(key(&scope, made)).await?
        {
            return Ok(prompt.body.prompt);
        }
        self.check_room(cx, quotas::PROMPTS, kind::PROMPT, "")
            .await?;
        let now = self.now();
        let id = self
            .new_id("prompt", input.tags.as_ref(), |id| key(&scope, id))
            .await?;
        let prompt = draft(cx, &id, input, now);
        let document = PromptDoc {
            prompt: prompt.clone(),
            last_version: 0,
        };
        let mut writes: Vec<Write> = token.remember(&id, now).into_iter().collect();
        writes.push(put(
            key(&scope, &id),
            &document,
            Expect::Absent,
            Some(&prompt.name),
        ));
        writes.push(tags::put(&scope, &prompt.arn, input.tags.clone()));
        self.write(writes)
            .await
            .map_err(|cause| name_conflict(cause, "Create", &prompt.name))?;
        Ok(prompt)
    }

    async fn update_prompt(
        &self,
        cx: &CallContext,
        id: &str,
        input: &CreatePromptRequest,
    ) -> Result<GetPromptResponse, Refused> {
        let mut stored = self.prompt(&scope(cx), id).await?;
        stored.body.prompt = GetPromptResponse {
            created_at: stored.body.prompt.created_at,
            ..draft(cx, id, input, self.now())
        };
        self.write(vec![guard(&stored)])
            .await
            .map_err(|cause| name_conflict(cause, "Update", &input.name))?;
        Ok(stored.body.prompt)
    }

    async fn delete_prompt(&self, cx: &CallContext, id: &str) -> Result<(), Refused> {
        let scope = scope(cx);
        let prompt = self.prompt(&scope, id).await?;
        let versions = self
            .children::<GetPromptResponse>(&scope, kind::PROMPT_VERSION, id)
            .await?;
        let untag = |arn: &str| Write::Delete {
            key: tags_key(&scope, arn),
            expect: Expect::Any,
        };
        let mut writes = vec![
            Write::Delete {
                key: prompt.key.clone(),
                expect: Expect::Revision(prompt.revision),
            },
            untag(&prompt.body.prompt.arn),
            Write::DeleteChildren {
                scope: scope.0.clone(),
                kind: kind::PROMPT_VERSION,
                parent: id.into(),
            },
        ];
        writes.extend(versions.iter().map(|version| untag(&version.body.arn)));
        // The prompt and its versions go with the first batch. Should the process end before the
        // last one, tags stay behind that nobody can reach, for ids are never used again.
        for batch in writes.chunks(BATCH_WRITES_MAX) {
            self.write(batch.to_vec()).await?;
        }
        Ok(())
    }

    async fn delete_prompt_version(
        &self,
        cx: &CallContext,
        id: &str,
        number: &str,
    ) -> Result<(), Refused> {
        let scope = scope(cx);
        let prompt = self.prompt(&scope, id).await?;
        let version = self.prompt_version(&scope, id, number).await?;
        self.write(vec![
            guard(&prompt),
            Write::Delete {
                key: tags_key(&scope, &version.body.arn),
                expect: Expect::Any,
            },
            Write::Delete {
                key: version.key,
                expect: Expect::Revision(version.revision),
            },
        ])
        .await?;
        Ok(())
    }

    async fn cut_prompt_version(
        &self,
        cx: &CallContext,
        id: &str,
        input: &CreatePromptVersionRequest,
    ) -> Result<GetPromptResponse, Refused> {
        let scope = scope(cx);
        let client_token = input.client_token.as_deref();
        let token = self
            .token::<op::CreatePromptVersion>(cx, client_token, input)
            .await?;
        let mut prompt = self.prompt(&scope, id).await?;
        if let Some(made) = &token.made
            && let Some(version) = self.load(version_key(&scope, id, made)).await?
        {
            return Ok(version.body);
        }
        let quota = quotas::PROMPT_VERSIONS;
        self.check_room(cx, quota, kind::PROMPT_VERSION, id).await?;
        let last = prompt.body.last_version.saturating_add(1);
        quotas::PROMPT_NUMBERS.check(last as usize, self.settings.strictness)?;
        prompt.body.last_version = last;
        let (number, now) = (last.to_string(), self.now());
        let version = GetPromptResponse {
            arn: PromptArn::new(&cx.region, &cx.account_id, id, Some(&number)).to_string(),
            created_at: now,
            description: input.description.clone(),
            updated_at: now,
            version: number.clone(),
            ..prompt.body.prompt.clone()
        };
        let mut writes: Vec<Write> = token.remember(&number, now).into_iter().collect();
        writes.push(guard(&prompt));
        let key = version_key(&scope, id, &number);
        writes.push(put(key, &version, Expect::Absent, None));
        writes.push(tags::put(&scope, &version.arn, input.tags.clone()));
        self.write(writes).await?;
        Ok(version)
    }
}

/// `UpdatePrompt` replaces the whole definition, so it is read as a creation.
fn definition(input: UpdatePromptRequest) -> CreatePromptRequest {
    CreatePromptRequest {
        client_token: None,
        customer_encryption_key_arn: input.customer_encryption_key_arn,
        default_variant: input.default_variant,
        description: input.description,
        name: input.name,
        tags: None,
        variants: input.variants,
    }
}

/// The DRAFT a request defines. Without variants there are none, which every answer says.
fn draft(
    cx: &CallContext,
    id: &str,
    input: &CreatePromptRequest,
    now: Timestamp,
) -> GetPromptResponse {
    let input = input.clone();
    GetPromptResponse {
        arn: PromptArn::new(&cx.region, &cx.account_id, id, None).to_string(),
        created_at: now,
        customer_encryption_key_arn: input.customer_encryption_key_arn,
        default_variant: input.default_variant,
        description: input.description,
        id: id.to_owned(),
        name: input.name,
        updated_at: now,
        variants: Some(input.variants.unwrap_or_default()),
        version: DRAFT.to_owned(),
    }
}

/// Writes the prompt as it is (or as the caller changed it) if nobody else has written it meanwhile.
fn guard(prompt: &Stored<PromptDoc>) -> Write {
    prompt.put(Some(&prompt.body.prompt.name))
}

fn key(scope: &Scope, id: &str) -> Key {
    scope.key(kind::PROMPT, "", id)
}

fn version_key(scope: &Scope, id: &str, number: &str) -> Key {
    scope.key(kind::PROMPT_VERSION, id, number)
}

fn summary(prompt: GetPromptResponse) -> PromptSummary {
    PromptSummary {
        arn: prompt.arn,
        created_at: prompt.created_at,
        description: prompt.description,
        id: prompt.id,
        name: prompt.name,
        updated_at: prompt.updated_at,
        version: prompt.version,
    }
}
