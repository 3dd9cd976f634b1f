//! Versions: what is published stays as it is.

use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::lambda::{
    FunctionConfiguration, ListVersionsByFunctionRequest, ListVersionsByFunctionResponse,
    PublishVersionRequest, ops as op,
};
use outcrop_store::Order;

use super::documents::{FunctionDoc, Published, VersionDoc};
use super::functions::{line, put_version, unqualified};
use super::reference::Reference;
use super::{LATEST, check_revision, invalid, page, rules};
use crate::control::{List, Refused};
use crate::records::kind;
use crate::{Service, scope};

impl Handle<op::PublishVersion> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: PublishVersionRequest,
    ) -> Result<FunctionConfiguration, Exception> {
        rules::refuse_unsupported(&[("PublishTo", input.publish_to.is_some())])?;
        let reference = unqualified(cx, &input.function_name)?;
        let attempt = || self.publish(cx, &reference, &input);
        self.in_turn(&scope(cx), &line(&reference), attempt).await
    }
}

impl Handle<op::ListVersionsByFunction> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListVersionsByFunctionRequest,
    ) -> Result<ListVersionsByFunctionResponse, Exception> {
        let reference = unqualified(cx, &input.function_name)?;
        let function = self.lambda_function(cx, &reference).await?;
        let scope = scope(cx);
        let list = List {
            operation: "ListVersionsByFunction",
            scope: &scope,
            kind: kind::LAMBDA_VERSION,
            parent: &reference.name,
            order: Order::Created,
        };
        let page = page(&list, input.max_items, input.marker.as_deref())?;
        let (begins, found, next_marker) = self.list_versions::<VersionDoc>(&list, page).await?;
        let mut versions = Vec::with_capacity(found.len() + 1);
        if begins {
            let mut latest = function.body.configuration;
            latest.function_arn = Some(reference.with_qualifier(LATEST).arn());
            versions.push(latest);
        }
        versions.extend(found.into_iter().map(|version| version.configuration));
        Ok(ListVersionsByFunctionResponse {
            next_marker,
            versions: Some(versions),
        })
    }
}

impl Service {
    async fn publish(
        &self,
        cx: &CallContext,
        reference: &Reference,
        input: &PublishVersionRequest,
    ) -> Result<FunctionConfiguration, Refused> {
        let mut function = self.lambda_function(cx, reference).await?;
        let latest = &function.body.configuration;
        check_revision(
            input.revision_id.as_deref(),
            latest.revision_id.as_deref(),
            "GetFunction/GetAlias",
        )?;
        let actual = latest.code_sha256.as_deref().unwrap_or_default();
        if let Some(asked) = input
            .code_sha256
            .as_deref()
            .filter(|asked| *asked != actual)
        {
            return Err(invalid(format!(
                "CodeSHA256 ({asked}) is different from current CodeSHA256 in $LATEST ({actual}). Please try \
                 again with the CodeSHA256 in $LATEST."
            ))
            .into());
        }
        if let Some(unchanged) = self.unchanged(cx, reference, &function.body).await? {
            return Ok(unchanged);
        }
        let version = self.cut(reference, &mut function.body, input.description.clone());
        let scope = scope(cx);
        self.write(vec![
            function.put(None),
            put_version(&scope, reference, &version),
        ])
        .await?;
        Ok(version.configuration)
    }

    /// The version published last, if nothing has changed since.
    async fn unchanged(
        &self,
        cx: &CallContext,
        reference: &Reference,
        function: &FunctionDoc,
    ) -> Result<Option<FunctionConfiguration>, Exception> {
        let current = function.configuration.revision_id.as_deref();
        let published = function.published.as_ref();
        let Some(published) = published.filter(|last| Some(last.revision_id.as_str()) == current)
        else {
            return Ok(None);
        };
        let key = super::version_key(&scope(cx), &reference.name, &published.version);
        let found = self.load::<VersionDoc>(key).await?;
        Ok(found.map(|version| version.body.configuration))
    }

    /// A version of the function as it is, and the function's note of it.
    pub(super) fn cut(
        &self,
        reference: &Reference,
        function: &mut FunctionDoc,
        description: Option<String>,
    ) -> VersionDoc {
        function.last_version += 1;
        let number = function.last_version.to_string();
        function.published = Some(Published {
            version: number.clone(),
            revision_id: function
                .configuration
                .revision_id
                .clone()
                .unwrap_or_default(),
        });
        let mut configuration = function.configuration.clone();
        configuration.function_arn = Some(reference.with_qualifier(&number).arn());
        configuration.version = Some(number);
        configuration.revision_id = Some(self.ports.ids.uuid());
        configuration.description = description.or(configuration.description);
        VersionDoc {
            configuration,
            code: function.code.clone(),
        }
    }
}
