//! relctl against an AWS in memory: how many calls, how many of them in a row, how long.

mod by_hand;
#[path = "../../../../relctl-test/src/fleet.rs"]
#[expect(unreachable_pub, reason = "the file of another crate, which is not depended on")]
mod fleet;
mod proxy;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use by_hand::ByHand;
use proxy::{Counted, Proxy};

use super::measure::{self, Sample, measured};
use super::table::{machine, seconds};
use crate::demo::{Production, copy_folder};
use crate::moto::{ACCOUNT, Cloud, Moto, REGION};
use crate::workspace::Workspace;
use crate::{services, shell};

const BEGIN: &str =
    "<!-- bench-aws:begin: `cargo xtask bench --aws --write` writes what follows -->";
const END: &str = "<!-- bench-aws:end -->";

/// What is added to each call where a distant cloud is meant.
const DELAY: Duration = Duration::from_millis(80);

/// Measures, prints, and writes into docs/performance.md if it shall.
pub(crate) fn run(workspace: &Workspace, runs: usize, write: bool) -> Result<()> {
    let moto = services::moto(workspace)?;
    let proxy = proxy::build(workspace)?;
    let folder = tempfile::Builder::new().prefix("relctl-bench-").tempdir()?;
    let bench = Bench { workspace, folder: folder.path(), moto: &moto, proxy: &proxy, runs };
    let planning = bench.planning()?;
    let runbook = bench.runbook()?;
    let by_hand = bench.by_hand()?;

    let mut report = format!("Measured on {}, the median of {runs} runs.\n\n", machine());
    report.push_str(
        "| what | calls | in a row | time | time, 80 ms a call |\n|---|---:|---:|---:|---:|\n",
    );
    let services = fleet::CLUSTERS * fleet::SERVICES;
    let plan = format!(
        "`relctl plan`: {services} services of {} clusters, {services} task definitions, {} \
         databases",
        fleet::CLUSTERS,
        fleet::DATABASES
    );
    for (what, measured) in [
        (plan.as_str(), &planning),
        ("`relctl apply` of `examples/healthflow`, planning and checks included", &runbook),
    ] {
        let Measured { counted, near, far } = measured;
        let (calls, rounds) = (counted.calls, counted.rounds);
        let (near, far) = (seconds(near.wall), seconds(far.wall));
        writeln!(report, "| {what} | {calls} | {rounds} | {near} | {far} |")?;
    }
    if let Some(Hand { version, calls, wall }) = by_hand {
        let what = format!("the same steps by hand, `{version}`");
        writeln!(report, "| {what} | {calls} | {calls} | {} |  |", seconds(wall))?;
    }
    report.push_str(&bench.plugins()?);
    println!("{report}");
    if write { write_down(workspace, &report) } else { Ok(()) }
}

/// Puts the report into docs/performance.md, between its markers.
fn write_down(workspace: &Workspace, report: &str) -> Result<()> {
    let path = workspace.root.join("docs/performance.md");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let split = text.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?)));
    let (head, (_, tail)) = split.with_context(|| format!("{} has no {BEGIN}", path.display()))?;
    let text = format!("{head}{BEGIN}\n\n{}\n\n{END}{tail}", report.trim_end());
    shell::write_if_changed(&path, text.as_bytes()).map(drop)
}

/// What `relctl plugin inspect` says.
#[derive(Debug, Deserialize)]
struct Inspected {
    size: usize,
    compile_ms: f64,
    load_ms: f64,
}

/// The same work near, and with a delay on each call.
struct Measured {
    counted: Counted,
    near: Sample,
    far: Sample,
}

/// What the `aws` CLI took for all steps.
struct Hand {
    version: String,
    calls: usize,
    wall: Duration,
}

struct Bench<'a> {
    workspace: &'a Workspace,
    folder: &'a Path,
    moto: &'a Path,
    proxy: &'a Path,
    runs: usize,
}

