//! The lock object: who holds the ledger, and which epoch it is.

use relctl_engine::{Holder, LedgerError};
use relctl_plan::Map;
use serde::{Deserialize, Serialize};

use crate::backend::{Backend, Version};
use crate::cell::{Swap, create, replace};
use crate::codec::{from_map, seal, to_map, unseal};
use crate::nonce::nonce;

pub(crate) const LOCK: &str = "lock";

const FORMAT: u32 = 1;

/// The lock object's content. It is taken and given back by replacing it, never deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    format: u32,
    /// Rises by one at each taking.
    pub(super) epoch: u64,
    /// Rises with each heartbeat of one holder.
    pub(super) beat: u64,
    pub(super) holder: Option<Holder>,
    /// Who asks the holder to park.
    pub(super) park: Option<Holder>,
    /// Made for each write.
    nonce: String,
    #[serde(flatten)]
    extra: Map,
}

impl Record {
    /// A record of `holder` after `previous`, in `epoch`.
    pub(super) fn taken(previous: Option<&Self>, holder: Holder, epoch: u64) -> Self {
        let extra = previous.map(|record| record.extra.clone()).unwrap_or_default();
        let nonce = String::new();
        Self { format: FORMAT, epoch, beat: 0, holder: Some(holder), park: None, nonce, extra }
    }

    /// Whether it was written by the holder with this nonce, in this epoch.
    pub(super) fn is_of(&self, nonce: &str, epoch: u64) -> bool {
        self.epoch == epoch && self.holder.as_ref().is_some_and(|holder| holder.nonce == nonce)
    }
}

/// The lock object, `None` before the ledger was locked for the first time.
pub(super) async fn read(backend: &dyn Backend) -> Result<Option<(Record, Version)>, LedgerError> {
    let Some(object) = backend.get(LOCK).await? else { return Ok(None) };
    Ok(Some((parse(backend, &object.bytes)?, object.version)))
}

/// How writing the lock object ended.
pub(super) enum Written {
    Done(Version),
    /// It is now this.
    Lost(Option<Box<(Record, Version)>>),
}

/// Writes the lock object over `expected`.
pub(super) async fn write(
    backend: &dyn Backend,
    record: &mut Record,
    expected: Option<&Version>,
) -> Result<Written, LedgerError> {
    record.nonce = nonce()?;
    let place = backend.locate(LOCK);
    let bytes = seal(to_map(record, &place)?, &place)?;
    let swap = match expected {
        None => create(backend, LOCK, &bytes).await?,
        Some(expected) => replace(backend, LOCK, &bytes, expected).await?,
    };
    Ok(match swap {
        Swap::Done(version) => Written::Done(version),
        Swap::Lost(None) => Written::Lost(None),
        Swap::Lost(Some(object)) => {
            let record = parse(backend, &object.bytes)?;
            Written::Lost(Some(Box::new((record, object.version))))
        }
    })
}

fn parse(backend: &dyn Backend, bytes: &[u8]) -> Result<Record, LedgerError> {
    let place = backend.locate(LOCK);
    from_map(unseal(bytes, FORMAT, &place)?, &place)
}
