//! The services that tests talk to, in a Python environment of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell;
use crate::workspace::Workspace;

/// What is installed; changing it installs anew.
const REQUIREMENTS: &str = "moto[server]==5.2.5\n";

/// Makes `target/venv` and returns the path of its `moto_server`, an AWS that lives in memory.
pub(crate) fn moto(workspace: &Workspace) -> Result<PathBuf> {
    let venv = workspace.target.join("venv");
    let server = venv.join("bin/moto_server");
    let marker = venv.join("installed.txt");
    if server.exists() && std::fs::read_to_string(&marker).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(server);
    }
    eprintln!("installing {} into {}", REQUIREMENTS.trim_end(), venv.display());
    create(&venv)?;
    shell::run(Command::new(venv.join("bin/python")).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        REQUIREMENTS.trim_end(),
    ]))
    .context("cannot install moto: does pip reach a package index (PIP_INDEX_URL)?")?;
    shell::write_if_changed(&marker, REQUIREMENTS.as_bytes())?;
    Ok(server)
}

fn create(venv: &Path) -> Result<()> {
    let make = || shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv));
    // Debian's python3 comes without what `venv` needs.
    if shell::works("python3", &["-c", "import ensurepip, venv"]) {
        return make();
    }
    shell::apt_install(&["python3", "python3-venv"])?;
    make()
}
