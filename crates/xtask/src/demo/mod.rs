//! `cargo xtask demo`: a release planned, applied, changed and reverted, as a person would see it.

mod aws;
mod local;
mod production;
mod session;

use anyhow::Result;
use clap::Args;

pub(crate) use self::production::{CLUSTER, DATABASE, Production, SERVICE};
pub(crate) use self::session::copy_folder;
use crate::build;
use crate::workspace::Workspace;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Leaves the folder that the demo worked in, to look around.
    #[arg(long)]
    keep: bool,
    /// Shows a production release on AWS (`examples/healthflow`) against moto, an AWS in memory.
    #[arg(long)]
    aws: bool,
}

/// Builds everything, then runs the demo; fails if any step does not do what it should.
pub(crate) fn run(workspace: &Workspace, args: &DemoArgs) -> Result<()> {
    build::run(workspace)?;
    if args.aws { aws::run(workspace, args.keep) } else { local::run(workspace, args.keep) }
}
