//! Journal lines: intent before a mutation is attempted, its outcome before a dependant starts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Address, Attempt, Digest, Document, EntryOutcome, Failure, StepId, Undo, Verdict,
    canonical_json,
};

/// One line. `digest` covers the line with the one before it, so the last line's digest names the
/// whole journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalLine {
    pub seq: u64,
    /// RFC 3339, UTC.
    pub time: String,
    pub event: JournalEvent,
    pub previous: Option<Digest>,
    pub digest: Digest,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum JournalEvent {
    /// The operation began, or went on after an interruption.
    Opened {
        actor: String,
        host: String,
        epoch: u64,
    },
    /// A plugin is about to be asked to do this.
    Begin {
        step: StepId,
        token: String,
        attempt: Attempt,
        /// The desired document with every reference resolved.
        desired: Arc<Document>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_key: Option<String>,
        /// What the plugin needs to undo it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<Undo>,
    },
    /// It began, and the plugin was not called: something else failed first, or a person stopped
    /// the operation. As if it had not begun.
    NotStarted {
        step: StepId,
    },
    /// The plugin asked to be polled with this token.
    Pending {
        step: StepId,
        token: String,
    },
    Done {
        step: StepId,
        document: Document,
    },
    /// After references were resolved there was nothing to do.
    Noop {
        step: StepId,
        document: Document,
    },
    /// Nothing happened.
    Failed {
        step: StepId,
        failure: Failure,
    },
    /// Half of it happened.
    Partial {
        step: StepId,
        document: Document,
        message: String,
    },
    /// Nobody knows whether it happened.
    Unknown {
        step: StepId,
        message: String,
    },
    /// Nobody knew whether it happened, and a person said so.
    Resolved {
        step: StepId,
        /// Whether it happened; if not, it is as if it had not begun.
        done: bool,
        by: String,
        reason: String,
        /// The object as it was found, where it happened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        document: Option<Document>,
    },
    Checked {
        address: Address,
        verdict: Verdict,
    },
    /// The operation is over.
    Closed {
        outcome: EntryOutcome,
    },
}

/// Why a journal cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    #[error("line {0} cannot be written as canonical JSON")]
    Encode(u64),
    #[error("line {0} does not match its digest")]
    Digest(u64),
    #[error("line {0} does not follow the line before it")]
    Chain(u64),
}

/// Makes the line that follows `previous`.
pub fn chain(
    previous: Option<&JournalLine>,
    time: String,
    event: JournalEvent,
) -> Result<JournalLine, JournalError> {
    let seq = previous.map_or(0, |line| line.seq + 1);
    let previous = previous.map(|line| line.digest.clone());
    let digest = line_digest(seq, &time, &event, previous.as_ref())?;
    Ok(JournalLine { seq, time, event, previous, digest })
}

impl JournalLine {
    /// Checks that this line is whole and follows `previous`.
    pub fn verify(&self, previous: Option<&Self>) -> Result<(), JournalError> {
        if line_digest(self.seq, &self.time, &self.event, self.previous.as_ref())? != self.digest {
            return Err(JournalError::Digest(self.seq));
        }
        let follows = self.seq == previous.map_or(0, |line| line.seq + 1)
            && self.previous.as_ref() == previous.map(|line| &line.digest);
        if follows { Ok(()) } else { Err(JournalError::Chain(self.seq)) }
    }
}

fn line_digest(
    seq: u64,
    time: &str,
    event: &JournalEvent,
    previous: Option<&Digest>,
) -> Result<Digest, JournalError> {
    canonical_json(&(seq, time, event, previous))
        .map(|bytes| Digest::of(&bytes))
        .map_err(|_| JournalError::Encode(seq))
}
