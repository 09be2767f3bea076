//! `cargo xtask build`: the binary and its plugins, side by side, as they are shipped.

use std::process::Command;

use anyhow::Result;

use crate::plugins::{self, PluginsArgs};
use crate::shell;
use crate::workspace::Workspace;

/// Leaves `target/release/relctl` and `target/release/plugins/*.wasm`.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    plugins::run(workspace, &PluginsArgs::default())?;
    shell::run(Command::new("cargo").current_dir(&workspace.root).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "relctl",
    ]))?;
    eprintln!("{:>9}  {}", "built", workspace.binary().display());
    Ok(())
}