impl Bench<'_> {
    /// Plans many objects that are there.
    fn planning(&self) -> Result<Measured> {
        let moto = Moto::start(self.moto)?;
        seed(moto.cloud)?;
        let folder = self.folder.join("planning");
        measure::empty(&folder)?;
        let file = folder.join("release.toml");
        std::fs::write(&file, release())
            .with_context(|| format!("cannot write {}", file.display()))?;
        let run = |url: &str, words: &[&str]| measured(self.relctl(&folder, url).args(words), 0);
        run(&moto.cloud.url(), &["init"])?;
        let near = measure::median(self.runs, || {
            eprintln!("aws  relctl  plan");
            run(&moto.cloud.url(), &["plan"])
        })?;
        let mut proxy = Proxy::start(self.proxy, &moto.cloud.url(), DELAY)?;
        let mut counted = None;
        let far = measure::median(self.runs, || {
            eprintln!("aws  relctl  plan, 80 ms a call");
            let sample = run(&proxy.url, &["plan"])?;
            counted = Some(proxy.count()?);
            Ok(sample)
        })?;
        Ok(Measured { counted: counted.context("nothing was run")?, near, far })
    }

    /// The production release of `examples/healthflow`.
    fn runbook(&self) -> Result<Measured> {
        let production = Production::start(self.workspace, self.moto)?;
        let cloud = production.cloud();
        let folder = self.folder.join("runbook");
        let fresh = || {
            production.seed(self.workspace)?;
            measure::empty(&folder)?;
            copy_folder(&self.workspace.root.join("examples/healthflow"), &folder)
        };
        let run = |url: &str, words: &[&str]| {
            let mut command = self.relctl(&folder, url);
            command.env("RELCTL_ENV", "production").env("RELCTL_VAR_api_url", &production.api);
            measured(command.args(words), 0)
        };
        let apply = |url: &str| {
            fresh()?;
            run(&cloud.url(), &["init"])?;
            eprintln!("aws  relctl  apply");
            run(url, &["apply", "--auto-approve"])
        };
        let near = measure::median(self.runs, || apply(&cloud.url()))?;
        let mut proxy = Proxy::start(self.proxy, &cloud.url(), DELAY)?;
        let mut counted = None;
        let far = measure::median(self.runs, || {
            let sample = apply(&proxy.url)?;
            counted = Some(proxy.count()?);
            Ok(sample)
        })?;
        production.runs(2, "v1.1.0")?;
        Ok(Measured { counted: counted.context("nothing was run")?, near, far })
    }

    /// The same steps with the `aws` CLI.
    fn by_hand(&self) -> Result<Option<Hand>> {
        let Some(aws) = shell::which("aws") else {
            eprintln!("skipped: the aws CLI is not on PATH, so relctl is measured alone");
            return Ok(None);
        };
        let production = Production::start(self.workspace, self.moto)?;
        let by_hand = ByHand { aws, cloud: production.cloud() };
        let folder = self.workspace.root.join("examples/healthflow");
        let mut calls = 0;
        let median = measure::median(self.runs, || {
            production.seed(self.workspace)?;
            let samples = by_hand.steps(&folder)?;
            calls = samples.len();
            let wall = samples.iter().map(|sample| sample.wall).sum();
            let memory = samples.iter().map(|sample| sample.memory).max().unwrap_or_default();
            Ok(Sample { wall, memory })
        })?;
        production.runs(2, "v1.0.0")?;
        Ok(Some(Hand { version: by_hand.version()?, calls, wall: median.wall }))
    }

    /// What the plugins weigh, and how long it takes until they can be asked.
    fn plugins(&self) -> Result<String> {
        let mut table =
            "\n| plugin | size | compiled once | loaded from then on |\n|---|---:|---:|---:|\n"
                .to_owned();
        for plugin in ["local", "aws-ecs", "aws-rds"] {
            let mut inspect = self.relctl(self.folder, "");
            let text = shell::read(inspect.args(["plugin", "inspect", plugin, "--json"]))?;
            let Inspected { size, compile_ms, load_ms } = serde_json::from_str(&text)?;
            let (kilobytes, compile) = (size / 1000, Duration::from_secs_f64(compile_ms / 1000.0));
            writeln!(
                table,
                "| `{plugin}` | {kilobytes} kB | {} | {load_ms:.1} ms |",
                seconds(compile)
            )?;
        }
        Ok(table)
    }

    fn relctl(&self, folder: &Path, url: &str) -> Command {
        let mut command = Command::new(self.workspace.binary());
        command
            .current_dir(folder)
            .env("XDG_CACHE_HOME", self.folder.join("cache"))
            .env("XDG_STATE_HOME", folder.join("home"))
            .env("AWS_ENDPOINT_URL", url)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }
}

/// The fleet as a release file declares it.
fn release() -> String {
    format!(
        "[release]\nname = \"bench\"\nversion = \"v1\"\n\n\
         [plugins.aws-ecs]\nconfig = {{ region = \"{REGION}\", account = \"{ACCOUNT}\" }}\n\n\
         [plugins.aws-rds]\nconfig = {{ region = \"{REGION}\", account = \"{ACCOUNT}\" }}\n{}",
        fleet::objects()
    )
}

fn seed(cloud: Cloud) -> Result<()> {
    for (operation, body) in fleet::ecs_calls() {
        cloud.ecs(operation, &body)?;
    }
    fleet::databases().try_for_each(|name| cloud.create_database(&name))
}
