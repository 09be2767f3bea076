//! `relctl init`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use clap::Args;
use relctl_config::{Draft, LockFile, LockedPlugin};
use relctl_engine::{Ledger as _, LedgerErrorKind, Provider as _};
use relctl_host::{Core, core};
use relctl_ledger::LedgerStore;
use relctl_plan::{Description, Instance};
use serde_json::json;

use super::plugin::wants_lines;
use crate::context::{Session, nonce};
use crate::error::{CommandError, ErrorKind};
use crate::exit::Exit;
use crate::place::Place;
use crate::project;

/// Finds the release's plugins, shows what each asks for, and makes the ledger.
///
/// What is granted is written to `relctl.lock`, which is committed. Running it again changes
/// nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl init
  relctl init -e staging
  relctl init --upgrade    # show what is new about the plugins, and accept it")]
pub(crate) struct InitArgs {
    /// Accepts plugins whose bytes or capabilities changed, and shows the difference.
    #[arg(long)]
    upgrade: bool,
}

pub(crate) async fn run(session: &Session, args: &InitArgs) -> Result<Exit, CommandError> {
    let mut draft = project::load(session)?;
    let folder = session.folder();
    let old = LockFile::read(&folder)?;
    let mut lock = old.clone();

    let (plugins, descriptions) = review(session, &draft, &old).await?;
    let news = news(&old, &plugins);
    if !args.upgrade && news.iter().any(|(_, new)| new.replaces) {
        let error = CommandError::new(
            ErrorKind::Plugin,
            "a plugin is not the one in `relctl.lock`; nothing was changed",
        );
        let changed = news.iter().filter(|(_, new)| new.replaces);
        return Err(changed
            .fold(error, |error, (_, new)| error.detail(new.lines.join("\n")))
            .hint("accept what is new: relctl init --upgrade"));
    }
    // A release that is wrong would make a ledger under a wrong name: check it first.
    draft.finish(&descriptions)?;
    lock.plugins = plugins;

    let place = Place::of_header(session, draft.header())?;
    let (ledger, is_new) = open_or_make(session, place).await?;
    lock.set_lineage(draft.header().environment(), ledger.lineage().to_owned());
    if lock != old {
        lock.write(&folder).map_err(|error| CommandError::from_error(ErrorKind::File, &error))?;
    }
    say(session, &draft, &lock, &news, &ledger, is_new, lock != old)?;
    Ok(Exit::Done)
}

/// Finds the plugins, and asks each what it wants.
async fn review(
    session: &Session,
    draft: &Draft,
    old: &LockFile,
) -> Result<(BTreeMap<Instance, LockedPlugin>, BTreeMap<Instance, Description>), CommandError> {
    let path = session.plugin_path();
    let mut plugins = BTreeMap::new();
    let mut descriptions = BTreeMap::new();
    for (instance, config) in draft.header().plugins() {
        let file = path.find(&config.source)?;
        let inspected = session.inspect(&file).await?;
        let description = inspected.description;
        let locked = LockedPlugin {
            source: config.source.clone(),
            name: description.name.clone(),
            version: description.version.clone(),
            sha256: file.sha256,
            contract: inspected.contract,
            grants: description.wants.clone(),
        };
        plugins.insert(instance.clone(), locked);
        descriptions.insert(instance.clone(), description);
    }
    descriptions.insert(Core::INSTANCE.to_owned(), core().description().clone());
    // An overlay may leave out a plugin that another environment uses: it stays.
    for (instance, locked) in &old.plugins {
        plugins.entry(instance.clone()).or_insert_with(|| locked.clone());
    }
    Ok((plugins, descriptions))
}

/// What is new about a plugin.
struct News {
    /// Whether there was another one before.
    replaces: bool,
    lines: Vec<String>,
}

/// The plugins that are not as they were.
fn news(old: &LockFile, plugins: &BTreeMap<Instance, LockedPlugin>) -> Vec<(Instance, News)> {
    let changed = plugins.iter().filter(|(instance, plugin)| {
        old.plugins.get(*instance).is_none_or(|before| before != *plugin)
    });
    changed
        .map(|(instance, plugin)| {
            let before = old.plugins.get(instance);
            let lines = match before {
                None => first_lines(instance, plugin),
                Some(before) => changed_lines(instance, before, plugin),
            };
            (instance.clone(), News { replaces: before.is_some(), lines })
        })
        .collect()
}

