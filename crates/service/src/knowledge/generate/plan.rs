//! What a request asks for, checked.

use std::collections::BTreeMap;

use outcrop_engine::port::{Inference, Latency};
use outcrop_engine::prompt::template::Template;
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::runtime::{
    ExternalSource, ExternalSourcesGenerationConfiguration, GenerationConfiguration,
    GuardrailConfiguration, InferenceConfig, OrchestrationConfiguration, PerformanceConfigLatency,
    PerformanceConfiguration, PromptTemplate, QueryTransformationType, RetrieveAndGenerateRequest,
    RetrieveAndGenerateType, TextInferenceConfig,
};
use serde_json::{Map, Value};

use super::prompt;
use crate::Service;
use crate::knowledge::retrieve::{self, Ask};
use crate::knowledge::{Base, model};

/// Most tokens of an answer, where the request does not say (behaviour.md 4.6).
const TOKENS_MAX: u32 = 2_048;
/// The names that models have for what `textInferenceConfig` says, by the member there.
const SAME: [(&str, &[&str]); 4] = [
    (
        "maxTokens",
        &[
            "maxTokens",
            "max_tokens",
            "max_tokens_to_sample",
            "max_gen_len",
        ],
    ),
    (
        "stopSequences",
        &["stopSequences", "stop_sequences", "stop"],
    ),
    ("temperature", &["temperature"]),
    ("topP", &["topP", "top_p"]),
];

/// A request, checked.
pub(super) struct Plan {
    /// What the answer comes from.
    pub(super) source: Source,
    /// The model that answers.
    pub(super) model: String,
    /// How it is asked.
    pub(super) generation: Call,
    pub(super) guardrail: Option<GuardrailConfiguration>,
    /// The session that the request goes on with.
    pub(super) session_id: Option<String>,
}

/// What an answer comes from.
pub(super) enum Source {
    /// What is found in a knowledge base.
    Base {
        base: Box<Base>,
        ask: Box<Ask>,
        orchestration: Orchestration,
    },
    /// A document that the request brings.
    Document(Box<ExternalSource>),
}

/// What becomes of the question before it is searched for.
pub(super) struct Orchestration {
    pub(super) call: Call,
    /// Whether the request says how: then it is done on a session's first turn, too.
    pub(super) is_given: bool,
    /// `QUERY_DECOMPOSITION`.
    pub(super) decomposes: bool,
}

/// How a model is asked.
pub(super) struct Call {
    pub(super) template: Template,
    pub(super) inference: Inference,
    pub(super) fields: Option<Value>,
    pub(super) latency: Option<Latency>,
}

impl Plan {
    /// Reads a request, and finds what it names.
    ///
    /// # Errors
    /// `ValidationException` for what cannot be done, `ResourceNotFoundException` for a knowledge base
    /// that is not there.
    pub(super) async fn of(
        service: &Service,
        cx: &CallContext,
        input: RetrieveAndGenerateRequest,
    ) -> Result<Self, Exception> {
        retrieve::refuse_user(input.user_context.is_some())?;
        let session_id = input.session_id;
        let given = input.retrieve_and_generate_configuration.ok_or_else(|| {
            Exception::validation(
                "retrieveAndGenerateConfiguration is missing. Give it with each request.",
            )
        })?;
        if input.input.text.trim().is_empty() {
            return Err(Exception::validation(
                "The input is empty. Give a text to answer and retry your request.",
            ));
        }
        let missing = |member: &str| {
            Exception::validation(format!(
                "retrieveAndGenerateConfiguration of type {} needs {member}.",
                given.type_
            ))
        };
        let (source, model, generation) = if given.type_ == RetrieveAndGenerateType::KnowledgeBase {
            let given = given
                .knowledge_base_configuration
                .ok_or_else(|| missing("knowledgeBaseConfiguration"))?;
            let ask = Ask::of_request(given.retrieval_configuration, service.settings.strictness)?;
            let orchestration = Orchestration::of(given.orchestration_configuration)?;
            let place = (cx.account_id.as_str(), cx.region.as_str());
            let base = retrieve::load(&service.ports, place, &given.knowledge_base_id).await?;
            let source = Source::Base {
                base: Box::new(base),
                ask: Box::new(ask),
                orchestration,
            };
            let generation = given.generation_configuration.unwrap_or_default();
            (source, given.model_arn, generation)
        } else {
            let mut given = given
                .external_sources_configuration
                .ok_or_else(|| missing("externalSourcesConfiguration"))?;
            let (Some(source), None) = (given.sources.pop(), given.sources.pop()) else {
                return Err(Exception::validation(
                    "externalSourcesConfiguration takes exactly one source.",
                ));
            };
            let generation = given.generation_configuration.map(as_generation);
            (
                Source::Document(Box::new(source)),
                given.model_arn,
                generation.unwrap_or_default(),
            )
        };
        let found = service.ports.models.capabilities(&model);
        found.map_err(|error| model::failure(&error, &model))?;
        Ok(Self {
            source,
            model,
            guardrail: generation.guardrail_configuration.clone(),
            generation: Call::of_generation(generation)?,
            session_id,
        })
    }
}

