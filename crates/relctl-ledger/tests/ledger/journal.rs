//! Journals: group commit, torn lines, emergency copies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use relctl_engine::{Journal, Ledger, LedgerError, LedgerErrorKind};
use relctl_ledger::{Append, Backend, Guard, LocalBackend, Object, Put, Version};
use relctl_plan::{JournalEvent, StepId};

use crate::simulated::{Death, Simulated};
use crate::support::{
    PATIENT, TIME, assert_error, begin, closed, finish, lock, new_on, open_on, opened, release,
};

fn step(number: usize) -> JournalEvent {
    let step: StepId =
        serde_json::from_value(format!("resource.file.f{number}#create").into()).unwrap();
    JournalEvent::Pending { step, token: number.to_string() }
}

/// Counts the writes that reach the store.
#[derive(Debug)]
struct Counting {
    inner: LocalBackend,
    appends: Arc<AtomicU64>,
}

struct CountingAppend {
    inner: Box<dyn Append>,
    appends: Arc<AtomicU64>,
}

#[async_trait]
impl Append for CountingAppend {
    async fn append(&mut self, bytes: Vec<u8>) -> Result<(), LedgerError> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        self.inner.append(bytes).await
    }
}

#[async_trait]
impl Backend for Counting {
    fn locate(&self, path: &str) -> String {
        self.inner.locate(path)
    }
    async fn get(&self, path: &str) -> Result<Option<Object>, LedgerError> {
        self.inner.get(path).await
    }
    async fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Put, LedgerError> {
        self.inner.put_if_absent(path, bytes).await
    }
    async fn put_if_match(
        &self,
        path: &str,
        bytes: &[u8],
        expected: &Version,
    ) -> Result<Put, LedgerError> {
        self.inner.put_if_match(path, bytes, expected).await
    }
    async fn list(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        self.inner.list(folder).await
    }
    fn can_append(&self) -> bool {
        true
    }
    async fn appender(&self, path: &str, keep: u64) -> Result<Box<dyn Append>, LedgerError> {
        let inner = self.inner.appender(path, keep).await?;
        Ok(Box::new(CountingAppend { inner, appends: self.appends.clone() }))
    }
    async fn guard(&self, path: &str) -> Result<Guard, LedgerError> {
        self.inner.guard(path).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_come_together_share_a_write() {
    let root = tempfile::tempdir().unwrap();
    let appends = Arc::new(AtomicU64::new(0));
    let inner = LocalBackend::new(root.path());
    let store = new_on(Arc::new(Counting { inner, appends: appends.clone() }), PATIENT).await;
    let held = lock(&store, "one").await;
    begin(&*held, &held.head(), "one").await.unwrap();
    let journal: Arc<dyn Journal> = held.open_journal("one").await.unwrap().into();
    appends.store(0, Ordering::SeqCst);
    // Ten steps at a time, five thousand in all.
    let mut tasks = Vec::new();
    for lane in 0..10 {
        let journal = journal.clone();
        tasks.push(tokio::spawn(async move {
            for number in 0..500 {
                journal.append(TIME.to_owned(), step(lane * 500 + number)).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let lines = store.journal("one", true).await.unwrap();
    assert_eq!(lines.len(), 5_001);
    let writes = appends.load(Ordering::SeqCst);
    assert!(writes <= 2_500, "5,000 lines took {writes} writes");
}

#[tokio::test]
async fn a_journal_goes_on_where_it_was_cut() {
    let backend = Simulated::directory();
    let store = new_on(Arc::new(backend.clone()), PATIENT).await;
    let held = lock(&store, "one").await;
    begin(&*held, &held.head(), "one").await.unwrap();
    let path = "journal/one/00000000.jsonl";
    let mut torn = backend.files()[path].clone();
    torn.extend_from_slice(b"{\"seq\":1,\"ti");
    backend.tamper(path, Some(&torn));
    assert_eq!(store.journal("one", true).await.unwrap().len(), 1);
    assert_error(store.journal("one", false).await, LedgerErrorKind::Untrusted, path);

    let journal = held.open_journal("one").await.unwrap();
    assert_eq!(journal.replayed().len(), 1);
    journal.append(TIME.to_owned(), step(1)).await.unwrap();
    assert_eq!(store.journal("one", true).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_journal_that_was_not_closed_is_cut() {
    for backend in [Simulated::directory(), Simulated::objects()] {
        let store = new_on(Arc::new(backend), PATIENT).await;
        let held = lock(&store, "one").await;
        let head = begin(&*held, &held.head(), "one").await.unwrap();
        assert_error(store.journal("one", false).await, LedgerErrorKind::Untrusted, "journal/one");
        finish(&*held, &head).await.unwrap();
        assert_eq!(store.journal("one", false).await.unwrap().last().unwrap().event, closed());
    }
}

#[tokio::test]
async fn a_journal_of_another_operation_is_refused() {
    let backend = Simulated::directory();
    let store = new_on(Arc::new(backend.clone()), PATIENT).await;
    release(&store, "one").await;
    release(&store, "two").await;
    let one = backend.files()["journal/one/00000000.jsonl"].clone();
    backend.tamper("journal/two/00000000.jsonl", Some(&one));
    assert_error(store.journal("two", false).await, LedgerErrorKind::Untrusted, "journal/two");
}

#[tokio::test]
async fn what_could_not_be_saved_is_restored() {
    for backend in [Simulated::directory(), Simulated::objects()] {
        for death in [Death::Before, Death::During, Death::After] {
            let store = new_on(Arc::new(backend.process(None, death)), PATIENT).await;
            restores(&store, &backend, death).await;
            for path in backend.files().into_keys() {
                backend.tamper(&path, None);
            }
        }
    }
}

async fn restores(first: &relctl_ledger::LedgerStore, backend: &Simulated, death: Death) {
    let held = lock(first, "one").await;
    begin(&*held, &held.head(), "one").await.unwrap();
    held.release().await.unwrap();

    // A count of writes up to the open journal, so that the next one fails.
    let before = backend.writes();
    let trial = backend.process(None, death);
    let store = open_on(Arc::new(trial), PATIENT).await.unwrap();
    let held = lock(&store, "two").await;
    held.open_journal("one").await.unwrap();
    held.release().await.unwrap();
    let writes = backend.writes() - before - 1;

    let dying = backend.process(Some(writes), death);
    let store = open_on(Arc::new(dying.clone()), PATIENT).await.unwrap();
    let held = lock(&store, "three").await;
    let journal = held.open_journal("one").await.unwrap();
    let mut unsaved = Vec::new();
    for number in 1..4 {
        assert_error(
            journal.append(TIME.to_owned(), step(number)).await,
            LedgerErrorKind::Io,
            "died",
        );
        unsaved = journal.unsaved().await;
        assert_eq!(unsaved.len(), number);
    }
    assert!(dying.is_dead());

    let alive = open_on(Arc::new(backend.process(None, death)), PATIENT).await.unwrap();
    alive.unlock(crate::support::holder("admin"), "it died").await.unwrap();
    let held = lock(&alive, "four").await;
    let journal = held.open_journal("one").await.unwrap();
    journal.restore(&unsaved).await.unwrap();
    let lines = alive.journal("one", true).await.unwrap();
    let events: Vec<_> = lines.into_iter().map(|line| line.event).collect();
    assert_eq!(events, [opened(), step(1), step(2), step(3)], "{death:?}");
    // Doing it again adds nothing; a copy of something else is refused.
    drop(journal);
    let journal = held.open_journal("one").await.unwrap();
    journal.restore(&unsaved).await.unwrap();
    assert_eq!(alive.journal("one", true).await.unwrap().len(), 4);
    unsaved[0].event = step(9);
    assert_error(journal.restore(&unsaved).await, LedgerErrorKind::Untrusted, "line 1");
}
