//! What plugins are asked and what they answer. The contract, `plugins/wit`, says more.

use crate::bindings::relctl::provider::types;
use crate::{Document, Field, Map};

pub use crate::bindings::relctl::provider::http::Replay;
pub use types::{
    Attempt, Description, Diagnostic, Kind, Operations, Outcome, Reversal, Risk, Role, Severity,
    Verb, Verdict,
};

/// An object that the plugin is asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// `<role>.<kind>.<name>`.
    pub address: String,
    pub desired: Option<Document>,
    /// What the ledger recorded last.
    pub prior: Option<Map>,
}

impl Subject {
    /// `lookup`, `resource`, `action` or `check`.
    pub fn role(&self) -> &str {
        self.address.split('.').next().unwrap_or_default()
    }

    pub fn kind(&self) -> &str {
        self.address.split('.').nth(1).unwrap_or_default()
    }

    /// A text that says which object is meant: as desired or, for an object that is no longer
    /// desired, as recorded.
    pub fn identity_text(&self, name: &str) -> Option<&str> {
        match &self.desired {
            Some(desired) => desired.field(name).text(),
            None => self.prior.as_ref()?.get(name)?.as_str(),
        }
    }
}

/// What the plugin needs to go back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Undo {
    pub open: Document,
    /// Plain-text values that the release file does not mention. Kept only in encrypted ledgers.
    pub sealed: Option<Document>,
}

/// A difference between what is desired and what is observed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub subject: Subject,
    pub verb: Verb,
    pub observed: Option<Map>,
    /// The owned fields as they shall be, `null` for those to remove. `None`: delete.
    pub desired: Option<Document>,
    /// JSON pointers to the fields that differ.
    pub paths: Vec<String>,
    /// Reverts: what the step that is undone recorded.
    pub undo: Option<Undo>,
}

impl Change {
    /// What a desired field shall be.
    pub fn desired_field(&self, name: &str) -> Field<'_> {
        self.desired.as_ref().map_or(Field::Absent, |desired| desired.field(name))
    }

    /// The text of an observed field.
    pub fn observed_text(&self, name: &str) -> Option<&str> {
        self.observed.as_ref()?.get(name)?.as_str()
    }
}

/// What a change would mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// What will be known after the step: computed values that are already certain.
    pub planned: Document,
    /// Whether it needs delete and create.
    pub replace: bool,
    pub reversal: Reversal,
    pub undo: Option<Undo>,
    pub risks: Vec<Risk>,
    pub notes: Vec<String>,
    /// JSON pointers to observed fields, beyond the changed ones, that this depends on.
    pub relies_on: Vec<String>,
}

impl Assessment {
    /// An assessment with this reversal and nothing else to say.
    pub fn new(reversal: Reversal) -> Self {
        Self {
            planned: Document::default(),
            replace: false,
            reversal,
            undo: None,
            risks: Vec::new(),
            notes: Vec::new(),
            relies_on: Vec::new(),
        }
    }
}

/// One step to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub id: String,
    /// The idempotency token: the same on every retry of this step of this plan.
    pub token: String,
    /// Actions: what makes a run the same run.
    pub run_key: Option<String>,
    pub attempt: Attempt,
    pub change: Change,
    pub planned: Document,
    /// Whose work this is: the ledger's lineage.
    pub lineage: String,
    pub timeout_ms: u64,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// The object as it is now, canonical. Empty after a delete.
    Done(Document),
    /// Not done; the host asks again with the token.
    Pending { token: String, message: String, retry_after_ms: u32 },
}

/// Why a call did not give what was asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    Invalid(Vec<Diagnostic>),
    Denied(String),
    /// What is there does not allow it.
    Precondition(String),
    NotFound(String),
    /// Milliseconds to wait, where the cloud says so.
    Throttled(Option<u32>),
    /// Certainly not carried out; may work later.
    Unavailable(String),
    /// Half of it happened: what is there now, and what went wrong.
    Partial(Document, String),
    /// It may have been carried out.
    Unknown(String),
}
