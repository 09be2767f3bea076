//! Whatever is cut, flipped, removed, exchanged or replaced is noticed, and the error names it.

use std::collections::BTreeSet;
use std::path::Path;

use relctl_engine::{Ledger, LedgerError, LedgerErrorKind};
use relctl_ledger::{Keys, LedgerStore, OpenOptions, init_on};
use relctl_plan::{Digest, Head, JournalLine};

use crate::simulated::{Death, Simulated};
use crate::support::{
    PATIENT, RELEASE, TIME, assert_error, begin, finish, holder, lock, new_on, open_on, opened,
    options, place, release,
};

/// A ledger with everything in it that can be damaged, and an operation that is open.
async fn furnished(backend: Simulated) -> Simulated {
    let store = new_on(std::sync::Arc::new(backend.clone()), PATIENT).await;
    release(&store, "one").await;
    release(&store, "two").await;
    let held = lock(&store, "three").await;
    held.put_plugin(&Digest::of(b"wasm"), b"wasm").await.unwrap();
    begin(&*held, &held.head(), "three").await.unwrap();
    let journal = held.open_journal("three").await.unwrap();
    for _ in 0..2 {
        journal.append(TIME.to_owned(), opened()).await.unwrap();
    }
    drop((journal, held));
    let backend = backend.process(None, Death::Before);
    let store = open_on(std::sync::Arc::new(backend.clone()), PATIENT).await.unwrap();
    store.unlock(holder("admin"), "it was on fire").await.unwrap().unwrap();
    let files = backend.files();
    let kinds: BTreeSet<_> = files.keys().filter_map(|path| path.split('/').next()).collect();
    let all = [
        "HEAD",
        "entries",
        "history",
        "journal",
        "lock",
        "plans",
        "plugins",
        "snapshots",
        "unlocks",
    ];
    assert_eq!(kinds, BTreeSet::from(all), "everything that a ledger holds");
    backend
}

/// Reads everything. Returns the open journal, or what is wrong.
async fn read_all(backend: &Simulated) -> Result<Vec<JournalLine>, Vec<LedgerError>> {
    let read = async || {
        let backend = backend.process(None, Death::Before);
        let store = open_on(std::sync::Arc::new(backend), PATIENT).await?;
        store.holder().await?;
        store.plugin(&Digest::of(b"wasm")).await?;
        let problems = store.verify().await?.problems;
        if !problems.is_empty() {
            return Ok(Err(problems));
        }
        Ok(Ok(store.journal("three", true).await?))
    };
    read().await.unwrap_or_else(|error: LedgerError| Err(vec![error]))
}

/// Asserts that `bytes` in place of the file at `path` are noticed.
async fn assert_noticed(backend: &Simulated, path: &str, bytes: Option<&[u8]>, what: &str) {
    let before = backend.files().remove(path);
    backend.tamper(path, bytes);
    let errors = read_all(backend).await.expect_err(&format!("`{path}` {what}: not noticed"));
    let untrusted = errors.iter().all(|error| error.kind == LedgerErrorKind::Untrusted);
    assert!(untrusted, "`{path}` {what}: {errors:?}");
    let named = errors.iter().any(|error| error.message.contains(path));
    assert!(named, "`{path}` {what}: no error names it: {errors:?}");
    backend.tamper(path, before.as_deref());
}

fn is_open_journal(path: &str) -> bool {
    path.starts_with("journal/three/")
}

#[tokio::test]
async fn every_cut_at_every_offset() {
    for backend in [Simulated::directory(), Simulated::objects()] {
        let backend = furnished(backend).await;
        let whole = read_all(&backend).await.unwrap();
        for (path, bytes) in backend.files() {
            for length in 0..bytes.len() {
                let cut = &bytes[..length];
                let has_header = cut.contains(&b'\n');
                // The one exception: an open journal that grows may end in a torn line.
                if is_open_journal(&path) && backend_grows(&backend) && has_header {
                    backend.tamper(&path, Some(cut));
                    let lines = read_all(&backend).await.unwrap();
                    let kept = cut.split(|byte| *byte == b'\n').count() - 2;
                    assert_eq!(lines, whole[..kept], "cut to {length}");
                    backend.tamper(&path, Some(&bytes));
                } else {
                    assert_noticed(&backend, &path, Some(cut), &format!("cut to {length}")).await;
                }
            }
        }
        assert_eq!(read_all(&backend).await.unwrap(), whole);
    }
}

