//! `relctl plugin`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use relctl_broker::Phase;
use relctl_broker::http::iam_policy;
use relctl_config::{LockFile, LockedPlugin};
use relctl_host::grants_for;
use relctl_plan::{Digest, Kind, Wants};
use serde_json::{Value, json};

use crate::context::Session;
use crate::error::{CommandError, ErrorKind};
use crate::exit::Exit;
use crate::project;

/// Lists plugins, and shows what one asks for and serves.
#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    List(ListArgs),
    Inspect(InspectArgs),
}

/// Lists the plugins of the release, with what `relctl.lock` says of each.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  relctl plugin list")]
struct ListArgs {}

/// Shows a plugin's version, contract, capabilities and kinds. The plugin need not be in use.
///
/// With `--iam` it prints the AWS IAM policy that planning or applying with the plugins needs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl plugin inspect local
  relctl plugin inspect ./target/my_plugin.wasm --json
  relctl plugin inspect aws-ecs aws-rds --iam plan > plan-policy.json")]
struct InspectArgs {
    /// A plugin's name, or a path that ends in `.wasm`; with `--iam` as many as share a policy.
    #[arg(required = true)]
    plugins: Vec<String>,
    /// Prints an IAM policy for whoever plans, or for whoever applies.
    #[arg(long, value_name = "PHASE", value_enum)]
    iam: Option<IamPhase>,
}

/// Whose policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IamPhase {
    /// Reads alone.
    Plan,
    /// Reads, writes, and what the writes need besides.
    Apply,
}

pub(crate) async fn run(session: &Session, args: &PluginArgs) -> Result<Exit, CommandError> {
    match &args.command {
        PluginCommand::List(_) => list(session),
        PluginCommand::Inspect(args) => inspect(session, args).await,
    }
}

fn list(session: &Session) -> Result<Exit, CommandError> {
    let draft = project::load(session)?;
    let lock = LockFile::read(&session.folder())?;
    let path = session.plugin_path();
    let mut plugins = Vec::new();
    let mut lines = Vec::new();
    for (instance, config) in draft.header().plugins() {
        let found = path.find(&config.source);
        let locked = lock.plugins.get(instance);
        let state = match (&found, locked) {
            (Err(_), _) => "not found",
            (Ok(_), None) => "not granted yet: relctl init",
            (Ok(file), Some(locked)) if file.sha256 != locked.sha256 => {
                "changed: relctl init --upgrade"
            }
            (Ok(_), Some(_)) => "as in relctl.lock",
        };
        let version = locked.map_or("-", |locked| &locked.version);
        let digest = locked.map_or("-", |locked| locked.sha256.short());
        lines.push(format!("{instance}  {version}  {digest}  {state}"));
        plugins.push(json!({
            "instance": instance,
            "source": config.source,
            "path": found.as_ref().ok().map(|file| &file.path),
            "sha256": found.as_ref().ok().map(|file| &file.sha256),
            "locked": locked,
            "state": state,
        }));
    }
    if session.ui.json {
        session.ui.document(&json!({ "plugins": plugins }))?;
    } else {
        session.ui.lines(&lines)?;
    }
    Ok(Exit::Done)
}

async fn inspect(session: &Session, args: &InspectArgs) -> Result<Exit, CommandError> {
    if let Some(phase) = args.iam {
        return iam(session, &args.plugins, phase).await;
    }
    let [plugin] = args.plugins.as_slice() else {
        let error = CommandError::new(ErrorKind::Usage, "one plugin is shown at a time");
        return Err(error.hint("several can share a policy: --iam plan, --iam apply"));
    };
    let file = session.plugin_path().find(plugin)?;
    let inspected = session.inspect(&file).await?;
    let compile = session.time_to_compile(&file)?;
    let description = &inspected.description;
    let lock = LockFile::read(&session.folder())?;
    let granted = granted(&lock, &file.sha256, &description.wants);
    if session.ui.json {
        session.ui.document(&json!({
            "path": file.path,
            "sha256": file.sha256,
            "size": inspected.size,
            "contract": inspected.contract,
            "imports": inspected.imports,
            "compile_ms": compile.as_secs_f64() * 1000.0,
            "load_ms": inspected.load.as_secs_f64() * 1000.0,
            "granted_to": granted,
            "description": description,
        }))?;
        return Ok(Exit::Done);
    }
    let granted = match granted.as_slice() {
        [] => "nothing here; `relctl init` shows what it asks for, and grants it".to_owned(),
        instances => format!("all of it, as `{}` of relctl.lock", instances.join("` and `")),
    };
    let mut lines = vec![
        format!("{} {}", description.name, description.version),
        format!("  file      {}", file.path.display()),
        format!("  sha256    {}", file.sha256),
        format!("  size      {}", size(inspected.size)),
        format!("  contract  {}", inspected.contract),
        format!("  imports   {}", inspected.imports.join(", ")),
        format!("  compiled  in {}, once on a machine", time(compile)),
        format!("  loaded    in {}, from then on", time(inspected.load)),
        format!("  granted   {granted}"),
        "Asks for".to_owned(),
    ];
    lines.extend(wants_lines(&description.wants).into_iter().map(|want| format!("  {want}")));
    lines.push("Serves".to_owned());
    let served = description.kinds.iter();
    lines.extend(served.map(|kind| format!("  {}.{}  {}", kind.role, kind.name, fields_of(kind))));
    session.ui.lines(&lines)?;
    Ok(Exit::Done)
}

