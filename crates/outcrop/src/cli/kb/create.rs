//! `outcrop kb create`: a folder becomes a knowledge base in one line.
//!
//! On this machine the folder itself becomes a bucket, so that the next job sees what was edited since;
//! for a server elsewhere its files are copied there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use outcrop_deploy::api::{Api as _, ApiError, OwnRequest, segment};
use serde_json::{Value, json};

use super::find::text;
use super::{ingest, told, upload};
use crate::cli::remote::Remote;
use crate::cli::{Failure, Reach};

/// The tag that says which bucket was made for a knowledge base.
const BUCKET_TAG: &str = "outcrop:bucket";
/// The embedding model where none is named. Which provider serves it is the server's configuration.
const DEFAULT_MODEL: &str = "amazon.titan-embed-text-v2:0";
/// S3's limits of a bucket's name.
const BUCKET_CHARS: usize = 63;
/// Between two looks at a knowledge base that is being made or deleted.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks at it before it is given up: half a minute.
const LOOKS: usize = 600;

/// Make a knowledge base of a folder, and ingest it
///
/// The folder becomes a bucket, the bucket a data source of a new knowledge base. Where the server is on
/// this machine, the bucket is the folder itself: `outcrop kb ingest` sees what was edited since.
/// Otherwise its files are copied to the server; `outcrop kb ingest --from FOLDER` copies them again.
/// Prints the knowledge base's id.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The knowledge base's name
    name: String,
    /// The folder with the documents
    folder: PathBuf,
    /// What the documents are about, as an agent reads it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[arg(
        long,
        value_name = "ID|ARN",
        default_value = DEFAULT_MODEL,
        help = "The embedding model; the server's [[embeddings]] say who serves it"
    )]
    model: String,
    /// Length of the vectors, where the model can make several [default: the model's own]
    #[arg(long, value_name = "N")]
    dimensions: Option<u32>,
    /// How documents are cut [default: about 300 tokens, at sentences]
    #[arg(long, value_name = "STRATEGY", value_enum)]
    chunking: Option<Chunking>,
    /// The bucket's name [default: kb- and the knowledge base's name]
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// Copy the files to the server, even where it could read the folder itself
    #[arg(long)]
    copy: bool,
    /// Do not ingest yet
    #[arg(long)]
    no_ingest: bool,
    /// Print what was made as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// How documents are cut. Sizes are those that AWS's console proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Chunking {
    /// Chunks of 300 tokens that overlap by a fifth
    Fixed,
    /// Chunks of 300 tokens are searched, the 1,500 around them returned
    Hierarchical,
    /// Sentences that belong together, by their embeddings
    Semantic,
    /// Each document is one chunk
    None,
}

impl Chunking {
    fn configuration(self) -> Value {
        match self {
            Self::Fixed => json!({
                "chunkingStrategy": "FIXED_SIZE",
                "fixedSizeChunkingConfiguration": {"maxTokens": 300, "overlapPercentage": 20},
            }),
            Self::Hierarchical => json!({
                "chunkingStrategy": "HIERARCHICAL",
                "hierarchicalChunkingConfiguration": {
                    "levelConfigurations": [{"maxTokens": 1500}, {"maxTokens": 300}],
                    "overlapTokens": 60,
                },
            }),
            Self::Semantic => json!({
                "chunkingStrategy": "SEMANTIC",
                "semanticChunkingConfiguration": {
                    "maxTokens": 300, "bufferSize": 0, "breakpointPercentileThreshold": 95,
                },
            }),
            Self::None => json!({"chunkingStrategy": "NONE"}),
        }
    }
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let folder = std::path::absolute(&args.folder)
        .ok()
        .filter(|folder| folder.is_dir())
        .ok_or_else(|| Failure::Usage(anyhow!("{} is no folder", args.folder.display())))?;
    let bucket = args.bucket.clone();
    let bucket = bucket.unwrap_or_else(|| bucket_name(&args.name));
    let links = !args.copy && args.reach.is_this_machine();
    let server = args.reach.clone().server().await?;
    let identity = server.own(OwnRequest::new("GET", "identity")).await?;

    let mut made = json!({"name": args.name, "bucket": bucket});
    let is_linked = make_bucket(&server, &bucket, links.then_some(folder.as_path())).await?;
    made["isLinked"] = json!(is_linked);
    if !is_linked {
        upload::folder(&server, &bucket, &folder).await?;
    }
    let input = knowledge_base(&args.name, &bucket, &args, &identity);
    let created = server.call("CreateKnowledgeBase", input).await;
    let created = match created {
        Ok(created) => created,
        Err(error) => {
            // Only the link: copied files may have been there before.
            if is_linked {
                let path = format!("buckets/{}", segment(&bucket));
                server.own(OwnRequest::new("DELETE", path)).await.ok();
            }
            return Err(error.into());
        }
    };
    let id = text(&created["knowledgeBase"], "knowledgeBaseId").to_owned();
    settle(&server, &id).await?;
    let input = data_source(&id, &bucket, args.chunking);
    let source = server.call("CreateDataSource", input).await?;
    let source = &source["dataSource"];
    made["knowledgeBaseId"] = json!(id);
    made["dataSourceId"] = source["dataSourceId"].clone();
    let how = if is_linked { "is" } else { "was copied to" };
    eprintln!("{} {how} bucket {bucket}", folder.display());
    let mut is_well = true;
    if !args.no_ingest {
        let sources = std::slice::from_ref(source);
        let ended = ingest::ingest(&server, &id, sources, !args.json).await?;
        is_well = told(&ended);
        made["jobs"] = ended.iter().map(ingest::Ended::json).collect();
    }
    if args.json {
        println!("{made:#}");
    } else {
        println!("{id}");
    }
    if is_well { Ok(()) } else { Err(Failure::Told) }
}