fn backend_grows(backend: &Simulated) -> bool {
    relctl_ledger::Backend::can_append(backend)
}

#[tokio::test]
async fn a_flip_in_every_byte() {
    for backend in [Simulated::directory(), Simulated::objects()] {
        let backend = furnished(backend).await;
        for (path, bytes) in backend.files() {
            for at in 0..bytes.len() {
                // The end of an open journal's last line: then that line counts as torn.
                if is_open_journal(&path) && backend_grows(&backend) && at + 1 == bytes.len() {
                    continue;
                }
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                assert_noticed(&backend, &path, Some(&flipped), &format!("flipped at {at}")).await;
            }
        }
    }
}

#[tokio::test]
async fn every_removal_of_what_is_needed() {
    for backend in [Simulated::directory(), Simulated::objects()] {
        let backend = furnished(backend).await;
        // Pages are copies, unlocks are remarks, plugins may come from elsewhere, and without a
        // lock object nobody holds the lock.
        let dispensable = ["history/", "unlocks/", "plugins/", "lock"];
        let last = backend.files().into_keys().rfind(|path| is_open_journal(path));
        for path in backend.files().into_keys() {
            let is_last_flush = !backend_grows(&backend) && Some(&path) == last.as_ref();
            if !is_last_flush && !dispensable.iter().any(|kind| path.starts_with(kind)) {
                assert_noticed_removal(&backend, &path).await;
            }
        }
    }
}

async fn assert_noticed_removal(backend: &Simulated, path: &str) {
    let bytes = backend.files().remove(path);
    backend.tamper(path, None);
    let errors = read_all(backend).await.expect_err(&format!("`{path}` removed: not noticed"));
    // A journal's only segment is named by its folder.
    let named = path.rsplit_once('/').map_or(path, |(folder, _)| folder);
    assert!(errors.iter().any(|error| error.message.contains(named)), "{path}: {errors:?}");
    assert!(errors.iter().all(|error| error.kind == LedgerErrorKind::Untrusted), "{errors:?}");
    backend.tamper(path, bytes.as_deref());
}

#[tokio::test]
async fn every_exchange_of_two_files_of_a_kind() {
    let backend = furnished(Simulated::directory()).await;
    let files = backend.files();
    let mut exchanged = 0;
    for (path, bytes) in &files {
        for (other, other_bytes) in &files {
            let kind = |path: &str| path.split('/').next().map(ToOwned::to_owned);
            if path != other && kind(path) == kind(other) {
                // A chain is followed up to its first break, so one of the two is named.
                backend.tamper(path, Some(other_bytes));
                backend.tamper(other, Some(bytes));
                let errors = read_all(&backend).await.expect_err(&format!("{path} is {other}"));
                let named = |error: &LedgerError| {
                    error.message.contains(path) || error.message.contains(other)
                };
                assert!(errors.iter().any(named), "`{path}` is `{other}`: {errors:?}");
                backend.tamper(path, Some(bytes));
                backend.tamper(other, Some(other_bytes));
                exchanged += 1;
            }
        }
    }
    assert!(exchanged > 10);
}

/// A client that remembers, and its ledger.
struct Remembered {
    memory: tempfile::TempDir,
    options: OpenOptions,
    backend: Simulated,
}

impl Remembered {
    async fn new() -> Self {
        Self::of("seed").await
    }

    /// A ledger whose lineage comes from this seed.
    async fn of(seed: &str) -> Self {
        let memory = tempfile::tempdir().unwrap();
        let options = OpenOptions {
            seen_heads: Some(memory.path().join("heads")),
            ..options(&place(Path::new("unused")))
        };
        let backend = Simulated::directory();
        init_on(&backend, RELEASE, None, seed).await.unwrap();
        Self { memory, options, backend }
    }

    /// The one file in which the client remembers.
    fn file(&self) -> std::path::PathBuf {
        let folder = self.memory.path().join("heads");
        let mut names = folder.read_dir().unwrap().map(|file| file.unwrap().file_name());
        let name = names.find(|name| !name.as_encoded_bytes().starts_with(b".")).unwrap();
        folder.join(name)
    }

