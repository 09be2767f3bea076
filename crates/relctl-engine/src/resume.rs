//! Going on after an interruption, or settling it.

use crate::{ApplyOptions, Context, EngineError, Interrupt, Observer, Report};

/// What to do with what was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeMode {
    /// Settle what began, then go on.
    Go,
    /// Settle what began, start nothing, close the entry as failed.
    Stop,
}

/// Resumes the open operation.
pub async fn resume(
    _context: Context<'_>,
    _mode: ResumeMode,
    _options: &ApplyOptions,
    _observer: &dyn Observer,
    _interrupt: Interrupt,
) -> Result<Report, EngineError> {
    todo!()
}
