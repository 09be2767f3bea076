//! The measurements as markdown.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::measure::Sample;
use super::{Example, Measured};
use crate::shell;
use crate::workspace::Workspace;

const BEGIN: &str = "<!-- bench:begin: `cargo xtask bench --write` writes what follows -->";
const END: &str = "<!-- bench:end -->";

/// One operation at one size.
pub(crate) struct Row {
    size: usize,
    operation: &'static str,
    ours: Sample,
    /// Terraform's, written in blocks and with `count`.
    theirs: Option<[Sample; 2]>,
}

impl Row {
    pub(crate) fn of(size: usize, ours: &Measured, theirs: Option<&[Measured; 2]>) -> [Self; 3] {
        let row = |operation, pick: fn(&Measured) -> Sample| Self {
            size,
            operation,
            ours: pick(ours),
            theirs: theirs.map(|theirs| theirs.each_ref().map(pick)),
        };
        [
            row("plan, no changes", |measured| measured.unchanged),
            row("plan, all changed", |measured| measured.changed),
            row("apply all", |measured| measured.apply),
        ]
    }

    fn markdown(&self) -> String {
        let mut cells = vec![
            thousands(self.size),
            self.operation.to_owned(),
            seconds(self.ours.wall),
            mebibytes(self.ours.memory),
        ];
        match self.theirs {
            Some(theirs) => cells.extend(theirs.into_iter().flat_map(|theirs| {
                let ratio = theirs.wall.as_secs_f64() / self.ours.wall.as_secs_f64();
                [seconds(theirs.wall), mebibytes(theirs.memory), format!("{ratio:.0} ×")]
            })),
            None => cells.extend(std::iter::repeat_n(String::new(), 6)),
        }
        format!("| {} |", cells.join(" | "))
    }
}

/// The whole report.
pub(crate) fn report(rows: &[Row], example: &Example, terraform: Option<&str>) -> String {
    let mut lines = vec![
        format!("Measured on {}, against {}.", machine(), terraform.unwrap_or("nothing else")),
        String::new(),
        "| objects | operation | relctl | memory | terraform, blocks | memory | times as fast | \
         terraform, `count` | memory | times as fast |"
            .to_owned(),
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|".to_owned(),
    ];
    lines.extend(rows.iter().map(Row::markdown));
    let load = example.load.wall.saturating_sub(example.start);
    lines.extend([
        String::new(),
        format!(
            "`relctl plan` of `examples/local`, nothing to do, compiled plugin in the cache: {} and {}; \
             starting relctl takes {} of that, loading and describing the plugin {}.",
            seconds(example.plan.wall),
            mebibytes(example.plan.memory),
            seconds(example.start),
            seconds(load),
        ),
    ]);
    lines.join("\n")
}

/// Puts the report between the markers of docs/performance.md.
pub(crate) fn write(workspace: &Workspace, report: &str) -> Result<()> {
    let path = workspace.root.join("docs/performance.md");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let (head, rest) = text
        .split_once(BEGIN)
        .with_context(|| format!("{} lacks the marker `{BEGIN}`", path.display()))?;
    let (_, tail) = rest
        .split_once(END)
        .with_context(|| format!("{} lacks the marker `{END}`", path.display()))?;
    let text = format!("{head}{BEGIN}\n\n{report}\n\n{END}{tail}");
    shell::write_if_changed(&path, text.as_bytes()).map(|_| ())
}

/// For example `2 cores of Intel Xeon, 23 GiB`.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let value = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?.to_owned();
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model =
        value("/proc/cpuinfo", "model name").unwrap_or_else(|| "an unknown processor".into());
    let memory = value("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .map_or_else(String::new, |kibibytes| format!(", {} GiB", kibibytes / 1024 / 1024));
    format!("{cores} cores of {model}{memory}")
}

pub(crate) fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
}

fn thousands(number: usize) -> String {
    if number < 1000 {
        number.to_string()
    } else {
        format!("{},{:03}", number / 1000, number % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_compares_where_there_are_two() {
        let sample = |millis, mebibytes: u64| Sample {
            wall: Duration::from_millis(millis),
            memory: mebibytes * 1024 * 1024,
        };
        let mut row =
            Row { size: 1000, operation: "apply all", ours: sample(50, 40), theirs: None };
        assert_eq!(row.markdown(), "| 1,000 | apply all | 50 ms | 40 MiB |  |  |  |  |  |  |");
        row.theirs = Some([sample(11_000, 137), sample(900, 120)]);
        assert_eq!(
            row.markdown(),
            "| 1,000 | apply all | 50 ms | 40 MiB | 11.0 s | 137 MiB | 220 × | 900 ms | 120 MiB | 18 × |"
        );
    }
}
