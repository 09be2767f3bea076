//! `relctl unlock`.

use clap::Args;
use relctl_engine::Ledger as _;
use serde_json::json;

use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::operation::who;
use crate::place::Place;

/// Takes the lock from a holder that will not give it back, on the record.
///
/// Rarely needed: a lock whose holder died is taken over by the next command that wants it, at once
/// in a folder, after 30 s elsewhere. From then on nothing that the former holder writes counts.
/// What it had open stays open: `relctl resume` or `relctl revert` comes next.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl unlock -e production --reason 'runner-7 was shut down'
  relctl unlock -e production --park    # asks a holder that lives to stop, and waits for nothing")]
pub(crate) struct UnlockArgs {
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", required_unless_present = "park", conflicts_with = "park")]
    reason: Option<String>,
    /// Asks the holder to park its operation and to let go of the lock, instead.
    #[arg(long)]
    park: bool,
    /// Does not ask before.
    #[arg(long)]
    auto_approve: bool,
}

pub(crate) async fn run(session: &Session, args: &UnlockArgs) -> Result<Exit, CommandError> {
    let place = Place::of_release(session).await?;
    let ledger = place.open().await?;
    let Some(holder) = ledger.holder().await? else {
        if session.ui.json {
            session.ui.document(&json!({ "holder": null }))?;
        } else {
            session.ui.data("Nobody holds the lock.\n")?;
        }
        return Ok(Exit::Done);
    };
    let holder = who(&holder);
    if !args.auto_approve {
        session.ui.note(&format!("The lock is held by {holder}."));
        session.ui.confirm(if args.park { "Ask it to park?" } else { "Take the lock from it?" })?;
    }
    let environment = place.place.environment.as_deref();
    let status = session.command_line("status", environment);
    match &args.reason {
        None => {
            let asked = ledger.request_park(session.holder(None)).await?;
            if session.ui.json {
                session.ui.document(&json!({ "holder": asked, "asked": asked.is_some() }))?;
            } else if asked.is_some() {
                session.ui.data(&format!("Asked to park: {holder}.\nSee it let go: {status}\n"))?;
            } else {
                session.ui.data("Nobody holds the lock any more.\n")?;
            }
        }
        Some(reason) => {
            let unlock = ledger.unlock(session.holder(None), reason).await?;
            if session.ui.json {
                let freed = unlock.as_ref().map(|unlock| &unlock.freed);
                session.ui.document(&json!({ "holder": freed, "unlock": unlock }))?;
            } else if let Some(unlock) = unlock {
                session.ui.data(&format!(
                    "The lock is free, and the reason is recorded (unlocks/{:08}.json).\n\
                     It was held by {holder}.\nSee what it left open: {status}\n",
                    unlock.epoch
                ))?;
            } else {
                session.ui.data("Nobody holds the lock any more.\n")?;
            }
        }
    }
    Ok(Exit::Done)
}
