//! Only the ledger that is meant is opened, and only `init` makes one.

use std::sync::Arc;
use std::time::Duration;

use relctl_engine::{Ledger, LedgerErrorKind};
use relctl_ledger::{Backend, LedgerStore, Location, OpenOptions, Place, init};
use relctl_plan::{Digest, Head, Map, Snapshot};
use serde_json::json;

use crate::simulated::Simulated;
use crate::support::{
    PATIENT, assert_error, begin, finish, holder, lock, new_local, new_on, open_on, options, place,
    release,
};

#[tokio::test]
async fn an_absent_ledger_is_no_empty_one() {
    let root = tempfile::tempdir().unwrap();
    let missing = LedgerStore::open(options(&place(root.path()))).await;
    assert_error(missing, LedgerErrorKind::Absent, "shop/default/HEAD");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0, "opening writes nothing");
}

#[tokio::test]
async fn a_ledger_is_made_once() {
    let root = tempfile::tempdir().unwrap();
    let lineage = init(&place(root.path()), "seed").await.unwrap();
    assert_eq!(lineage, Digest::of(b"seed").token());
    assert_error(init(&place(root.path()), "b").await, LedgerErrorKind::Refused, "HEAD");
    let store = LedgerStore::open(options(&place(root.path()))).await.unwrap();
    assert_eq!(store.lineage(), lineage);
}

#[tokio::test]
async fn a_ledger_that_lost_its_head_is_not_made_anew() {
    let root = tempfile::tempdir().unwrap();
    release(&new_local(root.path()).await, "one").await;
    std::fs::remove_file(root.path().join("shop/default/HEAD")).unwrap();
    assert_error(init(&place(root.path()), "b").await, LedgerErrorKind::Untrusted, "HEAD");
    let opened = LedgerStore::open(options(&place(root.path()))).await;
    assert_error(opened, LedgerErrorKind::Untrusted, "HEAD");
}

#[tokio::test]
async fn another_ledger_in_its_place_is_refused() {
    let root = tempfile::tempdir().unwrap();
    new_local(root.path()).await;
    let right = options(&place(root.path()));

    let lineage = OpenOptions { expected_lineage: Some("f00d".to_owned()), ..right.clone() };
    assert_error(LedgerStore::open(lineage).await, LedgerErrorKind::Untrusted, "lineage");

    for (release, environment) in [("store", None), ("shop", Some("production"))] {
        let there = root.path().join("shop/default");
        let here = root.path().join(release).join(environment.unwrap_or("default"));
        std::fs::create_dir_all(&here).unwrap();
        std::fs::copy(there.join("HEAD"), here.join("HEAD")).unwrap();
        let place = Place {
            release: release.to_owned(),
            environment: environment.map(ToOwned::to_owned),
            ..place(root.path())
        };
        let opened = LedgerStore::open(OpenOptions { place, ..right.clone() }).await;
        assert_error(opened, LedgerErrorKind::Untrusted, "is for");
    }
}

#[tokio::test]
async fn a_ledger_replaced_while_it_is_open_is_refused() {
    let backend = Simulated::directory();
    let store = new_on(Arc::new(backend.clone()), PATIENT).await;
    let other = Simulated::directory();
    relctl_ledger::init_on(&other, "shop", None, "other").await.unwrap();
    backend.tamper("HEAD", Some(&other.files()["HEAD"]));
    assert_error(store.head().await, LedgerErrorKind::Untrusted, "lineage");
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let backend = Simulated::directory();
    let store = new_on(Arc::new(backend.clone()), PATIENT).await;
    backend.tamper("HEAD", Some(b"{\"format\":2}\n"));
    let error = store.head().await.unwrap_err();
    assert!(error.message.contains("format 2"), "{error}");
    assert_eq!(error.hint.as_deref(), Some("use a newer relctl"));
}

#[tokio::test]
async fn unknown_fields_survive() {
    let backend = Simulated::directory();
    let store = new_on(Arc::new(backend.clone()), PATIENT).await;
    let held = lock(&store, "one").await;
    let extra: Map = [("from-the-future".to_owned(), json!({ "a": [1] }))].into_iter().collect();
    held.swap_head(Head { extra: extra.clone(), ..held.head() }).await.unwrap();
    let snapshot = Snapshot { extra: extra.clone(), ..Snapshot::empty() };
    let digest = held.put_snapshot(&snapshot).await.unwrap();
    held.release().await.unwrap();
    release(&store, "two").await;
    assert_eq!(store.head().await.unwrap().extra, extra);
    assert_eq!(store.snapshot(&digest).await.unwrap().extra, extra);
}

#[tokio::test]
async fn head_only_moves_forward() {
    let store = new_on(Arc::new(Simulated::directory()), PATIENT).await;
    release(&store, "one").await;
    let held = lock(&store, "two").await;
    let head = held.head();
    let wrong = [
        Head { lineage: "other".to_owned(), ..head.clone() },
        Head { epoch: head.epoch + 1, ..head.clone() },
        Head { serial: 0, entry: None, ..head.clone() },
        Head { serial: 3, entry: Some(Digest::of(b"x")), ..head.clone() },
        Head { serial: 2, ..head.clone() },
    ];
    for head in wrong {
        assert_error(held.swap_head(head).await, LedgerErrorKind::Untrusted, "HEAD");
    }
    assert_eq!(store.head().await.unwrap(), head);
}

#[test]
fn locations() {
    for text in [
        "state",
        "/var/lib/state",
        "s3://bucket/a/b",
        "gs://bucket",
        "az://container/x",
        "memory://one",
    ] {
        assert_eq!(Location::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(Location::parse("s3://bucket/a/").unwrap().to_string(), "s3://bucket/a");
    for text in
        ["", "ftp://x", "s3://", "s3:///a", "s3://b/../c", "s3://key:secret@b/c", "s3://b/a//c"]
    {
        assert_error(Location::parse(text), LedgerErrorKind::Refused, "");
    }
}

#[test]
fn names_that_are_no_folders() {
    for release in ["", ".", "..", "a/b", "a\\b", ".hidden", "a b", "ä"] {
        let place = Place { release: release.to_owned(), ..place(std::path::Path::new("x")) };
        assert_error(place.connect(), LedgerErrorKind::Refused, "release name");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let root = tempfile::tempdir().unwrap();
    let store = new_local(root.path()).await;
    release(&store, "one").await;
    // A file where a folder should be fails for every user, root included.
    let entries = root.path().join("shop/default/entries");
    std::fs::remove_dir_all(&entries).unwrap();
    std::fs::write(&entries, "").unwrap();
    let head = store.head().await.unwrap();
    let path = format!("entries/{}.json", head.entry.clone().unwrap());
    assert_error(store.entry(head.entry.as_ref().unwrap()).await, LedgerErrorKind::Io, &path);
    let held = store.lock(holder("two"), Duration::ZERO).await.unwrap();
    let begun = begin(&*held, &held.head(), "two").await.unwrap();
    assert_error(finish(&*held, &begun).await, LedgerErrorKind::Io, "entries");
    let open = open_on(store_backend(root.path()), PATIENT).await.unwrap();
    assert_eq!(open.head().await.unwrap(), begun, "the operation is still open");
}

#[cfg(unix)]
fn store_backend(root: &std::path::Path) -> Arc<dyn Backend> {
    place(root).connect().unwrap()
}
