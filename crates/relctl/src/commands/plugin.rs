//! `relctl plugin`.

use clap::{Args, Subcommand};
use relctl_config::LockFile;
use relctl_plan::{Kind, Wants};
use serde_json::{Value, json};

use crate::context::Session;
use crate::error::CommandError;
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
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl plugin inspect local
  relctl plugin inspect ./target/my_plugin.wasm --json")]
struct InspectArgs {
    /// A plugin's name, or a path that ends in `.wasm`.
    plugin: String,
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
    for (instance, config) in draft.plugins() {
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
    let file = session.plugin_path().find(&args.plugin)?;
    let inspected = session.inspect(&file).await?;
    let description = &inspected.description;
    if session.ui.json {
        session.ui.document(&json!({
            "path": file.path,
            "sha256": file.sha256,
            "contract": inspected.contract,
            "description": description,
        }))?;
        return Ok(Exit::Done);
    }
    let mut lines = vec![
        format!("{} {}", description.name, description.version),
        format!("  file      {}", file.path.display()),
        format!("  sha256    {}", file.sha256),
        format!("  contract  {}", inspected.contract),
        "Asks for".to_owned(),
    ];
    lines.extend(wants_lines(&description.wants).into_iter().map(|want| format!("  {want}")));
    lines.push("Serves".to_owned());
    let served = description.kinds.iter();
    lines.extend(served.map(|kind| format!("  {}.{}  {}", kind.role, kind.name, fields_of(kind))));
    session.ui.lines(&lines)?;
    Ok(Exit::Done)
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
