//! `cargo xtask ci`: what must hold for every commit, the cheapest first.

use std::process::Command;

use anyhow::{Result, bail};

use crate::test::{self, TestArgs};
use crate::workspace::Workspace;
use crate::{plugins, shell, workflows};

/// Formats, lints, tests and documents both workspaces, and finds the tree as it was.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let before = tree(workspace)?;
    let main = || {
        let mut command = Command::new("cargo");
        command.current_dir(&workspace.root);
        command
    };
    let guests = || plugins::native(workspace);
    let all = ["--workspace", "--all-targets", "--locked"];
    let deny_warnings = ["--", "--deny", "warnings"];

    shell::run(main().args(["fmt", "--all", "--check"]))?;
    shell::run(guests().args(["fmt", "--all", "--check"]))?;
    workflows::check(workspace)?;
    if shell::works("cargo", &["deny", "--version"]) {
        // Not the advisories: they come from a server that not every machine reaches.
        let deny = ["deny", "--locked", "check", "bans", "licenses", "sources"];
        shell::run(main().args(deny))?;
        shell::run(guests().args(deny))?;
    } else {
        eprintln!("skipped: cargo-deny is not installed (`cargo install cargo-deny`)");
    }
    shell::run(main().arg("clippy").args(all).args(deny_warnings))?;
    shell::run(guests().arg("clippy").args(all).args(deny_warnings))?;
    shell::run(main().env("RUSTDOCFLAGS", "--deny warnings").args([
        "doc",
        "--workspace",
        "--no-deps",
        "--locked",
        "--quiet",
    ]))?;
    test::run(workspace, &TestArgs::default())?;

    // Generated files (lock files, snapshots, tables) must be what these steps would write.
    let after = tree(workspace)?;
    if after != before {
        bail!("these steps changed files of the repository: commit what they wrote\n{after}");
    }
    Ok(())
}

/// What differs from the last commit, with the differences themselves.
fn tree(workspace: &Workspace) -> Result<String> {
    let git =
        |args: &[&str]| shell::read(Command::new("git").current_dir(&workspace.root).args(args));
    Ok(git(&["status", "--porcelain"])? + &git(&["diff", "HEAD"])?)
}
