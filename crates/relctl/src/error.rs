//! What went wrong, as a person and a script see it.

use std::error::Error;
use std::fmt;
use std::path::Path;

use relctl_broker::http::redact;
use relctl_config::Diagnostics;
use relctl_engine::{EngineError, LedgerError, LedgerErrorKind, ProviderError, Refusal};
use relctl_host::LoadError;
use relctl_plan::PlanError;
use serde::Serialize;

use crate::exit::Exit;

/// What kind of thing went wrong: it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ErrorKind {
    /// The command line does not make sense.
    Usage,
    /// The release file, an overlay, a variable or `relctl.lock` is wrong.
    Release,
    /// A plugin is missing, is another one, or misbehaved.
    Plugin,
    /// The ledger is absent, not trusted, or cannot be read or written.
    Ledger,
    /// A file could not be read or written.
    File,
    /// A gate or a guard forbids it.
    Refused,
    /// The plan is stale, was applied before, is not what it says, or is for other plugins.
    Stale,
    /// Someone else holds the lock.
    Locked,
    /// An interrupted operation is open.
    Interrupted,
    /// A person interrupted before anything was started.
    Stopped,
    /// Nobody said yes, or to another plan.
    Approval,
    /// Something may have happened that could not be recorded.
    Unrecorded,
    /// A mistake in relctl.
    Internal,
    /// Whoever reads the output has gone: no error.
    BrokenPipe,
}

impl ErrorKind {
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Usage
            | Self::Release
            | Self::Plugin
            | Self::Ledger
            | Self::File
            | Self::Internal => Exit::Error,
            Self::Refused => Exit::Refused,
            Self::Stale => Exit::Stale,
            Self::Locked | Self::Interrupted => Exit::Locked,
            Self::Stopped => Exit::Interrupted,
            Self::Approval => Exit::Unapproved,
            Self::Unrecorded => Exit::Failed,
            Self::BrokenPipe => Exit::Done,
        }
    }
}

/// Why a command ended without doing what it was asked.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CommandError {
    pub kind: ErrorKind,
    /// A sentence without its final full stop.
    pub message: String,
    /// Mistakes in the release file, each with its place; they say all that `message` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mistakes: Option<Box<Diagnostics>>,
    /// One block for each thing that is wrong, where there are many; may have many lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// The chain of sources, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl CommandError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            mistakes: None,
            details: Vec::new(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// A file that could not be read or written; `what` is for example "read the plan".
    pub(crate) fn file(what: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(ErrorKind::File, format!("cannot {what} `{}`", path.display()))
            .cause(error.to_string())
    }

    /// Takes an error with its chain of sources.
    pub(crate) fn from_error(kind: ErrorKind, error: &dyn Error) -> Self {
        let mut taken = Self::new(kind, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            taken.causes.push(cause.to_string());
            source = cause.source();
        }
        taken
    }

    /// Without credentials: what a store or a cloud answers may repeat the request that it got.
    /// Mistakes in the release file are masked where they are found.
    #[must_use]
    pub(crate) fn redacted(self, secrets: &[&str]) -> Self {
        let all = |texts: Vec<String>| texts.iter().map(|text| redact(text, secrets)).collect();
        Self {
            message: redact(&self.message, secrets),
            details: all(self.details),
            causes: all(self.causes),
            hints: all(self.hints),
            ..self
        }
    }

    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    #[must_use]
    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Diagnostics> for CommandError {
    fn from(mistakes: Diagnostics) -> Self {
        let count = mistakes.iter().count();
        let message = match mistakes.iter().next() {
            Some(mistake) if count == 1 => mistake.message.clone(),
            _ => format!("{count} mistakes"),
        };
        Self { mistakes: Some(Box::new(mistakes)), ..Self::new(ErrorKind::Release, message) }
    }
}

impl From<LedgerError> for CommandError {
    fn from(error: LedgerError) -> Self {
        let kind = match error.kind {
            LedgerErrorKind::Locked => ErrorKind::Locked,
            LedgerErrorKind::Moved => ErrorKind::Stale,
            LedgerErrorKind::Absent
            | LedgerErrorKind::Untrusted
            | LedgerErrorKind::Refused
            | LedgerErrorKind::Io => ErrorKind::Ledger,
        };
        let hint = error.hint.or_else(|| {
            (error.kind == LedgerErrorKind::Io).then(|| {
                "check that the ledger can be read and written, and that its disk has room"
                    .to_owned()
            })
        });
        let mut taken = Self::new(kind, error.message);
        taken.hints.extend(hint);
        taken
    }
}

impl From<LoadError> for CommandError {
    fn from(error: LoadError) -> Self {
        // The fault is the second half of the sentence; what it stems from comes after.
        let mut taken = Self::from_error(ErrorKind::Plugin, &error);
        if !taken.causes.is_empty() {
            taken.causes.remove(0);
        }
        taken
    }
}

impl From<ProviderError> for CommandError {
    fn from(error: ProviderError) -> Self {
        Self::from_error(ErrorKind::Plugin, &error)
    }
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        Self::from_error(ErrorKind::Stale, &error)
    }
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Objects(errors) => {
                let mut taken = Self::new(ErrorKind::Release, message);
                for error in errors {
                    let field = &error.diagnostic.path;
                    let at = if field.is_root() { String::new() } else { format!(".{field}") };
                    let detail = format!("{}{at}: {}", error.address, error.diagnostic.message);
                    taken.details.push(match error.diagnostic.hint {
                        Some(hint) => format!("{detail}\n  hint: {hint}"),
                        None => detail,
                    });
                }
                taken
            }
            EngineError::Cycle(_) => Self::new(ErrorKind::Release, message)
                .hint("take one reference or `depends_on` out of the circle"),
            EngineError::NoPlugin(instance) => Self::new(ErrorKind::Plugin, message)
                .hint(format!("add `[plugins.{instance}]` to the release file")),
            EngineError::NoKind { plugin, .. } => Self::new(ErrorKind::Plugin, message)
                .hint(format!("use the version of plugin `{plugin}` that served it")),
            EngineError::Provider(error) => error.into(),
            EngineError::Unanswered(failures) => {
                let taken = Self::new(ErrorKind::Plugin, message);
                failures.into_iter().fold(taken, |taken, (address, failure)| {
                    taken.detail(format!("{address}: {failure}"))
                })
            }
            EngineError::Ledger(error) => error.into(),
            EngineError::Plan(error) => error.into(),
            EngineError::Stale { hint, .. } => Self::new(ErrorKind::Stale, message).hint(hint),
            EngineError::Changed(refusals) => refused(ErrorKind::Stale, message, &refusals)
                .hint("nothing was changed; plan again and have the new plan reviewed"),
            EngineError::AppliedBefore { .. } => Self::new(ErrorKind::Stale, message)
                .hint("nothing was changed; plan again to see what differs now"),
            EngineError::Gates(refusals) => {
                refused(ErrorKind::Refused, message, &refusals).hint("nothing was changed")
            }
            EngineError::Refused { hint, .. } => Self::new(ErrorKind::Refused, message).hint(hint),
            EngineError::Stopped => Self::new(ErrorKind::Stopped, message)
                .hint("nothing was changed; run the same command again when you are ready"),
            EngineError::Interrupted { .. } => Self::new(ErrorKind::Interrupted, message)
                .hint("go on: relctl resume")
                .hint("stop it where it is: relctl resume --stop")
                .hint("go back: relctl revert"),
            EngineError::Nothing { hint, .. } => Self::new(ErrorKind::Ledger, message).hint(hint),
            EngineError::Unrecorded { source, unsaved, .. } => {
                let mut taken = Self::new(ErrorKind::Unrecorded, message).cause(source.message);
                taken.hints.extend(source.hint);
                // They are nowhere else: whoever repairs the ledger needs them.
                let lines = unsaved.iter().filter_map(|line| serde_json::to_string(line).ok());
                taken.details.extend(lines.map(|line| format!("not recorded: {line}")));
                taken
                    .hint(
                        "nothing new was started; what ran was seen to its end where that could be",
                    )
                    .hint("when the ledger can be written again, on this machine: relctl resume")
            }
        }
    }
}

