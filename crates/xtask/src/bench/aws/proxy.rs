//! What is called, and delayed, on the way to moto.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::shell;
use crate::workspace::Workspace;

/// What was called.
#[derive(Debug, Deserialize)]
pub(super) struct Counted {
    pub(super) calls: usize,
    pub(super) rounds: usize,
}

/// The proxy of `relctl-test` as a program.
pub(super) struct Proxy {
    pub(super) url: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Where it has ended already, there is nothing left to do.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

impl Proxy {
    pub(super) fn start(program: &Path, endpoint: &str, delay: Duration) -> Result<Self> {
        let mut child = Command::new(program)
            .args([endpoint, &delay.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let input = child.stdin.take().context("the proxy has no input")?;
        let output = BufReader::new(child.stdout.take().context("the proxy has no output")?);
        let mut proxy = Self { url: String::new(), child, input, output };
        proxy.url = proxy.line()?;
        Ok(proxy)
    }

    /// What was called since it was asked before.
    pub(super) fn count(&mut self) -> Result<Counted> {
        writeln!(self.input, "count").context("the proxy is gone")?;
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("the proxy says {line}"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("the proxy is gone")?;
        Ok(line.trim_end().to_owned())
    }
}

pub(super) fn build(workspace: &Workspace) -> Result<PathBuf> {
    shell::run(Command::new("cargo").current_dir(&workspace.root).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "relctl-test",
        "--example",
        "proxy",
    ]))?;
    Ok(workspace.target.join("release/examples/proxy"))
}
