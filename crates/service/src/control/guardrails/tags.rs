//! Tags of guardrails, by the operations of `bedrock`, which write them as lists.

use std::collections::BTreeMap;

use outcrop_model::bedrock::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, Tag, TagResourceRequest,
    TagResourceResponse, UntagResourceRequest, UntagResourceResponse, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_store::Expect;

use super::{ID_TAG, Reference, missing, tag_map};
use crate::control::{Refused, quotas, tags, tags_key};
use crate::records::{TagsDoc, put};
use crate::{Service, scope};

impl Handle<op::TagResource> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: TagResourceRequest,
    ) -> Result<TagResourceResponse, Exception> {
        let arn = &input.resource_arn;
        let added = tag_map(Some(&input.tags))?.unwrap_or_default();
        tags::check(Some(&added), self.settings.strictness)?;
        let own = arn.rsplit('/').next().unwrap_or_default();
        if added.get(ID_TAG).is_some_and(|id| id != own) {
            let message = format!(
                "The tag {ID_TAG} fixes an id at creation only. The id of this resource is {own}"
            );
            return Err(Exception::validation(message.clone()).with_field("tags", message));
        }
        let change = |tags: &mut BTreeMap<String, String>| tags.extend(added.clone());
        self.in_turn(&scope(cx), arn, || self.retag_guardrail(cx, arn, change))
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
        let arn = &input.resource_arn;
        let change = |tags: &mut BTreeMap<String, String>| {
            tags.retain(|key, _| !input.tag_keys.contains(key));
        };
        self.in_turn(&scope(cx), arn, || self.retag_guardrail(cx, arn, change))
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
        let (_, document) = self.guardrail_tags(cx, &input.resource_arn).await?;
        let tags = document.tags.into_iter();
        let tags = tags.map(|(key, value)| Tag { key, value }).collect();
        Ok(ListTagsForResourceResponse { tags: Some(tags) })
    }
}

impl Service {
    async fn guardrail_tags(
        &self,
        cx: &CallContext,
        arn: &str,
    ) -> Result<(Expect, TagsDoc), Exception> {
        let id = Reference::parse(cx, arn).filter(|_| arn.starts_with("arn:"));
        let id = id.ok_or_else(|| missing(arn))?;
        self.guardrail(&scope(cx), &id).await?;
        let tags = self.load::<TagsDoc>(tags_key(&scope(cx), arn)).await?;
        Ok(match tags {
            Some(stored) => (Expect::Revision(stored.revision), stored.body),
            None => (Expect::Absent, TagsDoc::default()),
        })
    }

    async fn retag_guardrail(
        &self,
        cx: &CallContext,
        arn: &str,
        change: impl Fn(&mut BTreeMap<String, String>),
    ) -> Result<(), Refused> {
        let (expect, mut document) = self.guardrail_tags(cx, arn).await?;
        let before = document.tags.clone();
        change(&mut document.tags);
        quotas::TAGS.check(document.tags.len(), self.settings.strictness)?;
        if document.tags != before {
            let key = tags_key(&scope(cx), arn);
            self.write(vec![put(key, &document, expect, None)]).await?;
        }
        Ok(())
    }
}
