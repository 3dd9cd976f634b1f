//! `Converse` and `ConverseStream` of `bedrock-runtime`, over the providers that agents use.
//!
//! The asked model gets the request as it came: nothing is fitted to what it can do, since a caller of
//! Converse chose every parameter. What a provider has no form for is refused, by it and by name. Another
//! model is asked where the configuration says so (`fallback`), before any output; the response then
//! names it as `trace.promptRouter.invokedModelId`, where AWS tells which model a router chose.
//!
//! Invariant: one request is one question to a model; retries are the caller's, whose SDK makes them.

mod check;
mod fault;
mod guard;
mod prompt;
mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use outcrop_engine::converse::assistant_text;
use outcrop_engine::orchestration::TurnAssembler;
use outcrop_engine::port::{ConverseFields, Delivery, Inference, Latency, ModelRequest};
use outcrop_model::converse::{
    Citation, CitationGeneratedContent, CitationSourceContent, CitationsContentBlock,
    CitationsDelta, ContentBlock, ContentBlockDelta, ContentBlockDeltaEvent, ConverseMetrics,
    ConverseOutput, ConverseRequest, ConverseResponse, ConverseStreamOutput, ConverseStreamRequest,
    ConverseStreamResponse, ConverseStreamTrace, ConverseTrace, GuardrailConfiguration,
    GuardrailTraceAssessment, InferenceConfiguration, PerformanceConfigLatency,
    PerformanceConfiguration, PromptRouterTrace, StopReason, SystemContentBlock, TokenUsage, ops,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, EventSource, Handle, HandleStream};

use crate::Service;
use crate::models::{self, Answer, Behalf};
use guard::Guard;

impl Handle<ops::Converse> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        mut input: ConverseRequest,
    ) -> Result<ConverseResponse, Exception> {
        let guard = Guard::of(&mut input)?;
        self.whole(cx, input, guard).await
    }
}

impl HandleStream<ops::ConverseStream> for Service {
    async fn handle_stream(
        &self,
        cx: &CallContext,
        input: ConverseStreamRequest,
    ) -> Result<(ConverseStreamResponse, EventSource<ConverseStreamOutput>), Exception> {
        let mut input = unstreamed(input);
        if let Some(guard) = Guard::of(&mut input)? {
            // Nothing may be seen before it has been judged, and it is judged as a whole.
            let response = self.whole(cx, input, Some(guard)).await?;
            let events = replay::events(response).into_iter().map(Ok);
            return Ok((ConverseStreamResponse {}, stream::iter(events).boxed()));
        }
        let request = self.request(cx, input, Delivery::Streamed).await?;
        let answer = self.begin(&request).await?;
        let mut told = Told::of(self, &request, &answer);
        let events = answer.events().map(move |event| match event {
            Ok(ConverseStreamOutput::Metadata(mut metadata)) => {
                metadata.performance_config = told.performance.take();
                metadata.trace = told.router.take().map(|router| ConverseStreamTrace {
                    prompt_router: Some(router),
                    ..ConverseStreamTrace::default()
                });
                Ok(ConverseStreamOutput::Metadata(metadata))
            }
            Ok(event) => Ok(event),
            Err(error) => Err(fault::in_stream(&error)),
        });
        Ok((ConverseStreamResponse {}, events.boxed()))
    }
}

/// The same request. The mode in which a guardrail judges the stream has no effect: see `handle_stream`.
fn unstreamed(input: ConverseStreamRequest) -> ConverseRequest {
    ConverseRequest {
        additional_model_request_fields: input.additional_model_request_fields,
        additional_model_response_field_paths: input.additional_model_response_field_paths,
        guardrail_config: input.guardrail_config.map(|config| GuardrailConfiguration {
            guardrail_identifier: config.guardrail_identifier,
            guardrail_version: config.guardrail_version,
            trace: config.trace,
        }),
        inference_config: input.inference_config,
        messages: input.messages,
        model_id: input.model_id,
        output_config: input.output_config,
        performance_config: input.performance_config,
        prompt_variables: input.prompt_variables,
        request_metadata: input.request_metadata,
        service_tier: input.service_tier,
        system: input.system,
        tool_config: input.tool_config,
    }
}

