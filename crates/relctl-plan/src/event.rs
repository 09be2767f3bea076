//! What happens during an operation, for whoever watches.

use serde::Serialize;

use crate::{Address, Digest, EntryOutcome, Failure, StepId, Verdict};

/// One thing that happened. With `--json`, one line each.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The lock is taken, the plan is still true, the gates are next.
    Started {
        operation: String,
        plan_id: Digest,
        steps: usize,
    },
    StepStarted {
        step: StepId,
        again: bool,
    },
    /// What the cloud says about a step that takes time.
    StepProgress {
        step: StepId,
        message: String,
        elapsed_ms: u64,
    },
    StepDone {
        step: StepId,
        elapsed_ms: u64,
    },
    /// After references were resolved there was nothing to do.
    StepNoop {
        step: StepId,
    },
    StepFailed {
        step: StepId,
        failure: Failure,
        elapsed_ms: u64,
    },
    /// Not started, because something that it needs did not succeed.
    StepHeld {
        step: StepId,
    },
    /// Parked by an interruption; `resume` goes on.
    StepParked {
        step: StepId,
    },
    Checked {
        address: Address,
        verdict: Verdict,
        blocking: bool,
    },
    Finished {
        serial: u64,
        entry: Digest,
        outcome: EntryOutcome,
        verified: Option<bool>,
    },
}