/// The members are the same.
fn as_generation(given: ExternalSourcesGenerationConfiguration) -> GenerationConfiguration {
    GenerationConfiguration {
        additional_model_request_fields: given.additional_model_request_fields,
        guardrail_configuration: given.guardrail_configuration,
        inference_config: given.inference_config,
        performance_config: given.performance_config,
        prompt_template: given.prompt_template,
    }
}

impl Orchestration {
    fn of(given: Option<OrchestrationConfiguration>) -> Result<Self, Exception> {
        let is_given = given
            .as_ref()
            .is_some_and(|given| given.prompt_template.is_some());
        let given = given.unwrap_or_default();
        let decomposes = given
            .query_transformation_configuration
            .is_some_and(|given| given.type_ == QueryTransformationType::QueryDecomposition);
        Ok(Self {
            call: Call::of(
                prompt::orchestration(text_of(given.prompt_template).as_deref(), decomposes)?,
                given.inference_config,
                given.additional_model_request_fields,
                given.performance_config,
            )?,
            is_given,
            decomposes,
        })
    }
}

impl Call {
    fn of_generation(given: GenerationConfiguration) -> Result<Self, Exception> {
        Self::of(
            prompt::generation(text_of(given.prompt_template).as_deref())?,
            given.inference_config,
            given.additional_model_request_fields,
            given.performance_config,
        )
    }

    fn of(
        template: Template,
        inference: Option<InferenceConfig>,
        fields: Option<BTreeMap<String, Value>>,
        performance: Option<PerformanceConfiguration>,
    ) -> Result<Self, Exception> {
        let given = inference.and_then(|given| given.text_inference_config);
        let fields = fields.unwrap_or_default();
        if let Some(given) = &given {
            refuse_twice(given, &fields)?;
        }
        let given = given.unwrap_or_default();
        let latency = performance.and_then(|given| given.latency);
        Ok(Self {
            template,
            inference: Inference {
                max_tokens: given
                    .max_tokens
                    .and_then(|tokens| u32::try_from(tokens).ok())
                    .or(Some(TOKENS_MAX)),
                temperature: given.temperature.or(Some(0.0)),
                top_p: given.top_p.or(Some(1.0)),
                top_k: None,
                stop_sequences: given.stop_sequences.unwrap_or_default(),
            },
            fields: (!fields.is_empty())
                .then(|| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
            latency: latency.map(|latency| match latency {
                PerformanceConfigLatency::Optimized => Latency::Optimized,
                _ => Latency::Standard,
            }),
        })
    }
}

/// Refuses a parameter that is given in both places (behaviour.md 9.9).
fn refuse_twice(
    given: &TextInferenceConfig,
    fields: &BTreeMap<String, Value>,
) -> Result<(), Exception> {
    let is_given = |member: &str| match member {
        "maxTokens" => given.max_tokens.is_some(),
        "stopSequences" => given.stop_sequences.is_some(),
        "temperature" => given.temperature.is_some(),
        _ => given.top_p.is_some(),
    };
    for (member, names) in SAME.iter().filter(|(member, _)| is_given(member)) {
        if let Some(name) = names.iter().find(|name| fields.contains_key(**name)) {
            return Err(Exception::validation(format!(
                "The parameter {member} is given in inferenceConfig.textInferenceConfig and as {name} in additionalModelRequestFields. Give it in one of them and retry your request."
            )));
        }
    }
    Ok(())
}

fn text_of(given: Option<PromptTemplate>) -> Option<String> {
    given.and_then(|given| given.text_prompt_template)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_parameter_is_given_once() {
        let given: TextInferenceConfig =
            serde_json::from_value(json!({"topP": 0.5, "maxTokens": 9})).expect("of the shape");
        let fields = |name: &str| BTreeMap::from([(name.to_owned(), json!(1))]);
        for (name, twice) in [
            ("top_p", true),
            ("max_tokens", true),
            ("temperature", false),
            ("top_k", false),
        ] {
            assert_eq!(
                refuse_twice(&given, &fields(name)).is_err(),
                twice,
                "{name}"
            );
        }
    }
}
