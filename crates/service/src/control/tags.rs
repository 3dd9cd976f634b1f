//! Tags of agents, aliases, knowledge bases, prompts and versions of prompts.
//!
//! Every taggable resource has a tags document from its creation to its deletion, be it empty: the
//! document is the proof that an ARN of this account and region names something.

use std::collections::BTreeMap;

use outcrop_engine::action::Strictness;
use outcrop_model::control::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, TagResourceRequest,
    TagResourceResponse, UntagResourceRequest, UntagResourceResponse, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_store::{Expect, Write};

use super::{Refused, fixed_ids, gone, quotas, tags_key};
use crate::records::{self, Scope, Stored, TagsDoc};
use crate::{Service, scope};

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
            tags: Some(tags.body.tags),
        })
    }
}

impl Service {
    async fn tags(&self, cx: &CallContext, arn: &str) -> Result<Stored<TagsDoc>, Exception> {
        let tags = self.load(tags_key(&scope(cx), arn)).await?;
        tags.ok_or_else(gone)
    }

    async fn tag(&self, cx: &CallContext, input: &TagResourceRequest) -> Result<(), Refused> {
        let mut stored = self.tags(cx, &input.resource_arn).await?;
        stored.body.tags.extend(input.tags.clone());
        quotas::TAGS.check(stored.body.tags.len(), self.settings.strictness)?;
        self.write(vec![stored.put(None)]).await?;
        Ok(())
    }

    async fn untag(&self, cx: &CallContext, input: &UntagResourceRequest) -> Result<(), Refused> {
        let mut stored = self.tags(cx, &input.resource_arn).await?;
        let before = stored.body.tags.len();
        stored
            .body
            .tags
            .retain(|key, _| !input.tag_keys.contains(key));
        if stored.body.tags.len() < before {
            self.write(vec![stored.put(None)]).await?;
        }
        Ok(())
    }
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

/// The tags document of a new resource.
pub(super) fn put(scope: &Scope, arn: &str, tags: Option<BTreeMap<String, String>>) -> Write {
    let document = TagsDoc {
        tags: tags.unwrap_or_default(),
    };
    records::put(tags_key(scope, arn), &document, Expect::Absent, None)
}
