//! Resource types that are one object of the API each: knowledge bases, data sources, prompts.

use serde_json::{Map, Value, json};

use super::{Change, Created, Made, attributes_of, fit, tags};
use crate::api::{Api, ApiError};

/// The operations over one type.
pub(super) struct Plain {
    pub(super) create: (&'static str, &'static str),
    pub(super) update: (&'static str, &'static str),
    pub(super) get: &'static str,
    pub(super) delete: &'static str,
    /// The member of an answer that holds the object; empty: the answer is the object.
    pub(super) object: &'static str,
    /// How operations name the object: (member of the input, attribute it is taken from).
    pub(super) keys: &'static [(&'static str, &'static str)],
    /// The attributes whose values, with bars between, `Ref` gives.
    pub(super) reference: &'static [&'static str],
    /// The attribute that tags are put on.
    pub(super) arn: Option<&'static str>,
    /// Attributes that CloudFormation calls otherwise than the API: (attribute, the API's).
    pub(super) renamed: &'static [(&'static str, &'static str)],
    /// The member that makes creation idempotent.
    pub(super) token: &'static str,
    pub(super) attributes: &'static [&'static str],
}

pub(super) const KNOWLEDGE_BASE: Plain = Plain {
    create: ("CreateKnowledgeBase", "CreateKnowledgeBaseRequest"),
    update: ("UpdateKnowledgeBase", "UpdateKnowledgeBaseRequest"),
    get: "GetKnowledgeBase",
    delete: "DeleteKnowledgeBase",
    object: "knowledgeBase",
    keys: &[("knowledgeBaseId", "KnowledgeBaseId")],
    reference: &["KnowledgeBaseId"],
    arn: Some("KnowledgeBaseArn"),
    renamed: &[],
    token: "clientToken",
    attributes: &[
        "KnowledgeBaseId",
        "KnowledgeBaseArn",
        "Status",
        "CreatedAt",
        "UpdatedAt",
        "FailureReasons",
    ],
};

pub(super) const DATA_SOURCE: Plain = Plain {
    create: ("CreateDataSource", "CreateDataSourceRequest"),
    update: ("UpdateDataSource", "UpdateDataSourceRequest"),
    get: "GetDataSource",
    delete: "DeleteDataSource",
    object: "dataSource",
    keys: &[
        ("knowledgeBaseId", "KnowledgeBaseId"),
        ("dataSourceId", "DataSourceId"),
    ],
    reference: &["KnowledgeBaseId", "DataSourceId"],
    arn: None,
    renamed: &[("DataSourceStatus", "Status")],
    token: "clientToken",
    attributes: &[
        "DataSourceId",
        "DataSourceStatus",
        "KnowledgeBaseId",
        "Status",
        "CreatedAt",
        "UpdatedAt",
        "FailureReasons",
    ],
};

pub(super) const PROMPT: Plain = Plain {
    create: ("CreatePrompt", "CreatePromptRequest"),
    update: ("UpdatePrompt", "UpdatePromptRequest"),
    get: "GetPrompt",
    delete: "DeletePrompt",
    object: "",
    keys: &[("promptIdentifier", "Id")],
    reference: &["Arn"],
    arn: Some("Arn"),
    renamed: &[],
    token: "clientToken",
    attributes: &["Arn", "Id", "Version", "CreatedAt", "UpdatedAt"],
};

pub(super) const PROMPT_VERSION: Plain = Plain {
    create: ("CreatePromptVersion", "CreatePromptVersionRequest"),
    // All its properties are for creation only.
    update: ("", ""),
    get: "GetPrompt",
    delete: "DeletePrompt",
    object: "",
    keys: &[("promptIdentifier", "Id"), ("promptVersion", "Version")],
    reference: &["Arn"],
    arn: None,
    renamed: &[("PromptId", "Id")],
    token: "clientToken",
    attributes: &[
        "Arn",
        "Id",
        "PromptId",
        "Version",
        "Name",
        "DefaultVariant",
        "CustomerEncryptionKeyArn",
        "CreatedAt",
        "UpdatedAt",
    ],
};

impl Plain {
    pub(super) async fn create(
        &self,
        api: &dyn Api,
        definition: &Value,
        token: &str,
    ) -> Result<Created, ApiError> {
        let (operation, shape) = self.create;
        let mut input = fit(shape, definition);
        if let Some(prompt) = definition.get("promptArn") {
            input.insert("promptIdentifier".to_owned(), prompt.clone());
        }
        input.insert(self.token.to_owned(), json!(token));
        let answer = api.call(operation, Value::Object(input)).await?;
        let made = self.made(&answer);
        Ok(Created {
            made: self.read(api, &made).await?,
            stands: definition.clone(),
        })
    }

    fn made(&self, answer: &Value) -> Made {
        let object = answer.get(self.object).unwrap_or(answer);
        let mut attributes = attributes_of(object, self.attributes);
        for (attribute, apis) in self.renamed {
            if let Some(value) = attributes.get(*apis).cloned() {
                attributes.insert((*attribute).to_owned(), value);
            }
        }
        let made = Made {
            physical: String::new(),
            attributes,
            version: None,
        };
        let parts: Vec<&str> = self.reference.iter().map(|name| made.text(name)).collect();
        Made {
            physical: parts.join("|"),
            ..made
        }
    }

    fn keys(&self, made: &Made) -> Map<String, Value> {
        self.keys
            .iter()
            .map(|(member, attribute)| ((*member).to_owned(), json!(made.text(attribute))))
            .collect()
    }

    pub(super) async fn read(&self, api: &dyn Api, made: &Made) -> Result<Made, ApiError> {
        let answer = api.call(self.get, Value::Object(self.keys(made))).await?;
        Ok(self.made(&answer))
    }

    pub(super) async fn converge(
        &self,
        api: &dyn Api,
        change: &Change<'_>,
    ) -> Result<Made, ApiError> {
        if change.is_settled() {
            return self.read(api, change.made).await;
        }
        let (operation, shape) = self.update;
        let mut input = fit(shape, change.target);
        input.extend(self.keys(change.made));
        api.call(operation, Value::Object(input)).await?;
        if let Some(arn) = self.arn {
            tags::converge(api, change, "tags", change.made.text(arn)).await?;
        }
        self.read(api, change.made).await
    }

    pub(super) async fn delete(&self, api: &dyn Api, made: &Made) -> Result<(), ApiError> {
        let keys = Value::Object(self.keys(made));
        api.call(self.delete, keys).await.map(drop)
    }
}
