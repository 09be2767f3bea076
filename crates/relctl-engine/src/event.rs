//! Watching an operation.

use relctl_plan::{Event, Plan};

/// Watches an operation.
pub trait Observer: Send + Sync {
    /// The plan that is about to be carried out.
    fn plan(&self, plan: &Plan);

    fn event(&self, event: &Event);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn plan(&self, _plan: &Plan) {}

    fn event(&self, _event: &Event) {}
}
