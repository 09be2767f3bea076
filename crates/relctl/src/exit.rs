//! Exit codes: the one table of design.md §12.

use std::process::ExitCode;

/// How relctl ended, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Usage, release file, plugin, ledger or internal error; nothing was changed.
    Error,
    /// `--detailed-exitcode`: the plan has changes.
    Changes,
    /// `--detailed-exitcode` or `drift`: drift, and no mutating step.
    Drift,
    /// Refused by a gate or a policy; nothing was changed.
    Refused,
    /// The plan is stale, was applied before, is not what it says, or is for other plugins.
    Stale,
    /// Locked, or an interrupted operation must be resumed or reverted first.
    Locked,
    /// Approval missing, or for another plan.
    Unapproved,
    /// Failed or unknown, not reverted; the ledger says how far, the message says what next.
    Failed,
    /// Held or inconclusive: a person must decide.
    Inconclusive,
    /// Interrupted; safe to resume.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees. 8, failed and reverted, is for reverts on failure.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Changes => 2,
            Self::Drift => 3,
            Self::Refused => 4,
            Self::Stale => 5,
            Self::Locked => 6,
            Self::Unapproved => 7,
            Self::Failed => 9,
            Self::Inconclusive => 10,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
