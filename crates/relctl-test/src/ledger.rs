//! A ledger in memory. It can be told to fail from the n-th write on, as if the process had died:
//! what was written before is there, nothing else is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use relctl_engine::{Holder, Journal, Ledger, LedgerError, LedgerErrorKind, Lock};
use relctl_plan::{
    Digest, Entry, Head, JournalEvent, JournalLine, Plan, Snapshot, chain, digest_of,
};

#[derive(Debug, Default)]
struct Store {
    head: Option<Head>,
    entries: HashMap<Digest, Entry>,
    snapshots: HashMap<Digest, Snapshot>,
    plans: HashMap<Digest, Plan>,
    plugins: HashMap<Digest, Vec<u8>>,
    journals: HashMap<String, Vec<JournalLine>>,
    holder: Option<Holder>,
    writes: u64,
    dies_after: Option<u64>,
    encrypted: bool,
}

/// A ledger in memory. Clones share what it holds.
#[derive(Debug, Clone, Default)]
pub struct MemoryLedger {
    store: Arc<Mutex<Store>>,
}

impl MemoryLedger {
    /// An empty ledger of this release and environment.
    pub fn new(release: &str, environment: Option<&str>) -> Self {
        let ledger = Self::default();
        ledger.store().head = Some(Head {
            format: Head::FORMAT,
            release: release.to_owned(),
            environment: environment.map(str::to_owned),
            lineage: "00000000000000000000000000000001".to_owned(),
            serial: 0,
            entry: None,
            epoch: 0,
            operation: None,
            extra: relctl_plan::Map::new(),
        });
        ledger
    }

    /// Says of itself that it is encrypted, and so keeps what is sealed.
    pub fn encrypt(&self) {
        self.store().encrypted = true;
    }

    /// Fails every write after this many more of them, and forgets the lock: the process is dead.
    pub fn die_after(&self, writes: u64) {
        let mut store = self.store();
        store.dies_after = Some(store.writes + writes);
    }

    /// A new process: writes work, nobody holds the lock. Returns whether it had died.
    pub fn revive(&self) -> bool {
        let mut store = self.store();
        store.holder = None;
        store.dies_after.take().is_some_and(|limit| store.writes >= limit)
    }

    /// How many writes there were.
    pub fn writes(&self) -> u64 {
        self.store().writes
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write<T>(&self, write: impl FnOnce(&mut Store) -> T) -> Result<T, LedgerError> {
        let mut store = self.store();
        if store.dies_after.is_some_and(|limit| store.writes >= limit) {
            return Err(error(LedgerErrorKind::Io, "the process is dead"));
        }
        store.writes += 1;
        Ok(write(&mut store))
    }
}

fn error(kind: LedgerErrorKind, message: &str) -> LedgerError {
    LedgerError { kind, message: message.to_owned(), hint: None }
}

fn absent(what: &str, digest: &Digest) -> LedgerError {
    error(LedgerErrorKind::Untrusted, &format!("{what} {digest} is missing"))
}

fn name<T: serde::Serialize>(value: &T) -> Digest {
    digest_of(value).unwrap_or_else(|_| Digest::of(b""))
}

#[async_trait]
impl Ledger for MemoryLedger {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn is_encrypted(&self) -> bool {
        self.store().encrypted
    }

    async fn head(&self) -> Result<Head, LedgerError> {
        self.store().head.clone().ok_or_else(|| error(LedgerErrorKind::Absent, "no ledger"))
    }

    async fn entry(&self, digest: &Digest) -> Result<Entry, LedgerError> {
        self.store().entries.get(digest).cloned().ok_or_else(|| absent("entry", digest))
    }

    async fn snapshot(&self, digest: &Digest) -> Result<Snapshot, LedgerError> {
        self.store().snapshots.get(digest).cloned().ok_or_else(|| absent("snapshot", digest))
    }

    async fn plan(&self, digest: &Digest) -> Result<Plan, LedgerError> {
        self.store().plans.get(digest).cloned().ok_or_else(|| absent("plan", digest))
    }

