//! Writing under a held lock.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use relctl_engine::{Holder, Journal, LedgerError, Lock};
use relctl_plan::{Digest, Entry, Head, Plan, Snapshot};
use tokio::task::JoinHandle;

use super::Lease;
use crate::backend::Version;
use crate::cell::{Swap, create, replace};
use crate::codec::{check_digest, encode, pack, unpack};
use crate::error::{damaged, moved, untrusted};
use crate::head::{HEAD, StoredHead};
use crate::history;
use crate::journal::{self, OpenJournal};
use crate::store::{LedgerStore, entry_path, plan_path, plugin_path, snapshot_path};

type Unpack = fn(&[u8], &str) -> Result<Vec<u8>, LedgerError>;

/// The right to write to one ledger.
pub(crate) struct HeldLock {
    store: LedgerStore,
    lease: Arc<Lease>,
    beat: JoinHandle<()>,
    /// HEAD as this holder wrote it last, for whoever cannot wait.
    head: Mutex<Head>,
    /// The same with its version; held while it is written.
    last: tokio::sync::Mutex<(StoredHead, Version)>,
    took_over: Option<Holder>,
}

impl HeldLock {
    /// Rewrites HEAD with the epoch of a lock just taken: from then on no former holder can.
    pub(super) async fn fence(
        store: &LedgerStore,
        lease: Lease,
        took_over: Option<Holder>,
    ) -> Result<Self, LedgerError> {
        let lease = Arc::new(lease);
        let beat = tokio::spawn(lease.clone().beat());
        match write_epoch(store, &lease).await {
            Ok((stored, version)) => {
                let head = Mutex::new(stored.head.clone());
                let last = tokio::sync::Mutex::new((stored, version));
                Ok(Self { store: store.clone(), lease, beat, head, last, took_over })
            }
            Err(error) => {
                beat.abort();
                // The first error says more; the lock expires if it cannot be given back.
                if let Err(error) = lease.release().await {
                    tracing::warn!(%error, "the lock could not be given back");
                }
                Err(error)
            }
        }
    }

    /// Notes in HEAD for whom the ledger is encrypted.
    pub(crate) async fn set_recipients(&self, recipients: Vec<String>) -> Result<(), LedgerError> {
        let head = {
            let mut last = self.last.lock().await;
            last.0.recipients = recipients;
            last.0.head.clone()
        };
        self.swap_head(head).await
    }

    /// HEAD as this holder found or wrote it last.
    pub(super) async fn stored(&self) -> StoredHead {
        self.last.lock().await.0.clone()
    }

    /// Creates an object named by the digest of its content, which is its bytes unless they are to
    /// be unpacked. One that is there must be the same.
    async fn put(
        &self,
        path: &str,
        bytes: &[u8],
        digest: &Digest,
        unpack: Option<Unpack>,
    ) -> Result<(), LedgerError> {
        self.lease.check().await?;
        let backend = self.store.backend.as_ref();
        match create(backend, path, bytes).await? {
            Swap::Done(_) | Swap::Lost(None) => Ok(()),
            Swap::Lost(Some(there)) => {
                let place = backend.locate(path);
                match unpack {
                    Some(unpack) => check_digest(&unpack(&there.bytes, &place)?, digest, &place),
                    None => check_digest(&there.bytes, digest, &place),
                }
            }
        }
    }
}

async fn write_epoch(
    store: &LedgerStore,
    lease: &Lease,
) -> Result<(StoredHead, Version), LedgerError> {
    let backend = store.backend.as_ref();
    let place = backend.locate(HEAD);
    loop {
        let (stored, version) = store.read_head().await?;
        if stored.head.epoch >= lease.epoch() {
            return Err(moved(format!("`{place}` has been written by a later holder of the lock")));
        }
        let mut head = stored.head.clone();
        head.epoch = lease.epoch();
        let next = stored.next(head)?;
        // A former holder may write once more until this write is there: then look again.
        if let Swap::Done(version) =
            replace(backend, HEAD, &next.to_bytes(&place)?, &version).await?
        {
            store.remember(&next).await;
            return Ok((next, version));
        }
    }
}

