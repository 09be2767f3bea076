//! What plugins answer: assessments, progress, verdicts, failures.

use serde::{Deserialize, Serialize};

use crate::{Document, Path};

/// How bad a risk is, and so how far up the reader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// There is no way back from here, or data is lost.
    PointOfNoReturn,
    /// Something is destroyed.
    Destructive,
    /// Something stops serving for a while.
    Downtime,
    /// Worth knowing before saying yes.
    Caution,
}

/// One thing that a reader must see before saying yes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Risk {
    pub severity: Severity,
    /// A sentence without its final full stop.
    pub message: String,
}

/// How a step would be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reversal {
    /// Going back gives exactly what was there.
    Exact,
    /// Another step makes up for it; not everything is as it was.
    Compensating,
    /// It stays, and does no harm.
    Kept,
    /// There is no way back.
    Impossible,
}

/// What a plugin needs to go back, recorded before its step runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    pub open: Document,
    /// Plain-text values that the release file does not mention. Kept only in encrypted ledgers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Document>,
}

impl Undo {
    /// The part that may stand in plans and in output.
    #[must_use]
    pub fn without_sealed(self) -> Self {
        Self { sealed: None, ..self }
    }
}

/// What a plugin says about a change, from what was observed alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// What will be known after the step: computed values that are already certain.
    pub planned: Document,
    /// Whether the change needs delete and create.
    pub replace: bool,
    pub reversal: Reversal,
    pub undo: Option<Undo>,
    pub risks: Vec<Risk>,
    pub notes: Vec<String>,
    /// Observed fields, beyond the changed ones, that this assessment depends on.
    pub relies_on: Vec<Path>,
}

impl Default for Assessment {
    fn default() -> Self {
        Self {
            planned: Document::default(),
            replace: false,
            reversal: Reversal::Exact,
            undo: None,
            risks: Vec::new(),
            notes: Vec::new(),
            relies_on: Vec::new(),
        }
    }
}

/// What is wrong with one field of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub path: Path,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Whether a step is tried for the first time or may have happened already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attempt {
    First,
    /// Look before acting; answer [`Failure::Unknown`] if you cannot tell.
    Again,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// The object as it is now, canonical.
    Done(Document),
    /// Not done; ask again with this token after this many milliseconds.
    Pending { token: String, message: String, retry_after_ms: u32 },
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Pass,
    Fail,
    Inconclusive,
}

/// A check's outcome with what it saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub outcome: Outcome,
    pub evidence: String,
}

/// Why a plugin call did not give what was asked. A timeout, a trap or a lost connection during a
/// mutation is [`Failure::Unknown`] (design: invariant 6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    #[error("{}", first_message(.0))]
    Invalid(Vec<Diagnostic>),
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Precondition(String),
    #[error("{0}")]
    NotFound(String),
    /// Milliseconds to wait, where the cloud says so.
    #[error("throttled by the cloud")]
    Throttled(Option<u32>),
    #[error("{0}")]
    Unavailable(String),
    /// Half of it happened: what is there now, and what went wrong.
    #[error("{message}")]
    Partial { document: Document, message: String },
    #[error("{0}")]
    Unknown(String),
}

fn first_message(diagnostics: &[Diagnostic]) -> String {
    let Some(first) = diagnostics.first() else { return "the plugin refused it".to_owned() };
    let at = if first.path.is_root() { String::new() } else { format!("`{}`: ", first.path) };
    format!("{at}{}", first.message)
}
