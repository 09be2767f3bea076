//! `relctl log`.

use clap::Args;
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
    #[arg(short = 'n', long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
}

pub(crate) async fn run(session: &Session, args: &LogArgs) -> Result<Exit, CommandError> {
    let ledger = Place::of_release(session).await?.open().await?;
    let entries = history::entries(&ledger, args.limit).await?;
    let in_force = match history::succeeded(&entries) {
        Some((digest, _)) => Some(digest.clone()),
        None => history::in_force(&ledger).await?.map(|(digest, _)| digest),
    };
    let lines: Vec<LogLine> = entries
        .iter()
        .map(|(digest, entry)| LogLine::new(digest, entry, in_force.as_ref() == Some(digest)))
        .collect();
    if session.ui.json {
        session.ui.document(&json!({ "entries": lines }))?;
    } else {
        session.ui.data(&log_text(&lines, &session.ui.style()))?;
    }
    Ok(Exit::Done)
}
