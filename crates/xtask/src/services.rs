//! The services that tests talk to, in a Python environment of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell;
use crate::workspace::Workspace;

/// What is installed; changing it installs anew.
const REQUIREMENTS: &str = "moto[server]==5.2.5\n";

/// Starts moto, one request at a time: its conditional writes look and write in two steps, so two of
/// them at once could both win. S3's cannot.
const SERVER: &str = r"
import sys, threading
import moto.server

run, one_at_a_time = moto.server.run_simple, threading.Lock()

def serial(app):
    def answer(environ, start_response):
        with one_at_a_time:
            return list(app(environ, start_response))
    return answer

moto.server.run_simple = lambda host, port, app, **options: run(host, port, serial(app), **options)
moto.server.main(sys.argv[1:])
";

/// Makes `target/venv` and returns the path of its moto server, an AWS that lives in memory. It takes
/// the arguments of `moto_server`.
pub(crate) fn moto(workspace: &Workspace) -> Result<PathBuf> {
    let venv = workspace.target.join("venv");
    install(&venv)?;
    let server = venv.join("bin/serial_moto_server");
    let script = format!("#!{}\n{}", venv.join("bin/python").display(), SERVER.trim_start());
    shell::write_if_changed(&server, script.as_bytes())?;
    shell::read(Command::new("chmod").arg("+x").arg(&server))?;
    Ok(server)
}

fn install(venv: &Path) -> Result<()> {
    let marker = venv.join("installed.txt");
    if std::fs::read_to_string(&marker).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(());
    }
    eprintln!("installing {} into {}", REQUIREMENTS.trim_end(), venv.display());
    create(venv)?;
    shell::run(Command::new(venv.join("bin/python")).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        REQUIREMENTS.trim_end(),
    ]))
    .context("cannot install moto: does pip reach a package index (PIP_INDEX_URL)?")?;
    shell::write_if_changed(&marker, REQUIREMENTS.as_bytes()).map(drop)
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
