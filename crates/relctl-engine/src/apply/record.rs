//! Writes down what an operation left behind: snapshot, entry, HEAD.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use relctl_plan::{
    Address, Entry, EntryKind, EntryOutcome, Event, Failure, JournalEvent, Map, PlanKind, Recorded,
    Retained, Run, RunOutcome, Snapshot, Step, Template, Value, Verb,
};

use super::Report;
use super::checks::{bind, verified};
use super::execute::{Executor, State};
use super::step::{Ended, Outcome};
use crate::EngineError;
use crate::planning::base::identity_of;
use crate::planning::base::{Key, kind_of};
use crate::planning::decide::owned_after;

/// Closes an operation: nothing of it is under way any more.
pub(crate) async fn close(executor: Executor<'_>) -> Result<Report, EngineError> {
    let (context, lock, plan) = (executor.context(), executor.lock(), executor.plan());
    let outcome = if executor.all_done() { EntryOutcome::Succeeded } else { EntryOutcome::Failed };
    let time = context.clock.now();
    if let Err(error) = executor.journal().append(time, JournalEvent::Closed { outcome }).await {
        return Err(executor.unrecorded(error).await);
    }
    let has_checks = plan.body.steps.iter().any(|step| step.blocking == Some(true));
    let verified = match outcome {
        EntryOutcome::Succeeded => verified(&[], executor.checks()),
        EntryOutcome::Failed => has_checks.then_some(false),
    };
    let written = write(&executor, outcome, verified).await;
    let (serial, entry) = match written {
        Ok(written) => written,
        Err(error) => return Err(executor.unrecorded(error).await),
    };
    for step in &plan.body.steps {
        if step.verb != Verb::Check && matches!(executor.state(&step.id), State::Waiting) {
            executor.observer().event(&Event::StepHeld { step: step.id.clone() });
        }
    }
    executor.observer().event(&Event::Finished { serial, entry: entry.clone(), outcome, verified });
    let _ = lock;
    Ok(Report { entry: Some((serial, entry)), outcome, verified, ..executor.report_of_steps() })
}

async fn write(
    executor: &Executor<'_>,
    outcome: EntryOutcome,
    verified: Option<bool>,
) -> Result<(u64, relctl_plan::Digest), crate::LedgerError> {
    let (context, lock, plan) = (executor.context(), executor.lock(), executor.plan());
    let base = executor.base();
    let operation = executor.operation();
    let serial = base.head.serial + 1;
    let snapshot = lock.put_snapshot(&snapshot(executor, serial)).await?;
    let (kind, restores) = match &plan.body.kind {
        PlanKind::Apply => (EntryKind::Apply, None),
        PlanKind::Revert { target } => (EntryKind::Revert, Some(target.serial)),
    };
    let checks: BTreeMap<_, _> = executor
        .checks()
        .iter()
        .map(|check| (check.address.clone(), check.verdict.clone()))
        .collect();
    let entry = Entry {
        format: Entry::FORMAT,
        serial,
        kind,
        release: plan.body.release.clone(),
        version: plan.body.version.clone(),
        environment: plan.body.environment.clone(),
        lineage: base.head.lineage.clone(),
        parent: base.head.entry.clone(),
        operation: operation.id.clone(),
        plan_id: plan.plan_id.clone(),
        plan: operation.plan.clone(),
        journal: executor.journal().last().await.unwrap_or_else(|| plan.plan_id.clone()),
        snapshot,
        outcome,
        verified,
        checks,
        restores,
        actor: operation.actor.clone(),
        reason: operation.reason.clone(),
        started: operation.started.clone(),
        finished: context.clock.now(),
    };
    let digest = lock.put_entry(&entry).await?;
    let mut head = lock.head();
    head.serial = serial;
    head.entry = Some(digest.clone());
    head.operation = None;
    lock.swap_head(head).await?;
    Ok((serial, digest))
}

/// What is there after the operation, as far as it got.
fn snapshot(executor: &Executor<'_>, serial: u64) -> Snapshot {
    let plan = executor.plan();
    let mut snapshot = executor.base().snapshot.clone();
    snapshot.plugins.extend(plan.body.plugins.clone());
    // All are taken out before any is put back: two may have changed names with each other.
    let records: Vec<(Address, Recorded)> = plan
        .body
        .records
        .iter()
        .map(|(address, change)| {
            let old = snapshot.objects.remove(change.renamed_from.as_ref().unwrap_or(address));
            let undo = old.and_then(|old| old.undo);
            (address.clone(), Recorded { undo, ..change.record.clone() })
        })
        .collect();
    for (address, recorded) in records {
        keep_replaced(&mut snapshot, &address, &recorded, serial);
        snapshot.objects.insert(address, recorded);
    }
    for address in &plan.body.retain {
        if let Some(recorded) = snapshot.objects.remove(address) {
            snapshot.retained.push(Retained { address: address.clone(), since: serial, recorded });
        }
    }
    for address in &plan.body.forget {
        snapshot.objects.remove(address);
        snapshot.retained.retain(|retained| retained.address != *address);
    }
    let documents = executor.documents();
    for step in &plan.body.steps {
        let State::Ended(ended) = executor.state(&step.id) else { continue };
        match step.verb {
            Verb::Check => {}
            Verb::Run => record_run(&mut snapshot, step, ended, serial, &documents),
            Verb::Delete => record_deletion(&mut snapshot, step, ended),
            Verb::Create | Verb::Update | Verb::Replace | Verb::Adopt => {
                record_object(executor, &mut snapshot, step, ended, serial);
            }
        }
    }
    snapshot
}

