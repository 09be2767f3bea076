//! observe → diff → assess → graph → plan.
//!
//! [`pipeline`] decides each goal, [`decide`] says by which rules, [`leaving`] sees to what no goal
//! names, [`assemble`] puts the plan together. Applying a release file and reverting to an entry
//! differ only in their [`goal`]s.

pub(crate) mod assemble;
pub(crate) mod base;
pub(crate) mod calls;
mod comeback;
pub(crate) mod decide;
pub(crate) mod goal;
mod leaving;
pub(crate) mod pipeline;
pub(crate) mod restore;
mod validating;

use std::sync::Arc;

use relctl_plan::{
    Document, Drift, EntryOutcome, Map, Meta, Origin, Plan, PlanKind, Release, owned_paths, select,
};

use self::assemble::{Title, build, drift_between};
use self::base::{Base, kind_of};
use self::calls::by_plugin;
use self::goal::Goals;
use crate::{Context, EngineError, Subject};

pub use self::validating::validate;

/// Plans the release against what is there. Takes no lock and writes nothing.
pub async fn plan_apply(
    context: Context<'_>,
    release: &Release,
    meta: Meta,
) -> Result<Plan, EngineError> {
    let base = Base::read(context).await?;
    refuse_interrupted(&base)?;
    let title = Title {
        release: release.name.clone(),
        version: release.version.clone(),
        environment: release.environment.clone(),
        kind: PlanKind::Apply,
    };
    let meta = with_in_force(context, meta, &base).await?;
    build(context, &base, Goals::of_release(release), title, Vec::new(), meta).await
}

/// An open operation must be settled before anything new is planned: what it did is not recorded.
pub(crate) fn refuse_interrupted(base: &Base) -> Result<(), EngineError> {
    match &base.head.operation {
        Some(operation) => Err(EngineError::Interrupted { operation: operation.id.clone() }),
        None => Ok(()),
    }
}

/// Adds what is in force, for the reader: the newest entry that succeeded, unless it went back to
/// before the first one.
pub(crate) async fn with_in_force(
    context: Context<'_>,
    mut meta: Meta,
    base: &Base,
) -> Result<Meta, EngineError> {
    let mut next = base.head.entry.clone().zip(base.entry.clone());
    while let Some((digest, entry)) = next.take() {
        if entry.outcome == EntryOutcome::Failed {
            if let Some(parent) = entry.parent {
                next = Some((parent.clone(), context.ledger.entry(&parent).await?));
            }
        } else if entry.restores != Some(0) {
            meta.in_force_verified = entry.verified;
            meta.in_force = Some(Origin {
                serial: entry.serial,
                entry: Some(digest),
                version: Some(entry.version),
            });
        }
    }
    Ok(meta)
}

/// What `relctl drift` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Drifts {
    pub drift: Vec<Drift>,
    /// How many recorded objects were looked at.
    pub looked_at: usize,
}

/// Compares what the newest entry recorded with what is there.
pub async fn find_drift(context: Context<'_>) -> Result<Drifts, EngineError> {
    let base = Base::read(context).await?;
    let settled = base.snapshot.objects.iter().filter(|(_, recorded)| recorded.settled);
    let objects: Vec<_> = settled.collect();
    let subjects = objects.iter().map(|(address, recorded)| {
        let subject = Subject {
            address: (*address).clone(),
            desired: Some(Document::known(recorded.desired.clone()).into()),
            prior: Some(Arc::clone(&recorded.observed)),
        };
        (recorded.plugin.clone(), subject)
    });
    let answers =
        by_plugin(context, subjects.collect(), |p, s| async move { p.observe(s).await }).await?;
    let mut drift = Vec::new();
    let mut unanswered = Vec::new();
    for ((address, recorded), answer) in objects.iter().zip(answers) {
        let kind = kind_of(context, &recorded.plugin, address)?;
        match answer {
            Err(failure) => unanswered.push(((*address).clone(), failure)),
            Ok(observed) => {
                let owned = owned_paths(&recorded.desired, &kind.fields);
                let was: Map = select(&recorded.observed, &owned);
                drift.extend(drift_between(
                    address,
                    &was,
                    observed.as_deref(),
                    |path| recorded.lifecycle.is_external(path),
                    &kind.fields,
                    &recorded.desired,
                ));
            }
        }
    }
    if !unanswered.is_empty() {
        return Err(EngineError::Unanswered(unanswered));
    }
    Ok(Drifts { drift, looked_at: objects.len() })
}
