//! Aliases: names for versions, which may send a part of the calls to a second one.

use std::collections::BTreeMap;

use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::lambda::{
    AliasConfiguration, AliasRoutingConfiguration, CreateAliasRequest, DeleteAliasRequest,
    GetAliasRequest, ListAliasesRequest, ListAliasesResponse, UpdateAliasRequest, ops as op,
};
use outcrop_store::{Expect, Order, Write};

use super::functions::{line, unqualified};
use super::reference::{Reference, is_number};
use super::{LATEST, alias_key, check_revision, invalid, page};
use crate::control::{List, Refused};
use crate::records::{Scope, Stored, kind, put};
use crate::{Service, scope};

/// Lambda's limit of versions beside the one an alias names.
const ROUTES_MAX: usize = 1;

impl Handle<op::CreateAlias> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: CreateAliasRequest,
    ) -> Result<AliasConfiguration, Exception> {
        let reference = unqualified(cx, &input.function_name)?;
        let attempt = || self.make_alias(cx, &reference, &input);
        self.in_turn(&scope(cx), &line(&reference), attempt).await
    }
}

impl Handle<op::GetAlias> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetAliasRequest,
    ) -> Result<AliasConfiguration, Exception> {
        let reference = unqualified(cx, &input.function_name)?;
        Ok(self.alias_of(cx, &reference, &input.name).await?.body)
    }
}

impl Handle<op::UpdateAlias> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UpdateAliasRequest,
    ) -> Result<AliasConfiguration, Exception> {
        let reference = unqualified(cx, &input.function_name)?;
        let attempt = || self.change_alias(cx, &reference, &input);
        self.in_turn(&scope(cx), &line(&reference), attempt).await
    }
}

impl Handle<op::DeleteAlias> for Service {
    async fn handle(&self, cx: &CallContext, input: DeleteAliasRequest) -> Result<(), Exception> {
        let reference = unqualified(cx, &input.function_name)?;
        let attempt = || self.remove_alias(cx, &reference, &input.name);
        self.in_turn(&scope(cx), &line(&reference), attempt).await
    }
}

impl Handle<op::ListAliases> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListAliasesRequest,
    ) -> Result<ListAliasesResponse, Exception> {
        let reference = unqualified(cx, &input.function_name)?;
        self.lambda_function(cx, &reference).await?;
        let scope = scope(cx);
        let list = List {
            operation: "ListAliases",
            scope: &scope,
            kind: kind::LAMBDA_ALIAS,
            parent: &reference.name,
            order: Order::Id,
        };
        let page = page(&list, input.max_items, input.marker.as_deref())?;
        let (mut aliases, next_marker) = self.list::<AliasConfiguration>(&list, page).await?;
        if let Some(version) = &input.function_version {
            aliases.retain(|alias| alias.function_version.as_ref() == Some(version));
        }
        Ok(ListAliasesResponse {
            aliases: Some(aliases),
            next_marker,
        })
    }
}

impl Service {
    async fn make_alias(
        &self,
        cx: &CallContext,
        reference: &Reference,
        input: &CreateAliasRequest,
    ) -> Result<AliasConfiguration, Refused> {
        let function = self.lambda_function(cx, reference).await?;
        self.check_lambda_version(cx, reference, &input.function_version)
            .await?;
        let routing = self
            .routing(
                cx,
                reference,
                &input.function_version,
                input.routing_config.as_ref(),
            )
            .await?;
        let arn = reference.with_qualifier(&input.name).arn();
        let alias = AliasConfiguration {
            alias_arn: Some(arn.clone()),
            name: Some(input.name.clone()),
            function_version: Some(input.function_version.clone()),
            description: Some(input.description.clone().unwrap_or_default()),
            routing_config: routing,
            revision_id: Some(self.ports.ids.uuid()),
        };
        let key = alias_key(&scope(cx), &reference.name, &input.name);
        if self
            .load::<AliasConfiguration>(key.clone())
            .await?
            .is_some()
        {
            return Err(Exception::conflict(format!("Alias already exists: {arn}")).into());
        }
        // With the function as it was read, so that neither it nor the version goes meanwhile.
        let writes = vec![function.put(None), put(key, &alias, Expect::Absent, None)];
        self.write(writes).await?;
        Ok(alias)
    }

    async fn change_alias(
        &self,
        cx: &CallContext,
        reference: &Reference,
        input: &UpdateAliasRequest,
    ) -> Result<AliasConfiguration, Refused> {
        let function = self.lambda_function(cx, reference).await?;
        let mut alias = self.alias_of(cx, reference, &input.name).await?;
        let revision = alias.body.revision_id.as_deref();
        check_revision(
            input.revision_id.as_deref(),
            revision,
            "GetFunction/GetAlias",
        )?;
        if let Some(version) = &input.function_version {
            self.check_lambda_version(cx, reference, version).await?;
            alias.body.function_version = Some(version.clone());
        }
        if let Some(description) = &input.description {
            alias.body.description = Some(description.clone());
        }
        if let Some(routing) = &input.routing_config {
            let version = alias.body.function_version.clone().unwrap_or_default();
            alias.body.routing_config =
                self.routing(cx, reference, &version, Some(routing)).await?;
        }
        alias.body.revision_id = Some(self.ports.ids.uuid());
        self.write(vec![function.put(None), alias.put(None)])
            .await?;
        Ok(alias.body)
    }

