//! `relctl show`.

use std::path::Path;

use clap::Args;
use relctl_engine::Ledger as _;
use relctl_plan::Plan;
use relctl_render::{WholeEntry, entry_text, plan_text};
use serde_json::json;

use crate::context::Session;
use crate::error::{CommandError, ErrorKind};
use crate::exit::Exit;
use crate::history::{self, Named};
use crate::place::Place;
use crate::plan_file;

/// Shows an entry of the history, or a plan file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl show              # the newest entry
  relctl show v1.0.0
  relctl show plan.json")]
pub(crate) struct ShowArgs {
    /// A serial, a version, the first digits of a hash, or a plan file [default: the newest entry].
    #[arg(value_name = "ENTRY|PLAN")]
    what: Option<String>,
}

pub(crate) async fn run(session: &Session, args: &ShowArgs) -> Result<Exit, CommandError> {
    if let Some(path) = args.what.as_deref().map(Path::new).filter(|path| path.is_file()) {
        let plan = plan_file::read(path)?;
        if let Some(why) = why_not_applicable(session, &plan).await {
            session.ui.warn(&why);
        }
        if session.ui.json {
            session.ui.document(&plan)?;
        } else {
            session.ui.data(&plan_text(&plan, None, &session.ui.style()))?;
        }
        return Ok(Exit::Done);
    }
    let ledger = Place::of_release(session).await?.open().await?;
    let newest = ledger.head().await?.serial.to_string();
    let Named::Entry(item) =
        history::find(&ledger, args.what.as_deref().unwrap_or(&newest)).await?
    else {
        return Err(CommandError::new(
            ErrorKind::Usage,
            "nothing was there before the first entry",
        )
        .hint("see what the first entry changed: relctl diff start 1"));
    };
    let (digest, _) = *item;
    // It was found in a page of the history, which is a copy: what is shown is the entry itself.
    let entry = ledger.entry(&digest).await?;
    let plan = ledger.plan(&entry.plan).await?;
    let snapshot = ledger.snapshot(&entry.snapshot).await?;
    if session.ui.json {
        session.ui.document(&json!({
            "digest": digest,
            "entry": entry,
            "plan": plan,
            "snapshot": snapshot.without_sealed(),
        }))?;
    } else {
        let journal = ledger.journal(&entry.operation, false).await?;
        let whole = WholeEntry {
            digest: &digest,
            entry: &entry,
            plan: &plan,
            snapshot: &snapshot,
            journal: &journal,
        };
        session.ui.data(&entry_text(whole, &session.ui.style()))?;
    }
    Ok(Exit::Done)
}

/// Why a plan can no longer be applied, where that can be told: a plan is read anywhere, also
/// where its ledger cannot be reached.
async fn why_not_applicable(session: &Session, plan: &Plan) -> Option<String> {
    let ledger = Place::of_plan(session, plan).ok()?.open().await.ok()?;
    if let Some(serial) = ledger.applied(&plan.plan_id).await.ok()? {
        return Some(format!("this plan was applied already: entry #{serial}"));
    }
    let head = ledger.head().await.ok()?;
    if head.operation.is_some_and(|operation| operation.plan_id == plan.plan_id) {
        return Some(
            "this plan is being applied, or was interrupted: see `relctl status`".to_owned(),
        );
    }
    (head.entry != plan.body.base.entry).then(|| {
        let (planned, now) = (plan.body.base.serial, head.serial);
        format!("this plan is stale: it was made on entry #{planned}, and the newest is #{now}")
    })
}
