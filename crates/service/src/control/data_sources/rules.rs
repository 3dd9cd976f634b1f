//! What the members of a data source demand of each other and of the knowledge base, and what of it
//! may change.

use outcrop_model::control::{
    ChunkingConfiguration, ContextEnrichmentConfiguration, CrawlFilterConfiguration, DataSource,
    DataSourceConfiguration, DataSourceType, KnowledgeBaseType, ParsingConfiguration,
    UpdateDataSourceRequest, VectorIngestionConfiguration,
};
use outcrop_model::exception::Exception;

use crate::control::choices::{Choice, optional, required, violation};

const SOURCE: &str = "dataSourceConfiguration";
const INGESTION: &str = "vectorIngestionConfiguration";

/// Refuses a source whose parts do not fit together.
pub(super) fn check_source(given: &DataSourceConfiguration) -> Result<(), Exception> {
    let s3 = given.s3_configuration.as_ref();
    let web = given.web_configuration.as_ref();
    let confluence = given.confluence_configuration.as_ref();
    let salesforce = given.salesforce_configuration.as_ref();
    let share_point = given.share_point_configuration.as_ref();
    let managed = given
        .managed_knowledge_base_connector_configuration
        .as_ref();
    Choice {
        path: SOURCE,
        by: "type",
        value: given.type_.as_str(),
    }
    .check(&[
        required("s3Configuration", "S3", s3),
        required("webConfiguration", "WEB", web),
        required("confluenceConfiguration", "CONFLUENCE", confluence),
        required("salesforceConfiguration", "SALESFORCE", salesforce),
        required("sharePointConfiguration", "SHAREPOINT", share_point),
        required(
            "managedKnowledgeBaseConnectorConfiguration",
            "MANAGED_KNOWLEDGE_BASE_CONNECTOR",
            managed,
        ),
    ])?;
    let crawled = confluence.and_then(|source| source.crawler_configuration.as_ref());
    let filter = crawled.and_then(|crawler| crawler.filter_configuration.as_ref());
    check_filter("confluenceConfiguration", filter)?;
    let crawled = salesforce.and_then(|source| source.crawler_configuration.as_ref());
    let filter = crawled.and_then(|crawler| crawler.filter_configuration.as_ref());
    check_filter("salesforceConfiguration", filter)?;
    let crawled = share_point.and_then(|source| source.crawler_configuration.as_ref());
    let filter = crawled.and_then(|crawler| crawler.filter_configuration.as_ref());
    check_filter("sharePointConfiguration", filter)
}

fn check_filter(source: &str, given: Option<&CrawlFilterConfiguration>) -> Result<(), Exception> {
    let Some(given) = given else {
        return Ok(());
    };
    Choice {
        path: &format!("{SOURCE}.{source}.crawlerConfiguration.filterConfiguration"),
        by: "type",
        value: given.type_.as_str(),
    }
    .check(&[required(
        "patternObjectFilter",
        "PATTERN",
        given.pattern_object_filter.as_ref(),
    )])
}

/// Refuses a source of a kind that this type of knowledge base does not read: the service model ties
/// connectors of its own to MANAGED and table metadata to SQL, and a KENDRA index has its sources in
/// Kendra.
pub(super) fn check_fit(
    knowledge_base: KnowledgeBaseType,
    source: DataSourceType,
) -> Result<(), Exception> {
    let fits = match knowledge_base {
        KnowledgeBaseType::Vector => !matches!(
            source,
            DataSourceType::RedshiftMetadata | DataSourceType::ManagedKnowledgeBaseConnector
        ),
        KnowledgeBaseType::Sql => source == DataSourceType::RedshiftMetadata,
        KnowledgeBaseType::Managed => source == DataSourceType::ManagedKnowledgeBaseConnector,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(violation(
        "dataSourceConfiguration.type",
        &format!("is {source}, which a knowledge base of type {knowledge_base} does not take"),
    ))
}

/// Refuses an ingestion whose parts do not fit together.
pub(super) fn check_ingestion(given: &VectorIngestionConfiguration) -> Result<(), Exception> {
    let chunking = given.chunking_configuration.as_ref();
    let parsing = given.parsing_configuration.as_ref();
    let enrichment = given.context_enrichment_configuration.as_ref();
    chunking.map_or(Ok(()), check_chunking)?;
    parsing.map_or(Ok(()), check_parsing)?;
    enrichment.map_or(Ok(()), check_enrichment)
}

fn check_chunking(given: &ChunkingConfiguration) -> Result<(), Exception> {
    let fixed = given.fixed_size_chunking_configuration.as_ref();
    let levels = given.hierarchical_chunking_configuration.as_ref();
    let semantic = given.semantic_chunking_configuration.as_ref();
    Choice {
        path: "vectorIngestionConfiguration.chunkingConfiguration",
        by: "chunkingStrategy",
        value: given.chunking_strategy.as_str(),
    }
    .check(&[
        required("fixedSizeChunkingConfiguration", "FIXED_SIZE", fixed),
        required("hierarchicalChunkingConfiguration", "HIERARCHICAL", levels),
        required("semanticChunkingConfiguration", "SEMANTIC", semantic),
    ])
}

fn check_parsing(given: &ParsingConfiguration) -> Result<(), Exception> {
    let model = given.bedrock_foundation_model_configuration.as_ref();
    let automation = given.bedrock_data_automation_configuration.as_ref();
    Choice {
        path: "vectorIngestionConfiguration.parsingConfiguration",
        by: "parsingStrategy",
        value: given.parsing_strategy.as_str(),
    }
    .check(&[
        required(
            "bedrockFoundationModelConfiguration",
            "BEDROCK_FOUNDATION_MODEL",
            model,
        ),
        optional(
            "bedrockDataAutomationConfiguration",
            "BEDROCK_DATA_AUTOMATION",
            automation,
        ),
    ])
}

fn check_enrichment(given: &ContextEnrichmentConfiguration) -> Result<(), Exception> {
    Choice {
        path: "vectorIngestionConfiguration.contextEnrichmentConfiguration",
        by: "type",
        value: given.type_.as_str(),
    }
    .check(&[required(
        "bedrockFoundationModelConfiguration",
        "BEDROCK_FOUNDATION_MODEL",
        given.bedrock_foundation_model_configuration.as_ref(),
    )])
}

/// Refuses an update of what cannot be updated (behaviour.md 9.2): the type, and how documents are
/// parsed and cut up. Left out, the latter two stay as they are.
pub(super) fn check_update(
    old: &DataSource,
    new: &UpdateDataSourceRequest,
) -> Result<(), Exception> {
    const FIXED: &str = "cannot be changed after the data source is created. Specify the same configuration as when it was created";
    if new.data_source_configuration.type_ != old.data_source_configuration.type_ {
        return Err(violation("dataSourceConfiguration.type", FIXED));
    }
    let Some(new) = &new.vector_ingestion_configuration else {
        return Ok(());
    };
    let old = old.vector_ingestion_configuration.as_ref();
    let old_chunking = old.and_then(|old| old.chunking_configuration.as_ref());
    let new_chunking = new.chunking_configuration.as_ref();
    if new_chunking.is_some() && new_chunking != old_chunking {
        return Err(violation(
            &format!("{INGESTION}.chunkingConfiguration"),
            FIXED,
        ));
    }
    let old_parsing = old.and_then(|old| old.parsing_configuration.as_ref());
    let new_parsing = new.parsing_configuration.as_ref();
    if new_parsing.is_some() && new_parsing != old_parsing {
        return Err(violation(
            &format!("{INGESTION}.parsingConfiguration"),
            FIXED,
        ));
    }
    Ok(())
}
