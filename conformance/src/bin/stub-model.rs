//! The stub as a process of its own: prints its URL on the first line and serves until it is ended.

use std::io::Write as _;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use clap::Parser;
use outcrop_conformance::stub::{Brain, serve, url};

/// A fast stub of three model protocols and of Lambda's Invoke API.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How to answer.
    #[arg(long, value_enum, default_value_t = Brain::Full)]
    brain: Brain,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.threads.max(1))
        .enable_all()
        .build()
        .context("runtime")?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.listen)
            .await
            .context("listen")?;
        let mut out = std::io::stdout();
        writeln!(out, "listening on {}", url(&listener)?).context("stdout")?;
        out.flush().context("stdout")?;
        serve(listener, args.brain).await
    })
}
