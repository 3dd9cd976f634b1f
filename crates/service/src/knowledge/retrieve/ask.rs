//! What a search is to find and how: `KnowledgeBaseVectorSearchConfiguration`, checked.

use outcrop_engine::action::Strictness;
use outcrop_knowledge::filter::{Filter, Limits};
use outcrop_model::exception::Exception;
use outcrop_model::runtime::{
    ImplicitFilterConfiguration, KnowledgeBaseRetrievalConfiguration,
    KnowledgeBaseVectorSearchConfiguration, MetadataConfigurationForReranking,
    RerankingMetadataSelectionMode, RerankingMetadataSelectiveModeConfiguration, SearchType,
    VectorSearchRerankingConfiguration,
};
use serde_json::{Map, Value};

/// `numberOfResults` where none is given (behaviour.md 9.6).
const RESULTS: usize = 5;
/// Most results of one search, AWS's own limit.
const RESULTS_MAX: usize = 100;
/// Chunks that each half of a hybrid search finds for one result that is wanted: fusing needs to see
/// further down than what it gives out.
const HALF_FACTOR: usize = 4;
/// Least chunks of each half: a short list has too little in common with another one.
const HALF_MIN: usize = 40;
/// Candidates for one reranked result, where `numberOfResults` does not say how many there are to be.
const RERANK_FACTOR: usize = 4;
/// Least candidates of a reranker, for the same case.
const RERANK_MIN: usize = 20;

/// One search, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    number_of_results: Option<usize>,
    /// `overrideSearchType`; `None`: HYBRID where the index can search by words, since a question's own
    /// names and numbers are found by words and its meaning by its vector; SEMANTIC elsewhere.
    pub(super) search_type: Option<SearchType>,
    pub(super) filter: Option<Filter>,
    pub(super) implicit: Option<ImplicitFilterConfiguration>,
    pub(super) reranking: Option<Reranking>,
}

/// How what was found is put in order.
#[derive(Clone, Debug)]
pub(super) struct Reranking {
    pub(super) model: String,
    pub(super) results: Option<usize>,
    pub(super) fields: Option<Value>,
    pub(super) metadata: Shown,
}

/// Which attributes a reranker reads besides the text.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    /// None.
    Nothing,
    /// All.
    All,
    /// These.
    Only(Vec<String>),
    /// All but these.
    Without(Vec<String>),
}

impl Ask {
    /// Reads a request's `retrievalConfiguration`.
    ///
    /// # Errors
    /// `ValidationException` that names what is wrong or not supported.
    pub(crate) fn of_request(
        given: Option<KnowledgeBaseRetrievalConfiguration>,
        strictness: Strictness,
    ) -> Result<Self, Exception> {
        let given = given.unwrap_or_default();
        if given.managed_search_configuration.is_some() {
            return Err(Exception::validation(
                "retrievalConfiguration.managedSearchConfiguration is not supported by Outcrop. Use vectorSearchConfiguration.",
            ));
        }
        Self::of(given.vector_search_configuration, strictness)
    }

    /// Reads a `vectorSearchConfiguration`.
    ///
    /// # Errors
    /// `ValidationException` that names what is wrong with it.
    pub(crate) fn of(
        given: Option<KnowledgeBaseVectorSearchConfiguration>,
        strictness: Strictness,
    ) -> Result<Self, Exception> {
        let given = given.unwrap_or_default();
        let limits = match strictness {
            Strictness::Strict => Limits::AWS,
            Strictness::Relaxed => Limits::RELAXED,
        };
        let filter = given.filter.as_ref();
        let filter = filter.map(|filter| super::implicit::checked(filter, limits));
        let filter = filter.transpose()?;
        let reranking = given.reranking_configuration.map(Reranking::of);
        Ok(Self {
            number_of_results: given.number_of_results.and_then(|asked| {
                let asked = usize::try_from(asked).ok()?;
                Some(asked.clamp(1, RESULTS_MAX))
            }),
            search_type: given.override_search_type,
            filter,
            implicit: given.implicit_filter_configuration,
            reranking: reranking.transpose()?,
        })
    }

    /// Most results.
    pub(crate) fn results(&self) -> usize {
        let asked = self.number_of_results;
        match self.reranking.as_ref().and_then(|one| one.results) {
            Some(reranked) => asked.map_or(reranked, |asked| asked.min(reranked)),
            None => asked.unwrap_or(RESULTS),
        }
    }

    /// How many chunks are looked at before a reranker orders them: as many as the request names, as
    /// on AWS; where it names none, more than it wants in the end.
    pub(super) fn candidates(&self) -> usize {
        match (self.number_of_results, &self.reranking) {
            (Some(asked), _) => asked,
            (None, None) => RESULTS,
            (None, Some(_)) => {
                let wanted = self.results().saturating_mul(RERANK_FACTOR);
                wanted.clamp(RERANK_MIN, RESULTS_MAX)
            }
        }
    }

