//! relctl against an AWS in memory: how many calls, how many of them in a row, how long.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::json;

use super::measure::{self, Sample, measured};
use super::table::{machine, seconds};
use crate::demo::{CLUSTER, DATABASE, Production, SERVICE, copy_folder};
use crate::moto::{ACCOUNT, Cloud, Moto, REGION};
use crate::workspace::Workspace;
use crate::{services, shell};

const BEGIN: &str =
    "<!-- bench-aws:begin: `cargo xtask bench --aws --write` writes what follows -->";
const END: &str = "<!-- bench-aws:end -->";

const CLUSTERS: usize = 5;
const SERVICES: usize = 10;
const DATABASES: usize = 10;
/// What is added to each call where a distant cloud is meant.
const DELAY: Duration = Duration::from_millis(80);

/// Measures, prints, and writes into docs/performance.md if it shall.
pub(crate) fn run(workspace: &Workspace, runs: usize, write: bool) -> Result<()> {
    let moto = services::moto(workspace)?;
    let proxy = build_proxy(workspace)?;
    let folder = tempfile::Builder::new().prefix("relctl-bench-").tempdir()?;
    let bench = Bench { workspace, folder: folder.path(), moto: &moto, proxy: &proxy, runs };
    let planning = bench.planning()?;
    let runbook = bench.runbook()?;
    let by_hand = bench.by_hand()?;

    let mut report = format!("Measured on {}, the median of {runs} runs.\n\n", machine());
    report.push_str(
        "| what | calls | in a row | time | time, 80 ms a call |\n|---|---:|---:|---:|---:|\n",
    );
    let services = CLUSTERS * SERVICES;
    let plan = format!(
        "`relctl plan`: {services} services of {CLUSTERS} clusters, {services} task definitions, \
         {DATABASES} databases"
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

/// What was called.
#[derive(Debug, Deserialize)]
struct Counted {
    calls: usize,
    rounds: usize,
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
        std::fs::write(&file, release()?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        let run = |url: &str, words: &[&str]| measured(self.relctl(&folder, url).args(words), 0);
        run(&moto.cloud.url(), &["init"])?;
        let near = measure::median(self.runs, || {
            eprintln!("aws  relctl  plan");
            run(&moto.cloud.url(), &["plan"])
        })?;
        let mut proxy = Proxy::start(self.proxy, &moto.cloud.url())?;
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
        let mut proxy = Proxy::start(self.proxy, &cloud.url())?;
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

/// Many services, each on a definition of its own, as they are there.
fn release() -> Result<String> {
    let mut release = format!(
        "[release]\nname = \"bench\"\nversion = \"v1\"\n\n\
         [plugins.aws-ecs]\nconfig = {{ region = \"{REGION}\", account = \"{ACCOUNT}\" }}\n\n\
         [plugins.aws-rds]\nconfig = {{ region = \"{REGION}\", account = \"{ACCOUNT}\" }}\n"
    );
    for (cluster, name) in names() {
        write!(
            release,
            r#"
[resource.aws_ecs_task_definition.{name}]
family = "{name}"
cpu = "256"
memory = "512"
network_mode = "awsvpc"
requires_compatibilities = ["FARGATE"]
container_definitions.api = {{ image = "registry/{name}:v1", memory = 512 }}

[resource.aws_ecs_service.{name}]
cluster = "{cluster}"
name = "{name}"
task_definition = "${{resource.aws_ecs_task_definition.{name}.arn}}"
"#
        )?;
    }
    for n in 0..DATABASES {
        write!(release, "\n[resource.aws_db_instance.db{n}]\nidentifier = \"db{n}\"\n")?;
    }
    Ok(release)
}

/// Cluster and name of each service.
fn names() -> impl Iterator<Item = (String, String)> {
    (0..CLUSTERS * SERVICES).map(|n| (format!("c{}", n / SERVICES), format!("s{n}")))
}

fn seed(cloud: Cloud) -> Result<()> {
    for n in 0..CLUSTERS {
        cloud.ecs("CreateCluster", &json!({ "clusterName": format!("c{n}") }))?;
    }
    for (cluster, name) in names() {
        let container =
            json!({ "name": "api", "image": format!("registry/{name}:v1"), "memory": 512 });
        cloud.ecs(
            "RegisterTaskDefinition",
            &json!({
                "family": name, "networkMode": "awsvpc", "cpu": "256", "memory": "512",
                "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [container],
            }),
        )?;
        cloud.ecs(
            "CreateService",
            &json!({
                "cluster": cluster, "serviceName": name, "taskDefinition": format!("{name}:1"),
                "desiredCount": 2, "launchType": "EC2",
            }),
        )?;
    }
    (0..DATABASES).try_for_each(|n| cloud.create_database(&format!("db{n}")))
}

/// The runbook's steps as a person types them. Waiting is one look: what it would take besides is
/// the cloud's time, not the tool's.
struct ByHand {
    aws: PathBuf,
    cloud: Cloud,
}

impl ByHand {
    fn steps(&self, folder: &Path) -> Result<Vec<Sample>> {
        let definition = folder.join("task-definition.json");
        let definition = format!("file://{}", definition.display());
        let network = self
            .cloud
            .ecs("DescribeServices", &json!({ "cluster": CLUSTER, "services": [SERVICE] }))?;
        let network = network.pointer("/services/0/networkConfiguration").cloned();
        let network = network.context("the service has no network")?.to_string();
        let snapshot = format!("{DATABASE}-v1-1-0");
        let overrides = json!({ "containerOverrides": [
            { "name": "api", "command": ["npm", "run", "migrate:up"] },
        ] });
        let overrides = overrides.to_string();
        let steps: [&[&str]; 9] = [
            &["rds", "describe-db-instances", "--db-instance-identifier", DATABASE],
            &["ecs", "describe-clusters", "--clusters", CLUSTER],
            &[
                "rds",
                "create-db-snapshot",
                "--db-instance-identifier",
                DATABASE,
                "--db-snapshot-identifier",
                &snapshot,
            ],
            &["rds", "describe-db-snapshots", "--db-snapshot-identifier", &snapshot],
            &["ecs", "register-task-definition", "--cli-input-json", &definition],
            &[
                "ecs",
                "run-task",
                "--cluster",
                CLUSTER,
                "--task-definition",
                "healthflow-backend:2",
                "--launch-type",
                "FARGATE",
                "--network-configuration",
                &network,
                "--overrides",
                &overrides,
            ],
            &["ecs", "list-tasks", "--cluster", CLUSTER],
            &[
                "ecs",
                "update-service",
                "--cluster",
                CLUSTER,
                "--service",
                SERVICE,
                "--task-definition",
                "healthflow-backend:2",
            ],
            &["ecs", "describe-services", "--cluster", CLUSTER, "--services", SERVICE],
        ];
        steps
            .iter()
            .map(|words| {
                eprintln!("aws  {}", words.get(..2).unwrap_or_default().join(" "));
                let mut command = Command::new(&self.aws);
                command
                    .args(*words)
                    .args(["--region", REGION, "--endpoint-url", &self.cloud.url()])
                    .env("AWS_ACCESS_KEY_ID", "test")
                    .env("AWS_SECRET_ACCESS_KEY", "test")
                    .env("AWS_PAGER", "");
                measured(&mut command, 0)
            })
            .collect()
    }

    /// For example `aws-cli/2.15.0`.
    fn version(&self) -> Result<String> {
        let text = shell::read(Command::new(&self.aws).arg("--version"))?;
        Ok(text.split(' ').next().unwrap_or_default().trim().to_owned())
    }
}

/// The proxy of `relctl-test` as a program.
struct Proxy {
    url: String,
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
    fn start(program: &Path, endpoint: &str) -> Result<Self> {
        let mut child = Command::new(program)
            .args([endpoint, &DELAY.as_millis().to_string()])
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
    fn count(&mut self) -> Result<Counted> {
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

fn build_proxy(workspace: &Workspace) -> Result<PathBuf> {
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
