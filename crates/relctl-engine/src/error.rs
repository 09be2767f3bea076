//! Why the engine refused, or could not go on.

use relctl_plan::{Address, Diagnostic, Failure, JournalLine, PlanError, StepId, Value};

use crate::{LedgerError, ProviderError};

/// Something wrong with one object, found while planning.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectError {
    pub address: Address,
    /// What is wrong, with the field and a hint where there is one.
    pub diagnostic: Diagnostic,
}

/// One reason not to start.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// A field that the plan depends on is not what it was.
    Changed { address: Address, path: relctl_plan::Path, planned: Value, current: Value },
    /// It was there and is gone, or was not and is there.
    Existence { address: Address, planned: bool, current: bool },
    /// The plugin now says something else about the step than it said while planning.
    Reassessed { step: StepId, what: String },
    /// A gate failed.
    Gate { address: Address, message: String },
}

/// Why an operation was refused, or could not go on. Each variant has one exit code (design §12).
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// Exit 1. Every mistake that was found.
    #[error("the release cannot be planned: {} mistake(s)", .0.len())]
    Objects(Vec<ObjectError>),
    /// Exit 1. Objects that need each other, the first repeated at the end.
    #[error("objects depend on each other in a circle: {}", names(.0))]
    Cycle(Vec<Address>),
    /// Exit 1.
    #[error("plugin instance `{0}` is not loaded")]
    NoPlugin(String),
    /// Exit 1. The ledger or a plan names a kind that the plugin does not serve.
    #[error("plugin instance `{plugin}` does not serve the kind of {address}")]
    NoKind { plugin: String, address: Address },
    /// Exit 1.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Exit 1. Plugins could not answer about these objects.
    #[error("{} object(s) could not be read or assessed", .0.len())]
    Unanswered(Vec<(Address, Failure)>),
    /// Exit 6 where the lock is held by another, otherwise 1; see its kind.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Exit 5.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Exit 5. Made for another ledger, environment, head or plugin; the message says which.
    #[error("{message}")]
    Stale { message: String, hint: String },
    /// Exit 5. What the plan depends on has changed; nothing was changed.
    #[error("the plan is stale: {} thing(s) changed since", .0.len())]
    Changed(Vec<Refusal>),
    /// Exit 5.
    #[error("plan {plan_id} was applied before, by entry #{serial}")]
    AppliedBefore { plan_id: String, serial: u64 },
    /// Exit 4. Gates failed, all of them named; nothing was changed.
    #[error("{} gate(s) failed", .0.len())]
    Gates(Vec<Refusal>),
    /// Exit 4. A guard forbids it; the message says which and how to lift it.
    #[error("{message}")]
    Refused { message: String, hint: String },
    /// Exit 130. A person interrupted before anything was opened or started.
    #[error("stopped before anything was started")]
    Stopped,
    /// Exit 6.
    #[error("operation {operation} was interrupted")]
    Interrupted { operation: String },
    /// Exit 1. There is nothing to resume, revert or go back to.
    #[error("{message}")]
    Nothing { message: String, hint: String },
    /// Exit 9. A mutation may have happened and could not be recorded.
    #[error("the ledger could not be written while applying")]
    Unrecorded {
        operation: String,
        #[source]
        source: LedgerError,
        /// Journal lines that are not known to be durable, for an emergency copy.
        unsaved: Vec<JournalLine>,
    },
}

fn names(addresses: &[Address]) -> String {
    addresses.iter().map(Address::as_str).collect::<Vec<_>>().join(" → ")
}
