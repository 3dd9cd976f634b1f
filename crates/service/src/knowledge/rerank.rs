//! The operation `Rerank`: documents in the order of how well they answer a question, by a reranker
//! model (behaviour.md 9.8).

use outcrop_engine::port::{RerankCall, RerankDocument};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::runtime::{
    RerankDocument as GivenDocument, RerankDocumentType, RerankRequest, RerankResponse,
    RerankResult, RerankSource, ops,
};
use serde_json::{Map, Value};

use super::model;
use crate::Service;

impl Handle<ops::Rerank> for Service {
    async fn handle(
        &self,
        _cx: &CallContext,
        input: RerankRequest,
    ) -> Result<RerankResponse, Exception> {
        if input.next_token.is_some() {
            let message =
                "The nextToken is not valid. All results of a Rerank request are in its response.";
            return Err(Exception::validation(message).with_field("nextToken", message));
        }
        let call = call(input)?;
        let (model, sent) = (call.model.clone(), call.documents.len());
        let ranked = self.ports.knowledge.reranker.rerank(call).await;
        let ranked = ranked.map_err(|error| model::failure(&error, &model))?;
        let results = ranked.into_iter().filter(|place| place.index < sent);
        Ok(RerankResponse {
            next_token: None,
            results: results
                .filter_map(|place| {
                    #[expect(clippy::cast_possible_truncation, reason = "the API has floats")]
                    let relevance_score = place.score as f32;
                    Some(RerankResult {
                        document: None,
                        index: i32::try_from(place.index).ok()?,
                        relevance_score,
                    })
                })
                .collect(),
        })
    }
}

fn call(input: RerankRequest) -> Result<RerankCall, Exception> {
    let refused = |message: String| Err(Exception::validation(message));
    let [query] = input.queries.as_slice() else {
        return refused("Rerank takes exactly one query.".to_owned());
    };
    let query = query.text_query.text.clone().unwrap_or_default();
    if query.trim().is_empty() {
        return refused("queries[0].textQuery.text is empty. Give a text to rank by.".to_owned());
    }
    let documents = input.sources.into_iter().enumerate().map(document);
    let documents: Vec<RerankDocument> = documents.collect::<Result<_, _>>()?;
    let configuration = input
        .reranking_configuration
        .bedrock_reranking_configuration;
    let limit = configuration.number_of_results;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    if let Some(limit) = limit
        && limit > documents.len()
    {
        return refused(format!(
            "numberOfResults is {limit}, more than the {} sources. Lower it and retry your request.",
            documents.len()
        ));
    }
    let model = configuration.model_configuration;
    let fields = model.additional_model_request_fields;
    Ok(RerankCall {
        model: model.model_arn,
        query,
        documents,
        limit,
        fields: fields.map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
    })
}

fn document((index, source): (usize, RerankSource)) -> Result<RerankDocument, Exception> {
    let GivenDocument {
        json_document,
        text_document,
        type_,
    } = source.inline_document_source;
    let text = text_document.and_then(|document| document.text);
    match (type_, json_document, text) {
        (RerankDocumentType::Text, None, Some(text)) if !text.is_empty() => {
            Ok(RerankDocument::Text(text))
        }
        (RerankDocumentType::Json, Some(json), None) => Ok(RerankDocument::Json(json)),
        (type_, ..) => {
            let member = match type_ {
                RerankDocumentType::Json => "jsonDocument",
                _ => "textDocument with a text",
            };
            Err(Exception::validation(format!(
                "sources[{index}].inlineDocumentSource of type {type_} needs {member}, and nothing else."
            )))
        }
    }
}
