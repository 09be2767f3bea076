//! `relctl revert`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use relctl_engine::{
    Answers, EngineError, Ledger as _, ResumeMode, RevertTarget, find_target, plan_revert,
};
use relctl_ledger::LedgerStore;
use relctl_plan::{Address, Plan, Snapshot};
use relctl_render::plan_text;

use crate::approval::Approval;
use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::loading::Loaded;
use crate::operation::{OperationArgs, Way, carry_out, running, say_took_over, who};
use crate::place::Place;
use crate::plan_file;

/// Goes back to what an earlier release left behind.
///
/// The way back is a plan like any other, computed from what was recorded: it is shown, approved
/// and applied, and becomes a new entry of the history. Neither the release file nor a checkout of
/// the old version is needed. Without `--to` it goes to the newest good entry before the one in
/// force.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl revert -e production
  relctl revert --to v1.0.0 -o revert.json    # review it first, then: relctl apply revert.json
  relctl revert --to start                    # before the first entry
  relctl revert --preempt                     # over an apply that still runs: it parks first")]
pub(crate) struct RevertArgs {
    /// A serial (`12` or `#12`), a version, the first digits of an entry's hash, or `start`.
    #[arg(long, value_name = "ENTRY")]
    to: Option<String>,
    /// Writes the plan to this file and changes nothing.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Reverts without asking.
    #[arg(long)]
    auto_approve: bool,
    /// Goes on only if the plan has this id: its 64 digits, or at least the first 12.
    #[arg(long, value_name = "PLAN_ID")]
    expect: Option<String>,
    /// Asks whoever holds the lock to park: what it began is settled, then the way back is planned.
    #[arg(long)]
    preempt: bool,
    /// Accepts that reverting destroys this object. May be given more than once.
    #[arg(long, value_name = "ADDRESS")]
    accept_loss: Vec<Address>,
    #[command(flatten)]
    operation: OperationArgs,
}

pub(crate) async fn run(session: &Session, args: &RevertArgs) -> Result<Exit, CommandError> {
    let approval = Approval { auto: args.auto_approve, expected: args.expect.as_deref() };
    let ledger = Place::of_release(session).await?.open().await?;
    if args.preempt {
        preempt(session, args, &ledger).await?;
    }
    // Writing a plan changes nothing, and an expected plan was made of a settled ledger.
    if args.out.is_none() && args.expect.is_none() {
        settle(session, args, &ledger).await?;
    }
    let target = parse_target(args.to.as_deref());
    let (plan, loaded) = plan(session, args, &ledger, &target).await?;
    let text = |apply: Option<&str>| plan_text(&plan, apply, &session.ui.style());
    if let Some(path) = &args.out {
        plan_file::write(path, &plan)?;
        let apply = format!("{} {}", session.command_line("apply", None), path.display());
        if session.ui.json {
            session.ui.event(&plan)?;
        } else {
            session.ui.data(&text(Some(&apply)))?;
        }
        return Ok(Exit::Done);
    }
    approval.check(&plan)?;
    if !session.ui.json {
        session.ui.tell(&text(None))?;
    }
    approval.obtain(&plan, &session.ui, "Revert exactly like this?")?;
    carry_out(session, &ledger, loaded, &plan, Way::Apply, &args.operation).await
}

/// How long a holder that was asked to park is waited for, where `--lock-timeout` says nothing: as
/// long as a request in flight may take, and a heartbeat until it hears of it.
const PARKING: Duration = Duration::from_mins(2);

/// Asks whoever holds the lock to park, and waits until it has let go.
async fn preempt(
    session: &Session,
    args: &RevertArgs,
    ledger: &LedgerStore,
) -> Result<(), CommandError> {
    if let Some(holder) = ledger.holder().await? {
        session.ui.note(&format!("The lock is held by {}.", who(&holder)));
        if !args.auto_approve {
            session.ui.confirm("Have it park, and then plan the way back?")?;
        }
    }
    if ledger.request_park(session.holder(None)).await?.is_none() {
        return Ok(());
    }
    session.ui.note("Asked it to park: it starts nothing new, and lets go of the lock.");
    let lock = ledger.lock(session.holder(None), args.operation.lock_timeout.max(PARKING)).await?;
    say_took_over(&session.ui, lock.took_over());
    lock.release().await?;
    Ok(())
}

/// Closes an operation that was interrupted, so that the way back is not blocked by the way
/// forward.
async fn settle(
    session: &Session,
    args: &RevertArgs,
    ledger: &LedgerStore,
) -> Result<(), CommandError> {
    let Some(operation) = ledger.head().await?.operation else { return Ok(()) };
    let interrupted = EngineError::Interrupted { operation: operation.id.clone() };
    // Where nothing sees whether a holder lives, taking the lock tells.
    if !ledger.is_remote()
        && let Some(running) = running(session, ledger, &interrupted).await
    {
        return Err(running);
    }
    session.ui.note(&format!(
        "Operation {} of {} was interrupted: what it began is settled first, nothing else of it \
         is started.",
        operation.id, operation.actor
    ));
    if !args.auto_approve {
        session.ui.confirm("Settle it, and then plan the way back?")?;
    }
    let plan = ledger.plan(&operation.plan).await?;
    let loaded = session.load_pinned(ledger, &plan.body.plugins).await?;
    let way = Way::Resume(ResumeMode::Stop, Answers::new());
    carry_out(session, ledger, loaded, &plan, way, &args.operation).await.map(drop)
}

/// Plans the way back with the plugins of the release in force, and those of the target where that
/// one has others.
async fn plan(
    session: &Session,
    args: &RevertArgs,
    ledger: &LedgerStore,
    target: &RevertTarget,
) -> Result<(Plan, Loaded), CommandError> {
    let nothing = Loaded::default();
    let found = find_target(session.engine(ledger, &nothing.providers), target).await?;
    let mut pins = snapshot(ledger, found.entry.as_ref()).await?.plugins;
    pins.extend(snapshot(ledger, ledger.head().await?.entry.as_ref()).await?.plugins);
    let loaded = session.load_pinned(ledger, &pins).await?;
    let accepted: BTreeSet<Address> = args.accept_loss.iter().cloned().collect();
    let context = session.engine(ledger, &loaded.providers);
    match plan_revert(context, target, &accepted, session.meta()).await {
        Ok(plan) => Ok((plan, loaded)),
        Err(error) => Err(match running(session, ledger, &error).await {
            Some(running) => running,
            None => error.into(),
        }),
    }
}

async fn snapshot(
    ledger: &LedgerStore,
    entry: Option<&relctl_plan::Digest>,
) -> Result<Snapshot, CommandError> {
    match entry {
        Some(digest) => Ok(ledger.snapshot(&ledger.entry(digest).await?.snapshot).await?),
        None => Ok(Snapshot::empty()),
    }
}

fn parse_target(to: Option<&str>) -> RevertTarget {
    match to {
        None => RevertTarget::Previous,
        Some("start" | "0" | "#0") => RevertTarget::Start,
        // Only `#` says for certain that a number is a serial: a hash may begin with digits alone.
        Some(name) => match name.strip_prefix('#').map(str::parse) {
            Some(Ok(serial)) => RevertTarget::Serial(serial),
            _ => RevertTarget::Named(name.to_owned()),
        },
    }
}
