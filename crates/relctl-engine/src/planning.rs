//! observe → diff → assess → graph → plan.

use relctl_plan::{Drift, Meta, Plan, Release};

use crate::{Context, EngineError};

/// Plans the release against what is there. Takes no lock and writes nothing.
pub async fn plan_apply(
    _context: Context<'_>,
    _release: &Release,
    _meta: Meta,
) -> Result<Plan, EngineError> {
    todo!()
}

/// What `relctl drift` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Drifts {
    pub drift: Vec<Drift>,
    /// How many recorded objects were looked at.
    pub looked_at: usize,
}

/// Compares what the newest entry recorded with what is there.
pub async fn find_drift(_context: Context<'_>) -> Result<Drifts, EngineError> {
    todo!()
}
