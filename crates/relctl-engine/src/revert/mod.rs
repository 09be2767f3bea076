//! Planning the way back, from what was recorded.
//!
//! [`target`] finds the entry to go back to, [`since`] sums up what the entries after it did,
//! [`way_back`] turns both into goals. From there on a revert is planned like any release.

mod since;
mod target;
mod way_back;

use std::collections::BTreeSet;

use relctl_plan::{Address, Meta, Origin, Plan, PlanKind};

use self::since::Since;
use self::target::{History, choose};
use self::way_back::{Sources, goals_of};
use crate::planning::assemble::{Title, build};
use crate::planning::base::{Base, read_entry};
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
    /// The newest verified entry of a version, or an entry's hash prefix.
    Named(String),
}

/// Finds the entry that `target` means.
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
    let since = Since::read(context, &history, origin.serial).await?;
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
    let meta = with_in_force(meta, &base);
    let mut plan = build(context, &base, back.goals, title, back.risks, meta).await?;
    plan.body.notes.extend(back.notes);
    Ok(Plan::new(plan.body, plan.meta)?)
}