    /// Removes an alias with its policy; none is fine, as on AWS.
    async fn remove_alias(
        &self,
        cx: &CallContext,
        reference: &Reference,
        name: &str,
    ) -> Result<(), Refused> {
        let mut function = self.lambda_function(cx, reference).await?;
        function.body.policies.remove(name);
        let delete = Write::Delete {
            key: alias_key(&scope(cx), &reference.name, name),
            expect: Expect::Any,
        };
        self.write(vec![function.put(None), delete]).await?;
        Ok(())
    }

    async fn alias_of(
        &self,
        cx: &CallContext,
        reference: &Reference,
        name: &str,
    ) -> Result<Stored<AliasConfiguration>, Exception> {
        self.lambda_function(cx, reference).await?;
        let found = self
            .load(alias_key(&scope(cx), &reference.name, name))
            .await?;
        found.ok_or_else(|| {
            let arn = reference.with_qualifier(name).arn();
            Exception::not_found(format!("Cannot find alias arn: {arn}"))
        })
    }

    /// Refuses an alias for a version that is not there.
    async fn check_lambda_version(
        &self,
        cx: &CallContext,
        reference: &Reference,
        version: &str,
    ) -> Result<(), Exception> {
        if version == LATEST {
            return Ok(());
        }
        if !is_number(version) {
            return Err(invalid(format!(
                "FunctionVersion: {version} is not supported by Outcrop."
            )));
        }
        self.lambda_version(cx, reference, version).await.map(drop)
    }

    async fn routing(
        &self,
        cx: &CallContext,
        reference: &Reference,
        version: &str,
        given: Option<&AliasRoutingConfiguration>,
    ) -> Result<Option<AliasRoutingConfiguration>, Exception> {
        let weights: Option<&BTreeMap<String, f64>> =
            given.and_then(|given| given.additional_version_weights.as_ref());
        let Some(weights) = weights.filter(|weights| !weights.is_empty()) else {
            return Ok(None);
        };
        if weights.len() > ROUTES_MAX {
            return Err(invalid(format!(
                "Number of items in AdditionalVersionWeights cannot be greater than {ROUTES_MAX}"
            )));
        }
        if version == LATEST {
            return Err(invalid(
                "$LATEST is not supported for an alias pointing to more than 1 version",
            ));
        }
        for other in weights.keys() {
            if other == version {
                return Err(invalid(format!(
                    "Invalid function version {other}. Function version {other} is already included in routing \
                     configuration."
                )));
            }
            self.check_lambda_version(cx, reference, other).await?;
        }
        Ok(given.cloned())
    }

    /// Refuses the removal of a version that an alias needs.
    pub(super) async fn check_unaliased(
        &self,
        scope: &Scope,
        reference: &Reference,
        number: &str,
    ) -> Result<(), Exception> {
        let aliases: Vec<Stored<AliasConfiguration>> = self
            .children(scope, kind::LAMBDA_ALIAS, &reference.name)
            .await?;
        let needs = |alias: &&Stored<AliasConfiguration>| {
            let routing = alias.body.routing_config.as_ref();
            let weights = routing.and_then(|routing| routing.additional_version_weights.as_ref());
            alias.body.function_version.as_deref() == Some(number)
                || weights.is_some_and(|weights| weights.contains_key(number))
        };
        let names: Vec<&str> = aliases
            .iter()
            .filter(needs)
            .filter_map(|alias| alias.body.name.as_deref())
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Exception::conflict(format!(
            "Version {number} of function {} is used by aliases: {}",
            reference.name,
            names.join(", ")
        )))
    }
}

/// The version that one call of an alias goes to; `fraction` decides, from 0 to 1.
pub(super) fn route(alias: &AliasConfiguration, fraction: f64) -> Option<&str> {
    let routing = alias.routing_config.as_ref();
    let weights = routing.and_then(|routing| routing.additional_version_weights.as_ref());
    let mut passed = 0.0;
    for (version, weight) in weights.into_iter().flatten() {
        passed += weight;
        if fraction < passed {
            return Some(version);
        }
    }
    alias.function_version.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_send_their_part_to_the_second_version() {
        let alias = AliasConfiguration {
            function_version: Some("1".to_owned()),
            routing_config: Some(AliasRoutingConfiguration {
                additional_version_weights: Some(BTreeMap::from([("2".to_owned(), 0.25)])),
            }),
            ..AliasConfiguration::default()
        };
        assert_eq!(route(&alias, 0.0), Some("2"));
        assert_eq!(route(&alias, 0.24), Some("2"));
        assert_eq!(route(&alias, 0.25), Some("1"));
        assert_eq!(route(&alias, 0.99), Some("1"));
    }
}