fn refused(kind: ErrorKind, message: String, refusals: &[Refusal]) -> CommandError {
    let mut taken = CommandError::new(kind, message);
    taken.details.extend(refusals.iter().map(describe));
    taken
}

/// One reason not to start, in a line.
fn describe(refusal: &Refusal) -> String {
    let existence = |exists: &bool| if *exists { "it exists" } else { "it does not exist" };
    match refusal {
        Refusal::Changed { address, path, planned, current } => {
            format!("{address}.{path}: planned with {planned}, now {current}")
        }
        Refusal::Existence { address, planned, current } => {
            format!("{address}: when planned {}, now {}", existence(planned), existence(current))
        }
        Refusal::Reassessed { step, what } => format!("{step}: {what}"),
        Refusal::Gate { address, message } => format!("{address}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger_error(kind: LedgerErrorKind) -> EngineError {
        EngineError::Ledger(LedgerError { kind, message: "m".to_owned(), hint: None })
    }

    #[test]
    fn each_refusal_has_its_exit_code() {
        let cases = [
            (EngineError::Objects(Vec::new()), 1),
            (EngineError::Cycle(Vec::new()), 1),
            (EngineError::NoPlugin("x".to_owned()), 1),
            (ledger_error(LedgerErrorKind::Absent), 1),
            (ledger_error(LedgerErrorKind::Untrusted), 1),
            (ledger_error(LedgerErrorKind::Io), 1),
            (ledger_error(LedgerErrorKind::Locked), 6),
            (ledger_error(LedgerErrorKind::Moved), 5),
            (EngineError::Plan(PlanError::Format(9)), 5),
            (EngineError::Stale { message: String::new(), hint: String::new() }, 5),
            (EngineError::Changed(Vec::new()), 5),
            (EngineError::AppliedBefore { plan_id: String::new(), serial: 1 }, 5),
            (EngineError::Gates(Vec::new()), 4),
            (EngineError::Refused { message: String::new(), hint: String::new() }, 4),
            (EngineError::Stopped, 130),
            (EngineError::Interrupted { operation: String::new() }, 6),
            (EngineError::Nothing { message: String::new(), hint: String::new() }, 1),
        ];
        for (error, code) in cases {
            let described = format!("{error:?}");
            assert_eq!(CommandError::from(error).kind.exit().code(), code, "{described}");
        }
    }
}
