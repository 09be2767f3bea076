//! What the ledger asks of a place that keeps objects. Everything else stands on these calls.

use std::fmt;

use async_trait::async_trait;
use relctl_engine::LedgerError;

/// One state of a mutable object, as its store names it. A store may need either part, so both
/// are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub e_tag: Option<String>,
    pub version: Option<String>,
}

/// An object as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub bytes: Vec<u8>,
    pub version: Version,
}

/// How a conditional write ended.
#[derive(Debug)]
pub enum Put {
    /// It is durable.
    Done(Version),
    /// The store says that its condition did not hold. Where replies get lost or a store answers
    /// a collision with the same error, one's own write may have happened all the same: read back.
    Refused,
    /// Nobody knows whether it happened.
    Unsure(LedgerError),
}

/// What stands behind a lock that only one process of a machine can hold.
pub enum Guard {
    /// Held until dropped, or until the process dies.
    Held(Box<dyn Send + Sync>),
    /// A living process holds it.
    Busy,
    /// This store has no such thing: a lease decides alone.
    Unsupported,
}

/// A folder of objects. Paths are relative to one release's ledger in one environment,
/// `entries/<sha256>.json`. A write is durable and whole when its call returns.
#[async_trait]
pub trait Backend: Send + Sync + fmt::Debug {
    /// The full path or URL of an object, for messages.
    fn locate(&self, path: &str) -> String;

    /// Reads an object, `None` where there is none.
    async fn get(&self, path: &str) -> Result<Option<Object>, LedgerError>;

    /// Creates an object.
    async fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Put, LedgerError>;

    /// Replaces an object if it is still at `expected`.
    async fn put_if_match(
        &self,
        path: &str,
        bytes: &[u8],
        expected: &Version,
    ) -> Result<Put, LedgerError>;

    /// The paths of all objects below `folder`, sorted; all objects for the empty string.
    async fn list(&self, folder: &str) -> Result<Vec<String>, LedgerError>;

    /// Whether objects can grow here.
    fn can_append(&self) -> bool;

    /// Opens an existing object for appending after its first `keep` bytes, dropping the others.
    /// Fails where objects cannot grow.
    async fn appender(&self, path: &str, keep: u64) -> Result<Box<dyn Append>, LedgerError>;

    /// Tries to take the operating system's lock of this name.
    async fn guard(&self, path: &str) -> Result<Guard, LedgerError>;
}

/// An object that grows.
#[async_trait]
pub trait Append: Send {
    /// Appends; durable when this returns. After an error nobody knows what was appended.
    async fn append(&mut self, bytes: Vec<u8>) -> Result<(), LedgerError>;
}
