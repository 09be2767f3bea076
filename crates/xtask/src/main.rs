//! Builds, tests and measures relctl: `cargo xtask --help`.
//!
//! One module per command, over three shared ones: [`shell`] runs programs, [`workspace`] knows where
//! things are, [`toolchain`] chooses the compiler of the guests.
#![expect(clippy::print_stderr, reason = "this tool talks to a terminal")]

mod plugins;
mod shell;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, tests and measures relctl.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds the plugins of `plugins/` as components into `target/release/plugins`.
    Plugins(plugins::PluginsArgs),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Plugins(args) => plugins::run(&workspace, &args),
    }
}
