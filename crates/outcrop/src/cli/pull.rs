//! `outcrop pull`: an agent that lives on AWS, or on another server, as a folder or on a server here.
//!
//! The source is only read.

mod disk;
mod s3;

use std::path::PathBuf;

use anyhow::Context as _;
use outcrop_deploy::pull::{self, Request, Source};

use super::contract::Contract;
use super::remote::Remote;
use super::{Failure, block_on, deploy};
use s3::Buckets;

/// Copy an agent from AWS, or from another server
///
/// Reads the agent with all that it refers to: action groups and their schemas, prompts,
/// collaborators, knowledge bases and data sources, aliases and versions, tags. Writes a folder:
/// template.yaml for `outcrop deploy`, schemas and prompts as files, functions/ with a Python stub and
/// example events for each Lambda function, and REPORT.md, which says what is exact, what differs and
/// what is missing. Agents, aliases and knowledge bases keep their ids wherever it is applied.
///
/// The source is AWS, with the credentials, the region and the profile that every AWS tool finds (SSO
/// included), unless --endpoint names a server. It is only read, never changed. For AWS this needs
/// bedrock:Get*, bedrock:List* and s3:GetObject for schemas in S3; what may not be read is named in
/// the report.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The agent's id or name
    #[arg(long, value_name = "ID|NAME")]
    agent: String,
    /// The alias's id or name: the agent as this alias serves it, and no other version [default: the
    /// draft, with all versions and aliases]
    #[arg(long, value_name = "ID|NAME")]
    alias: Option<String>,
    /// The profile of the AWS configuration to read with
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Read from this server instead of AWS
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// AWS region [default: the AWS environment's]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The folder to write [default: the agent's name]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Put the agent straight into this server, where it keeps its ids; a folder is written only with
    /// --into
    #[arg(long, value_name = "URL")]
    push: Option<String>,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    block_on(copy(args))
}

async fn copy(args: Args) -> Result<(), Failure> {
    let profile = args.profile.as_deref();
    let region = args.region.clone();
    let remote = match args.endpoint {
        Some(endpoint) => Remote::server(endpoint, region, profile).await?,
        None => Remote::aws(region, profile).await?,
    };
    let request = Request {
        agent: args.agent,
        alias: args.alias,
    };
    let buckets = Buckets::new(&remote);
    let source = pull::read(&remote, &buckets, &request, &|text| eprintln!("{text}")).await?;
    if args.push.is_none() || args.into.is_some() {
        write(&source, args.into)?;
    }
    match args.push {
        Some(server) => push(&source, &server, remote.region()).await,
        None => Ok(()),
    }
}

/// Each agent, knowledge base and prompt becomes a stack, so that pushing again changes only what has
/// changed, and agents may share what they refer to.
async fn push(source: &Source, server: &str, region: Option<&str>) -> Result<(), Failure> {
    for note in source.notes.differs.iter().chain(&source.notes.missing) {
        eprintln!("note: {note}");
    }
    for stack in pull::stacks(source) {
        let (endpoint, region) = (server.to_owned(), region.map(str::to_owned));
        deploy::deploy_text(endpoint, region, stack.name, stack.template).await?;
    }
    Ok(())
}

fn write(source: &Source, into: Option<PathBuf>) -> Result<(), Failure> {
    let folder = pull::folder(source, &Contract)?;
    let place = into.unwrap_or_else(|| PathBuf::from(source.folder_name()));
    let written = disk::write(&place, &folder)
        .with_context(|| format!("{} cannot be written", place.display()))?;
    for path in &written.kept {
        eprintln!("kept {path}, which has been edited");
    }
    for path in &written.left {
        eprintln!("left {path}, which is no longer part of the agent");
    }
    let notes = &source.notes;
    eprintln!(
        "{} agents, {} knowledge bases; {} things differ and {} are missing: see {}",
        source.agents.len(),
        source.knowledge_bases.len(),
        notes.differs.len(),
        notes.missing.len(),
        place.join("REPORT.md").display()
    );
    println!("{}", place.display());
    Ok(())
}
