//! Placeholder filled by the next commit.
use clap::Args as ClapArgs;
/// Options of `cargo xtask codegen`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Compare instead of writing; fail on a difference.
    #[arg(long)]
    pub(crate) check: bool,
}
pub(crate) fn run(args: &Args) -> anyhow::Result<()> { anyhow::ensure!(!args.check, "no generator yet"); Ok(()) }
