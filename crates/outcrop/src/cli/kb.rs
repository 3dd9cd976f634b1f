//! `outcrop kb`: knowledge bases from the command line, over the same API as every other client's.
//!
//! What is done with documents is the server's business; here folders become buckets, jobs are
//! followed, and searches are told of. A name works wherever an id does.

mod create;
mod eval;
mod find;
mod ingest;
mod progress;
mod removed;
mod retrieve;
mod search;
mod upload;

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Subcommand;
use serde_json::{Value, json};

use super::deploy::confirm;
use super::{Failure, Reach, block_on};
use find::text;

/// Make, fill, search and measure knowledge bases
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Args),
    Ingest(IngestArgs),
    Search(search::Args),
    Eval(eval::Args),
    List(ListArgs),
    Delete(DeleteArgs),
}

/// Bring a knowledge base to what its data sources hold
///
/// Only what is new, edited or gone since the last job is worked on. Waits for the end, and prints the
/// job's statistics and each document that failed with its reason. A job that is running already is
/// followed instead. Exit code 1 when the job or a document failed.
#[derive(Debug, clap::Args)]
struct IngestArgs {
    /// The knowledge base's id or name
    #[arg(value_name = "ID|NAME")]
    name: String,
    /// Only this data source, by id or name [default: all, one after the other]
    #[arg(long, value_name = "ID|NAME")]
    data_source: Option<String>,
    /// First copy this folder's files into the bucket of the data source. What the folder lacks stays
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_wait")]
    from: Option<PathBuf>,
    /// Show how far the job is
    #[arg(long, conflicts_with = "no_wait")]
    watch: bool,
    /// Only start the job, and print its id
    #[arg(long)]
    no_wait: bool,
    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// List the knowledge bases
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Delete a knowledge base with its data sources
///
/// A folder that was made its bucket stays as it is.
#[derive(Debug, clap::Args)]
struct DeleteArgs {
    /// The knowledge base's id or name
    #[arg(value_name = "ID|NAME")]
    name: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Create(args) => block_on(create::run(args)),
        Command::Ingest(args) => block_on(ingest(args)),
        Command::Search(args) => block_on(search::run(args)),
        Command::Eval(args) => block_on(eval::run(args)),
        Command::List(args) => block_on(list(args)),
        Command::Delete(args) => block_on(delete(args)),
    }
}

async fn ingest(args: IngestArgs) -> Result<(), Failure> {
    let server = args.reach.server().await?;
    let id = find::knowledge_base(&server, &args.name).await?;
    let sources = find::data_sources(&server, &id, args.data_source.as_deref()).await?;
    if args.no_wait {
        let [source] = sources.as_slice() else {
            let text = "a knowledge base takes one job at a time: name one with --data-source";
            return Err(Failure::Usage(anyhow!(text)));
        };
        let (job, _) = ingest::start(&server, &id, source).await?;
        if args.json {
            println!("{job:#}");
        } else {
            println!("{}", text(&job, "ingestionJobId"));
        }
        return Ok(());
    }
    if let Some(folder) = &args.from {
        let bucket = only_bucket(&sources)?;
        upload::folder(&server, bucket, folder).await?;
    }
    let ended = ingest::ingest(&server, &id, &sources, args.watch).await?;
    let is_well = if args.json {
        let jobs: Vec<Value> = ended.iter().map(ingest::Ended::json).collect();
        println!("{:#}", json!({"knowledgeBaseId": id, "jobs": jobs}));
        ended.iter().all(ingest::Ended::is_well)
    } else {
        told(&ended)
    };
    if is_well { Ok(()) } else { Err(Failure::Told) }
}

/// The bucket that a folder can only mean.
fn only_bucket(sources: &[Value]) -> Result<&str, Failure> {
    let mut buckets = sources.iter().filter_map(|source| {
        let s3 = &source["dataSourceConfiguration"]["s3Configuration"];
        let name = text(s3, "bucketArn").rsplit(':').next();
        name.filter(|name| !name.is_empty())
    });
    match (buckets.next(), buckets.next()) {
        (Some(bucket), None) => Ok(bucket),
        (None, _) => Err(Failure::Refused(anyhow!(
            "--from: the knowledge base has no data source of type S3"
        ))),
        (Some(_), Some(_)) => Err(Failure::Usage(anyhow!(
            "--from: which data source is meant? Name one with --data-source"
        ))),
    }
}

/// Tells of jobs on standard error, and says whether all went well.
fn told(ended: &[ingest::Ended]) -> bool {
    for one in ended {
        eprint!("{}", one.told());
    }
    ended.iter().all(ingest::Ended::is_well)
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let server = args.reach.server().await?;
    let all = find::knowledge_bases(&server).await?;
    if args.json {
        println!("{:#}", json!({"knowledgeBaseSummaries": all}));
        return Ok(());
    }
    if all.is_empty() {
        println!("no knowledge bases");
    }
    let width = all.iter().map(|base| text(base, "status").len()).max();
    let width = width.unwrap_or_default();
    for base in &all {
        let [id, status, name] = ["knowledgeBaseId", "status", "name"].map(|one| text(base, one));
        println!("{id}  {status:width$}  {name}");
    }
    Ok(())
}

async fn delete(args: DeleteArgs) -> Result<(), Failure> {
    let server = args.reach.server().await?;
    let id = find::knowledge_base(&server, &args.name).await?;
    if !args.yes {
        confirm(&format!("Delete knowledge base {} ({id})?", args.name))?;
    }
    create::delete(&server, &id).await?;
    println!("{id} is deleted");
    Ok(())
}
