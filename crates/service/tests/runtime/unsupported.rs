//! Agents that have what no turn can run: kept, prepared, and refused by name when invoked.

use outcrop_model::control::ops::{
    AssociateAgentKnowledgeBase, CreateKnowledgeBase, DisassociateAgentKnowledgeBase, PrepareAgent,
};
use outcrop_model::exception::ExceptionKind;
use serde_json::json;

use crate::bench::{Answer, Bench, Say};

#[tokio::test]
async fn a_knowledge_base_that_cannot_be_searched_is_named() {
    let bench = Bench::new().await;
    let base = bench
        .control::<CreateKnowledgeBase>(json!({
            "name": "docs", "roleArn": "arn:aws:iam::111111111111:role/AgentRole",
            "knowledgeBaseConfiguration": {"type": "VECTOR", "vectorKnowledgeBaseConfiguration": {
                "embeddingModelArn": "arn:aws:bedrock:us-west-2::foundation-model/amazon.titan-embed-text-v2:0"}},
            "storageConfiguration": {"type": "OPENSEARCH_SERVERLESS", "opensearchServerlessConfiguration": {
                "collectionArn": "arn:aws:aoss:us-west-2:111111111111:collection/abcdefghij1234567890",
                "vectorIndexName": "docs", "fieldMapping": {
                    "vectorField": "v", "textField": "t", "metadataField": "m"}}}}))
        .await;
    let id = base["knowledgeBase"]["knowledgeBaseId"].clone();
    let association = json!({"agentId": bench.agent_id, "agentVersion": "DRAFT", "knowledgeBaseId": id,
        "description": "What the handbook says."});
    let prepare = || bench.control::<PrepareAgent>(json!({"agentId": bench.agent_id}));
    bench
        .control::<AssociateAgentKnowledgeBase>(association.clone())
        .await;
    prepare().await;
    let answer = bench.ask(json!({"inputText": "hi"})).await;
    let message = format!(
        "Querying the knowledge base {} in a turn is not supported by Outcrop",
        id.as_str().expect("an id")
    );
    assert_eq!(answer, Answer::Refused(ExceptionKind::Validation, message));
    bench
        .control::<DisassociateAgentKnowledgeBase>(association)
        .await;
    prepare().await;
    bench.model.says([Say::Text("fine")]);
    let answer = bench.ask(json!({"inputText": "hi"})).await;
    assert_eq!(answer, Answer::Text("fine".to_owned()));
}
