//! A ledger: made, opened, read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use relctl_engine::{Holder, Ledger, LedgerError, Lock};
use relctl_plan::{Digest, Entry, Head, JournalLine, PLAN_FORMAT, Plan, Snapshot};

use crate::ahead::Ahead;
use crate::aws;
use crate::backend::{Backend, Version};
use crate::cell::{Swap, create};
use crate::codec::{check_digest, decode, unpack};
use crate::crypt::{Encrypting, Keys};
use crate::error::{damaged, missing, refused, untrusted};
use crate::head::{HEAD, Identity, StoredHead, read_head};
use crate::history::Chain;
use crate::journal;
use crate::local::LocalBackend;
use crate::location::{Location, Scheme, folder};
use crate::lock::{self, Timing, Wait};
use crate::object::ObjectBackend;
use crate::seen::Memory;

/// Which ledger: where, of which release, in which environment.
#[derive(Debug, Clone)]
pub struct Place {
    pub location: Location,
    pub release: String,
    pub environment: Option<String>,
    /// What an object store needs to be reached, as environment variables are named:
    /// `AWS_REGION`, `AWS_ENDPOINT_URL`, … Names that mean nothing to it are ignored.
    pub settings: BTreeMap<String, String>,
}

impl Place {
    /// The place with what AWS's own tools would find, where the settings do not say it.
    pub(crate) async fn complete(&self) -> Self {
        let settings = match &self.location {
            Location::Url { scheme: Scheme::S3, .. } => aws::complete(&self.settings).await,
            _ => self.settings.clone(),
        };
        Self { settings, ..self.clone() }
    }

    /// The backend of this ledger. Nothing is read or written yet.
    pub fn connect(&self) -> Result<Arc<dyn Backend>, LedgerError> {
        let folder = folder(&self.release, self.environment.as_deref())?;
        match &self.location {
            Location::Folder(root) => Ok(Arc::new(LocalBackend::new(root.join(folder)))),
            remote @ Location::Url { .. } => {
                Ok(Arc::new(ObjectBackend::new(remote, &folder, &self.settings)?))
            }
        }
    }
}

/// What a client asks of the ledger that it opens.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    pub place: Place,
    /// What `relctl.lock` says; `None`: it says nothing.
    pub expected_lineage: Option<String>,
    /// Where this client remembers the heads it has seen, `$XDG_STATE_HOME/relctl/heads`;
    /// `None`: it remembers nothing.
    pub seen_heads: Option<PathBuf>,
    pub timing: Timing,
}

/// Makes a ledger and returns its lineage, which is made from `seed`: something that is never the
/// same twice.
pub async fn init(place: &Place, seed: &str) -> Result<String, LedgerError> {
    let backend = place.complete().await.connect()?;
    init_on(backend.as_ref(), &place.release, place.environment.as_deref(), seed).await
}

/// As [`init`], on a backend of one's own.
pub async fn init_on(
    backend: &dyn Backend,
    release: &str,
    environment: Option<&str>,
    seed: &str,
) -> Result<String, LedgerError> {
    let head_place = backend.locate(HEAD);
    if let Some(entry) = backend.list("entries").await?.first()
        && backend.get(HEAD).await?.is_none()
    {
        return Err(untrusted(
            format!("`{head_place}` is missing, although `{entry}` is there"),
            "restore it from a copy, or choose another place with `--ledger`",
        ));
    }
    let lineage = Digest::of(seed.as_bytes()).token().to_owned();
    let first = StoredHead::first(Head {
        format: Head::FORMAT,
        release: release.to_owned(),
        environment: environment.map(ToOwned::to_owned),
        lineage: lineage.clone(),
        serial: 0,
        entry: None,
        epoch: 0,
        operation: None,
        extra: relctl_plan::Map::new(),
    })?;
    match create(backend, HEAD, &first.to_bytes(&head_place)?).await? {
        Swap::Done(_) => Ok(lineage),
        Swap::Lost(_) => Err(refused(
            format!("there is a ledger already: `{head_place}` exists"),
            "open it, or choose another place with `--ledger`",
        )),
    }
}

/// An open ledger.
#[derive(Clone)]
pub struct LedgerStore {
    /// As it is stored: for whoever moves it.
    pub(crate) raw: Arc<dyn Backend>,
    /// As it is meant: decrypted.
    pub(crate) backend: Arc<dyn Backend>,
    /// What whoever opened it wants: rekeying makes it so.
    pub(crate) keys: Keys,
    /// For whom `backend` encrypts: those of `keys`, else those that HEAD named.
    pub(crate) writes_for: Vec<String>,
    /// For whom it was encrypted when it was opened.
    recipients: Vec<String>,
    /// HEAD when it was opened; `None` until then.
    pub(crate) opened: Option<Head>,
    pub(crate) identity: Identity,
    pub(crate) memory: Option<Memory>,
    pub(crate) timing: Timing,
    pub(crate) watches_holders: bool,
    /// The newest entry when it was opened.
    pub(crate) in_force: Option<Digest>,
    pub(crate) ahead: Ahead,
}

