//! A disk that takes no more.

use std::process::Command;
use std::sync::Arc;

use relctl_engine::{Ledger, LedgerErrorKind};
use relctl_ledger::LocalBackend;
use relctl_plan::Digest;

use crate::support::{PATIENT, TIME, assert_error, begin, lock, new_on, open_on, opened};

/// Set in the process whose files may not grow beyond 64 KiB.
const LIMITED: &str = "RELCTL_TEST_LIMITED";

#[test]
fn what_could_not_be_written_is_named_and_nothing_is_lost() {
    if std::env::var_os(LIMITED).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(fill());
    }
    let output = Command::new("sh")
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\"")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "full_disk::what_could_not_be_written_is_named_and_nothing_is_lost"])
        .arg("--nocapture")
        .env(LIMITED, "1")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("the limit was met"), "{output:?}");
    assert!(output.status.success(), "{output:?}");
}

async fn fill() {
    let root = tempfile::tempdir().unwrap();
    let backend = Arc::new(LocalBackend::new(root.path()));
    let store = new_on(backend.clone(), PATIENT).await;
    let held = lock(&store, "one").await;
    begin(&*held, &held.head(), "one").await.unwrap();

    let plugin = vec![0; 1 << 20];
    let digest = Digest::of(&plugin);
    let path = format!("plugins/{digest}.wasm");
    assert_error(held.put_plugin(&digest, &plugin).await, LedgerErrorKind::Io, &path);
    assert_eq!(store.plugin(&digest).await.unwrap(), None);

    let journal = held.open_journal("one").await.unwrap();
    let mut durable = 1;
    let error = loop {
        match journal.append(TIME.to_owned(), opened()).await {
            Ok(()) => durable += 1,
            Err(error) => break error,
        }
    };
    assert_error(Err::<(), _>(error), LedgerErrorKind::Io, "journal/one/00000000.jsonl");
    assert!(durable > 100, "only {durable} lines were written");
    assert_eq!(journal.unsaved().await.len(), 1);
    drop((journal, held));

    let store = open_on(backend, PATIENT).await.unwrap();
    assert_eq!(store.journal("one", true).await.unwrap().len(), durable);
    assert!(store.verify().await.unwrap().problems.is_empty());
    println!("the limit was met");
}
