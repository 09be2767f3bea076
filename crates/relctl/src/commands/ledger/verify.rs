//! `relctl ledger verify`.

use clap::Args;
use relctl_engine::{Ledger as _, LedgerError};
use relctl_ledger::Verification;
use relctl_plan::Head;
use serde_json::{Value, json};

use crate::context::Session;
use crate::error::{CommandError, ErrorKind};
use crate::exit::Exit;
use crate::place::Place;

/// Reads the whole ledger, and proves that every byte of it is what was written.
///
/// Every entry, plan, snapshot, journal line and plugin is checked against its digest, the history
/// against HEAD, and HEAD against the newest one that was seen from this machine. Exits 1 if
/// anything is not as it was.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl ledger verify -e production
  relctl ledger verify --ledger s3://bucket/prefix --json")]
pub(crate) struct VerifyArgs {}

pub(crate) async fn run(session: &Session) -> Result<Exit, CommandError> {
    let ledger = Place::of_release(session).await?.open().await?;
    let head = ledger.head().await?;
    let found = ledger.verify().await?;
    let place = ledger.location();
    if session.ui.json {
        session.ui.document(&as_json(&place, &head, &found))?;
        return Ok(if found.problems.is_empty() { Exit::Done } else { Exit::Error });
    }
    if !found.problems.is_empty() {
        let count = found.problems.len();
        let error = CommandError::new(
            ErrorKind::Ledger,
            format!("`{place}` is not sound: {count} thing(s) are not what was written"),
        );
        let error = found
            .problems
            .iter()
            .fold(error, |error, problem| error.detail(problem.message.clone()));
        return Err(error
            .hint("restore what is named from a copy, then verify again")
            .hint("apply and revert refuse what cannot be trusted; what is sound can be read"));
    }
    session.ui.lines(&lines(&place, &head, &found))?;
    Ok(Exit::Done)
}

fn lines(place: &str, head: &Head, found: &Verification) -> Vec<String> {
    let mut lines = vec![
        format!("sound: {place}"),
        format!("  entries   {}, each follows from the one before", found.entries),
        format!("  read      {} objects, each is what was written", found.objects),
    ];
    if let Some(entry) = &head.entry {
        lines.push(format!("  head      #{} {entry}", head.serial));
    }
    if let Some(operation) = &head.operation {
        lines.push(format!("  open      operation {}; its journal is sound", operation.id));
    }
    for digest in &found.missing_plugins {
        lines.push(format!("  not kept  plugin {digest}, which a plan names"));
    }
    if !found.unreferenced.is_empty() {
        lines.push(format!(
            "  left over {} objects of work that was cut off; they do no harm",
            found.unreferenced.len()
        ));
    }
    lines
}

fn as_json(place: &str, head: &Head, found: &Verification) -> Value {
    let problem =
        |problem: &LedgerError| json!({ "message": problem.message, "hint": problem.hint });
    json!({
        "ledger": place,
        "lineage": head.lineage,
        "sound": found.problems.is_empty(),
        "serial": head.serial,
        "entry": head.entry,
        "entries": found.entries,
        "objects": found.objects,
        "problems": found.problems.iter().map(problem).collect::<Vec<_>>(),
        "missing_plugins": found.missing_plugins,
        "unreferenced": found.unreferenced,
    })
}
