//! Builds, tests and measures relctl: `cargo xtask --help`.
//!
//! One module per command, over three shared ones: [`shell`] runs programs, [`workspace`] knows where
//! things are, [`toolchain`] chooses the compiler of the guests.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "this tool talks to a terminal")]

mod bench;
mod build;
mod ci;
mod demo;
mod moto;
mod plugins;
mod services;
mod shell;
mod test;
mod toolchain;
mod workflows;
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
    /// Builds the binary and its plugins: `target/release/relctl` and `target/release/plugins`.
    Build,
    /// Builds the plugins of `plugins/` as components into `target/release/plugins`.
    Plugins(plugins::PluginsArgs),
    /// Shows a release planned, applied, changed and reverted, in a temporary folder.
    Demo(demo::DemoArgs),
    /// Measures relctl beside Terraform.
    Bench(bench::BenchArgs),
    /// Runs every test, and brings the services that they need.
    Test(test::TestArgs),
    /// Runs what must hold for every commit: formatting, lints, documents, tests.
    Ci,
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
        Command::Build => build::run(&workspace),
        Command::Plugins(args) => plugins::run(&workspace, &args),
        Command::Demo(args) => demo::run(&workspace, &args),
        Command::Bench(args) => bench::run(&workspace, &args),
        Command::Test(args) => test::run(&workspace, &args),
        Command::Ci => ci::run(&workspace),
    }
}
