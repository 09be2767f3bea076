//! Watching an operation.

use relctl_plan::{Event, Plan, StepId};

use crate::Holder;

/// Watches an operation.
pub trait Observer: Send + Sync {
    /// The plan that is about to be carried out.
    fn plan(&self, plan: &Plan);

    fn event(&self, event: &Event);

    /// The outcome of a step could not be told, and what a person said about it was taken.
    fn answered(&self, _step: &StepId, _done: bool) {}

    /// The lock was taken from a holder that never gave it back: it died or was cut off.
    fn took_over(&self, _from: &Holder) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn plan(&self, _plan: &Plan) {}

    fn event(&self, _event: &Event) {}
}