/// What a response says besides the answer.
struct Told {
    performance: Option<PerformanceConfiguration>,
    router: Option<PromptRouterTrace>,
}

impl Told {
    fn of(service: &Service, request: &ModelRequest, answer: &Answer) -> Self {
        // A model that has no faster way answered in the usual one.
        let fast = || {
            let found = service.ports.models.capabilities(&answer.model);
            found.is_ok_and(|capabilities| capabilities.latency)
        };
        let latency = request.latency.map(|latency| match latency {
            Latency::Optimized if fast() => PerformanceConfigLatency::Optimized,
            Latency::Optimized | Latency::Standard => PerformanceConfigLatency::Standard,
        });
        let other = (answer.model != request.model).then(|| answer.model.clone());
        Self {
            performance: latency.map(|latency| PerformanceConfiguration {
                latency: Some(latency),
            }),
            router: other.map(|model| PromptRouterTrace {
                invoked_model_id: Some(model),
            }),
        }
    }
}

impl Service {
    /// What the model is asked.
    async fn request(
        &self,
        cx: &CallContext,
        input: ConverseRequest,
        delivery: Delivery,
    ) -> Result<ModelRequest, Exception> {
        let input = self.with_prompt(cx, input).await?;
        check::conversation(&input, self.settings.strictness)?;
        Ok(read(cx, input, delivery))
    }

    /// Asks, and waits for the beginning of the answer.
    async fn begin(&self, request: &ModelRequest) -> Result<Answer, Exception> {
        let answer = models::ask(&self.ports, request, Behalf::Caller).await;
        answer.map_err(|error| fault::of_call(&error))
    }

    /// The whole answer, as far as the guardrail lets it through.
    async fn whole(
        &self,
        cx: &CallContext,
        mut input: ConverseRequest,
        mut guard: Option<Guard>,
    ) -> Result<ConverseResponse, Exception> {
        if let Some(guard) = &mut guard {
            input = self.with_prompt(cx, input).await?;
            check::conversation(&input, self.settings.strictness)?;
            if let Some(message) = guard.input(self, cx, &mut input).await? {
                return Ok(blocked(message, guard.take_told()));
            }
        }
        let request = self.request(cx, input, Delivery::Whole).await?;
        let answer = self.begin(&request).await?;
        let told = Told::of(self, &request, &answer);
        let mut response = collect(answer).await?;
        let mut trace = ConverseTrace {
            guardrail: None,
            prompt_router: told.router,
        };
        if let Some(mut guard) = guard {
            let ConverseOutput::Message(message) = &mut response.output else {
                return Err(Exception::internal("an answer is a message"));
            };
            if guard.output(self, cx, message).await? {
                response.stop_reason = StopReason::GuardrailIntervened;
            }
            trace.guardrail = guard.take_told();
        }
        response.performance_config = told.performance;
        response.trace = (trace != ConverseTrace::default()).then_some(trace);
        Ok(response)
    }
}

/// The answer as the model gave it.
async fn collect(answer: Answer) -> Result<ConverseResponse, Exception> {
    let mut assembler = TurnAssembler::new(None);
    let mut events = answer.events();
    let mut fields = None;
    let mut metrics = ConverseMetrics::default();
    let mut usage = TokenUsage::default();
    let mut service_tier = None;
    let mut cited = BTreeMap::new();
    while let Some(event) = events.next().await {
        let event = event.map_err(|error| fault::of_call(&error))?;
        match &event {
            ConverseStreamOutput::ContentBlockDelta(ContentBlockDeltaEvent {
                content_block_index,
                delta: ContentBlockDelta::Citation(delta),
            }) => {
                let block: &mut Vec<Citation> = cited.entry(*content_block_index).or_default();
                block.push(citation(delta.clone()));
            }
            ConverseStreamOutput::MessageStop(stop) => {
                fields.clone_from(&stop.additional_model_response_fields);
            }
            ConverseStreamOutput::Metadata(metadata) => {
                metrics.latency_ms = metadata.metrics.latency_ms;
                usage.clone_from(&metadata.usage);
                service_tier.clone_from(&metadata.service_tier);
            }
            _ => {}
        }
        assembler
            .push(event)
            .map_err(|error| fault::of_call(&error))?;
    }
    let mut reply = assembler.finish().map_err(|error| fault::of_call(&error))?;
    for (index, block) in (0..).zip(&mut reply.message.content) {
        if let (ContentBlock::Text(text), Some(citations)) = (&mut *block, cited.remove(&index)) {
            *block = ContentBlock::CitationsContent(CitationsContentBlock {
                content: Some(vec![CitationGeneratedContent::Text(std::mem::take(text))]),
                citations: Some(citations),
            });
        }
    }
    Ok(ConverseResponse {
        additional_model_response_fields: fields,
        metrics,
        output: ConverseOutput::Message(reply.message),
        performance_config: None,
        service_tier,
        stop_reason: reply.stop_reason,
        trace: None,
        usage,
    })
}