fn first_lines(instance: &str, plugin: &LockedPlugin) -> Vec<String> {
    let mut lines = vec![
        format!("plugin `{instance}`: {} {}", plugin.name, plugin.version),
        format!("  sha256    {}", plugin.sha256),
        format!("  contract  {}", plugin.contract),
        "  asks for".to_owned(),
    ];
    lines.extend(wants_lines(&plugin.grants).into_iter().map(|want| format!("    {want}")));
    lines
}

fn changed_lines(instance: &str, before: &LockedPlugin, now: &LockedPlugin) -> Vec<String> {
    let mut lines = vec![format!("plugin `{instance}`")];
    let mut field = |name: &str, before: &str, now: &str| {
        if before != now {
            lines.push(format!("  ~ {name}: {before} → {now}"));
        }
    };
    field("source", &before.source, &now.source);
    field("name", &before.name, &now.name);
    field("version", &before.version, &now.version);
    field("sha256", before.sha256.as_str(), now.sha256.as_str());
    field("contract", &before.contract, &now.contract);
    let wants = |plugin: &LockedPlugin| -> BTreeSet<String> {
        wants_lines(&plugin.grants).into_iter().collect()
    };
    let (before, now) = (wants(before), wants(now));
    lines.extend(before.difference(&now).map(|want| format!("  - asks for  {want}")));
    lines.extend(now.difference(&before).map(|want| format!("  + asks for  {want}")));
    lines
}

/// Opens the ledger, or makes it where there never was one.
async fn open_or_make(
    session: &Session,
    place: Place,
) -> Result<(LedgerStore, bool), CommandError> {
    match place.open().await {
        Ok(ledger) => Ok((ledger, false)),
        Err(error) if error.kind == LedgerErrorKind::Absent => match &place.lineage {
            None => {
                relctl_ledger::init(&place.place, &nonce()).await?;
                let ledger = place.open().await?;
                if place.keys.recipients().is_empty() {
                    return Ok((ledger, true));
                }
                // There is nothing to write anew yet: from the first entry on it is encrypted.
                ledger.rekey(session.holder(None)).await?;
                Ok((place.open().await?, true))
            }
            Some(lineage) => Err(CommandError::new(
                ErrorKind::Ledger,
                "the ledger is gone; a new one would call everything new, so none was made",
            )
            .cause(error.message)
            .hint(format!("restore the ledger with lineage {lineage} from a copy"))
            .hint("or name the place that it moved to with `--ledger`")
            .hint("or, to begin a new history on purpose, take its lines out of `relctl.lock`")),
        },
        Err(error) => Err(error.into()),
    }
}

fn say(
    session: &Session,
    draft: &Draft,
    lock: &LockFile,
    news: &[(Instance, News)],
    ledger: &LedgerStore,
    is_new: bool,
    written: bool,
) -> Result<(), CommandError> {
    if session.ui.json {
        return session.ui.document(&json!({
            "release": draft.header().name(),
            "environment": draft.header().environment(),
            "plugins": lock.plugins,
            "changed": news.iter().map(|(instance, _)| instance).collect::<Vec<_>>(),
            "ledger": ledger.location(),
            "lineage": ledger.lineage(),
            "created": is_new,
            "recipients": ledger.recipients(),
        }));
    }
    let mut lines: Vec<String> = news.iter().flat_map(|(_, new)| new.lines.clone()).collect();
    let made = if is_new { "made" } else { "is there already" };
    lines.push(format!("ledger {made}: {}", ledger.location()));
    if !ledger.recipients().is_empty() {
        lines.push(format!("  encrypted for {}", ledger.recipients().join(", ")));
    }
    let lock = if written { "written; commit it." } else { "is up to date." };
    lines.push(format!("`relctl.lock` {lock}"));
    let plan = session.command_line("plan", draft.header().environment());
    lines.push(format!("Next: {plan}"));
    session.ui.lines(&lines)
}
