//! `outcrop serve`: from flags to a listener, and back out again.

use std::path::PathBuf;
#[cfg(target_os = "linux")]
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::Failure;
use crate::config::{self, Config, Environment, Flags, ModelsOrigin};
use crate::server::Server;
use crate::{compose, telemetry};

/// Descriptors for everything that is not a connection: store, workers, upstream calls.
const OTHER_DESCRIPTORS: u64 = 512;

/// Serve agents until told to stop
///
/// Settings come from flags, else from variables, else from the file, else from defaults. The line
/// printed to standard output names the address really bound.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "FILE", help = super::CONFIG_HELP)]
    config: Option<PathBuf>,
    /// Address and port to listen on; port 0 lets the system choose [default: 127.0.0.1:8474]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Folder for agents, sessions and journals [default: outcrop-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let flags = Flags {
        config: args.config,
        listen: args.listen,
        data_dir: args.data_dir,
    };
    let environment = Environment::of_process();
    let directory = std::env::current_dir().context("the current folder cannot be read")?;
    let config = config::load(&flags, &environment, &directory).map_err(|error| {
        Failure::Usage(anyhow::Error::new(error).context("the configuration cannot be used"))
    })?;
    telemetry::start(&config.log)?;
    for (variable, meant) in config::misspelt_variables(&environment) {
        warn!(variable, meant, "this variable is no setting");
    }
    raise_descriptor_limit(config.http.connections as u64 + OTHER_DESCRIPTORS);
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), Failure> {
    let server = Server::bind(config.listen, config.http.clone())
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = server.address()?;
    let stop = stop_signal()?;
    log_settings(&config);
    let app = compose::compose(&config).await?;
    println!(
        "outcrop {} listening on http://{address}",
        env!("CARGO_PKG_VERSION")
    );
    app.prepare();
    #[cfg(target_os = "linux")]
    let server = server.closed_to({
        let sandbox = app.sandbox();
        Arc::new(move |local, peer| sandbox.is_inside(local, peer))
    });
    server.run(app.router(), stop, config.shutdown).await;
    app.close().await;
    info!("stopped");
    Ok(())
}

fn log_settings(config: &Config) {
    let file = config.file.as_ref().map(|file| file.display().to_string());
    let models: Vec<String> = config
        .models
        .iter()
        .map(|route| format!("{} -> {}", route.pattern, route.upstream.provider.as_str()))
        .collect();
    let decided_by = match config.models_origin {
        ModelsOrigin::File => "[[models]]",
        ModelsOrigin::Environment => "credentials in the environment",
        ModelsOrigin::Default => "default: no [[models]] and no credentials",
    };
    info!(
        file,
        store = compose::store_name(config),
        region = config.region,
        account_id = config.account_id,
        aws_limits = ?config.aws_limits,
        durability = ?config.durability,
        signatures = if config.credentials.is_empty() { "any" } else { "verified" },
        "settings"
    );
    info!(models = models.join(", "), decided_by, "models");
}

/// Resolves at the first SIGTERM or SIGINT; the second ends the process where it stands, which the
/// journal is made for.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!(signal = name, "told to stop");
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            warn!("told to stop again, leaving at once");
            std::process::exit(1);
        });
    })
}

/// The usual soft limit of 1,024 would refuse connections long before our own limit does.
fn raise_descriptor_limit(wanted: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let possible = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if limit.current.is_none_or(|current| current >= possible) {
        return;
    }
    limit.current = Some(possible);
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, wanted, "the limit of open files could not be raised");
    }
}
