//! Journal lines that the ledger could not take, kept on this machine.

use std::path::Path;
use std::sync::Arc;

use relctl_engine::LedgerErrorKind;
use relctl_ledger::{Keys, LedgerStore};
use relctl_plan::{JournalEvent, JournalLine, chain};

use crate::simulated::Simulated;
use crate::support::{
    PATIENT, TIME, assert_error, begin, closed, finish, holder, lock, new_on, open_on, opened,
    options, place,
};

const CANARY: &str = "canary-90aa";

/// Two lines that follow `last`.
fn lines(last: Option<&JournalLine>) -> Vec<JournalLine> {
    let event =
        JournalEvent::Opened { actor: CANARY.to_owned(), host: "build-7".to_owned(), epoch: 1 };
    let first = chain(last, TIME.to_owned(), event).unwrap();
    let second = chain(Some(&first), TIME.to_owned(), closed()).unwrap();
    vec![first, second]
}

#[tokio::test]
async fn what_is_kept_is_given_back_once() {
    for backend in [Simulated::directory(), Simulated::objects()] {
        let folder = tempfile::tempdir().unwrap();
        let store = new_on(Arc::new(backend.clone()), PATIENT).await;
        let held = lock(&store, "one").await;
        begin(&*held, &held.head(), "one").await.unwrap();
        let journal = held.open_journal("one").await.unwrap();
        journal.append(TIME.to_owned(), opened()).await.unwrap();
        drop(journal);
        held.release().await.unwrap();

        assert_eq!(store.unsaved(folder.path(), "one").unwrap(), None);
        let known = relctl_engine::Ledger::journal(&store, "one", true).await.unwrap();
        let kept = lines(known.last());
        let file = store.keep_unsaved(folder.path(), "one", &kept).await.unwrap();

        // Another process, later.
        let store = open_on(Arc::new(backend), PATIENT).await.unwrap();
        let copy = store.unsaved(folder.path(), "one").unwrap().unwrap();
        assert_eq!((&copy.file, &copy.lines), (&file, &kept));
        let held = lock(&store, "two").await;
        for _ in 0..2 {
            let journal = held.open_journal("one").await.unwrap();
            journal.restore(&copy.lines).await.unwrap();
        }
        let now = relctl_engine::Ledger::journal(&store, "one", false).await.unwrap();
        assert_eq!(now.len(), known.len() + kept.len());
        copy.remove().unwrap();
        assert_eq!(store.unsaved(folder.path(), "one").unwrap(), None);
        finish(&*held, &held.head()).await.unwrap();
        assert!(store.verify().await.unwrap().problems.is_empty());
    }
}

#[tokio::test]
async fn every_cut_and_flip_of_a_copy_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_on(Arc::new(Simulated::objects()), PATIENT).await;
    let kept = lines(None);
    let file = store.keep_unsaved(folder.path(), "one", &kept).await.unwrap();
    let bytes = std::fs::read(&file).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        for changed in [&bytes[..at], &flipped] {
            std::fs::write(&file, changed).unwrap();
            // What is wrong with the first line alone is seen by the journal that takes it.
            let read = store.unsaved(folder.path(), "one");
            let first = read.as_ref().ok().and_then(|copy| copy.as_ref()?.lines.first());
            let is_first = first.is_some_and(|line| line.verify(None).is_err());
            let named = file.to_str().unwrap();
            let noticed = read.as_ref().is_err_and(|error| {
                let hint = error.hint.as_deref().unwrap_or_default();
                error.message.contains(named) && hint.ends_with(&format!("rm {named}"))
            });
            assert!(noticed || is_first, "at {at}: {read:?}");
        }
    }
}

#[tokio::test]
async fn the_copy_of_an_encrypted_ledger_is_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Simulated::objects();
    new_on(Arc::new(backend.clone()), PATIENT).await;
    let identity = age::x25519::Identity::generate();
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    let keys = Keys::parse(&[identity.to_public().to_string()], &secret).unwrap();
    let open = async |keys| {
        let options = options(&place(Path::new("unused")));
        LedgerStore::open_on(Arc::new(backend.clone()), options, keys).await.unwrap()
    };
    open(keys.clone()).await.rekey(holder("a")).await.unwrap();
    // Without recipients of one's own it is encrypted for those of the ledger.
    let writer = open(Keys::default()).await;
    let file = writer.keep_unsaved(folder.path(), "one", &lines(None)).await.unwrap();
    let bytes = std::fs::read(file).unwrap();
    assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    assert_error(writer.unsaved(folder.path(), "one"), LedgerErrorKind::Refused, "is encrypted");
    let copy = open(keys).await.unsaved(folder.path(), "one").unwrap().unwrap();
    assert_eq!(copy.lines, lines(None));
}
