//! What every backend must do, and what a whole ledger does on each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use relctl_engine::Ledger;
use relctl_ledger::{Backend, LocalBackend, Location, ObjectBackend, Put, Version};
use relctl_plan::Digest;

use crate::simulated::{Replies, Simulated};
use crate::support::{PATIENT, begin, finish, lock, new_on, plan, release, snapshot};

/// The suite. `backend` is empty.
pub(crate) async fn run(backend: Arc<dyn Backend>) {
    conditional_writes(backend.as_ref()).await;
    races(backend.clone()).await;
    whole_ledger(backend).await;
}

async fn conditional_writes(backend: &dyn Backend) {
    assert!(backend.get("a/x").await.unwrap().is_none());
    let first = done(backend.put_if_absent("a/x", b"1").await.unwrap());
    assert!(matches!(backend.put_if_absent("a/x", b"2").await.unwrap(), Put::Refused));
    let read = backend.get("a/x").await.unwrap().unwrap();
    assert_eq!((read.bytes.as_slice(), &read.version), (b"1".as_slice(), &first));

    let second = done(backend.put_if_match("a/x", b"2", &first).await.unwrap());
    assert!(matches!(backend.put_if_match("a/x", b"3", &first).await.unwrap(), Put::Refused));
    assert!(matches!(backend.put_if_match("a/y", b"3", &second).await.unwrap(), Put::Refused));
    assert!(backend.get("a/y").await.unwrap().is_none());
    assert_eq!(backend.get("a/x").await.unwrap().unwrap().bytes, b"2");

    done(backend.put_if_absent("a/b/z", b"").await.unwrap());
    done(backend.put_if_absent("ab", b"").await.unwrap());
    assert_eq!(backend.list("a").await.unwrap(), ["a/b/z", "a/x"]);
    assert_eq!(backend.list("").await.unwrap(), ["a/b/z", "a/x", "ab"]);
    assert!(backend.list("nowhere").await.unwrap().is_empty());
}

#[track_caller]
fn done(put: Put) -> Version {
    match put {
        Put::Done(version) => version,
        other => panic!("not written: {other:?}"),
    }
}

/// Eight writers, one winner in each round.
async fn races(backend: Arc<dyn Backend>) {
    let mut version = done(backend.put_if_absent("race/swap", b"start").await.unwrap());
    for round in 0..10 {
        let created = contend(&backend, &format!("race/{round}"), None).await;
        assert_eq!(created.len(), 1, "creating, round {round}");
        let swapped = contend(&backend, "race/swap", Some(version)).await;
        assert_eq!(swapped.len(), 1, "replacing, round {round}");
        version = swapped.into_iter().next().unwrap();
    }
}

async fn contend(
    backend: &Arc<dyn Backend>,
    path: &str,
    expected: Option<Version>,
) -> Vec<Version> {
    let writers = (0..8).map(|writer| {
        let (backend, path, expected) = (backend.clone(), path.to_owned(), expected.clone());
        tokio::spawn(async move {
            let bytes = format!("{path} {writer} {expected:?}").into_bytes();
            match expected {
                None => backend.put_if_absent(&path, &bytes).await,
                Some(expected) => backend.put_if_match(&path, &bytes, &expected).await,
            }
        })
    });
    let mut winners = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        if let Put::Done(version) = writer.await.unwrap().unwrap() {
            winners.push(version);
        }
    }
    winners
}

async fn whole_ledger(backend: Arc<dyn Backend>) {
    let store = new_on(backend.clone(), PATIENT).await;
    for id in ["one", "two"] {
        release(&store, id).await;
    }
    let held = lock(&store, "three").await;
    let wasm = b"\0asm".to_vec();
    held.put_plugin(&Digest::of(&wasm), &wasm).await.unwrap();
    let head = begin(&*held, &held.head(), "three").await.unwrap();
    assert_eq!(store.holder().await.unwrap().unwrap().nonce, "three");
    let head = finish(&*held, &head).await.unwrap();
    held.release().await.unwrap();

    assert_eq!(store.holder().await.unwrap(), None);
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!((head.serial, head.epoch), (3, 3));
    let rows = store.history(10).await.unwrap();
    let versions: Vec<_> = rows.iter().map(|row| row.entry.version.as_str()).collect();
    assert_eq!(versions, ["three", "two", "one"]);
    for row in &rows {
        let entry = store.entry(&row.digest).await.unwrap();
        assert_eq!(entry, row.entry);
        assert_eq!(store.snapshot(&entry.snapshot).await.unwrap(), snapshot(&entry.version));
        assert_eq!(store.plan(&entry.plan).await.unwrap().body.version, entry.version);
        let journal = store.journal(&entry.operation, false).await.unwrap();
        assert_eq!(journal.last().unwrap().digest, entry.journal);
        assert_eq!(store.applied(&entry.plan_id).await.unwrap(), Some(entry.serial));
    }
    assert_eq!(store.applied(&plan(&head, "never").plan_id).await.unwrap(), None);
    assert_eq!(store.plugin(&Digest::of(&wasm)).await.unwrap(), Some(wasm));
    assert_eq!(store.plugin(&Digest::of(b"other")).await.unwrap(), None);
    let verification = store.verify().await.unwrap();
    assert!(verification.problems.is_empty(), "{:?}", verification.problems);
    assert_eq!(verification.entries, 3);
}

#[tokio::test]
async fn local() {
    let root = tempfile::tempdir().unwrap();
    run(Arc::new(LocalBackend::new(root.path().join("not/yet/there")))).await;
}

#[tokio::test]
async fn memory() {
    let root = Location::parse("memory://conformance/prefix").unwrap();
    run(Arc::new(ObjectBackend::new(&root, "shop/default", &BTreeMap::new()).unwrap())).await;
}

#[tokio::test]
async fn simulated() {
    run(Arc::new(Simulated::directory())).await;
    run(Arc::new(Simulated::objects())).await;
}

#[tokio::test]
async fn replies_that_cannot_be_trusted_change_nothing() {
    for replies in [Replies::Lost, Replies::Denied, Replies::Bounced] {
        whole_ledger(Arc::new(Simulated::objects().with_replies(replies))).await;
    }
}

#[tokio::test]
async fn two_ledgers_share_no_object() {
    let root = tempfile::tempdir().unwrap();
    let mut seen = BTreeSet::new();
    for (release, environment) in [("a", None), ("a", Some("b")), ("b", None)] {
        let place = relctl_ledger::Place {
            release: release.to_owned(),
            environment: environment.map(ToOwned::to_owned),
            ..crate::support::place(root.path())
        };
        relctl_ledger::init(&place, &format!("{release}{environment:?}")).await.unwrap();
        seen.insert(place.connect().unwrap().locate("HEAD"));
    }
    assert_eq!(seen.len(), 3);
}
