//! `relctl status`.

use std::collections::BTreeSet;

use clap::Args;
use relctl_engine::{
    Holder, Ledger as _, LedgerError, LedgerErrorKind, RevertTarget, find_drift, find_target,
};
use relctl_ledger::LedgerStore;
use relctl_plan::{Address, Entry, EntryOutcome, OpenOperation, Snapshot};
use relctl_render::{InForce, LastEntry, LockHolder, OpenStatus, Status, status_text};

use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::history;
use crate::place::Place;

/// Shows what runs, whether it is verified, what is open, and where a revert would go.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl status -e production
  relctl status --no-drift    # only what the ledger says, without asking the plugins")]
pub(crate) struct StatusArgs {
    /// Does not compare with what is there.
    #[arg(long)]
    no_drift: bool,
}

pub(crate) async fn run(session: &Session, args: &StatusArgs) -> Result<Exit, CommandError> {
    let ledger = Place::of_release(session).await?.open().await?;
    let head = ledger.head().await?;
    let newest = history::entries(&ledger, 1).await?.pop();
    let in_force = history::in_force(&ledger).await?;
    let snapshot = match &newest {
        Some((_, entry)) => left_behind(session, &ledger, entry).await?,
        None => Snapshot::empty(),
    };
    // Drift is one line of many: what else is known must be shown also where a plugin is missing.
    let drift = if args.no_drift || head.operation.is_some() {
        None
    } else {
        match drift_of(session, &ledger).await {
            Ok(drift) => Some(drift),
            Err(error) => {
                session.ui.warn(&format!("drift is not known: {}", error.message));
                None
            }
        }
    };
    let no_providers = relctl_engine::Providers::new();
    let target = find_target(session.engine(&ledger, &no_providers), &RevertTarget::Previous).await;
    let operation = match head.operation {
        Some(operation) => Some(open_status(session, &ledger, operation).await),
        None => None,
    };
    let status = Status {
        release: head.release.clone(),
        environment: head.environment.clone(),
        ledger: ledger.location(),
        lineage: head.lineage.clone(),
        in_force: in_force.filter(|(_, entry)| entry.restores != Some(0)).map(|(digest, entry)| {
            InForce {
                version: entry.version,
                serial: entry.serial,
                entry: digest,
                verified: entry.verified,
                actor: entry.actor,
                finished: entry.finished,
            }
        }),
        last: newest.as_ref().filter(|(_, entry)| entry.outcome == EntryOutcome::Failed).map(
            |(_, entry)| LastEntry {
                version: entry.version.clone(),
                serial: entry.serial,
                kind: entry.kind,
                outcome: entry.outcome,
            },
        ),
        operation,
        lock: ledger.holder().await?.map(lock_holder),
        drift,
        revert_to: target.ok(),
        unsettled: unsettled(&snapshot),
    };
    if session.ui.json {
        session.ui.document(&status)?;
    } else {
        session.ui.data(&status_text(&status, &session.ui.style()))?;
    }
    Ok(Exit::Done)
}

/// What an entry left behind. Without the key of an encrypted ledger everything else is shown.
async fn left_behind(
    session: &Session,
    ledger: &LedgerStore,
    entry: &Entry,
) -> Result<Snapshot, CommandError> {
    match ledger.snapshot(&entry.snapshot).await {
        Err(error) if error.kind == LedgerErrorKind::Refused => {
            session.ui.warn(&format!("unsettled objects are not known: {}", error.message));
            Ok(Snapshot::empty())
        }
        read => Ok(read?),
    }
}

async fn drift_of(
    session: &Session,
    ledger: &LedgerStore,
) -> Result<Vec<relctl_plan::Drift>, CommandError> {
    let loaded = session.load_recorded(ledger).await?;
    Ok(find_drift(session.engine(ledger, &loaded.providers)).await?.drift)
}

fn unsettled(snapshot: &Snapshot) -> Vec<Address> {
    let objects = snapshot.objects.iter().filter(|(_, recorded)| !recorded.settled);
    let unsettled: BTreeSet<Address> = objects.map(|(address, _)| address.clone()).collect();
    unsettled.into_iter().collect()
}

/// The open operation, with how far it came as far as that can be read: what else is known must
/// be shown too.
async fn open_status(
    session: &Session,
    ledger: &LedgerStore,
    operation: OpenOperation,
) -> OpenStatus {
    let read = async {
        let plan = ledger.plan(&operation.plan).await?;
        Ok::<_, LedgerError>((plan, ledger.journal(&operation.id, true).await?))
    };
    match read.await {
        Ok((plan, journal)) => OpenStatus::new(operation, Some(&plan), &journal),
        Err(error) => {
            session.ui.warn(&format!("how far the operation came is not known: {error}"));
            OpenStatus::new(operation, None, &[])
        }
    }
}

fn lock_holder(holder: Holder) -> LockHolder {
    LockHolder {
        actor: holder.actor,
        host: holder.host,
        pid: holder.pid,
        command: holder.command,
        plan_id: holder.plan_id,
        since: holder.since,
        run_url: holder.run_url,
    }
}