fn record_deletion(snapshot: &mut Snapshot, step: &Step, ended: &Ended) {
    let is_it = |recorded: &Recorded| recorded.identity == step.identity;
    if ended.is_done() {
        if snapshot.objects.get(&step.address).is_some_and(is_it) {
            snapshot.objects.remove(&step.address);
        }
        snapshot.retained.retain(|r| r.address != step.address || !is_it(&r.recorded));
    } else if let Some(recorded) = snapshot.objects.get_mut(&step.address) {
        recorded.settled = false;
    }
}

fn record_object(
    executor: &Executor<'_>,
    snapshot: &mut Snapshot,
    step: &Step,
    ended: &Ended,
    serial: u64,
) {
    let known = executor.base().find(&step.plugin, &step.address, &step.identity);
    let (observed, settled) = match &ended.outcome {
        Outcome::Done(document) | Outcome::Noop(document) => (Arc::clone(document), true),
        Outcome::Failed(Failure::Partial { document, .. }) => (Arc::clone(&document.value), false),
        Outcome::Failed(Failure::Unknown(_)) => {
            let known = known.as_ref().map(|found| Arc::clone(&found.recorded.observed));
            (known.unwrap_or_else(|| Arc::clone(&ended.desired.value)), false)
        }
        // Nothing happened: what was recorded stays, to be looked at again.
        Outcome::Failed(_) => {
            if let Some(recorded) = snapshot.objects.get_mut(&step.address) {
                recorded.settled = false;
            }
            return;
        }
    };
    if let Some(old) = &step.renamed_from
        // By now another object may have that address.
        && snapshot.objects.get(old).is_some_and(|r| Key::of(old, r) == Key::of_step(step))
    {
        snapshot.objects.remove(old);
    }
    let identity = kind_of(executor.context(), &step.plugin, &step.address)
        .ok()
        .and_then(|kind| identity_of(kind, &ended.desired));
    let identity = identity.filter(|map| !map.is_empty()).unwrap_or_else(|| step.identity.clone());
    snapshot.retained.retain(|retained| {
        retained.recorded.plugin != step.plugin
            || retained.address.kind() != step.address.kind()
            || retained.recorded.identity != identity
            || (identity.is_empty() && retained.address != step.address)
    });
    let recorded = Recorded {
        plugin: step.plugin.clone(),
        identity,
        inputs: step.inputs.clone(),
        desired: owned_after(&ended.desired.value, &step.releases),
        observed,
        depends_on: step.depends_on.clone(),
        lifecycle: step.lifecycle.clone(),
        on_revert: step.on_revert,
        before: step.before.clone(),
        existed: step.existed,
        created: known.map_or(serial, |found| found.recorded.created),
        changed: serial,
        undo: ended.undo.clone(),
        settled,
    };
    keep_replaced(snapshot, &step.address, &recorded, serial);
    if step.managed {
        snapshot.objects.insert(step.address.clone(), recorded);
    } else {
        snapshot.objects.remove(&step.address);
        // An address that was made up for the plan alone is nobody's.
        let address = step.renamed_from.clone().unwrap_or_else(|| step.address.clone());
        snapshot.retained.push(Retained { address, since: serial, recorded });
    }
}

/// An address that now stands for another object: the one that it stood for is retained.
fn keep_replaced(snapshot: &mut Snapshot, address: &Address, new: &Recorded, serial: u64) {
    let other = snapshot.objects.get(address).is_some_and(|old| {
        !old.identity.is_empty() && (old.identity != new.identity || old.plugin != new.plugin)
    });
    if other && let Some(recorded) = snapshot.objects.remove(address) {
        snapshot.retained.push(Retained { address: address.clone(), since: serial, recorded });
    }
}

fn record_run(
    snapshot: &mut Snapshot,
    step: &Step,
    ended: &Ended,
    serial: u64,
    documents: &HashMap<Address, Arc<Map>>,
) {
    if let Some(undone) = &step.undoes {
        if let Some(run) = snapshot.runs.get_mut(undone).filter(|_| ended.is_done()) {
            run.undone = Some(serial);
        }
        return;
    }
    let Some(key) = &ended.run_key else { return };
    let (output, outcome) = match &ended.outcome {
        Outcome::Noop(_) => return,
        Outcome::Done(document) => (document.clone(), RunOutcome::Done),
        // It began and ended badly: that is certain, and what it left is known.
        Outcome::Failed(Failure::Partial { document, .. }) => {
            (document.value.clone(), RunOutcome::Failed)
        }
        Outcome::Failed(Failure::Unknown(_)) => (Arc::default(), RunOutcome::Unknown),
        Outcome::Failed(_) => (Arc::default(), RunOutcome::Failed),
    };
    let undo = step
        .undo_inputs
        .as_ref()
        .and_then(|overrides| undo_inputs(&ended.desired.value, overrides, documents));
    snapshot.runs.insert(
        key.clone(),
        Run {
            address: step.address.clone(),
            plugin: step.plugin.clone(),
            inputs: ended.desired.value.clone(),
            output,
            depends_on: step.depends_on.clone(),
            serial,
            undo,
            undone: None,
            outcome,
        },
    );
}

/// The inputs of the run that undoes one: its own, with the overrides laid over them.
fn undo_inputs(
    inputs: &Map,
    overrides: &Template,
    documents: &HashMap<Address, Arc<Map>>,
) -> Option<Map> {
    let overrides = overrides.resolve(&|reference| bind(documents, reference)).ok()?;
    let mut undo = inputs.clone();
    for (name, value) in overrides.value.iter() {
        match value {
            Value::Null => undo.remove(name),
            value => undo.insert(name.clone(), value.clone()),
        };
    }
    Some(undo)
}
