//! `cargo xtask bench`: relctl beside Terraform, the same work in one run. Nothing is asserted: it prints.

mod aws;
mod measure;
mod table;
mod tools;

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use self::measure::Sample;
use self::table::Row;
use self::tools::{Form, Relctl, Terraform, Tool};
use crate::demo::copy_folder;
use crate::workspace::Workspace;
use crate::{build, shell};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// How many objects each tool plans and applies.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1000, 5000])]
    sizes: Vec<usize>,
    /// How many objects relctl plans and applies alone.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 50_000])]
    alone: Vec<usize>,
    /// How often each is measured; the median counts. Terraform above 1,000 objects runs once: it takes minutes.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Writes the tables into docs/performance.md, between its markers.
    #[arg(long)]
    write: bool,
    /// Measures planning and applying on AWS instead, in memory (moto), beside the `aws` CLI.
    #[arg(long)]
    aws: bool,
}

/// Builds relctl, measures, prints a markdown table.
pub(crate) fn run(workspace: &Workspace, args: &BenchArgs) -> Result<()> {
    build::run(workspace)?;
    if args.aws {
        return aws::run(workspace, args.runs, args.write);
    }
    let folder = tempfile::Builder::new().prefix("relctl-bench-").tempdir()?;
    let relctl = Relctl { binary: workspace.binary(), home: folder.path().join("home") };
    let terraform = shell::which("terraform")
        .map(|binary| Form::ALL.map(|form| Terraform { binary: binary.clone(), form }));
    if terraform.is_none() {
        eprintln!("skipped: terraform is not on PATH, so relctl is measured alone");
    }

    let mut rows = Vec::new();
    let work = folder.path().join("work");
    for &size in args.sizes.iter().chain(&args.alone) {
        let ours = measure(&relctl, &work, size, args.runs)?;
        let theirs = match &terraform {
            Some([blocks, count]) if args.sizes.contains(&size) => {
                let runs = if size > 1000 { 1 } else { args.runs };
                Some([measure(blocks, &work, size, runs)?, measure(count, &work, size, runs)?])
            }
            _ => None,
        };
        rows.extend(Row::of(size, &ours, theirs.as_ref()));
    }
    let example = example(workspace, &relctl, &folder.path().join("example"), args.runs)?;

    let terraform = terraform.map(|[blocks, _]| blocks.version()).transpose()?;
    let report = table::report(&rows, &example, terraform.as_deref());
    println!("{report}");
    if args.write { table::write(workspace, &report) } else { Ok(()) }
}

/// What was measured of one tool at one size.
struct Measured {
    unchanged: Sample,
    changed: Sample,
    apply: Sample,
}

fn measure(
    tool: &dyn Tool,
    folder: &std::path::Path,
    size: usize,
    runs: usize,
) -> Result<Measured> {
    let apply = measure::median(runs, || {
        measure::empty(folder)?;
        tool.write(folder, size, "before")?;
        tool.init(folder)?;
        eprintln!("{size:>6}  {}  apply", tool.name());
        tool.apply(folder)
    })?;
    let unchanged = measure::median(runs, || {
        eprintln!("{size:>6}  {}  plan, no changes", tool.name());
        tool.plan(folder, false)
    })?;
    tool.write(folder, size, "after")?;
    let changed = measure::median(runs, || {
        eprintln!("{size:>6}  {}  plan, all changed", tool.name());
        tool.plan(folder, true)
    })?;
    Ok(Measured { unchanged, changed, apply })
}

/// `relctl plan` of `examples/local` after it was applied: what a person waits for, over and over.
struct Example {
    plan: Sample,
    /// `relctl plugin list`: the process, and loading the plugin.
    load: Sample,
    /// `relctl --version`: the process alone.
    start: Duration,
}

fn example(
    workspace: &Workspace,
    relctl: &Relctl,
    folder: &std::path::Path,
    runs: usize,
) -> Result<Example> {
    copy_folder(&workspace.root.join("examples/local"), folder)?;
    relctl.init(folder)?;
    relctl.apply(folder)?;
    // These take milliseconds, where a median of few says little.
    let runs = runs * 4;
    Ok(Example {
        plan: measure::median(runs, || relctl.plan(folder, false))?,
        load: measure::median(runs, || relctl.run(folder, &["plugin", "list"], 0))?,
        start: measure::median(runs, || relctl.run(folder, &["--version"], 0))?.wall,
    })
}