    /// How many chunks each half of a hybrid search is to find.
    pub(super) fn half(&self) -> usize {
        self.candidates().saturating_mul(HALF_FACTOR).max(HALF_MIN)
    }
}

impl Reranking {
    fn of(given: VectorSearchRerankingConfiguration) -> Result<Self, Exception> {
        let Some(given) = given.bedrock_reranking_configuration else {
            return Err(Exception::validation(
                "rerankingConfiguration of type BEDROCK_RERANKING_MODEL needs bedrockRerankingConfiguration.",
            ));
        };
        let model = given.model_configuration;
        let fields = model.additional_model_request_fields;
        Ok(Self {
            model: model.model_arn,
            results: given.number_of_reranked_results.and_then(|asked| {
                let asked = usize::try_from(asked).ok()?;
                Some(asked.clamp(1, RESULTS_MAX))
            }),
            fields: fields.map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
            metadata: given
                .metadata_configuration
                .map_or(Ok(Shown::Nothing), Shown::of)?,
        })
    }
}

impl Shown {
    fn of(given: MetadataConfigurationForReranking) -> Result<Self, Exception> {
        let names = |fields: Vec<outcrop_model::runtime::FieldForReranking>| {
            fields.into_iter().map(|field| field.field_name).collect()
        };
        match (given.selection_mode, given.selective_mode_configuration) {
            (RerankingMetadataSelectionMode::All, None) => Ok(Self::All),
            (
                RerankingMetadataSelectionMode::Selective,
                Some(RerankingMetadataSelectiveModeConfiguration::FieldsToInclude(fields)),
            ) => Ok(Self::Only(names(fields))),
            (
                RerankingMetadataSelectionMode::Selective,
                Some(RerankingMetadataSelectiveModeConfiguration::FieldsToExclude(fields)),
            ) => Ok(Self::Without(names(fields))),
            (RerankingMetadataSelectionMode::All, Some(_)) => Err(Exception::validation(
                "metadataConfiguration: selectiveModeConfiguration goes with selectionMode SELECTIVE only.",
            )),
            _ => Err(Exception::validation(
                "metadataConfiguration: selectionMode SELECTIVE needs selectiveModeConfiguration with fieldsToInclude or fieldsToExclude.",
            )),
        }
    }

    /// Whether the reranker reads this attribute.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Only(names) => names.iter().any(|one| one == name),
            Self::Without(names) => names.iter().all(|one| one != name),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(given: Value) -> Result<Ask, Exception> {
        let given = serde_json::from_value(given).expect("of the shape");
        Ask::of(Some(given), Strictness::Relaxed)
    }

    fn reranked(results: Option<i32>) -> Value {
        let mut bedrock = json!({"modelConfiguration": {"modelArn": "r"}});
        if let Some(results) = results {
            bedrock["numberOfRerankedResults"] = json!(results);
        }
        json!({"type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration": bedrock})
    }

    #[test]
    fn as_many_are_looked_at_as_each_request_needs() {
        for (given, results, candidates, half) in [
            (json!({}), 5, 5, 40),
            (json!({"numberOfResults": 30}), 30, 30, 120),
            (json!({"numberOfResults": 100}), 100, 100, 400),
            (json!({"rerankingConfiguration": reranked(None)}), 5, 20, 80),
            (
                json!({"rerankingConfiguration": reranked(Some(8))}),
                8,
                32,
                128,
            ),
            (
                json!({"rerankingConfiguration": reranked(Some(100))}),
                100,
                100,
                400,
            ),
            (
                json!({"numberOfResults": 20, "rerankingConfiguration": reranked(Some(3))}),
                3,
                20,
                80,
            ),
            (
                json!({"numberOfResults": 2, "rerankingConfiguration": reranked(Some(3))}),
                2,
                2,
                40,
            ),
        ] {
            let ask = ask(given.clone()).expect("a good one");
            let found = (ask.results(), ask.candidates(), ask.half());
            assert_eq!(found, (results, candidates, half), "{given}");
        }
    }

    #[test]
    fn half_a_reranking_configuration_is_refused() {
        let mut given = reranked(None);
        given["bedrockRerankingConfiguration"]["metadataConfiguration"] =
            json!({"selectionMode": "SELECTIVE"});
        for given in [json!({"type": "BEDROCK_RERANKING_MODEL"}), given] {
            let refused = ask(json!({"rerankingConfiguration": given}));
            assert!(refused.is_err());
        }
    }
}
