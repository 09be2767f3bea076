//! What the engine asks of a ledger.

use std::time::Duration;

use async_trait::async_trait;
use relctl_plan::{Digest, Entry, Head, JournalEvent, JournalLine, Plan, Snapshot};
use serde::{Deserialize, Serialize};

/// Who holds a lock, for whoever waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Made for each process: a lock whose holder has one's own nonce is one's own.
    pub nonce: String,
    pub actor: String,
    pub host: String,
    pub pid: u32,
    /// The command line's first words, `apply`.
    pub command: String,
    pub plan_id: Option<Digest>,
    pub run_url: Option<String>,
    /// RFC 3339, UTC.
    pub since: String,
}

/// What kind of thing went wrong: it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerErrorKind {
    /// There is no ledger; `relctl init` makes one.
    Absent,
    /// It is not the one that `relctl.lock` names, is older than one seen, or is damaged.
    Untrusted,
    /// Someone else has the lock.
    Locked,
    /// HEAD moved, or the lock was lost.
    Moved,
    /// It cannot be read or written at the moment.
    Io,
    /// It cannot do what was asked, whatever it holds: a name that is no name, a ledger that is
    /// there already.
    Refused,
}

/// A ledger refused, or failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct LedgerError {
    pub kind: LedgerErrorKind,
    /// Names the object or file.
    pub message: String,
    pub hint: Option<String>,
}

/// A release's history in one environment.
///
/// Entries, snapshots and plans are immutable and named by their digests; HEAD moves by
/// compare-and-swap.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Where it is, for messages: a folder or a URL.
    fn location(&self) -> String;

    /// Whether what it keeps is encrypted: only then are sealed undos kept.
    fn is_encrypted(&self) -> bool {
        false
    }

    async fn head(&self) -> Result<Head, LedgerError>;

    async fn entry(&self, digest: &Digest) -> Result<Entry, LedgerError>;

    async fn snapshot(&self, digest: &Digest) -> Result<Snapshot, LedgerError>;

    async fn plan(&self, digest: &Digest) -> Result<Plan, LedgerError>;

    /// A plugin's bytes, where an earlier operation kept them.
    async fn plugin(&self, digest: &Digest) -> Result<Option<Vec<u8>>, LedgerError>;

    /// The journal of an operation, verified line by line. A torn last line is dropped if the
    /// operation is `open`, otherwise an error.
    async fn journal(&self, operation: &str, open: bool) -> Result<Vec<JournalLine>, LedgerError>;

    /// Whether an entry applied this plan. Looks at HEAD's chain.
    async fn applied(&self, plan_id: &Digest) -> Result<Option<u64>, LedgerError>;

    /// Who holds the lock, if anyone does.
    async fn holder(&self) -> Result<Option<Holder>, LedgerError>;

    /// Takes the lock, waiting at most `timeout` for another holder.
    async fn lock(&self, holder: Holder, timeout: Duration) -> Result<Box<dyn Lock>, LedgerError>;

    /// Asks whoever holds the lock to park: to start nothing new, journal every wait and release.
    /// Returns the holder asked, `None` if nobody holds it.
    async fn request_park(&self, by: Holder) -> Result<Option<Holder>, LedgerError>;
}

/// A held lock: the right to write. Everything written through it is durable when the call returns.
#[async_trait]
pub trait Lock: Send + Sync {
    /// HEAD as this holder found or wrote it last, with this holder's epoch.
    fn head(&self) -> Head;

    /// The holder before this one, if it never released the lock: it died or was cut off.
    fn took_over(&self) -> Option<&Holder>;

    /// Fails if the lock is no longer held. Asked before each plugin call.
    async fn check(&self) -> Result<(), LedgerError>;

    /// Who asked this holder to park, if anyone did. Cheap: ask it at each poll.
    fn park_requested(&self) -> Option<Holder>;

    /// Returns when someone asks this holder to park.
    async fn asked_to_park(&self) {
        std::future::pending::<()>().await;
    }

    async fn put_plan(&self, plan: &Plan) -> Result<Digest, LedgerError>;

    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<Digest, LedgerError>;

    async fn put_entry(&self, entry: &Entry) -> Result<Digest, LedgerError>;

    /// Keeps a plugin's bytes, so that a bare machine can revert.
    async fn put_plugin(&self, digest: &Digest, wasm: &[u8]) -> Result<(), LedgerError>;

    /// Moves HEAD, if it is still what this holder saw or wrote last.
    async fn swap_head(&self, head: Head) -> Result<(), LedgerError>;

    /// Opens an operation's journal for appending, after the lines that it has.
    async fn open_journal(&self, operation: &str) -> Result<Box<dyn Journal>, LedgerError>;

    /// Gives the lock back. Dropping it without this leaves it to expire, where locks expire.
    async fn release(&self) -> Result<(), LedgerError>;
}

/// An open journal. Calls from many steps at once share flushes.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends one event; it is durable when this returns.
    async fn append(&self, time: String, event: JournalEvent) -> Result<(), LedgerError>;

    /// The lines that were there when it was opened.
    fn replayed(&self) -> &[JournalLine];

    /// The last line's digest, `None` while there is none.
    async fn last(&self) -> Option<Digest>;

    /// After an append failed: the lines that are not known to be durable, in order, those that
    /// were appended after the failure included. They are for an emergency copy elsewhere.
    async fn unsaved(&self) -> Vec<JournalLine>;

    /// Appends the lines of an emergency copy, leaving out those that are there already. Lines
    /// that do not follow the last one here are an error.
    async fn restore(&self, lines: &[JournalLine]) -> Result<(), LedgerError>;
}