/// Prints one policy for all of them.
async fn iam(session: &Session, plugins: &[String], phase: IamPhase) -> Result<Exit, CommandError> {
    let path = session.plugin_path();
    let mut grants = Vec::new();
    for plugin in plugins {
        let inspected = session.inspect(&path.find(plugin)?).await?;
        let wants = inspected.description.wants;
        if wants.http.is_empty() {
            let message = format!("`{plugin}` calls no AWS API: it needs no policy");
            return Err(CommandError::new(ErrorKind::Usage, message).hint("leave it out"));
        }
        grants.push(grants_for(&wants));
    }
    let phase = match phase {
        IamPhase::Plan => Phase::Plan,
        IamPhase::Apply => Phase::Apply,
    };
    session.ui.document(&iam_policy(&grants, phase))?;
    Ok(Exit::Done)
}

/// The instances to which `relctl.lock` grants all that these bytes ask for.
fn granted<'a>(lock: &'a LockFile, sha256: &Digest, wants: &Wants) -> Vec<&'a str> {
    let wanted = grants_for(wants);
    let is_it = |locked: &LockedPlugin| {
        locked.sha256 == *sha256 && wanted.beyond(&grants_for(&locked.grants)).is_empty()
    };
    let instances = lock.plugins.iter().filter(|(_, locked)| is_it(locked));
    instances.map(|(instance, _)| instance.as_str()).collect()
}

/// Bytes, for people.
fn size(bytes: usize) -> String {
    // Sizes of files are far below what a double holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "one decimal place is shown")]
    let kilobytes = bytes as f64 / 1000.0;
    if kilobytes < 1000.0 {
        format!("{kilobytes:.0} kB")
    } else {
        format!("{:.2} MB", kilobytes / 1000.0)
    }
}

fn time(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// The kind's fields: required ones as they are, others with `?`, those that it computes last.
fn fields_of(kind: &Kind) -> String {
    let required: Vec<&str> = kind
        .schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let (computed, declared): (Vec<_>, Vec<_>) =
        kind.fields.fields.iter().partition(|(_, field)| field.computed);
    let mut names: Vec<String> = declared
        .iter()
        .map(|(name, _)| {
            let mark = if required.contains(&name.as_str()) { "" } else { "?" };
            format!("{name}{mark}")
        })
        .collect();
    names.sort_by_key(|name| name.ends_with('?'));
    if !computed.is_empty() {
        let computed: Vec<&str> = computed.iter().map(|(name, _)| name.as_str()).collect();
        return format!("{} → {}", names.join(", "), computed.join(", "));
    }
    names.join(", ")
}

/// What a plugin asks for, one line each, for people.
pub(crate) fn wants_lines(wants: &Wants) -> Vec<String> {
    let mut lines = Vec::new();
    if wants.files {
        lines.push("files     below the folder that `config.root` names".to_owned());
    }
    for (service, operations) in &wants.http {
        for (word, names) in [
            ("read", &operations.read),
            ("write", &operations.write),
            ("also needs", &operations.also_needs),
        ] {
            if !names.is_empty() {
                lines.push(format!("{service}  {word}: {}", names.join(", ")));
            }
        }
    }
    if lines.is_empty() {
        lines.push("nothing".to_owned());
    }
    lines
}
