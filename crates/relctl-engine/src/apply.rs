//! Applying a plan: exactly what it says, or nothing.

use std::time::Duration;

use relctl_plan::{Address, Digest, EntryOutcome, Failure, Plan, StepId, Verdict};

use crate::{Context, EngineError, Holder, Interrupt, Observer};

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
    /// A person interrupted it; `resume` goes on. Exit 130.
    pub parked: bool,
    pub checks: Vec<(Address, Verdict, bool)>,
}

/// Carries out the plan.
pub async fn apply(
    _context: Context<'_>,
    _plan: &Plan,
    _options: &ApplyOptions,
    _observer: &dyn Observer,
    _interrupt: Interrupt,
) -> Result<Report, EngineError> {
    todo!()
}
