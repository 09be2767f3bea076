//! Constructors for the ledger's errors: each names its object, and most say what to do.

use std::fmt::Display;

use relctl_engine::{LedgerError, LedgerErrorKind};

/// The object cannot be trusted: `what` says where and why.
pub(crate) fn untrusted(what: impl Into<String>, hint: impl Into<String>) -> LedgerError {
    error(LedgerErrorKind::Untrusted, what, Some(hint.into()))
}

/// The object at `place` is not what was once written there.
pub(crate) fn damaged(place: &str, why: impl Display) -> LedgerError {
    untrusted(
        format!("`{place}` is damaged: {why}"),
        "restore this file from a copy; nothing was changed",
    )
}

/// The object at `place` is gone, and something that still stands refers to it.
pub(crate) fn missing(place: &str, by: &str) -> LedgerError {
    untrusted(
        format!("`{place}` is missing, and {by} refers to it"),
        "restore this file from a copy; nothing was changed",
    )
}

/// The object at `place` was written by a newer relctl.
pub(crate) fn newer(place: &str, format: u64, newest: u32) -> LedgerError {
    untrusted(
        format!("`{place}` has format {format}, this relctl reads up to {newest}"),
        "use a newer relctl",
    )
}

/// Reading or writing failed: `attempted` is a phrase like `write`.
pub(crate) fn io(attempted: &str, place: &str, cause: impl Display) -> LedgerError {
    error(LedgerErrorKind::Io, format!("could not {attempted} `{place}`: {cause}"), None)
}

/// Someone else moved HEAD, the lock or the journal.
pub(crate) fn moved(what: impl Into<String>) -> LedgerError {
    error(
        LedgerErrorKind::Moved,
        what,
        Some("someone else took over this ledger; `relctl status` shows who and what".to_owned()),
    )
}

/// What was asked of this crate cannot be done, whatever the ledger holds.
pub(crate) fn refused(what: impl Into<String>, hint: impl Into<String>) -> LedgerError {
    error(LedgerErrorKind::Refused, what, Some(hint.into()))
}

pub(crate) fn error(
    kind: LedgerErrorKind,
    message: impl Into<String>,
    hint: Option<String>,
) -> LedgerError {
    LedgerError { kind, message: message.into(), hint }
}
