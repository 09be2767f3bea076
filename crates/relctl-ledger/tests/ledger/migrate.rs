//! Moving a ledger, checking it, showing it.

use std::path::Path;

use relctl_engine::{Ledger, LedgerErrorKind};
use relctl_ledger::{LedgerStore, Location, OpenOptions, Place};

use crate::support::{assert_error, begin, holder, lock, new_local, options, place, release};

fn elsewhere(name: &str) -> Place {
    Place {
        location: Location::parse(&format!("memory://{name}/ledgers")).unwrap(),
        ..place(Path::new("unused"))
    }
}

#[tokio::test]
async fn there_and_back() {
    let root = tempfile::tempdir().unwrap();
    let memory = tempfile::tempdir().unwrap();
    let with_memory = |place: &Place| OpenOptions {
        seen_heads: Some(memory.path().to_owned()),
        ..options(place)
    };
    new_local(root.path()).await;
    let here = LedgerStore::open(with_memory(&place(root.path()))).await.unwrap();
    for id in ["one", "two"] {
        release(&here, id).await;
    }
    let rows = here.history(10).await.unwrap();
    let remote = elsewhere("there-and-back");
    let migration = here.migrate(&remote, holder("mover")).await.unwrap();
    assert_eq!(migration.entries, 2);

    let there = LedgerStore::open(with_memory(&remote)).await.unwrap();
    assert_eq!(there.history(10).await.unwrap(), rows);
    let closed = LedgerStore::open(with_memory(&place(root.path()))).await;
    assert_error(
        closed,
        LedgerErrorKind::Untrusted,
        "migrated to `memory://there-and-back/ledgers`",
    );
    release(&there, "three").await;

    let back = place(&root.path().join("back"));
    there.migrate(&back, holder("mover")).await.unwrap();
    let back = LedgerStore::open(with_memory(&back)).await.unwrap();
    release(&back, "four").await;
    assert_eq!(back.history(10).await.unwrap().len(), 4);
    assert!(back.verify().await.unwrap().problems.is_empty());
}

/// Back to where it was: the closed copy there is older, and is opened again.
#[tokio::test]
async fn back_to_where_it_was() {
    let root = tempfile::tempdir().unwrap();
    let memory = tempfile::tempdir().unwrap();
    let with_memory = |place: &Place| OpenOptions {
        seen_heads: Some(memory.path().to_owned()),
        ..options(place)
    };
    new_local(root.path()).await;
    let here = LedgerStore::open(with_memory(&place(root.path()))).await.unwrap();
    release(&here, "one").await;
    let remote = elsewhere("back-again");
    here.migrate(&remote, holder("mover")).await.unwrap();
    let there = LedgerStore::open(with_memory(&remote)).await.unwrap();
    release(&there, "two").await;
    let rows = there.history(10).await.unwrap();

    there.migrate(&place(root.path()), holder("mover")).await.unwrap();
    assert_error(there.head().await, LedgerErrorKind::Untrusted, "migrated");
    let here = LedgerStore::open(with_memory(&place(root.path()))).await.unwrap();
    assert_eq!(here.history(10).await.unwrap(), rows);
    release(&here, "three").await;
    assert!(here.verify().await.unwrap().problems.is_empty());

    here.migrate(&remote, holder("mover")).await.unwrap();
    let there = LedgerStore::open(with_memory(&remote)).await.unwrap();
    assert_eq!(there.history(10).await.unwrap().len(), 3);
}

