//! `relctl log`.

use clap::Args;
use relctl_plan::EntryOutcome;
use relctl_render::{LogLine, log_text};
use serde_json::json;

use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::history;
use crate::place::Place;

/// Lists the history, newest first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl log -e production
  relctl log -n 1 --json")]
pub(crate) struct LogArgs {
    /// Shows at most this many entries.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 30)]
    limit: usize,
}

pub(crate) async fn run(session: &Session, args: &LogArgs) -> Result<Exit, CommandError> {
    let ledger = Place::of_release(session).await?.open().await?;
    let rows = ledger.history_as_opened(args.limit).await?;
    let in_force = match rows.iter().find(|row| row.entry.outcome == EntryOutcome::Succeeded) {
        Some(row) => Some(row.digest.clone()),
        None => history::in_force(&ledger).await?.map(|(digest, _)| digest),
    };
    let lines: Vec<LogLine> = rows
        .iter()
        .map(|row| LogLine::new(&row.digest, &row.entry, in_force.as_ref() == Some(&row.digest)))
        .collect();
    let older = rows.last().map_or(0, |row| row.entry.serial - 1);
    if session.ui.json {
        session.ui.document(&json!({ "entries": lines, "older": older }))?;
    } else {
        session.ui.data(&log_text(&lines, &session.ui.style()))?;
        if older > 0 && !lines.is_empty() {
            let all = session.command_line("log", session.environment());
            session.ui.note(&format!("{older} older: {all} -n {}", lines.len() as u64 + older));
        }
    }
    Ok(Exit::Done)
}
