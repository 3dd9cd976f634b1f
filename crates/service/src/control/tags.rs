//! Tags of agents, aliases, knowledge bases, prompts and versions of prompts.
//!
//! A resource has a tags document only once it has been tagged. That an ARN names something is told by
//! the resource itself, never by its tags: those of a resource deleted at the same moment may outlive
//! it, unseen, and whoever takes its id takes them away.

use std::collections::BTreeMap;

use outcrop_engine::action::Strictness;
use outcrop_model::arn::{AgentAliasArn, AgentArn, KnowledgeBaseArn, PromptArn};
use outcrop_model::control::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, TagResourceRequest,
    TagResourceResponse, UntagResourceRequest, UntagResourceResponse, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_store::{Expect, Key, Write};

use super::{Refused, agent_key, fixed_ids, gone, quotas, tags_key};
use crate::records::{self, Scope, TagsDoc, kind};
use crate::{Service, error, scope};

/// Keys that begin so are AWS's own, in whatever case.
const RESERVED_PREFIX: &str = "aws:";

impl Handle<op::TagResource> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: TagResourceRequest,
    ) -> Result<TagResourceResponse, Exception> {
        check(Some(&input.tags), self.settings.strictness)?;
        fixed_ids::check_own(&input.resource_arn, &input.tags)?;
        let attempt = || self.tag(cx, &input);
        self.in_turn(&scope(cx), &input.resource_arn, attempt)
            .await?;
        Ok(TagResourceResponse {})
    }
}

impl Handle<op::UntagResource> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UntagResourceRequest,
    ) -> Result<UntagResourceResponse, Exception> {
        let attempt = || self.untag(cx, &input);
        self.in_turn(&scope(cx), &input.resource_arn, attempt)
            .await?;
        Ok(UntagResourceResponse {})
    }
}

impl Handle<op::ListTagsForResource> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListTagsForResourceRequest,
    ) -> Result<ListTagsForResourceResponse, Exception> {
        let tags = self.tags(cx, &input.resource_arn).await?;
        Ok(ListTagsForResourceResponse {
            tags: Some(tags.tags),
        })
    }
}

impl Service {
    async fn tags(&self, cx: &CallContext, arn: &str) -> Result<TagsDoc, Exception> {
        Ok(self.tagged(cx, arn).await?.1)
    }

    /// The tags of an existing resource, and what a write of them expects.
    async fn tagged(&self, cx: &CallContext, arn: &str) -> Result<(Expect, TagsDoc), Exception> {
        let resource = resource_key(cx, arn).ok_or_else(gone)?;
        let now_ms = self.now().as_millis();
        let resource = self.ports.store.get(&resource, now_ms).await;
        if resource.map_err(error::store)?.is_none() {
            return Err(gone());
        }
        let tags = self.load::<TagsDoc>(tags_key(&scope(cx), arn)).await?;
        Ok(match tags {
            Some(stored) => (Expect::Revision(stored.revision), stored.body),
            None => (Expect::Absent, TagsDoc::default()),
        })
    }

    async fn tag(&self, cx: &CallContext, input: &TagResourceRequest) -> Result<(), Refused> {
        let arn = &input.resource_arn;
        let (expect, mut document) = self.tagged(cx, arn).await?;
        document.tags.extend(input.tags.clone());
        quotas::TAGS.check(document.tags.len(), self.settings.strictness)?;
        let key = tags_key(&scope(cx), arn);
        let written = records::put(key, &document, expect, None);
        self.write(vec![written]).await?;
        Ok(())
    }

    async fn untag(&self, cx: &CallContext, input: &UntagResourceRequest) -> Result<(), Refused> {
        let arn = &input.resource_arn;
        let (expect, mut document) = self.tagged(cx, arn).await?;
        let before = document.tags.len();
        document.tags.retain(|key, _| !input.tag_keys.contains(key));
        if document.tags.len() < before {
            let key = tags_key(&scope(cx), arn);
            let written = records::put(key, &document, expect, None);
            self.write(vec![written]).await?;
        }
        Ok(())
    }
}

/// The document of the resource an ARN names, where it is one of this account and region that may have
/// tags.
fn resource_key(cx: &CallContext, arn: &str) -> Option<Key> {
    let scope = &scope(cx);
    let (region, account) = (cx.region.as_str(), cx.account_id.as_str());
    let (made, key) = if let Ok(agent) = arn.parse::<AgentArn>() {
        let id = &agent.agent_id;
        let made = AgentArn::new(region, account, id).to_string();
        (made, agent_key(scope, id))
    } else if let Ok(alias) = arn.parse::<AgentAliasArn>() {
        let (agent, id) = (&alias.agent_id, &alias.alias_id);
        let made = AgentAliasArn::new(region, account, agent, id).to_string();
        (made, scope.key(kind::ALIAS, agent, id))
    } else if let Ok(prompt) = arn.parse::<PromptArn>() {
        let (id, version) = (&prompt.prompt_id, prompt.version.as_deref());
        let made = PromptArn::new(region, account, id, version).to_string();
        let key = match version {
            Some(number) => scope.key(kind::PROMPT_VERSION, id, number),
            None => scope.key(kind::PROMPT, "", id),
        };
        (made, key)
    } else {
        let base = arn.parse::<KnowledgeBaseArn>().ok()?;
        let id = &base.knowledge_base_id;
        let made = KnowledgeBaseArn::new(region, account, id).to_string();
        (made, scope.key(kind::KNOWLEDGE_BASE, "", id))
    };
    (made == arn).then_some(key)
}

/// Refuses tags a resource may not be given.
pub(super) fn check(
    tags: Option<&BTreeMap<String, String>>,
    strictness: Strictness,
) -> Result<(), Exception> {
    let Some(tags) = tags else {
        return Ok(());
    };
    let reserved = tags.keys().find(|key| {
        key.get(..RESERVED_PREFIX.len())
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case(RESERVED_PREFIX))
    });
    if let Some(key) = reserved {
        let message = format!("The tag key {key} begins with {RESERVED_PREFIX}, which is reserved");
        return Err(Exception::validation(message.clone()).with_field("tags", message));
    }
    quotas::TAGS.check(tags.len(), strictness)
}

/// What gives a new resource its tags, and takes away those that somebody left at its ARN.
pub(super) fn put(scope: &Scope, arn: &str, tags: Option<BTreeMap<String, String>>) -> Write {
    let key = tags_key(scope, arn);
    let tags = tags.unwrap_or_default();
    if tags.is_empty() {
        let expect = Expect::Any;
        return Write::Delete { key, expect };
    }
    records::put(key, &TagsDoc { tags }, Expect::Any, None)
}
