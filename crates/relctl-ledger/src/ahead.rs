//! Reading what is in force before it is asked for.

use std::sync::{Arc, Mutex, PoisonError};

use relctl_engine::{Ledger as _, LedgerError};
use relctl_plan::{Digest, Snapshot};
use tokio::task::JoinHandle;

use crate::store::LedgerStore;

/// A snapshot that is being read, if one is.
#[derive(Clone, Default)]
pub(crate) struct Ahead(Arc<Mutex<Option<Reading>>>);

type Reading = JoinHandle<Result<(Digest, Snapshot), LedgerError>>;

impl LedgerStore {
    /// Begins to read the snapshot in force, which every plan is made against: on another core, it
    /// is there by the time that the plugins are loaded.
    pub fn read_ahead(&self) {
        let Some(entry) = self.in_force.clone() else { return };
        let store = self.clone();
        let reading = tokio::spawn(async move {
            let digest = store.entry(&entry).await?.snapshot;
            let snapshot = store.read_snapshot(&digest).await?;
            Ok((digest, snapshot))
        });
        *self.ahead.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
    }
}

impl Ahead {
    /// The snapshot of this digest, if it was read ahead. What went wrong is left to whoever now
    /// reads it, to be said in its place.
    pub(crate) async fn take(&self, wanted: &Digest) -> Option<Snapshot> {
        let reading = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let (digest, snapshot) = reading.await.ok()?.ok()?;
        (digest == *wanted).then_some(snapshot)
    }
}
