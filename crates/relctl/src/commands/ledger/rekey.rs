//! `relctl ledger rekey`.

use clap::Args;
use relctl_engine::Ledger as _;
use serde_json::json;

use crate::context::Session;
use crate::error::{CommandError, ErrorKind};
use crate::exit::Exit;
use crate::place::Place;

/// Encrypts the ledger for the recipients of the release file, and writes all of it anew.
///
/// `[ledger] recipients` lists age recipients (`age1…`); snapshots, plans and journals can then be
/// read only with one of their secret keys, given with `RELCTL_AGE_IDENTITY` or
/// `RELCTL_AGE_IDENTITY_FILE`. Entries stay readable. Whoever copied the ledger before, and older
/// versions that a bucket keeps, are beyond its reach: change also what they could read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl ledger rekey -e production
  relctl ledger rekey --decrypt    # back to plain text, after taking the recipients out")]
pub(crate) struct RekeyArgs {
    /// Writes it in plain text; the release file must name no recipients.
    #[arg(long)]
    decrypt: bool,
    /// Does not ask before.
    #[arg(long)]
    auto_approve: bool,
}

pub(crate) async fn run(session: &Session, args: &RekeyArgs) -> Result<Exit, CommandError> {
    let place = Place::of_release(session).await?;
    let recipients = place.keys.recipients();
    match (recipients.is_empty(), args.decrypt) {
        (true, false) => {
            return Err(CommandError::new(
                ErrorKind::Release,
                "the release file names nobody to encrypt for",
            )
            .hint("write `recipients = [\"age1…\"]` into `[ledger]`; `age-keygen` makes a key")
            .hint("or, to have it in plain text, say so: relctl ledger rekey --decrypt"));
        }
        (false, true) => {
            return Err(CommandError::new(
                ErrorKind::Release,
                "the release file names recipients, and `--decrypt` wants none",
            )
            .hint("take `recipients` out of `[ledger]`, or leave out `--decrypt`"));
        }
        _ => {}
    }
    let ledger = place.open().await?;
    let location = ledger.location();
    let goal = match recipients.len() {
        0 => "in plain text".to_owned(),
        count => format!("for {count} recipient(s)"),
    };
    if !args.auto_approve {
        session.ui.note(&format!("All of `{location}` is written anew, {goal}."));
        session.ui.confirm("Rekey it?")?;
    }
    let rewritten = ledger.rekey(session.holder(None)).await?;
    if session.ui.json {
        session.ui.document(&json!({
            "ledger": location,
            "rewritten": rewritten,
            "before": ledger.recipients(),
            "recipients": recipients,
        }))?;
    } else {
        session.ui.data(&format!("rekeyed {location}: {rewritten} objects, {goal}\n"))?;
    }
    Ok(Exit::Done)
}
