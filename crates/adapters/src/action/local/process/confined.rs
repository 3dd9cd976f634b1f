//! A worker in the sandbox.

use std::io::PipeWriter;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::super::launch::Launch;
use super::super::runtime_api::Door;
use super::{Process, RUNTIME_API};
use crate::sandbox::{Confinement, Limits, Network, Output, Sandbox};

/// Writable memory beyond the function's own limit, which counts what is used: interpreters take more
/// than they use. It stops what grows faster than it is looked at.
const SPARE_BYTES: u64 = 1024 * 1024 * 1024;

pub(super) async fn start(
    launch: &Launch,
    output: PipeWriter,
    sandbox: &Sandbox,
    tracker: &TaskTracker,
) -> Result<(Process, Door), String> {
    let errors = output.try_clone().map_err(|error| error.to_string())?;
    let confinement = Confinement {
        arguments: launch.arguments.clone(),
        environment: launch.environment.clone(),
        readable: launch.readable.clone(),
        writable: launch.writable.clone(),
        network: if launch.network {
            Network::Open
        } else {
            Network::Off
        },
        listener: Some(RUNTIME_API.to_owned()),
        limits: Limits {
            data_bytes: Some(launch.memory_bytes.saturating_mul(2) + SPARE_BYTES),
            ..Limits::default()
        },
        stdout: Output::To(OwnedFd::from(output)),
        stderr: Output::To(OwnedFd::from(errors)),
        ..Confinement::new(&launch.program, &launch.code)
    };
    let mut confined = sandbox
        .spawn(confinement)
        .await
        .map_err(|error| error.to_string())?;
    let end = confined.end().clone();
    tracker.spawn(async move { end.wait().await });
    let listener = confined.listener.take();
    let listener = listener.ok_or("the sandbox gave no listener")?;
    let confined = Arc::new(confined);
    let door = if !launch.network && sandbox.strength().own_network() {
        Door::open(listener)
    } else {
        let worker = Arc::downgrade(&confined);
        Door::guarded(listener, move |local, peer| {
            worker
                .upgrade()
                .is_some_and(|worker| worker.is_peer(local, peer))
        })
    };
    Ok((Process::Confined(confined), door))
}
