//! Knowledge bases and data sources by id or name, and what the server says of them.

use anyhow::anyhow;
use outcrop_deploy::api::Api as _;
use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::remote::Remote;

/// Pages of a list; more than that is no list to look through for a name.
const PAGES: usize = 100;
/// Items of one page, the most that the API gives.
const PAGE_ITEMS: usize = 1000;

/// A member's text; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// A member's number; 0 where there is none.
pub(super) fn number(value: &Value, member: &str) -> u64 {
    value[member].as_u64().unwrap_or_default()
}

/// All items of a list.
pub(super) async fn list(
    server: &Remote,
    operation: &'static str,
    mut input: Value,
    member: &str,
) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    input["maxResults"] = json!(PAGE_ITEMS);
    for _ in 0..PAGES {
        let mut page = server.call(operation, input.clone()).await?;
        if let Some(items) = page[member].as_array_mut() {
            all.append(items);
        }
        match page["nextToken"].take() {
            Value::Null => return Ok(all),
            token => input["nextToken"] = token,
        }
    }
    Err(Failure::Refused(anyhow!(
        "{operation} gave more than {PAGES} pages"
    )))
}

/// All knowledge bases.
pub(super) async fn knowledge_bases(server: &Remote) -> Result<Vec<Value>, Failure> {
    let operation = "ListKnowledgeBases";
    list(server, operation, json!({}), "knowledgeBaseSummaries").await
}

/// The id of a knowledge base, named by it or by its name.
pub(super) async fn knowledge_base(server: &Remote, wanted: &str) -> Result<String, Failure> {
    let all = knowledge_bases(server).await?;
    found(&all, wanted, "knowledgeBaseId")
        .ok_or_else(|| Failure::Refused(anyhow!("there is no knowledge base {wanted}")))
}

/// The data sources of a knowledge base that a job can read, each whole. `wanted`: only this one, by
/// id or name.
pub(super) async fn data_sources(
    server: &Remote,
    id: &str,
    wanted: Option<&str>,
) -> Result<Vec<Value>, Failure> {
    let input = json!({"knowledgeBaseId": id});
    let summaries = list(server, "ListDataSources", input, "dataSourceSummaries").await?;
    let ids: Vec<String> = if let Some(wanted) = wanted {
        let one = found(&summaries, wanted, "dataSourceId").ok_or_else(|| {
            Failure::Refused(anyhow!("the knowledge base has no data source {wanted}"))
        })?;
        vec![one]
    } else {
        let ids = summaries.iter().map(|one| text(one, "dataSourceId"));
        ids.map(str::to_owned).collect()
    };
    let mut sources = Vec::with_capacity(ids.len());
    for source in ids {
        let input = json!({"knowledgeBaseId": id, "dataSourceId": source});
        let mut answer = server.call("GetDataSource", input).await?;
        let source = answer["dataSource"].take();
        // Documents of a custom data source are given one by one; there is nothing to read.
        if wanted.is_some() || text(&source["dataSourceConfiguration"], "type") != "CUSTOM" {
            sources.push(source);
        }
    }
    Ok(sources)
}

/// An id, else the id of what has this name.
fn found(items: &[Value], wanted: &str, id: &str) -> Option<String> {
    let by = |member: &str| items.iter().find(|item| text(item, member) == wanted);
    by(id)
        .or_else(|| by("name"))
        .map(|item| text(item, id).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_goes_before_a_name() {
        let items = [
            json!({"knowledgeBaseId": "AAAAAAAAAA", "name": "BBBBBBBBBB"}),
            json!({"knowledgeBaseId": "BBBBBBBBBB", "name": "hr"}),
        ];
        let by = |wanted| found(&items, wanted, "knowledgeBaseId");
        assert_eq!(by("BBBBBBBBBB").as_deref(), Some("BBBBBBBBBB"));
        assert_eq!(by("hr").as_deref(), Some("BBBBBBBBBB"));
        assert_eq!(by("nobody"), None);
    }
}
