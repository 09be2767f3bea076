//! `relctl diff`.

use clap::Args;
use relctl_engine::Ledger as _;
use relctl_render::snapshot_diff_text;
use serde_json::json;

use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::history::{self, Named};
use crate::place::Place;

/// Compares what two entries of the history left behind.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl diff               # what the newest entry changed
  relctl diff v1.0.0 v1.1.0
  relctl diff start 3")]
pub(crate) struct DiffArgs {
    /// The older entry: a serial, a version, the first digits of a hash, or `start`
    /// [default: the one before TO].
    from: Option<String>,
    /// The newer entry [default: the newest].
    to: Option<String>,
}

pub(crate) async fn run(session: &Session, args: &DiffArgs) -> Result<Exit, CommandError> {
    let ledger = Place::of_release(session).await?.open().await?;
    let newest = ledger.head().await?.serial.to_string();
    let to = history::find(&ledger, args.to.as_deref().unwrap_or(&newest)).await?;
    let from = match (&args.from, &to) {
        (Some(name), _) => history::find(&ledger, name).await?,
        (None, Named::Entry(item)) if item.1.serial > 1 => {
            history::find(&ledger, &format!("#{}", item.1.serial - 1)).await?
        }
        (None, _) => Named::Start,
    };
    let before = history::snapshot_of(&ledger, &from).await?;
    let after = history::snapshot_of(&ledger, &to).await?;
    let (from, to) = (from.title(), to.title());
    if session.ui.json {
        session.ui.document(&json!({
            "from": { "entry": from, "snapshot": before },
            "to": { "entry": to, "snapshot": after },
        }))?;
    } else {
        let text = snapshot_diff_text((&from, &before), (&to, &after), &session.ui.style());
        session.ui.data(&text)?;
    }
    Ok(Exit::Done)
}
