//! Observes, plans, applies, resumes and reverts releases.
//!
//! The engine decides; it knows no wasmtime, no cloud, no terminal, no environment and no wall
//! clock. What it needs of the world stands behind three traits: [`Provider`] (plugins),
//! [`Ledger`] (history and lock) and [`Clock`].

mod apply;
mod clock;
mod error;
mod event;
mod import;
mod ledger;
mod planning;
mod provider;
mod resume;
mod revert;

pub use apply::settle::{Answer, Answers};
pub use apply::{ApplyOptions, Report, apply};
pub use clock::{Clock, Interrupt, Interrupter};
pub use error::{EngineError, ObjectError, Refusal};
pub use event::{Observer, Silent};
pub use import::{Declarable, import};
pub use ledger::{Holder, Journal, Ledger, LedgerError, LedgerErrorKind, Lock};
pub use planning::{Drifts, find_drift, plan_apply, validate};
pub use provider::{Change, Provider, ProviderError, ProviderFault, Providers, StepCall, Subject};
pub use resume::{ResumeMode, resume, resume_with};
pub use revert::{RevertTarget, find_target, plan_revert};

/// What every operation needs of the world.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub ledger: &'a dyn Ledger,
    pub providers: &'a Providers,
    pub clock: &'a dyn Clock,
}
