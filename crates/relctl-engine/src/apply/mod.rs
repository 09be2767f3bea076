//! Applying a plan: exactly what it says, or nothing.
//!
//! [`precheck`] sees that the plan is still true, [`execute`] carries it out along its graph,
//! [`settle`] deals with steps of which nobody knows whether they happened, [`checks`] runs gates and
//! checks, [`record`] writes down what was left behind.

pub(crate) mod checks;
pub(crate) mod execute;
pub(crate) mod guard;
pub(crate) mod precheck;
pub(crate) mod record;
pub(crate) mod restorable;
pub(crate) mod settle;
pub(crate) mod step;

use std::time::Duration;

use relctl_plan::{
    Address, CheckWhen, Digest, EntryKind, EntryOutcome, Event, Failure, JournalEvent,
    OpenOperation, Plan, PlanKind, StepId, Verdict, digest_of,
};

use self::checks::{Checked, run_checks};
use self::execute::{Executor, Scope};
use self::guard::{check_base, check_pins, not_applied};
use self::precheck::precheck;
use self::record::close;
use crate::planning::base::Base;
use crate::{
    Answers, Context, EngineError, Holder, Interrupt, LedgerError, Lock, Observer, resume,
};

/// How to apply.
#[derive(Debug, Clone)]
pub struct ApplyOptions {
    pub holder: Holder,
    pub reason: Option<String>,
    /// How many steps may run at once.
    pub parallelism: usize,
    /// How long to wait for another holder of the lock.
    pub lock_timeout: Duration,
    /// How long one step may take.
    pub step_timeout: Duration,
    /// The bytes of each plugin, by digest, to be kept in the ledger.
    pub plugins: Vec<(Digest, Vec<u8>)>,
}

/// What an operation came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The operation that ended, or stays open after an interruption.
    pub operation: Option<String>,
    /// The entry that was written; `None`: nothing changed and nothing was to be recorded, or the
    /// operation stays open.
    pub entry: Option<(u64, Digest)>,
    pub outcome: EntryOutcome,
    pub verified: Option<bool>,
    pub done: Vec<StepId>,
    pub failed: Vec<(StepId, Failure)>,
    /// Not started.
    pub held: Vec<StepId>,
    /// Steps that began and of which nobody can tell whether they happened, with why: a person must
    /// say so, and the operation stays open until then. Exit 10.
    pub undecided: Vec<(StepId, String)>,
    /// A person interrupted it; `resume` goes on. Exit 130.
    pub parked: bool,
    /// Who asked this holder of the lock to park, if anyone did.
    pub asked_by: Option<Holder>,
    pub checks: Vec<(Address, Verdict, bool)>,
}

/// Carries out the plan.
///
/// Nothing is written before every precondition holds. One's own interrupted plan is resumed.
pub async fn apply(
    context: Context<'_>,
    plan: &Plan,
    options: &ApplyOptions,
    observer: &dyn Observer,
    interrupt: Interrupt,
) -> Result<Report, EngineError> {
    plan.verify()?;
    check_pins(context, plan)?;
    let lock = take_lock(context, options, observer, &interrupt).await?;
    let open = lock.head().operation;
    let result = match open {
        Some(operation) if operation.plan_id == plan.plan_id => {
            let mode = resume::ResumeMode::Go;
            resume::go_on(context, &*lock, mode, &Answers::new(), options, observer, interrupt)
                .await
        }
        Some(operation) => Err(EngineError::Interrupted { operation: operation.id }),
        None => apply_locked(context, &*lock, plan, options, observer, interrupt).await,
    };
    released(lock.release().await, result)
}