#[async_trait]
impl Lock for HeldLock {
    fn head(&self) -> Head {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn took_over(&self) -> Option<&Holder> {
        self.took_over.as_ref()
    }

    async fn check(&self) -> Result<(), LedgerError> {
        self.lease.check().await
    }

    fn park_requested(&self) -> Option<Holder> {
        self.lease.park_requested()
    }

    async fn asked_to_park(&self) {
        self.lease.asked_to_park().await;
    }

    async fn put_plan(&self, plan: &Plan) -> Result<Digest, LedgerError> {
        let bytes = encode(plan, "the plan")?;
        let digest = Digest::of(&bytes);
        self.put(&plan_path(&digest), &bytes, &digest, None).await?;
        Ok(digest)
    }

    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<Digest, LedgerError> {
        let json = encode(snapshot, "the snapshot")?;
        let digest = Digest::of(&json);
        let packed = pack(&json, "the snapshot")?;
        self.put(&snapshot_path(&digest), &packed, &digest, Some(unpack)).await?;
        Ok(digest)
    }

    async fn put_entry(&self, entry: &Entry) -> Result<Digest, LedgerError> {
        let bytes = encode(entry, "the entry")?;
        let digest = Digest::of(&bytes);
        self.put(&entry_path(&digest), &bytes, &digest, None).await?;
        Ok(digest)
    }

    async fn put_plugin(&self, digest: &Digest, wasm: &[u8]) -> Result<(), LedgerError> {
        check_digest(wasm, digest, "the plugin to be kept")?;
        let path = plugin_path(digest);
        // A plugin is megabytes, and most are there already.
        if self.store.backend.list("plugins").await?.contains(&path) {
            return Ok(());
        }
        self.put(&path, wasm, digest, None).await
    }

    async fn swap_head(&self, head: Head) -> Result<(), LedgerError> {
        let backend = self.store.backend.as_ref();
        let place = backend.locate(HEAD);
        let mut last = self.last.lock().await;
        check_successor(&last.0.head, &head, &place)?;
        if let Some(operation) = &head.operation
            && last.0.head.operation.as_ref().is_none_or(|open| open.id != operation.id)
        {
            // HEAD never names an operation without a journal: one that is not there was removed.
            journal::found(backend, &operation.id, self.lease.epoch()).await?;
        }
        self.lease.check().await?;
        loop {
            let (stored, version) = &*last;
            let next = stored.next(head.clone())?;
            match replace(backend, HEAD, &next.to_bytes(&place)?, version).await? {
                Swap::Done(version) => {
                    self.head.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&next.head);
                    self.store.remember(&next).await;
                    if next.head.entry != stored.head.entry
                        && let Err(error) = history::record(backend, &next.head).await
                    {
                        tracing::warn!(%error, "the history page is behind; the next entry mends it");
                    }
                    *last = (next, version);
                    return Ok(());
                }
                Swap::Lost(now) => {
                    let now = now
                        .map(|object| {
                            let stored = StoredHead::from_bytes(&object.bytes, &place)?;
                            Ok::<_, LedgerError>((stored, object.version))
                        })
                        .transpose()?;
                    match now {
                        // An earlier write of this holder, whose reply got lost.
                        Some((stored, version)) if stored.head.epoch == self.lease.epoch() => {
                            *last = (stored, version);
                        }
                        _ => return Err(moved(format!("`{place}` was written by someone else"))),
                    }
                }
            }
        }
    }

    async fn open_journal(&self, operation: &str) -> Result<Box<dyn Journal>, LedgerError> {
        self.lease.check().await?;
        let began = {
            let last = self.last.lock().await;
            last.0.head.operation.as_ref().is_some_and(|open| open.id == operation)
        };
        let backend = self.store.backend.clone();
        Ok(Box::new(OpenJournal::open(backend, operation, began, self.lease.clone()).await?))
    }

    async fn release(&self) -> Result<(), LedgerError> {
        self.beat.abort();
        self.lease.release().await
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.beat.abort();
        self.lease.abandon();
    }
}

/// HEAD stays the head of one ledger, and history only grows.
fn check_successor(last: &Head, next: &Head, place: &str) -> Result<(), LedgerError> {
    let same = next.lineage == last.lineage
        && next.release == last.release
        && next.environment == last.environment
        && next.epoch == last.epoch;
    let grows = (next.serial == last.serial && next.entry == last.entry)
        || (next.serial == last.serial + 1 && next.entry != last.entry);
    if same && grows {
        return Ok(());
    }
    if next.format > Head::FORMAT {
        return Err(damaged(place, "a newer format cannot be written"));
    }
    Err(untrusted(
        format!("`{place}` would not be the next head of this ledger"),
        "this is a mistake in relctl; nothing was changed",
    ))
}