    async fn open(&self) -> Result<LedgerStore, LedgerError> {
        let backend = std::sync::Arc::new(self.backend.clone());
        LedgerStore::open_on(backend, self.options.clone(), Keys::default()).await
    }

    /// Puts the files back as they were.
    fn restore(&self, files: &std::collections::BTreeMap<String, Vec<u8>>) {
        for path in self.backend.files().into_keys() {
            self.backend.tamper(&path, None);
        }
        for (path, bytes) in files {
            self.backend.tamper(path, Some(bytes));
        }
    }
}

#[tokio::test]
async fn every_older_copy() {
    let ledger = Remembered::new().await;
    let store = ledger.open().await.unwrap();
    let mut copies = vec![ledger.backend.files()];
    for id in ["one", "two"] {
        let held = lock(&store, id).await;
        copies.push(ledger.backend.files());
        let head = begin(&*held, &held.head(), id).await.unwrap();
        copies.push(ledger.backend.files());
        finish(&*held, &head).await.unwrap();
        copies.push(ledger.backend.files());
        held.release().await.unwrap();
    }
    let newest = copies.pop().unwrap();
    for copy in &copies {
        ledger.restore(copy);
        assert_error(
            ledger.open().await,
            LedgerErrorKind::Untrusted,
            "is older than what was seen",
        );
    }
    ledger.restore(&newest);
    ledger.open().await.unwrap();
}

/// What the client remembers is never silently forgotten: not cut, not flipped, not another ledger's.
#[tokio::test]
async fn every_cut_and_flip_of_what_a_client_remembers() {
    let ledger = Remembered::new().await;
    release(&ledger.open().await.unwrap(), "seen").await;
    let file = ledger.file();
    let bytes = std::fs::read(&file).unwrap();
    let other = Remembered::of("another seed").await;
    release(&other.open().await.unwrap(), "other").await;
    let mut damages = vec![std::fs::read(other.file()).unwrap()];
    for at in 0..bytes.len() {
        damages.push(bytes[..at].to_vec());
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        damages.push(flipped);
    }
    for damage in damages {
        std::fs::write(&file, &damage).unwrap();
        let error = ledger.open().await.expect_err(&String::from_utf8_lossy(&damage));
        assert_eq!(error.kind, LedgerErrorKind::Untrusted, "{error}");
        let named = file.to_str().unwrap();
        assert!(error.message.contains(named), "{error}");
        assert!(error.hint.is_some_and(|hint| hint.contains(named)));
        assert_eq!(std::fs::read(&file).unwrap(), damage, "it is left as it is");
    }
    std::fs::write(&file, &bytes).unwrap();
    ledger.open().await.unwrap();
}

#[tokio::test]
async fn a_history_that_forked_and_went_further() {
    let ledger = Remembered::new().await;
    let start = ledger.backend.files();
    release(&ledger.open().await.unwrap(), "seen").await;
    ledger.restore(&start);
    // Somebody without this memory writes another history, longer than the one seen.
    let other = open_on(std::sync::Arc::new(ledger.backend.clone()), PATIENT).await.unwrap();
    let mut heads: Vec<Head> = Vec::new();
    for id in ["other-1", "other-2", "other-3"] {
        heads.push(release(&other, id).await);
    }
    assert_eq!(heads.last().unwrap().serial, 3);
    assert_error(ledger.open().await, LedgerErrorKind::Untrusted, "another history");
}

#[tokio::test]
async fn another_head_of_the_same_revision() {
    let ledger = Remembered::new().await;
    let start = ledger.backend.files();
    let held = lock(&ledger.open().await.unwrap(), "seen").await;
    held.release().await.unwrap();
    ledger.restore(&start);
    let other = open_on(std::sync::Arc::new(ledger.backend.clone()), PATIENT).await.unwrap();
    lock(&other, "other").await.release().await.unwrap();
    assert_error(ledger.open().await, LedgerErrorKind::Untrusted, "is not the one seen here");
}

#[tokio::test]
async fn what_others_add_is_no_damage() {
    let ledger = Remembered::new().await;
    release(&ledger.open().await.unwrap(), "mine").await;
    let other = open_on(std::sync::Arc::new(ledger.backend.clone()), PATIENT).await.unwrap();
    for number in 0..150 {
        release(&other, &format!("theirs-{number}")).await;
    }
    assert_eq!(ledger.open().await.unwrap().head().await.unwrap().serial, 151);
}