impl fmt::Debug for LedgerStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LedgerStore").field(&self.location()).finish()
    }
}

impl LedgerStore {
    /// Opens a ledger, after checking that it is there, is the one meant, and is no older than
    /// what this client has seen.
    pub async fn open(options: OpenOptions) -> Result<Self, LedgerError> {
        Self::open_with(options, Keys::default()).await
    }

    pub(crate) async fn read_snapshot(&self, digest: &Digest) -> Result<Snapshot, LedgerError> {
        let path = snapshot_path(digest);
        let place = self.backend.locate(&path);
        let bytes = unpack(&self.read(&path, "an entry").await?, &place)?;
        check_digest(&bytes, digest, &place)?;
        decode(&bytes, Snapshot::FORMAT, |snapshot: &Snapshot| snapshot.format, &place)
    }

    /// As [`LedgerStore::open`], for a ledger that is encrypted, or will be.
    pub async fn open_with(options: OpenOptions, keys: Keys) -> Result<Self, LedgerError> {
        let backend = options.place.complete().await.connect()?;
        Self::open_on(backend, options, keys).await
    }

    /// As [`LedgerStore::open_with`], on a backend of one's own.
    pub async fn open_on(
        backend: Arc<dyn Backend>,
        options: OpenOptions,
        keys: Keys,
    ) -> Result<Self, LedgerError> {
        let OpenOptions { place, expected_lineage, seen_heads, timing } = options;
        let identity = Identity {
            release: place.release,
            environment: place.environment,
            lineage: expected_lineage,
        };
        let memory = seen_heads.map(Memory::new);
        let raw = backend;
        let backend = Arc::new(Encrypting::new(raw.clone(), keys.clone()));
        let writes_for = keys.recipients();
        let recipients = Vec::new();
        let mut store = Self {
            raw,
            backend,
            keys,
            writes_for,
            recipients,
            opened: None,
            identity,
            memory,
            timing,
            watches_holders: false,
            in_force: None,
            ahead: Ahead::default(),
        };
        let (stored, _) = store.read_head().await?;
        // From now on it must stay this one.
        store.identity.lineage = Some(stored.head.lineage.clone());
        store.in_force.clone_from(&stored.head.entry);
        if store.writes_for.is_empty() && !stored.recipients.is_empty() {
            // Whoever comes without a release file writes for those that it was encrypted for.
            let keys = store.keys.for_recipients(&stored.recipients)?;
            store.backend = Arc::new(Encrypting::new(store.raw.clone(), keys));
            store.writes_for.clone_from(&stored.recipients);
        }
        store.recipients = stored.recipients;
        store.opened = Some(stored.head);
        Ok(store)
    }

    /// Whether locks expire here, since no operating system sees whether their holders live.
    pub fn is_remote(&self) -> bool {
        !self.raw.can_append()
    }

    /// How long a holder may show no sign of life before its lock is taken over.
    pub fn takeover_after(&self) -> Duration {
        self.timing.ttl
    }

    /// For whom the ledger is encrypted; empty: it is not.
    pub fn recipients(&self) -> &[String] {
        &self.recipients
    }

    /// The keys that this ledger's objects are written with.
    pub(crate) fn write_keys(&self) -> Result<Keys, LedgerError> {
        self.keys.for_recipients(&self.writes_for)
    }

    /// Does not take a remote lock for held before it was seen that its holder lives: who finds it
    /// held watches it until its next heartbeat, or until it may be taken over.
    #[must_use]
    pub fn watching_holders(mut self) -> Self {
        self.watches_holders = true;
        self
    }

    /// The ledger's lineage.
    pub fn lineage(&self) -> &str {
        self.identity.lineage.as_deref().unwrap_or_default()
    }

    /// HEAD, proved to be the one meant and no older than what was seen.
    pub(crate) async fn read_head(&self) -> Result<(StoredHead, Version), LedgerError> {
        let (stored, version) = read_head(self.backend.as_ref(), &self.identity).await?;
        let place = self.backend.locate(HEAD);
        if let Some(moved_to) = &stored.moved_to {
            return Err(untrusted(
                format!("the ledger at `{place}` was migrated to `{moved_to}` and is closed"),
                format!("use `--ledger {moved_to}`, or write it into the release file"),
            ));
        }
        if let Some(memory) = &self.memory {
            self.check_seen(memory, &stored, &place).await?;
            self.remember(&stored).await;
        }
        Ok((stored, version))
    }