/// Both sides went on after a migration that was cut off: neither is thrown away.
#[tokio::test]
async fn two_histories_are_not_merged() {
    let root = tempfile::tempdir().unwrap();
    let here = new_local(root.path()).await;
    release(&here, "one").await;
    let remote = elsewhere("forked");
    let head = std::fs::read(root.path().join("shop/default/HEAD")).unwrap();
    here.migrate(&remote, holder("mover")).await.unwrap();
    std::fs::write(root.path().join("shop/default/HEAD"), head).unwrap();
    release(&here, "two").await;
    let there = LedgerStore::open(options(&remote)).await.unwrap();
    release(&there, "other").await;
    // The other one is as long, then longer.
    for id in ["third", "fourth"] {
        let forked = here.migrate(&remote, holder("mover")).await;
        assert_error(forked, LedgerErrorKind::Untrusted, "another ledger");
        release(&there, id).await;
    }
    let there = there.verify().await.unwrap();
    assert_eq!((there.problems.len(), there.unreferenced.len()), (0, 0));
    assert_eq!(here.history(10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_migration_that_was_cut_off_is_finished() {
    let root = tempfile::tempdir().unwrap();
    let here = new_local(root.path()).await;
    release(&here, "one").await;
    let remote = elsewhere("cut-off");
    let head = std::fs::read(root.path().join("shop/default/HEAD")).unwrap();
    here.migrate(&remote, holder("mover")).await.unwrap();
    // As if it had died before the last write, which closes this side.
    std::fs::write(root.path().join("shop/default/HEAD"), head).unwrap();
    here.migrate(&remote, holder("mover")).await.unwrap();
    assert_error(here.head().await, LedgerErrorKind::Untrusted, "migrated");
}

#[tokio::test]
async fn what_is_not_migrated() {
    let root = tempfile::tempdir().unwrap();
    let here = new_local(root.path()).await;
    let same = here.migrate(&place(root.path()), holder("mover")).await;
    assert_error(same, LedgerErrorKind::Refused, "already");

    let other = elsewhere("taken");
    relctl_ledger::init(&other, "other").await.unwrap();
    let taken = here.migrate(&other, holder("mover")).await;
    assert_error(taken, LedgerErrorKind::Untrusted, "another ledger");
    let there = LedgerStore::open(options(&other)).await.unwrap();
    let unreferenced = there.verify().await.unwrap().unreferenced;
    assert_eq!(unreferenced, Vec::<String>::new(), "nothing was copied there");

    let held = lock(&here, "one").await;
    let busy = here.migrate(&elsewhere("busy"), holder("mover")).await;
    assert_error(busy, LedgerErrorKind::Locked, "held by");
    begin(&*held, &held.head(), "one").await.unwrap();
    held.release().await.unwrap();
    let open = here.migrate(&elsewhere("open"), holder("mover")).await;
    assert_error(open, LedgerErrorKind::Refused, "operation one was interrupted");
    assert_eq!(here.holder().await.unwrap(), None);
}

#[tokio::test]
async fn an_export_holds_everything() {
    let root = tempfile::tempdir().unwrap();
    let store = new_local(root.path()).await;
    let first = release(&store, "one").await;
    let held = lock(&store, "two").await;
    begin(&*held, &held.head(), "two").await.unwrap();
    let mut records = Vec::new();
    store
        .export(&mut |record| {
            records.push(record);
            Ok(())
        })
        .await
        .unwrap();
    let kinds: Vec<_> = records.iter().map(|record| record["record"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["head", "entry", "open-operation"]);
    assert_eq!(records[1]["digest"], first.entry.unwrap().as_str());
    assert_eq!(records[1]["journal"].as_array().unwrap().len(), 2);
    assert_eq!(records[1]["snapshot"]["version"], "one");
    assert_eq!(records[2]["plan"]["body"]["version"], "two");
}

#[tokio::test]
async fn verify_counts_what_nothing_refers_to() {
    let root = tempfile::tempdir().unwrap();
    let store = new_local(root.path()).await;
    release(&store, "one").await;
    let held = lock(&store, "two").await;
    let plan = held.put_plan(&crate::support::plan(&held.head(), "never")).await.unwrap();
    held.release().await.unwrap();
    let verification = store.verify().await.unwrap();
    assert!(verification.problems.is_empty(), "{:?}", verification.problems);
    assert_eq!(verification.unreferenced, [format!("plans/{plan}.json")]);
}
