//! Reserved concurrency, and the code signing that no function here has.

use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::lambda::{
    Concurrency, DeleteFunctionConcurrencyRequest, GetFunctionCodeSigningConfigRequest,
    GetFunctionCodeSigningConfigResponse, GetFunctionConcurrencyRequest,
    GetFunctionConcurrencyResponse, PutFunctionConcurrencyRequest, ops as op,
};

use super::functions::{line, unqualified};
use super::reference::Reference;
use crate::control::Refused;
use crate::{Service, scope};

impl Handle<op::PutFunctionConcurrency> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: PutFunctionConcurrencyRequest,
    ) -> Result<Concurrency, Exception> {
        let reserved = input.reserved_concurrent_executions;
        let reference = unqualified(cx, &input.function_name)?;
        self.reserve(cx, &reference, Some(reserved)).await?;
        Ok(Concurrency {
            reserved_concurrent_executions: Some(reserved),
        })
    }
}

impl Handle<op::DeleteFunctionConcurrency> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DeleteFunctionConcurrencyRequest,
    ) -> Result<(), Exception> {
        let reference = unqualified(cx, &input.function_name)?;
        self.reserve(cx, &reference, None).await
    }
}

impl Handle<op::GetFunctionConcurrency> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetFunctionConcurrencyRequest,
    ) -> Result<GetFunctionConcurrencyResponse, Exception> {
        let reference = unqualified(cx, &input.function_name)?;
        let function = self.lambda_function(cx, &reference).await?;
        Ok(GetFunctionConcurrencyResponse {
            reserved_concurrent_executions: function.body.concurrency,
        })
    }
}

impl Handle<op::GetFunctionCodeSigningConfig> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetFunctionCodeSigningConfigRequest,
    ) -> Result<GetFunctionCodeSigningConfigResponse, Exception> {
        let reference = unqualified(cx, &input.function_name)?;
        self.lambda_function(cx, &reference).await?;
        // What AWS answers for a function without one.
        Ok(GetFunctionCodeSigningConfigResponse {
            code_signing_config_arn: String::new(),
            function_name: reference.name,
        })
    }
}

impl Service {
    async fn reserve(
        &self,
        cx: &CallContext,
        reference: &Reference,
        reserved: Option<i32>,
    ) -> Result<(), Exception> {
        let attempt = || async {
            let mut function = self.lambda_function(cx, reference).await?;
            function.body.concurrency = reserved;
            self.write(vec![function.put(None)]).await?;
            Ok::<(), Refused>(())
        };
        self.in_turn(&scope(cx), &line(reference), attempt).await
    }
}