    /// Remembers a head that was seen or written. Where that cannot be written, what is lost is
    /// only that a later replacement would be noticed.
    pub(crate) async fn remember(&self, stored: &StoredHead) {
        let Some(memory) = &self.memory else { return };
        if let Err(error) = memory.remember(stored).await {
            tracing::warn!(%error, "what was seen of the ledger could not be remembered");
        }
    }

    async fn check_seen(
        &self,
        memory: &Memory,
        stored: &StoredHead,
        place: &str,
    ) -> Result<(), LedgerError> {
        let Some(seen) = memory.recall(&stored.head.lineage)? else { return Ok(()) };
        let file = memory.file(&stored.head.lineage);
        seen.check(stored, place, &file)?;
        // What was seen must still be part of the history.
        let Some(seen_entry) = seen.entry else { return Ok(()) };
        if stored.head.entry.as_ref() == Some(&seen_entry) {
            return Ok(());
        }
        let mut chain = Chain::from_head(self.backend.as_ref(), &stored.head);
        while let Some(row) = chain.next().await? {
            if row.digest == seen_entry {
                return Ok(());
            }
            if row.entry.serial <= seen.serial {
                break;
            }
        }
        Err(untrusted(
            format!("`{place}` has another history than was seen here: #{} is gone", seen.serial),
            format!("if it was replaced on purpose, remove `{}` and run again", file.display()),
        ))
    }

    /// The bytes of an object that `by` refers to.
    pub(crate) async fn read(&self, path: &str, by: &str) -> Result<Vec<u8>, LedgerError> {
        match self.backend.get(path).await? {
            Some(object) => Ok(object.bytes),
            None => Err(missing(&self.backend.locate(path), by)),
        }
    }
}

pub(crate) fn entry_path(digest: &Digest) -> String {
    format!("entries/{digest}.json")
}

pub(crate) fn snapshot_path(digest: &Digest) -> String {
    format!("snapshots/{digest}.json.zst")
}

pub(crate) fn plan_path(digest: &Digest) -> String {
    format!("plans/{digest}.json")
}

pub(crate) fn plugin_path(digest: &Digest) -> String {
    format!("plugins/{digest}.wasm")
}

#[async_trait]
impl Ledger for LedgerStore {
    fn location(&self) -> String {
        self.backend.locate("")
    }

    fn is_encrypted(&self) -> bool {
        !self.recipients.is_empty()
    }

    async fn head(&self) -> Result<Head, LedgerError> {
        Ok(self.read_head().await?.0.head)
    }

    async fn entry(&self, digest: &Digest) -> Result<Entry, LedgerError> {
        let path = entry_path(digest);
        let place = self.backend.locate(&path);
        let bytes = self.read(&path, "HEAD or a later entry").await?;
        check_digest(&bytes, digest, &place)?;
        decode(&bytes, Entry::FORMAT, |entry: &Entry| entry.format, &place)
    }

    async fn snapshot(&self, digest: &Digest) -> Result<Snapshot, LedgerError> {
        match self.ahead.take(digest).await {
            Some(snapshot) => Ok(snapshot),
            None => self.read_snapshot(digest).await,
        }
    }

    async fn plan(&self, digest: &Digest) -> Result<Plan, LedgerError> {
        let path = plan_path(digest);
        let place = self.backend.locate(&path);
        let bytes = self.read(&path, "an entry or an open operation").await?;
        check_digest(&bytes, digest, &place)?;
        let plan = decode(&bytes, PLAN_FORMAT, |plan: &Plan| plan.format, &place)?;
        plan.verify().map_err(|e| damaged(&place, e))?;
        Ok(plan)
    }

    async fn plugin(&self, digest: &Digest) -> Result<Option<Vec<u8>>, LedgerError> {
        let path = plugin_path(digest);
        let Some(object) = self.backend.get(&path).await? else { return Ok(None) };
        check_digest(&object.bytes, digest, &self.backend.locate(&path))?;
        Ok(Some(object.bytes))
    }

    async fn journal(&self, operation: &str, open: bool) -> Result<Vec<JournalLine>, LedgerError> {
        journal::read(self.backend.as_ref(), operation, open).await
    }

    async fn applied(&self, plan_id: &Digest) -> Result<Option<u64>, LedgerError> {
        let mut chain = self.chain().await?;
        while let Some(row) = chain.next().await? {
            if row.entry.plan_id == *plan_id {
                return Ok(Some(row.entry.serial));
            }
        }
        Ok(None)
    }

    async fn holder(&self) -> Result<Option<Holder>, LedgerError> {
        lock::holder(self.backend.as_ref()).await
    }

    async fn lock(&self, holder: Holder, timeout: Duration) -> Result<Box<dyn Lock>, LedgerError> {
        Ok(Box::new(lock::take(self, holder, Wait::AtMost(timeout)).await?))
    }

    async fn request_park(&self, by: Holder) -> Result<Option<Holder>, LedgerError> {
        lock::request_park(self.backend.as_ref(), by).await
    }
}