/// Takes the lock, waiting for another holder as long as nobody interrupts, and says so if it was
/// taken from someone. A lock that is being taken at that very moment is dropped with everything
/// else: it is free, or expires.
pub(crate) async fn take_lock(
    context: Context<'_>,
    options: &ApplyOptions,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<Box<dyn Lock>, EngineError> {
    let lock = interrupt
        .unless_parked(async {
            Ok(context.ledger.lock(options.holder.clone(), options.lock_timeout).await?)
        })
        .await?;
    if let Some(from) = lock.took_over() {
        observer.took_over(from);
    }
    Ok(lock)
}

/// A lock that could not be given back is worth an error only where there is none yet.
pub(crate) fn released<T>(
    release: Result<(), LedgerError>,
    result: Result<T, EngineError>,
) -> Result<T, EngineError> {
    if let (Ok(_), Err(error)) = (&result, release) {
        tracing::warn!(%error, "the lock could not be given back");
    }
    result
}

async fn apply_locked(
    context: Context<'_>,
    lock: &dyn Lock,
    plan: &Plan,
    options: &ApplyOptions,
    observer: &dyn Observer,
    interrupt: Interrupt,
) -> Result<Report, EngineError> {
    not_applied(context, plan).await?;
    check_base(plan, &lock.head())?;
    let base = Base::to_apply(context, lock.head(), plan).await?;
    let looked = async {
        let prepared = precheck(context, &base, plan, &|_| true).await?;
        let gates = run_checks(context, plan, CheckWhen::Before, &prepared.documents).await?;
        checks::all_passed(&gates)?;
        Ok((prepared, gates))
    };
    let (prepared, gates) = interrupt.unless_parked(looked).await?;

    if !plan.body.has_changes() {
        let checks = run_checks(context, plan, CheckWhen::After, &prepared.documents);
        let checked = interrupt.unless_parked(checks).await?;
        let verified = checks::verified(&gates, &checked);
        if base.entry.as_ref().map_or(verified.is_none(), |entry| entry.verified == verified) {
            observer.plan(plan);
            return Ok(unchanged(gates, checked, verified));
        }
    }
    if interrupt.should_park() {
        return Err(EngineError::Stopped);
    }
    let operation = open(context, lock, plan, options).await?;
    let journal = lock.open_journal(&operation.id).await?;
    observer.plan(plan);
    observer.event(&Event::Started {
        operation: operation.id.clone(),
        plan_id: plan.plan_id.clone(),
        steps: plan.body.steps.len(),
    });
    journal.append(context.clock.now(), opened(options, lock)).await?;
    let mut executor = Executor::new(
        context, &base, plan, &operation, lock, journal, options, observer, interrupt,
    );
    executor.prepare(prepared);
    for gate in gates {
        executor.note_check(gate).await?;
    }
    carry_out(executor, Scope::Everything).await
}

/// Runs the steps and the checks, and closes the operation unless it was parked.
pub(crate) async fn carry_out(
    mut executor: Executor<'_>,
    scope: Scope,
) -> Result<Report, EngineError> {
    executor.run(scope).await?;
    if executor.stays_open() {
        return Ok(executor.open_report());
    }
    if scope == Scope::Everything && executor.all_done() {
        let (context, plan) = (executor.context(), executor.plan());
        let documents = executor.documents();
        let interrupt = executor.interrupt();
        let checks = run_checks(context, plan, CheckWhen::After, &documents);
        let checked = match interrupt.unless_parked(checks).await {
            // `resume` finds every step done, and runs the checks.
            Err(EngineError::Stopped) => {
                return Ok(Report { parked: true, ..executor.open_report() });
            }
            checked => checked?,
        };
        for checked in checked {
            executor.note_check(checked).await?;
        }
    }
    close(executor).await
}

pub(crate) fn opened(options: &ApplyOptions, lock: &dyn Lock) -> JournalEvent {
    JournalEvent::Opened {
        actor: options.holder.actor.clone(),
        host: options.holder.host.clone(),
        epoch: lock.head().epoch,
    }
}

/// Makes the operation known: from here on, whoever comes next finds it.
async fn open(
    context: Context<'_>,
    lock: &dyn Lock,
    plan: &Plan,
    options: &ApplyOptions,
) -> Result<OpenOperation, EngineError> {
    let plan_digest = lock.put_plan(plan).await?;
    for (digest, wasm) in &options.plugins {
        lock.put_plugin(digest, wasm).await?;
    }
    let mut head = lock.head();
    // A digest of two values that are JSON already.
    let id = digest_of(&(&plan.plan_id, head.epoch, head.serial))
        .map(|digest| digest.short().to_owned())
        .unwrap_or_default();
    let operation = OpenOperation {
        id: format!("{:06}-{id}", head.serial + 1),
        kind: match plan.body.kind {
            PlanKind::Apply => EntryKind::Apply,
            PlanKind::Revert { .. } => EntryKind::Revert,
        },
        plan_id: plan.plan_id.clone(),
        plan: plan_digest,
        actor: options.holder.actor.clone(),
        reason: options.reason.clone(),
        started: context.clock.now(),
    };
    head.operation = Some(operation.clone());
    lock.swap_head(head).await?;
    Ok(operation)
}

/// The report of an apply that had nothing to change and nothing new to record.
fn unchanged(gates: Vec<Checked>, checked: Vec<Checked>, verified: Option<bool>) -> Report {
    Report {
        operation: None,
        entry: None,
        outcome: EntryOutcome::Succeeded,
        verified,
        done: Vec::new(),
        failed: Vec::new(),
        held: Vec::new(),
        undecided: Vec::new(),
        parked: false,
        asked_by: None,
        checks: gates
            .into_iter()
            .chain(checked)
            .map(|check| (check.address, check.verdict, check.blocking))
            .collect(),
    }
}
