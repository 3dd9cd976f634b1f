//! Placeholder filled by the next commit.
use clap::Args as ClapArgs;
/// Options of `cargo xtask models`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {}
pub(crate) fn run(_: &Args) -> anyhow::Result<()> { anyhow::bail!("not yet") }
