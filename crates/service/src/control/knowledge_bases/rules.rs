//! What the members of a knowledge base's configuration demand of each other, and what of it may
//! change.

use outcrop_engine::action::Strictness;
use outcrop_model::control::{
    EmbeddingModelType, KnowledgeBase, KnowledgeBaseConfiguration, KnowledgeBaseType,
    ManagedKnowledgeBaseConfiguration, RedshiftConfiguration, RedshiftProvisionedAuthConfiguration,
    RedshiftServerlessAuthConfiguration, S3VectorsConfiguration, SqlKnowledgeBaseConfiguration,
    StorageConfiguration, SupplementalDataStorageConfiguration, UpdateKnowledgeBaseRequest,
};
use outcrop_model::exception::Exception;

use crate::control::choices::{Choice, required, violation};

const CONFIGURATION: &str = "knowledgeBaseConfiguration";
const STORAGE: &str = "storageConfiguration";

/// Refuses a definition whose parts do not fit together. AWS needs to know where the vectors are kept;
/// without its limits whoever does not say gets the server's own index.
pub(super) fn check(
    configuration: &KnowledgeBaseConfiguration,
    storage: Option<&StorageConfiguration>,
    strictness: Strictness,
) -> Result<(), Exception> {
    check_configuration(configuration)?;
    let is_vector = configuration.type_ == KnowledgeBaseType::Vector;
    match storage {
        Some(storage) if is_vector => check_storage(storage),
        None if is_vector && strictness == Strictness::Strict => Err(violation(
            STORAGE,
            "is required when knowledgeBaseConfiguration.type is VECTOR",
        )),
        Some(_) => Err(violation(
            STORAGE,
            &format!(
                "is not allowed when knowledgeBaseConfiguration.type is {}",
                configuration.type_
            ),
        )),
        None => Ok(()),
    }
}

/// Refuses an update of what cannot be updated: the service model says that configuration and storage
/// must be given as they are.
pub(super) fn check_update(
    old: &KnowledgeBase,
    new: &UpdateKnowledgeBaseRequest,
) -> Result<(), Exception> {
    const FIXED: &str = "cannot be changed after the knowledge base is created. Specify the same configuration as when it was created";
    if new.knowledge_base_configuration != old.knowledge_base_configuration {
        return Err(violation(CONFIGURATION, FIXED));
    }
    if new.storage_configuration.is_some() && new.storage_configuration != old.storage_configuration
    {
        return Err(violation(STORAGE, FIXED));
    }
    let is_managed = old.knowledge_base_configuration.type_ == KnowledgeBaseType::Managed;
    if new.metadata_configurations.is_some() && !is_managed {
        return Err(violation(
            "metadataConfigurations",
            "is only allowed for a knowledge base of type MANAGED",
        ));
    }
    Ok(())
}

fn check_configuration(given: &KnowledgeBaseConfiguration) -> Result<(), Exception> {
    let vector = given.vector_knowledge_base_configuration.as_ref();
    let managed = given.managed_knowledge_base_configuration.as_ref();
    let kendra = given.kendra_knowledge_base_configuration.as_ref();
    let sql = given.sql_knowledge_base_configuration.as_ref();
    Choice {
        path: CONFIGURATION,
        by: "type",
        value: given.type_.as_str(),
    }
    .check(&[
        required("vectorKnowledgeBaseConfiguration", "VECTOR", vector),
        required("managedKnowledgeBaseConfiguration", "MANAGED", managed),
        required("kendraKnowledgeBaseConfiguration", "KENDRA", kendra),
        required("sqlKnowledgeBaseConfiguration", "SQL", sql),
    ])?;
    if let Some(vector) = vector {
        check_supplemental(
            "knowledgeBaseConfiguration.vectorKnowledgeBaseConfiguration",
            vector.supplemental_data_storage_configuration.as_ref(),
        )?;
    }
    managed.map_or(Ok(()), check_managed)?;
    sql.map_or(Ok(()), check_sql)
}

fn check_managed(given: &ManagedKnowledgeBaseConfiguration) -> Result<(), Exception> {
    const PATH: &str = "knowledgeBaseConfiguration.managedKnowledgeBaseConfiguration";
    if let Some(model) = given.embedding_model_type {
        Choice {
            path: PATH,
            by: "embeddingModelType",
            value: model.as_str(),
        }
        .check(&[required(
            "embeddingModelArn",
            EmbeddingModelType::Custom.as_str(),
            given.embedding_model_arn.as_ref(),
        )])?;
    }
    check_supplemental(PATH, given.supplemental_data_storage_configuration.as_ref())
}

fn check_supplemental(
    path: &str,
    given: Option<&SupplementalDataStorageConfiguration>,
) -> Result<(), Exception> {
    let locations = given.map_or(&[][..], |given| &given.storage_locations);
    for (index, location) in (1..).zip(locations) {
        Choice {
            path: &format!(
                "{path}.supplementalDataStorageConfiguration.storageLocations.{index}.member"
            ),
            by: "type",
            value: location.type_.as_str(),
        }
        .check(&[required("s3Location", "S3", location.s3_location.as_ref())])?;
    }
    Ok(())
}

