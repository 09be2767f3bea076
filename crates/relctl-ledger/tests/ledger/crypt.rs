//! Encrypted ledgers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use relctl_engine::{Ledger, LedgerError, LedgerErrorKind};
use relctl_ledger::{Keys, LedgerStore};
use relctl_plan::JournalEvent;

use crate::simulated::{Death, Simulated};
use crate::support::{
    PATIENT, TIME, assert_error, begin, finish, holder, lock, new_on, open_on, options, place,
    release,
};

/// A recipient and its identity.
struct Pair {
    recipient: String,
    identity: String,
}

impl Pair {
    fn new() -> Self {
        let identity = age::x25519::Identity::generate();
        Self {
            recipient: identity.to_public().to_string(),
            identity: age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned(),
        }
    }

    /// Reads and writes.
    fn keys(&self) -> Keys {
        Keys::parse(std::slice::from_ref(&self.recipient), &self.identity).unwrap()
    }
}

async fn open(backend: &Simulated, keys: Keys) -> Result<LedgerStore, LedgerError> {
    let options = options(&place(Path::new("unused")));
    LedgerStore::open_on(Arc::new(backend.clone()), options, keys).await
}

fn contains(backend: &Simulated, text: &str) -> Vec<String> {
    let has = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let files = backend.files().into_iter();
    files.filter(|(_, bytes)| has(bytes)).map(|(path, _)| path).collect()
}

const CANARY: &str = "canary-7f3a";

/// An operation whose journal says what nobody else should read.
async fn secretive(store: &LedgerStore, id: &str) {
    let held = lock(store, id).await;
    let head = begin(&*held, &held.head(), id).await.unwrap();
    let journal = held.open_journal(id).await.unwrap();
    let event = JournalEvent::Opened { actor: CANARY.to_owned(), host: String::new(), epoch: 1 };
    journal.append(TIME.to_owned(), event).await.unwrap();
    drop(journal);
    finish(&*held, &head).await.unwrap();
    held.release().await.unwrap();
}

#[tokio::test]
async fn rekey_encrypts_and_decrypts_everything() {
    for backend in [Simulated::directory(), Simulated::objects()] {
        secretive(&new_on(Arc::new(backend.clone()), PATIENT).await, "one").await;
        assert!(!contains(&backend, CANARY).is_empty());

        let ada = Pair::new();
        let store = open(&backend, ada.keys()).await.unwrap();
        assert!(!store.is_encrypted());
        let refused = store.lock(holder("two"), Duration::ZERO).await.map(drop);
        assert_error(refused, LedgerErrorKind::Refused, "is not encrypted");
        let rewritten = store.rekey(holder("rekey")).await.unwrap();
        assert_eq!(rewritten, encrypted_files(&backend).len() as u64);
        assert_eq!(contains(&backend, CANARY), Vec::<String>::new());

        let store = open(&backend, ada.keys()).await.unwrap();
        assert!(store.is_encrypted());
        secretive(&store, "two").await;
        assert_eq!(contains(&backend, CANARY), Vec::<String>::new());
        let verification = store.verify().await.unwrap();
        assert!(verification.problems.is_empty(), "{:?}", verification.problems);
        assert_eq!(store.journal("two", false).await.unwrap().len(), 3);

        // Bob takes over: afterwards Ada's identity opens nothing.
        let bob = Pair::new();
        let identities = format!("# two of them\n{}\n\n{}\n", ada.identity, bob.identity);
        let both = Keys::parse(std::slice::from_ref(&bob.recipient), &identities).unwrap();
        open(&backend, both).await.unwrap().rekey(holder("b")).await.unwrap();
        let store = open(&backend, ada.keys()).await.unwrap();
        let refused = store.lock(holder("three"), Duration::ZERO).await.map(drop);
        assert_error(refused, LedgerErrorKind::Refused, "for others");
        assert_error(store.journal("two", false).await, LedgerErrorKind::Refused, "opens it");
        assert_eq!(store.history(9).await.unwrap().len(), 2, "entries stay readable");

        let reader = Keys::parse(&[], &bob.identity).unwrap();
        let bob = open(&backend, reader).await.unwrap();
        assert_eq!(bob.journal("one", false).await.unwrap().len(), 3);
        // Without recipients of one's own it is written for those that it is encrypted for.
        secretive(&bob, "three").await;
        assert_eq!(contains(&backend, CANARY), Vec::<String>::new());
        bob.rekey(holder("c")).await.unwrap();
        assert!(!contains(&backend, CANARY).is_empty());
        let refused = bob.lock(holder("four"), Duration::ZERO).await.map(drop);
        assert_error(refused, LedgerErrorKind::Refused, "rekeyed just now");
        let clear = open_on(Arc::new(backend.clone()), PATIENT).await.unwrap();
        assert!(!clear.is_encrypted());
        release(&clear, "four").await;
        assert!(clear.verify().await.unwrap().problems.is_empty());
    }
}

fn encrypted_files(backend: &Simulated) -> Vec<String> {
    let kinds = ["snapshots/", "plans/", "journal/"];
    let files = backend.files().into_keys();
    files.filter(|path| kinds.iter().any(|kind| path.starts_with(kind))).collect()
}

#[tokio::test]
async fn a_rekey_that_was_cut_off_is_finished() {
    let mut points = 0;
    let ada = Pair::new();
    for point in 0.. {
        let backend = Simulated::objects();
        secretive(&new_on(Arc::new(backend.clone()), PATIENT).await, "one").await;
        let dying = backend.process(Some(point), Death::After);
        drop(open(&dying, ada.keys()).await.unwrap().rekey(holder("a")).await);
        let alive = backend.process(None, Death::After);
        let store = open(&alive, ada.keys()).await.unwrap();
        assert!(store.verify().await.unwrap().problems.is_empty(), "point {point}");
        if !dying.is_dead() {
            break;
        }
        store.unlock(holder("admin"), "it died").await.unwrap();
        store.rekey(holder("b")).await.unwrap();
        assert_eq!(contains(&alive, CANARY), Vec::<String>::new());
        assert!(open(&alive, ada.keys()).await.unwrap().is_encrypted());
        points += 1;
    }
    assert!(points > 5, "only {points} points");
}

#[tokio::test]
async fn every_cut_and_flip_of_an_encrypted_file() {
    let backend = Simulated::directory();
    secretive(&new_on(Arc::new(backend.clone()), PATIENT).await, "one").await;
    let store = open(&backend, Pair::new().keys()).await.unwrap();
    store.rekey(holder("a")).await.unwrap();
    for path in encrypted_files(&backend) {
        let bytes = backend.files().remove(&path).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            for changed in [&bytes[..at], &flipped] {
                backend.tamper(&path, Some(changed));
                let problems = store.verify().await.unwrap().problems;
                assert!(problems.iter().any(|problem| problem.message.contains(&path)), "{at}");
            }
        }
        backend.tamper(&path, Some(&bytes));
    }
}

#[test]
fn keys_that_are_none_are_not_repeated() {
    let secret = "AGE-SECRET-KEY-1WRONG";
    let refused = Keys::parse(&[], &format!("\n{secret}"));
    assert!(!refused.as_ref().unwrap_err().to_string().contains(secret));
    assert_error(refused, LedgerErrorKind::Refused, "line 2");
    assert_error(Keys::parse(&["age1x".to_owned()], ""), LedgerErrorKind::Refused, "age1x");
    assert!(!format!("{:?}", Pair::new().keys()).contains("SECRET"));
}
