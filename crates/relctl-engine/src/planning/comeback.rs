//! Whether a plan would bring back what a revert took away.

use std::collections::BTreeSet;

use relctl_plan::{Body, Entry, EntryKind, EntryOutcome, Risk, Severity, Snapshot, Step};

use super::base::Base;
use super::decide::value_at;
use crate::{Context, EngineError};

/// How far back a revert is looked for, in entries.
const REMEMBERED: usize = 100;

/// What the newest revert took away.
struct TakenAway {
    revert: Entry,
    /// Newest first; without those whose version was released again since.
    entries: Vec<Entry>,
    /// What the newest of them left behind.
    snapshot: Snapshot,
    /// Nothing succeeded since the revert.
    is_fresh: bool,
}

/// The risk of a plan that releases again what a revert took away: the same version, or the same
/// values. Where something else was released since, single values that agree say nothing.
pub(super) async fn risk(
    context: Context<'_>,
    base: &Base,
    body: &Body,
) -> Result<Option<Risk>, EngineError> {
    if !body.has_mutations() {
        return Ok(None);
    }
    let Some(taken) = taken_away(context, base).await? else { return Ok(None) };
    let changing: Vec<&Step> = body
        .steps
        .iter()
        .filter(|step| step.verb.is_mutation() && !step.changes.is_empty())
        .collect();
    let count = changing.iter().filter(|step| comes_back(step, &taken.snapshot)).count();
    let same_values = count > 0 && (taken.is_fresh || count == changing.len());
    let same_version = taken.entries.iter().find(|entry| entry.version == body.version);
    let newest = taken.entries.first().filter(|_| same_values);
    let Some(entry) = same_version.or(newest) else { return Ok(None) };
    let steps = match count {
        0 => String::new(),
        1 => " (1 step as it was then)".to_owned(),
        _ => format!(" ({count} steps as they were then)"),
    };
    Ok(Some(Risk {
        severity: Severity::PointOfNoReturn,
        message: format!(
            "brings back what the revert #{} took away: {} #{}{steps}",
            taken.revert.serial, entry.version, entry.serial
        ),
    }))
}

/// Whether the step writes what was there before the revert.
fn comes_back(step: &Step, before: &Snapshot) -> bool {
    before.objects.get(&step.address).is_some_and(|recorded| {
        step.changes.iter().all(|change| {
            !change.unknown && value_at(&recorded.observed, &change.path) == change.after.as_ref()
        })
    })
}

async fn taken_away(context: Context<'_>, base: &Base) -> Result<Option<TakenAway>, EngineError> {
    let mut next = base.entry.clone();
    let mut since: BTreeSet<String> = BTreeSet::new();
    let mut revert: Option<Entry> = None;
    let mut entries: Vec<Entry> = Vec::new();
    let mut snapshot = None;
    for _ in 0..REMEMBERED {
        let Some(entry) = next.take() else { break };
        if let Some(parent) = &entry.parent {
            next = Some(context.ledger.entry(parent).await?);
        }
        match &revert {
            None if entry.outcome != EntryOutcome::Succeeded => {}
            None if entry.kind == EntryKind::Revert => revert = Some(entry),
            None => {
                since.insert(entry.version);
            }
            Some(revert) if revert.restores.is_some_and(|target| entry.serial <= target) => break,
            Some(_) => {
                if snapshot.is_none() {
                    snapshot = Some(context.ledger.snapshot(&entry.snapshot).await?);
                }
                let is_gone = entry.kind == EntryKind::Apply && !since.contains(&entry.version);
                entries.extend(Some(entry).filter(|_| is_gone));
            }
        }
    }
    let is_fresh = since.is_empty();
    Ok(revert.zip(snapshot).map(|(revert, snapshot)| TakenAway {
        revert,
        entries,
        snapshot,
        is_fresh,
    }))
}