/// A citation as a whole answer has it.
fn citation(delta: CitationsDelta) -> Citation {
    let parts = delta.source_content.map(|parts| {
        let texts = parts.into_iter().filter_map(|part| part.text);
        texts.map(CitationSourceContent::Text).collect()
    });
    Citation {
        location: delta.location,
        source: delta.source,
        source_content: parts,
        title: delta.title,
    }
}

/// What stands in place of an answer to a request that the guardrail does not let through.
fn blocked(message: String, told: Option<GuardrailTraceAssessment>) -> ConverseResponse {
    ConverseResponse {
        additional_model_response_fields: None,
        metrics: ConverseMetrics::default(),
        output: ConverseOutput::Message(assistant_text(message)),
        performance_config: None,
        service_tier: None,
        stop_reason: StopReason::GuardrailIntervened,
        trace: told.map(|told| ConverseTrace {
            guardrail: Some(told),
            prompt_router: None,
        }),
        usage: TokenUsage::default(),
    }
}

fn read(cx: &CallContext, input: ConverseRequest, delivery: Delivery) -> ModelRequest {
    let tools = input.tool_config;
    let (tools, tool_choice) =
        tools.map_or_else(Default::default, |tools| (tools.tools, tools.tool_choice));
    let mut system = input.system.unwrap_or_default();
    // One text is the usual case, and what every provider has a form for.
    let text: Arc<str> = match system.as_slice() {
        [SystemContentBlock::Text(text)] => text.as_str().into(),
        _ => Arc::default(),
    };
    if !text.is_empty() {
        system.clear();
    }
    let fields = ConverseFields {
        request_metadata: input.request_metadata.unwrap_or_default(),
        response_field_paths: input
            .additional_model_response_field_paths
            .unwrap_or_default(),
        service_tier: input.service_tier,
        output_config: input.output_config,
    };
    let latency = input.performance_config.and_then(|config| config.latency);
    ModelRequest {
        model: input.model_id,
        system: text,
        system_blocks: system,
        messages: input
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(Arc::new)
            .collect(),
        tools: tools.into(),
        tool_choice,
        inference: inference(input.inference_config),
        additional_fields: input.additional_model_request_fields,
        delivery,
        latency: latency.map(|latency| match latency {
            PerformanceConfigLatency::Optimized => Latency::Optimized,
            _ => Latency::Standard,
        }),
        fields: (fields != ConverseFields::default()).then(|| Box::new(fields)),
        caller: Some(cx.account_id.as_str().into()),
        ..ModelRequest::default()
    }
}

fn inference(given: Option<InferenceConfiguration>) -> Inference {
    let given = given.unwrap_or_default();
    Inference {
        max_tokens: given
            .max_tokens
            .and_then(|tokens| u32::try_from(tokens).ok()),
        temperature: given.temperature,
        top_p: given.top_p,
        top_k: None,
        stop_sequences: given.stop_sequences.unwrap_or_default(),
    }
}

/// Variables of a prompt by name.
type Variables = BTreeMap<String, outcrop_model::converse::PromptVariableValues>;