fn check_sql(given: &SqlKnowledgeBaseConfiguration) -> Result<(), Exception> {
    let redshift = given.redshift_configuration.as_ref();
    Choice {
        path: "knowledgeBaseConfiguration.sqlKnowledgeBaseConfiguration",
        by: "type",
        value: given.type_.as_str(),
    }
    .check(&[required("redshiftConfiguration", "REDSHIFT", redshift)])?;
    redshift.map_or(Ok(()), check_redshift)
}

fn check_redshift(given: &RedshiftConfiguration) -> Result<(), Exception> {
    const PATH: &str =
        "knowledgeBaseConfiguration.sqlKnowledgeBaseConfiguration.redshiftConfiguration";
    for (index, storage) in (1..).zip(&given.storage_configurations) {
        let catalog = storage.aws_data_catalog_configuration.as_ref();
        let redshift = storage.redshift_configuration.as_ref();
        Choice {
            path: &format!("{PATH}.storageConfigurations.{index}.member"),
            by: "type",
            value: storage.type_.as_str(),
        }
        .check(&[
            required("awsDataCatalogConfiguration", "AWS_DATA_CATALOG", catalog),
            required("redshiftConfiguration", "REDSHIFT", redshift),
        ])?;
    }
    let engine = &given.query_engine_configuration;
    let serverless = engine.serverless_configuration.as_ref();
    let provisioned = engine.provisioned_configuration.as_ref();
    let path = format!("{PATH}.queryEngineConfiguration");
    Choice {
        path: &path,
        by: "type",
        value: engine.type_.as_str(),
    }
    .check(&[
        required("serverlessConfiguration", "SERVERLESS", serverless),
        required("provisionedConfiguration", "PROVISIONED", provisioned),
    ])?;
    if let Some(serverless) = serverless {
        check_serverless_auth(&path, &serverless.auth_configuration)?;
    }
    provisioned.map_or(Ok(()), |provisioned| {
        check_provisioned_auth(&path, &provisioned.auth_configuration)
    })
}

fn check_serverless_auth(
    path: &str,
    given: &RedshiftServerlessAuthConfiguration,
) -> Result<(), Exception> {
    let secret = given.username_password_secret_arn.as_ref();
    Choice {
        path: &format!("{path}.serverlessConfiguration.authConfiguration"),
        by: "type",
        value: given.type_.as_str(),
    }
    .check(&[required(
        "usernamePasswordSecretArn",
        "USERNAME_PASSWORD",
        secret,
    )])
}

fn check_provisioned_auth(
    path: &str,
    given: &RedshiftProvisionedAuthConfiguration,
) -> Result<(), Exception> {
    let secret = given.username_password_secret_arn.as_ref();
    let user = given.database_user.as_ref();
    Choice {
        path: &format!("{path}.provisionedConfiguration.authConfiguration"),
        by: "type",
        value: given.type_.as_str(),
    }
    .check(&[
        required("usernamePasswordSecretArn", "USERNAME_PASSWORD", secret),
        required("databaseUser", "USERNAME", user),
    ])
}

fn check_storage(given: &StorageConfiguration) -> Result<(), Exception> {
    let serverless = given.opensearch_serverless_configuration.as_ref();
    let cluster = given.opensearch_managed_cluster_configuration.as_ref();
    let redis = given.redis_enterprise_cloud_configuration.as_ref();
    let mongo = given.mongo_db_atlas_configuration.as_ref();
    let neptune = given.neptune_analytics_configuration.as_ref();
    let pinecone = given.pinecone_configuration.as_ref();
    let vectors = given.s3_vectors_configuration.as_ref();
    let rds = given.rds_configuration.as_ref();
    Choice {
        path: STORAGE,
        by: "type",
        value: given.type_.as_str(),
    }
    .check(&[
        required(
            "opensearchServerlessConfiguration",
            "OPENSEARCH_SERVERLESS",
            serverless,
        ),
        required(
            "opensearchManagedClusterConfiguration",
            "OPENSEARCH_MANAGED_CLUSTER",
            cluster,
        ),
        required("pineconeConfiguration", "PINECONE", pinecone),
        required(
            "redisEnterpriseCloudConfiguration",
            "REDIS_ENTERPRISE_CLOUD",
            redis,
        ),
        required("rdsConfiguration", "RDS", rds),
        required("mongoDbAtlasConfiguration", "MONGO_DB_ATLAS", mongo),
        required(
            "neptuneAnalyticsConfiguration",
            "NEPTUNE_ANALYTICS",
            neptune,
        ),
        required("s3VectorsConfiguration", "S3_VECTORS", vectors),
    ])?;
    vectors.map_or(Ok(()), check_s3_vectors)
}

/// An index is named by its ARN, or by bucket and name.
fn check_s3_vectors(given: &S3VectorsConfiguration) -> Result<(), Exception> {
    let by_arn = given.index_arn.is_some();
    let named = given.index_name.is_some();
    let bucket = given.vector_bucket_arn.is_some();
    match (by_arn, named, bucket) {
        (true, false, false) | (false, true, true) => Ok(()),
        _ => Err(violation(
            "storageConfiguration.s3VectorsConfiguration",
            "needs either indexArn, or both vectorBucketArn and indexName",
        )),
    }
}
