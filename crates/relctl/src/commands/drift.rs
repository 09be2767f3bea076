//! `relctl drift`.

use clap::Args;
use relctl_engine::find_drift;
use relctl_render::drift_text;
use serde_json::json;

use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::place::Place;

/// Compares what the newest entry recorded with what is there, on the fields that it owns.
///
/// Exits with 3 if something differs.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  relctl drift -e production || notify 'production has drifted'")]
pub(crate) struct DriftArgs {}

pub(crate) async fn run(session: &Session, _args: &DriftArgs) -> Result<Exit, CommandError> {
    let ledger = Place::of_release(session).await?.open().await?;
    let loaded = session.load_recorded(&ledger).await?;
    let found = find_drift(session.engine(&ledger, &loaded.providers)).await?;
    if session.ui.json {
        session.ui.document(&json!({ "drift": found.drift, "looked_at": found.looked_at }))?;
    } else {
        session.ui.data(&drift_text(&found.drift, &session.ui.style()))?;
    }
    Ok(if found.drift.is_empty() { Exit::Done } else { Exit::Drift })
}
