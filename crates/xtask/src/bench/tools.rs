//! The same work for each tool: N values that the tool's own records keep, and nothing else does.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::measure::{Sample, measured};
use crate::shell;

/// A tool that plans and applies what stands in a folder.
pub(crate) trait Tool {
    fn name(&self) -> &'static str;
    /// Writes `size` values that hold `text`.
    fn write(&self, folder: &Path, size: usize, text: &str) -> Result<()>;
    fn init(&self, folder: &Path) -> Result<()>;
    fn apply(&self, folder: &Path) -> Result<Sample>;
    /// Plans, and fails unless there are changes as said.
    fn plan(&self, folder: &Path, changes: bool) -> Result<Sample>;
}

pub(crate) struct Relctl {
    pub(crate) binary: PathBuf,
    /// Where it keeps what it remembers and what it compiled: warm after the first run.
    pub(crate) home: PathBuf,
}

impl Relctl {
    /// Runs it in the folder and expects this exit code.
    pub(crate) fn run(&self, folder: &Path, args: &[&str], code: i32) -> Result<Sample> {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .current_dir(folder)
            .env("XDG_CACHE_HOME", self.home.join("cache"))
            .env("XDG_STATE_HOME", self.home.join("state"));
        measured(&mut command, code)
    }
}

impl Tool for Relctl {
    fn name(&self) -> &'static str {
        "relctl"
    }

    fn write(&self, folder: &Path, size: usize, text: &str) -> Result<()> {
        let mut file = "[release]\nname = \"bench\"\nversion = \"v1\"\n\n\
                        [plugins.local]\nconfig = { root = \"www\" }\n"
            .to_owned();
        for n in 0..size {
            write!(file, "\n[resource.local_value.v{n}]\ninput = \"{text} {n}\"\n")?;
        }
        write(&folder.join("release.toml"), &file)
    }

    fn init(&self, folder: &Path) -> Result<()> {
        self.run(folder, &["init"], 0).map(|_| ())
    }

    fn apply(&self, folder: &Path) -> Result<Sample> {
        self.run(folder, &["apply", "--auto-approve"], 0)
    }

    fn plan(&self, folder: &Path, changes: bool) -> Result<Sample> {
        self.run(folder, &["plan", "--detailed-exitcode"], if changes { 2 } else { 0 })
    }
}

/// The two ways to write N of something in Terraform. At thousands it plans the first faster and applies
/// the second faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// N blocks, as a release file has them.
    Blocks,
    /// One block with `count = N`.
    Count,
}

impl Form {
    pub(crate) const ALL: [Self; 2] = [Self::Blocks, Self::Count];
}

pub(crate) struct Terraform {
    pub(crate) binary: PathBuf,
    pub(crate) form: Form,
}

impl Terraform {
    /// For example `Terraform v1.11.4`.
    pub(crate) fn version(&self) -> Result<String> {
        let text =
            shell::read(Command::new(&self.binary).env("CHECKPOINT_DISABLE", "1").arg("version"))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    fn run(&self, folder: &Path, args: &[&str], code: i32) -> Result<Sample> {
        let mut command = Command::new(&self.binary);
        // It would ask a server for news.
        command.args(args).current_dir(folder).env("CHECKPOINT_DISABLE", "1");
        measured(&mut command, code)
    }
}

impl Tool for Terraform {
    fn name(&self) -> &'static str {
        match self.form {
            Form::Blocks => "terraform, blocks",
            Form::Count => "terraform, count",
        }
    }

    fn write(&self, folder: &Path, size: usize, text: &str) -> Result<()> {
        let mut file = String::new();
        let mut block = |name: &str, count: &str, input: &str| {
            write!(
                file,
                "resource \"terraform_data\" \"{name}\" {{\n{count}  input = \"{input}\"\n}}\n\n"
            )
        };
        match self.form {
            Form::Blocks => {
                for n in 0..size {
                    block(&format!("v{n}"), "", &format!("{text} {n}"))?;
                }
            }
            Form::Count => {
                let count = format!("  count = {size}\n");
                block("v", &count, &format!("{text} ${{count.index}}"))?;
            }
        }
        write(&folder.join("main.tf"), &file)
    }

    fn init(&self, folder: &Path) -> Result<()> {
        self.run(folder, &["init", "-input=false"], 0).map(|_| ())
    }

    fn apply(&self, folder: &Path) -> Result<Sample> {
        self.run(folder, &["apply", "-input=false", "-auto-approve"], 0)
    }

    fn plan(&self, folder: &Path, changes: bool) -> Result<Sample> {
        let code = if changes { 2 } else { 0 };
        self.run(folder, &["plan", "-input=false", "-detailed-exitcode"], code)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
