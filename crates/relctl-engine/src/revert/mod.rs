//! Planning the way back, from what was recorded.
//!
//! [`target`] finds the entry to go back to, [`since`] sums up what the entries after it did,
//! [`way_back`] turns both into goals. From there on a revert is planned like any release.

mod since;
mod target;
mod way_back;

use std::collections::{BTreeSet, HashMap};

use relctl_plan::{Address, Document, Head, Meta, Origin, Plan, PlanKind, StepId};

use self::since::Since;
use self::target::{History, choose};
use self::way_back::{Sources, goals_of};
use crate::planning::assemble::{Title, build};
use crate::planning::base::{Base, Key, read_entry};
use crate::planning::{refuse_interrupted, with_in_force};
use crate::{Context, EngineError};

/// Where a revert goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevertTarget {
    /// The nearest verified entry before the one in force that was not itself reverted.
    Previous,
    /// Before the first entry.
    Start,
    Serial(u64),
    /// An entry's serial, the newest verified entry of a version, or an entry's hash prefix.
    Named(String),
}

/// Finds the entry that `target` means. While an operation is open it is the one from where that
/// operation's entry will be.
pub async fn find_target(
    context: Context<'_>,
    target: &RevertTarget,
) -> Result<Origin, EngineError> {
    let head = context.ledger.head().await?;
    let history = History::read(context, &head).await?;
    choose(&history, target)
}

/// Plans the revert. `accept_loss` names objects that it may destroy.
pub async fn plan_revert(
    context: Context<'_>,
    target: &RevertTarget,
    accept_loss: &BTreeSet<Address>,
    meta: Meta,
) -> Result<Plan, EngineError> {
    let base = Base::read(context).await?;
    refuse_interrupted(&base)?;
    let history = History::read(context, &base.head).await?;
    let origin = choose(&history, target)?;
    let (entry, goal_snapshot) = read_entry(context, origin.entry.as_ref()).await?;
    let mut since = Since::read(context, &history, origin.serial).await?;
    since.add_deleted(context, &history, (origin.serial, &goal_snapshot)).await?;
    let target_plan = match &entry {
        Some(entry) => Some(context.ledger.plan(&entry.plan).await?),
        None => None,
    };
    let sources = Sources {
        base: &base,
        target: &goal_snapshot,
        target_plan: target_plan.as_ref(),
        since: &since,
        accept_loss,
    };
    let back = goals_of(context, sources)?;
    let title = Title {
        release: base.head.release.clone(),
        version: entry.map_or_else(|| "start".to_owned(), |entry| entry.version),
        environment: base.head.environment.clone(),
        kind: PlanKind::Revert { target: origin },
    };
    let meta = with_in_force(context, meta, &base).await?;
    let mut plan = build(context, &base, back.goals, title, back.risks, meta).await?;
    plan.body.notes.extend(back.notes);
    Ok(Plan::new(plan.body, plan.meta)?)
}

/// What is sealed of the undo that each step of a revert takes along. It is in no plan: only an
/// encrypted ledger has it.
pub(crate) async fn sealed_undos(
    context: Context<'_>,
    head: &Head,
    plan: &Plan,
) -> Result<HashMap<StepId, Document>, EngineError> {
    let PlanKind::Revert { target } = &plan.body.kind else { return Ok(HashMap::new()) };
    if !context.ledger.is_encrypted() {
        return Ok(HashMap::new());
    }
    let history = History::read(context, head).await?;
    let since = Since::read(context, &history, target.serial).await?;
    let steps = plan.body.steps.iter().filter(|step| step.undo.is_some());
    let sealed = steps.filter_map(|step| {
        let undo = since.objects.get(&Key::of_step(step))?.undo.as_ref()?;
        Some((step.id.clone(), undo.sealed.clone()?))
    });
    Ok(sealed.collect())
}
