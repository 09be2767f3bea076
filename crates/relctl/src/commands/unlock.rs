//! `relctl unlock`.

use clap::Args;
use relctl_engine::Ledger as _;
use serde_json::json;

use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::place::Place;

/// Asks whoever holds the lock to park its operation and to let go of the lock.
///
/// A lock whose holder died needs no unlocking: the next command that wants it takes it. What was
/// parked stays open: `relctl resume` or `relctl revert` comes next.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  relctl unlock -e production")]
pub(crate) struct UnlockArgs {
    /// Does not ask before.
    #[arg(long)]
    auto_approve: bool,
}

pub(crate) async fn run(session: &Session, args: &UnlockArgs) -> Result<Exit, CommandError> {
    let ledger = Place::of_release(session)?.open().await?;
    let Some(holder) = ledger.holder().await? else {
        if session.ui.json {
            session.ui.document(&json!({ "holder": null }))?;
        } else {
            session.ui.data("Nobody holds the lock.\n")?;
        }
        return Ok(Exit::Done);
    };
    let who = format!(
        "{} on {} (pid {}), `{}` since {}",
        holder.actor, holder.host, holder.pid, holder.command, holder.since
    );
    if !args.auto_approve {
        session.ui.note(&format!("The lock is held by {who}."));
        session.ui.confirm("Ask it to park?")?;
    }
    let asked = ledger.request_park(session.holder(None)).await?;
    if session.ui.json {
        session.ui.document(&json!({ "holder": asked }))?;
    } else if asked.is_some() {
        session.ui.data(&format!("Asked to park: {who}. See it let go: relctl status\n"))?;
    } else {
        session.ui.data("Nobody holds the lock any more.\n")?;
    }
    Ok(Exit::Done)
}
