//! A person at a prompt, in a folder of their own.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::workspace::Workspace;

/// A temporary copy of an example, and a terminal in it.
pub(crate) struct Session {
    temporary: TempDir,
    /// The copy of the example.
    folder: PathBuf,
    relctl: PathBuf,
    /// Environment variables.
    variables: Vec<(&'static str, String)>,
}

impl Session {
    /// Copies `examples/<example>` into a temporary folder.
    pub(crate) fn start(workspace: &Workspace, example: &str) -> Result<Self> {
        let temporary = tempfile::Builder::new()
            .prefix("relctl-demo-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let folder = temporary.path().join(example);
        copy_folder(&workspace.root.join("examples").join(example), &folder)?;
        Ok(Self { temporary, folder, relctl: workspace.binary(), variables: Vec::new() })
    }

    /// Sets an environment variable for what is typed.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.variables.push((name, value.to_owned()));
    }

    /// Says what comes next.
    #[expect(clippy::unused_self, reason = "it reads as one script with the commands")]
    pub(crate) fn say(&self, text: &str) {
        println!("\n{}", styled("1", &format!("# {text}")));
    }

    /// Types a command, words parted by blanks, and expects it to end well.
    pub(crate) fn types(&self, line: &str) -> Result<()> {
        self.expects(line, 0)
    }

    /// Types a command and expects this exit code.
    pub(crate) fn expects(&self, line: &str, code: i32) -> Result<()> {
        println!("{} {line}", styled("2", "$"));
        let mut words = line.split_whitespace();
        let program = words.next().context("nothing typed")?;
        let program = if program == "relctl" { self.relctl.as_path() } else { Path::new(program) };
        let status = Command::new(program)
            .args(words)
            .current_dir(&self.folder)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            // What relctl remembers of this ledger goes when the folder goes.
            .env("XDG_STATE_HOME", self.temporary.path().join("home"))
            .status()
            .with_context(|| format!("cannot run `{line}`"))?;
        ensure!(
            status.code() == Some(code),
            "`{line}` should have ended with exit code {code}: {status}"
        );
        Ok(())
    }

    /// Fails unless the file holds the text.
    pub(crate) fn holds(&self, path: &str, text: &str) -> Result<()> {
        let file = self.folder.join(path);
        let content = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        ensure!(content.contains(text), "{path} should hold `{text}`:\n{content}");
        Ok(())
    }

    /// Every file and link below a folder: its content, or where it points to. What the broker
    /// keeps for itself, under `.relctl`, is left out: it remembers each append.
    pub(crate) fn files(&self, path: &str) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut files = BTreeMap::new();
        collect(&self.folder.join(path), &mut files)?;
        files.retain(|path, _| path.components().all(|part| part.as_os_str() != ".relctl"));
        Ok(files)
    }

    /// Ends the session; the folder goes unless it shall be kept.
    pub(crate) fn end(self, keep: bool) {
        if keep {
            let path = self.temporary.keep();
            println!("\nkept: {}", path.display());
        }
    }
}

/// Copies a folder of plain files and folders.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in entries(from)? {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// The text in an ANSI style, where somebody watches.
fn styled(code: &str, text: &str) -> String {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    for entry in entries(folder)? {
        let path = entry.path();
        let kind = entry.file_type().with_context(|| format!("cannot read {}", path.display()))?;
        if kind.is_dir() {
            collect(&path, files)?;
            continue;
        }
        let content = if kind.is_symlink() {
            std::fs::read_link(&path).map(|target| target.into_os_string().into_encoded_bytes())
        } else {
            std::fs::read(&path)
        };
        let content = content.with_context(|| format!("cannot read {}", path.display()))?;
        files.insert(path, content);
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<std::fs::DirEntry>> {
    std::fs::read_dir(folder)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read {}", folder.display()))
}
