//! Ledgers and what goes into them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use relctl_engine::{Holder, Ledger, LedgerError, LedgerErrorKind, Lock};
use relctl_ledger::{Backend, Keys, LedgerStore, Location, OpenOptions, Place, Timing, init_on};
use relctl_plan::{
    Base, Body, Digest, Entry, EntryKind, EntryOutcome, Head, JournalEvent, Meta, OpenOperation,
    Plan, PlanKind, Snapshot, Summary,
};

pub(crate) const RELEASE: &str = "shop";
pub(crate) const TIME: &str = "2026-11-22T00:00:00Z";

/// Long enough that no lock expires by accident.
pub(crate) const PATIENT: Timing =
    Timing { ttl: Duration::from_mins(10), poll: Duration::from_millis(5) };

pub(crate) fn place(root: &Path) -> Place {
    Place {
        location: Location::Folder(root.to_owned()),
        release: RELEASE.to_owned(),
        environment: None,
        settings: BTreeMap::new(),
    }
}

pub(crate) fn options(place: &Place) -> OpenOptions {
    OpenOptions { place: place.clone(), expected_lineage: None, seen_heads: None, timing: PATIENT }
}

/// A new ledger in a folder.
pub(crate) async fn new_local(root: &Path) -> LedgerStore {
    relctl_ledger::init(&place(root), "seed").await.unwrap();
    LedgerStore::open(options(&place(root))).await.unwrap()
}

/// A new ledger on a backend.
pub(crate) async fn new_on(backend: Arc<dyn Backend>, timing: Timing) -> LedgerStore {
    init_on(backend.as_ref(), RELEASE, None, "seed").await.unwrap();
    open_on(backend, timing).await.unwrap()
}

/// An existing ledger on a backend.
pub(crate) async fn open_on(
    backend: Arc<dyn Backend>,
    timing: Timing,
) -> Result<LedgerStore, LedgerError> {
    let options = OpenOptions { timing, ..options(&place(Path::new("unused"))) };
    LedgerStore::open_on(backend, options, Keys::default()).await
}

pub(crate) fn holder(nonce: &str) -> Holder {
    Holder {
        nonce: nonce.to_owned(),
        actor: "ada".to_owned(),
        host: "build-7".to_owned(),
        pid: 7,
        command: "apply".to_owned(),
        plan_id: None,
        run_url: None,
        since: TIME.to_owned(),
    }
}

pub(crate) async fn lock(store: &LedgerStore, nonce: &str) -> Box<dyn Lock> {
    store.lock(holder(nonce), Duration::ZERO).await.unwrap()
}

pub(crate) fn plan(head: &Head, version: &str) -> Plan {
    let body = Body {
        release: RELEASE.to_owned(),
        version: version.to_owned(),
        environment: None,
        kind: PlanKind::Apply,
        new_version: true,
        base: Base {
            lineage: head.lineage.clone(),
            serial: head.serial,
            entry: head.entry.clone(),
        },
        plugins: BTreeMap::new(),
        steps: Vec::new(),
        relied_on: BTreeMap::new(),
        records: BTreeMap::new(),
        retain: Vec::new(),
        forget: Vec::new(),
        summary: Summary::default(),
        drift: Vec::new(),
        risks: Vec::new(),
        notes: Vec::new(),
    };
    Plan::new(body, Meta::default()).unwrap()
}

pub(crate) fn snapshot(version: &str) -> Snapshot {
    let mut snapshot = Snapshot::empty();
    snapshot.extra.insert("version".to_owned(), version.into());
    snapshot
}

pub(crate) fn opened() -> JournalEvent {
    JournalEvent::Opened { actor: "ada".to_owned(), host: "build-7".to_owned(), epoch: 1 }
}

pub(crate) fn closed() -> JournalEvent {
    JournalEvent::Closed { outcome: EntryOutcome::Succeeded }
}

pub(crate) fn operation(id: &str, plan: &Plan, digest: Digest) -> OpenOperation {
    OpenOperation {
        id: id.to_owned(),
        kind: EntryKind::Apply,
        plan_id: plan.plan_id.clone(),
        plan: digest,
        actor: "ada".to_owned(),
        reason: None,
        started: TIME.to_owned(),
    }
}

pub(crate) fn entry(head: &Head, open: &OpenOperation, journal: Digest, snapshot: Digest) -> Entry {
    Entry {
        format: Entry::FORMAT,
        serial: head.serial + 1,
        kind: EntryKind::Apply,
        release: RELEASE.to_owned(),
        version: open.id.clone(),
        environment: None,
        lineage: head.lineage.clone(),
        parent: head.entry.clone(),
        operation: open.id.clone(),
        plan_id: open.plan_id.clone(),
        plan: open.plan.clone(),
        journal,
        snapshot,
        outcome: EntryOutcome::Succeeded,
        verified: None,
        checks: BTreeMap::new(),
        restores: None,
        actor: "ada".to_owned(),
        reason: None,
        started: TIME.to_owned(),
        finished: TIME.to_owned(),
    }
}

/// Begins an operation: its journal has one line.
pub(crate) async fn begin(lock: &dyn Lock, head: &Head, id: &str) -> Result<Head, LedgerError> {
    let plan = plan(head, id);
    let digest = lock.put_plan(&plan).await?;
    let head = Head { operation: Some(operation(id, &plan, digest)), ..head.clone() };
    lock.swap_head(head.clone()).await?;
    let journal = lock.open_journal(id).await?;
    journal.append(TIME.to_owned(), opened()).await?;
    Ok(head)
}

/// Finishes the open operation with an entry.
pub(crate) async fn finish(lock: &dyn Lock, head: &Head) -> Result<Head, LedgerError> {
    let open = head.operation.clone().unwrap();
    let journal = lock.open_journal(&open.id).await?;
    if !journal.replayed().iter().any(|line| line.event == closed()) {
        journal.append(TIME.to_owned(), closed()).await?;
    }
    let last = journal.last().await.unwrap();
    let snapshot = lock.put_snapshot(&snapshot(&open.id)).await?;
    let entry = entry(head, &open, last, snapshot);
    let digest = lock.put_entry(&entry).await?;
    let head = Head { serial: entry.serial, entry: Some(digest), operation: None, ..head.clone() };
    lock.swap_head(head.clone()).await?;
    Ok(head)
}

/// One whole operation under its own lock.
pub(crate) async fn release(store: &LedgerStore, id: &str) -> Head {
    let lock = lock(store, id).await;
    let head = begin(&*lock, &lock.head(), id).await.unwrap();
    let head = finish(&*lock, &head).await.unwrap();
    lock.release().await.unwrap();
    head
}

/// Asserts what kind of error it is and that it names `what`.
#[track_caller]
pub(crate) fn assert_error<T: std::fmt::Debug>(
    result: Result<T, LedgerError>,
    kind: LedgerErrorKind,
    what: &str,
) {
    let error = result.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.message.contains(what), "`{error}` does not name `{what}`");
}
