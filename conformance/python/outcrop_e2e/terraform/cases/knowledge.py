"""Knowledge bases, their data sources, and their association with agents."""

from ..shape import ABSENT, PRESENT, Case, Step
from .agents import tagged

BASE = "aws_bedrockagent_knowledge_base.test"
SOURCE = "aws_bedrockagent_data_source.test"
ASSOCIATION = "aws_bedrockagent_agent_knowledge_base_association.test"
ROLE = "arn:aws:iam::111111111111:role"

VECTOR = "knowledge_base_configuration.0.vector_knowledge_base_configuration"
RDS = "storage_configuration.0.rds_configuration"
OPENSEARCH = "storage_configuration.0.opensearch_serverless_configuration"

VECTORS = {
    "knowledge_base_configuration.#": 1,
    "knowledge_base_configuration.0.type": "VECTOR",
    f"{VECTOR}.#": 1,
    "storage_configuration.#": 1,
}

IN_RDS = VECTORS | {
    "storage_configuration.0.type": "RDS",
    f"{RDS}.#": 1,
    f"{RDS}.0.table_name": "knowledge.articles",
    f"{RDS}.0.field_mapping.#": 1,
    f"{RDS}.0.field_mapping.0.vector_field": "embedding",
    f"{RDS}.0.field_mapping.0.text_field": "body",
    f"{RDS}.0.field_mapping.0.metadata_field": "about",
    f"{RDS}.0.field_mapping.0.primary_key_field": "id",
}

IN_OPENSEARCH = VECTORS | {
    "storage_configuration.0.type": "OPENSEARCH_SERVERLESS",
    f"{OPENSEARCH}.#": 1,
    f"{OPENSEARCH}.0.vector_index_name": "shop-articles",
    f"{OPENSEARCH}.0.field_mapping.#": 1,
    f"{OPENSEARCH}.0.field_mapping.0.vector_field": "embedding",
    f"{OPENSEARCH}.0.field_mapping.0.text_field": "body",
    f"{OPENSEARCH}.0.field_mapping.0.metadata_field": "about",
    "role_arn": f"{ROLE}/AgentRole",
}


def base(files, expect, actions=None, **variables):
    """A step with one knowledge base, imported and compared."""
    return Step(files, variables, actions or {}, {BASE: {"name": PRESENT, **expect}}, {BASE: ()})


S3 = "data_source_configuration.0.s3_configuration"
WEB = "data_source_configuration.0.web_configuration"
CRAWLER = f"{WEB}.0.crawler_configuration"
INGESTION = "vector_ingestion_configuration"
CHUNKING = f"{INGESTION}.0.chunking_configuration"

DETAILED = {
    "data_deletion_policy": "RETAIN",
    "data_source_configuration.#": 1,
    "data_source_configuration.0.type": "S3",
    f"{S3}.#": 1,
    f"{S3}.0.bucket_arn": "arn:aws:s3:::shop-articles",
    f"{S3}.0.bucket_owner_account_id": ABSENT,
    f"{S3}.0.inclusion_prefixes.#": 1,
    f"{S3}.0.inclusion_prefixes.0": "europe/bordeaux",
    "data_source_id": PRESENT,
    "description": "articles",
    "name": PRESENT,
    "server_side_encryption_configuration.#": 0,
}


def source(file, expect, actions=None, imports=True, **variables):
    """A step with a data source of a knowledge base."""
    return Step(
        ("knowledge_base_rds", file), variables, actions or {}, {SOURCE: expect}, {SOURCE: ()} if imports else {},
    )


def ingested(strategy, expect, **variables):
    """A case of one step, whose data source cuts its documents in that way."""
    block = {"FIXED_SIZE": "fixed_size", "HIERARCHICAL": "hierarchical", "SEMANTIC": "semantic"}[strategy]
    inner = f"{CHUNKING}.0.{block}_chunking_configuration"
    wanted = {
        f"{INGESTION}.#": 1,
        f"{CHUNKING}.#": 1,
        f"{CHUNKING}.0.chunking_strategy": strategy,
        f"{inner}.#": 1,
        **{f"{inner}.0.{path}": value for path, value in expect.items()},
    }
    return source("data_source_ingestion", DETAILED | wanted, chunking=strategy, **variables)


FIXED = {"max_tokens": 3, "overlap_percentage": 80}


def associated(description, state, actions=None):
    """A step with an agent that has a knowledge base in that state."""
    return Step(
        ("agent", "knowledge_base_rds", "association"),
        {"association_description": description, "association_state": state},
        actions or {},
        {ASSOCIATION: {"knowledge_base_state": state, "description": description}},
        {ASSOCIATION: ()},
    )