    async fn plugin(&self, digest: &Digest) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.store().plugins.get(digest).cloned())
    }

    async fn journal(&self, operation: &str, _open: bool) -> Result<Vec<JournalLine>, LedgerError> {
        Ok(self.store().journals.get(operation).cloned().unwrap_or_default())
    }

    async fn applied(&self, plan_id: &Digest) -> Result<Option<u64>, LedgerError> {
        let store = self.store();
        Ok(store.entries.values().find(|entry| entry.plan_id == *plan_id).map(|e| e.serial))
    }

    async fn holder(&self) -> Result<Option<Holder>, LedgerError> {
        Ok(self.store().holder.clone())
    }

    async fn lock(&self, holder: Holder, _timeout: Duration) -> Result<Box<dyn Lock>, LedgerError> {
        if self.store().holder.is_some() {
            return Err(error(LedgerErrorKind::Locked, "someone holds the lock"));
        }
        self.write(|store| {
            store.holder = Some(holder);
            if let Some(head) = store.head.as_mut() {
                head.epoch += 1;
            }
        })?;
        Ok(Box::new(MemoryLock { ledger: self.clone() }))
    }

    async fn request_park(&self, _by: Holder) -> Result<Option<Holder>, LedgerError> {
        Ok(self.store().holder.clone())
    }
}

struct MemoryLock {
    ledger: MemoryLedger,
}

#[async_trait]
impl Lock for MemoryLock {
    fn head(&self) -> Head {
        let head = self.ledger.store().head.clone();
        head.unwrap_or_else(|| unreachable!("a locked ledger has a head"))
    }

    fn took_over(&self) -> Option<&Holder> {
        None
    }

    async fn check(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    fn park_requested(&self) -> Option<Holder> {
        None
    }

    async fn put_plan(&self, plan: &Plan) -> Result<Digest, LedgerError> {
        let digest = name(plan);
        self.ledger.write(|store| store.plans.insert(digest.clone(), plan.clone()))?;
        Ok(digest)
    }

    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<Digest, LedgerError> {
        let digest = name(snapshot);
        self.ledger.write(|store| store.snapshots.insert(digest.clone(), snapshot.clone()))?;
        Ok(digest)
    }

    async fn put_entry(&self, entry: &Entry) -> Result<Digest, LedgerError> {
        let digest = name(entry);
        self.ledger.write(|store| store.entries.insert(digest.clone(), entry.clone()))?;
        Ok(digest)
    }

    async fn put_plugin(&self, digest: &Digest, wasm: &[u8]) -> Result<(), LedgerError> {
        self.ledger.write(|store| store.plugins.insert(digest.clone(), wasm.to_vec()))?;
        Ok(())
    }

    async fn swap_head(&self, head: Head) -> Result<(), LedgerError> {
        self.ledger.write(|store| store.head = Some(head))
    }

    async fn open_journal(&self, operation: &str) -> Result<Box<dyn Journal>, LedgerError> {
        let replayed = self.ledger.journal(operation, true).await?;
        Ok(Box::new(MemoryJournal {
            ledger: self.ledger.clone(),
            operation: operation.to_owned(),
            replayed,
        }))
    }

    async fn release(&self) -> Result<(), LedgerError> {
        self.ledger.store().holder = None;
        Ok(())
    }
}

struct MemoryJournal {
    ledger: MemoryLedger,
    operation: String,
    replayed: Vec<JournalLine>,
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, time: String, event: JournalEvent) -> Result<(), LedgerError> {
        // Gives concurrent steps a chance to interleave.
        tokio::task::yield_now().await;
        self.ledger.write(|store| {
            let lines = store.journals.entry(self.operation.clone()).or_default();
            let line = chain(lines.last(), time, event)
                .map_err(|e| error(LedgerErrorKind::Io, &e.to_string()))?;
            lines.push(line);
            Ok(())
        })?
    }

    fn replayed(&self) -> &[JournalLine] {
        &self.replayed
    }

    async fn last(&self) -> Option<Digest> {
        let store = self.ledger.store();
        store.journals.get(&self.operation).and_then(|l| l.last()).map(|line| line.digest.clone())
    }

    async fn unsaved(&self) -> Vec<JournalLine> {
        Vec::new()
    }

    async fn restore(&self, _lines: &[JournalLine]) -> Result<(), LedgerError> {
        Ok(())
    }
}
