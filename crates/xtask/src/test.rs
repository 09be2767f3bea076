//! `cargo xtask test`: every test there is, with everything they need.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::plugins::{self, PluginsArgs};
use crate::workspace::Workspace;
use crate::{services, shell};

#[derive(Debug, Default, Args)]
pub(crate) struct TestArgs {
    /// Arguments for the test runner of the main workspace, for example the name of a test.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    runner: Vec<String>,
}

/// Builds the guests, brings the services, and runs the tests of both workspaces.
///
/// The largest run comes last, so that the last lines are its summary.
pub(crate) fn run(workspace: &Workspace, args: &TestArgs) -> Result<()> {
    plugins::run(workspace, &PluginsArgs::default())?;
    let moto = services::moto(workspace)?;

    // The dev profile, once, with the features of the whole workspace: the tests link what this built.
    shell::run(cargo(workspace).args(["build", "--workspace", "--all-targets", "--locked"]))?;
    let nextest = shell::works("cargo", &["nextest", "--version"]);
    if args.runner.is_empty() {
        shell::run(runner(plugins::native(workspace), nextest).args(["--workspace", "--locked"]))?;
        shell::run(cargo(workspace).args(["test", "--workspace", "--doc", "--locked", "--quiet"]))?;
    }
    shell::run(
        runner(cargo(workspace), nextest)
            .args(["--workspace", "--locked"])
            .args(&args.runner)
            .env("RELCTL_TEST_PLUGINS", workspace.plugins())
            .env("RELCTL_TEST_MOTO", moto)
            .env("RELCTL_TEST_BIN", workspace.target.join("debug/relctl")),
    )
}

fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(&workspace.root);
    command
}

fn runner(mut cargo: Command, nextest: bool) -> Command {
    if nextest {
        cargo.args(["nextest", "run"]);
    } else {
        cargo.args(["test", "--all-targets", "--no-fail-fast"]);
    }
    cargo
}
