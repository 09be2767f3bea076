//! Planning the way back, from what was recorded.

use std::collections::BTreeSet;

use relctl_plan::{Address, Meta, Origin, Plan};

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
    _context: Context<'_>,
    _target: &RevertTarget,
) -> Result<Origin, EngineError> {
    todo!()
}

/// Plans the revert. `accept_loss` names objects that it may destroy.
pub async fn plan_revert(
    _context: Context<'_>,
    _target: &RevertTarget,
    _accept_loss: &BTreeSet<Address>,
    _meta: Meta,
) -> Result<Plan, EngineError> {
    todo!()
}
