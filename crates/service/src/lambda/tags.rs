//! Tags of functions.

use std::collections::BTreeMap;

use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::lambda::{
    ListTagsRequest, ListTagsResponse, TagResourceRequest, UntagResourceRequest, ops as op,
};

use super::functions::line;
use super::reference::Reference;
use super::{invalid, rules};
use crate::control::Refused;
use crate::{Service, scope};

impl Handle<op::TagResource> for Service {
    async fn handle(&self, cx: &CallContext, input: TagResourceRequest) -> Result<(), Exception> {
        let change = |tags: &mut BTreeMap<String, String>| tags.extend(input.tags.clone());
        self.retag(cx, &input.resource, &change).await
    }
}

impl Handle<op::UntagResource> for Service {
    async fn handle(&self, cx: &CallContext, input: UntagResourceRequest) -> Result<(), Exception> {
        let change = |tags: &mut BTreeMap<String, String>| {
            tags.retain(|key, _| !input.tag_keys.contains(key));
        };
        self.retag(cx, &input.resource, &change).await
    }
}

impl Handle<op::ListTags> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListTagsRequest,
    ) -> Result<ListTagsResponse, Exception> {
        let function = self
            .lambda_function(cx, &tagged(cx, &input.resource)?)
            .await?;
        Ok(ListTagsResponse {
            tags: Some(function.body.tags),
        })
    }
}

impl Service {
    async fn retag(
        &self,
        cx: &CallContext,
        arn: &str,
        change: &(dyn Fn(&mut BTreeMap<String, String>) + Sync),
    ) -> Result<(), Exception> {
        let reference = tagged(cx, arn)?;
        let attempt = || async {
            let mut function = self.lambda_function(cx, &reference).await?;
            change(&mut function.body.tags);
            rules::check_tags(&function.body.tags)?;
            self.write(vec![function.put(None)]).await?;
            Ok::<(), Refused>(())
        };
        self.in_turn(&scope(cx), &line(&reference), attempt).await
    }
}

/// The function of an ARN; versions and aliases have no tags.
fn tagged(cx: &CallContext, arn: &str) -> Result<Reference, Exception> {
    if !arn.contains(":function:") {
        return Err(invalid(format!(
            "Resource: of the resources of Lambda, Outcrop tags functions only, not {arn}."
        )));
    }
    let reference = Reference::read(cx, arn, None)?;
    match &reference.qualifier {
        None => Ok(reference),
        Some(_) => Err(invalid(
            "Tags on function aliases and versions are not supported. Please specify a function ARN.",
        )),
    }
}
