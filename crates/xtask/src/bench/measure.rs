//! Runs a program and measures what it took.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use wait4::Wait4 as _;

use crate::shell;

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) wall: Duration,
    /// Peak resident memory in bytes, of the process itself.
    pub(crate) memory: u64,
}

/// Runs the command to its end, its output unseen, and expects this exit code.
pub(crate) fn measured(command: &mut Command, code: i32) -> Result<Sample> {
    let errors = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    let stderr = errors.reopen().context("cannot open a temporary file")?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    let start = Instant::now();
    let child =
        command.spawn().with_context(|| format!("cannot start `{}`", shell::display(command)))?;
    let used = child.wait4().context("cannot wait for what was started")?;
    let wall = start.elapsed();
    ensure!(
        used.status.code() == Some(code),
        "`{}` should have ended with exit code {code}: {}\n{}",
        shell::display(command),
        used.status,
        std::fs::read_to_string(errors.path()).unwrap_or_default().trim_end()
    );
    Ok(Sample { wall, memory: used.rusage.maxrss })
}

/// Takes a sample `runs` times and returns the median of each quantity.
pub(crate) fn median(runs: usize, mut take: impl FnMut() -> Result<Sample>) -> Result<Sample> {
    let samples: Vec<Sample> = (0..runs.max(1)).map(|_| take()).collect::<Result<_>>()?;
    let mut walls: Vec<Duration> = samples.iter().map(|sample| sample.wall).collect();
    let mut memories: Vec<u64> = samples.iter().map(|sample| sample.memory).collect();
    let (_, wall, _) = walls.select_nth_unstable(samples.len() / 2);
    let (_, memory, _) = memories.select_nth_unstable(samples.len() / 2);
    Ok(Sample { wall: *wall, memory: *memory })
}

/// Leaves the folder empty.
pub(crate) fn empty(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => std::fs::create_dir_all(folder),
    }
    .with_context(|| format!("cannot empty {}", folder.display()))
}