CASES = (
    Case("association_basic", (associated("articles", "ENABLED"),)),
    Case("association_update", always=True, steps=(
        associated("articles", "ENABLED"), associated("old articles", "DISABLED", {ASSOCIATION: "update"}),
    )),
    Case("association_disappears", (
        Step(("agent", "knowledge_base_rds", "association"), disappears=ASSOCIATION),
    )),
    Case("knowledge_base_basic", (
        base(("knowledge_base_rds",), IN_RDS | {"description": ABSENT, "role_arn": f"{ROLE}/AgentRole"}, {BASE: "create"}),
        base(
            ("knowledge_base_rds",),
            IN_RDS | {"description": "more", "role_arn": f"{ROLE}/OtherRole", "name": "tf-kb-update"},
            {BASE: "update"},
            kb_name="tf-kb-update", kb_description="more", kb_other_role=True,
        ),
    )),
    Case("knowledge_base_disappears", (Step(("knowledge_base_rds",), disappears=BASE),)),
    Case("knowledge_base_tags", tagged(BASE, ("knowledge_base_rds",), "kb_tags", {BASE: ()})),
    Case("knowledge_base_opensearch_basic", (base(("knowledge_base_opensearch",), IN_OPENSEARCH),)),
    Case("knowledge_base_opensearch_update", (
        base(("knowledge_base_opensearch",), IN_OPENSEARCH),
        base(
            ("knowledge_base_opensearch",),
            IN_OPENSEARCH | {"name": "tf-kb-opensearch-update", "description": "more"},
            {BASE: "update"},
            kb_name="tf-kb-opensearch-update", kb_description="more",
        ),
    )),
    Case("knowledge_base_opensearch_supplemental_storage", (
        base(
            ("knowledge_base_opensearch",),
            IN_OPENSEARCH | {
                f"{VECTOR}.0.embedding_model_configuration.0.bedrock_embedding_model_configuration.0.dimensions": 1024,
                f"{VECTOR}.0.embedding_model_configuration.0.bedrock_embedding_model_configuration.0"
                ".embedding_data_type": "FLOAT32",
                f"{VECTOR}.0.supplemental_data_storage_configuration.0.storage_location.0.type": "S3",
                f"{VECTOR}.0.supplemental_data_storage_configuration.0.storage_location.0.s3_location.0.uri":
                    "s3://shop-images",
            },
            kb_images=True,
        ),
    )),
    # The provider has no test of its own for what must be made anew.
    Case("knowledge_base_replaced", (
        base(("knowledge_base_rds",), IN_RDS),
        base(("knowledge_base_opensearch",), IN_OPENSEARCH, {BASE: "replace"}),
    )),
    Case("data_source_basic", (source("data_source_plain", {"data_source_id": PRESENT}),)),
    Case("data_source_disappears", (Step(("knowledge_base_rds", "data_source_plain"), disappears=SOURCE),)),
    Case("data_source_update", (
        source("data_source_plain", {
            "data_deletion_policy": PRESENT,
            "data_source_configuration.0.type": "S3",
            f"{S3}.0.inclusion_prefixes.#": 0,
            "description": ABSENT,
            f"{INGESTION}.#": 0,
        }, imports=False),
        source("data_source_plain", DETAILED | {f"{INGESTION}.#": 0}, {SOURCE: "update"}, detailed=True),
    )),
    Case("data_source_full", (ingested("FIXED_SIZE", FIXED),)),
    Case("data_source_semantic", (
        ingested("SEMANTIC", {"breakpoint_percentile_threshold": 80, "buffer_size": 1, "max_token": 20}),
    )),
    Case("data_source_hierarchical", (
        ingested("HIERARCHICAL", {
            "overlap_tokens": 2,
            "level_configuration.#": 2,
            "level_configuration.0.max_tokens": 15,
            "level_configuration.1.max_tokens": 10,
        }),
    )),
    Case("data_source_parsing", always=True, steps=(
        source("data_source_ingestion", DETAILED | {
            f"{CHUNKING}.0.chunking_strategy": "FIXED_SIZE",
            f"{INGESTION}.0.parsing_configuration.#": 1,
            f"{INGESTION}.0.parsing_configuration.0.parsing_strategy": "BEDROCK_FOUNDATION_MODEL",
        }, parsed=True),
    )),
    Case("data_source_custom_transformation", (ingested("FIXED_SIZE", FIXED, transformed=True),)),
    Case("data_source_web", (
        source("data_source_web", {
            "data_source_configuration.#": 1,
            f"{WEB}.#": 1,
            f"{WEB}.0.source_configuration.#": 1,
            f"{CRAWLER}.#": 1,
            f"{CRAWLER}.0.crawler_limits.0.max_pages": 25000,
            f"{CRAWLER}.0.crawler_limits.0.rate_limit": 300,
            f"{CRAWLER}.0.exclusion_filters.#": 5,
            f"{CRAWLER}.0.inclusion_filters.#": 1,
            f"{CRAWLER}.0.user_agent": "bedrockbot_UUID shop",
        }),
    )),
)