/// Makes the bucket, and says whether it is the folder itself. A server that may not, or that does not
/// find the folder, gets a bucket to copy files into.
async fn make_bucket(server: &Remote, bucket: &str, link: Option<&Path>) -> Result<bool, Failure> {
    let path = format!("buckets/{}", segment(bucket));
    if let Some(folder) = link {
        let folder = folder.to_str().with_context(|| {
            let folder = folder.display();
            format!("the name of {folder} is not UTF-8")
        })?;
        let request = OwnRequest::new("PUT", path.clone());
        let linked = server
            .own(request.with_body(json!({"folder": folder})))
            .await;
        match linked {
            Ok(_) => return Ok(true),
            Err(error) if may_copy(&error) => {
                eprintln!("the files are copied, since the server says: {error}");
            }
            Err(error) if error.is_conflict() => {
                let hint = "name another with --bucket";
                return Err(Failure::Refused(anyhow!("{error} ({hint})")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    server.own(OwnRequest::new("PUT", path)).await?;
    Ok(false)
}

fn may_copy(error: &ApiError) -> bool {
    matches!(error, ApiError::Refused { name, .. }
        if name == "AccessDeniedException" || name == "ValidationException")
}

fn knowledge_base(name: &str, bucket: &str, args: &Args, identity: &Value) -> Value {
    let account = text(identity, "accountId");
    let region = text(identity, "region");
    let model = match args.model.strip_prefix("arn:") {
        Some(_) => args.model.clone(),
        None => format!("arn:aws:bedrock:{region}::foundation-model/{}", args.model),
    };
    let mut vector = json!({"embeddingModelArn": model});
    if let Some(dimensions) = args.dimensions {
        vector["embeddingModelConfiguration"] =
            json!({"bedrockEmbeddingModelConfiguration": {"dimensions": dimensions}});
    }
    let mut input = json!({
        "name": name,
        "roleArn": format!("arn:aws:iam::{account}:role/outcrop-knowledge-base"),
        "knowledgeBaseConfiguration": {"type": "VECTOR", "vectorKnowledgeBaseConfiguration": vector},
        "tags": {BUCKET_TAG: bucket},
    });
    if let Some(description) = &args.description {
        input["description"] = json!(description);
    }
    input
}

fn data_source(id: &str, bucket: &str, chunking: Option<Chunking>) -> Value {
    let mut input = json!({
        "knowledgeBaseId": id,
        "name": bucket,
        "dataSourceConfiguration": {
            "type": "S3",
            "s3Configuration": {"bucketArn": format!("arn:aws:s3:::{bucket}")},
        },
    });
    if let Some(chunking) = chunking {
        input["vectorIngestionConfiguration"] =
            json!({"chunkingConfiguration": chunking.configuration()});
    }
    input
}

/// Waits until a new knowledge base can be used.
async fn settle(server: &Remote, id: &str) -> Result<(), Failure> {
    for _ in 0..LOOKS {
        let input = json!({"knowledgeBaseId": id});
        let answer = server.call("GetKnowledgeBase", input).await?;
        match text(&answer["knowledgeBase"], "status") {
            "ACTIVE" => return Ok(()),
            "CREATING" => tokio::time::sleep(LOOK_EVERY).await,
            status => {
                let reasons = &answer["knowledgeBase"]["failureReasons"];
                let text = format!("knowledge base {id} is {status}: {reasons}");
                return Err(Failure::Refused(anyhow!(text)));
            }
        }
    }
    Err(Failure::Refused(anyhow!(
        "knowledge base {id} is still being made"
    )))
}

/// Deletes a knowledge base, and the link to its folder. What was copied stays.
pub(super) async fn delete(server: &Remote, id: &str) -> Result<(), Failure> {
    let input = json!({"knowledgeBaseId": id});
    let answer = server.call("GetKnowledgeBase", input.clone()).await?;
    let arn = text(&answer["knowledgeBase"], "knowledgeBaseArn");
    let tags = server
        .call("ListTagsForResource", json!({"resourceArn": arn}))
        .await?;
    server.call("DeleteKnowledgeBase", input.clone()).await?;
    for _ in 0..LOOKS {
        match server.call("GetKnowledgeBase", input.clone()).await {
            Err(error) if error.is_not_found() => break,
            Err(error) => return Err(error.into()),
            Ok(answer) => {
                let base = &answer["knowledgeBase"];
                if text(base, "status") == "DELETE_UNSUCCESSFUL" {
                    let reasons = &base["failureReasons"];
                    return Err(Failure::Refused(anyhow!("it is not deleted: {reasons}")));
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let Some(bucket) = tags["tags"][BUCKET_TAG].as_str() else {
        return Ok(());
    };
    let path = format!("buckets/{}", segment(bucket));
    match server.own(OwnRequest::new("DELETE", path)).await {
        Err(error) if error.is_conflict() => {
            eprintln!("the copied files stay in bucket {bucket}");
            Ok(())
        }
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

/// A bucket's name for a knowledge base: what S3 forbids in one becomes a dash.
fn bucket_name(name: &str) -> String {
    let plain = |character: char| match character.to_ascii_lowercase() {
        plain if plain.is_ascii_alphanumeric() => plain,
        _ => '-',
    };
    let name: String = "kb-"
        .chars()
        .chain(name.chars().map(plain))
        .take(BUCKET_CHARS)
        .collect();
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::bucket_name;

    #[test]
    fn names_of_buckets() {
        assert_eq!(bucket_name("hr"), "kb-hr");
        assert_eq!(bucket_name("HR_Policies-2026-"), "kb-hr-policies-2026");
        assert_eq!(bucket_name(&"x".repeat(100)).len(), 63);
    }
}
