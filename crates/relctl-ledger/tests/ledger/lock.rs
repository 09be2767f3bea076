//! One holder at a time, whatever happens to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use relctl_engine::{Ledger, LedgerError, LedgerErrorKind, Lock};
use relctl_ledger::{
    Append, Backend, Guard, LedgerStore, LocalBackend, Object, Put, Timing, Version,
};
use tokio::sync::watch;

use crate::simulated::{Death, Simulated};
use crate::support::{
    PATIENT, TIME, assert_error, begin, finish, holder, lock, new_on, open_on, opened, release,
};

/// Locks that expire soon.
pub(crate) const HASTY: Timing =
    Timing { ttl: Duration::from_millis(300), poll: Duration::from_millis(5) };

/// How many rounds of a race; `RELCTL_TEST_RACES` asks for more.
pub(crate) fn rounds() -> u32 {
    std::env::var("RELCTL_TEST_RACES").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Eight contenders take the lock once each in every round, each waiting for the others; no two
/// hold it at once, and each taking raises the epoch by one.
pub(crate) async fn race(backend: Arc<dyn Backend>, rounds: u32) {
    let timing = Timing { poll: Duration::from_millis(2), ..PATIENT };
    let store = new_on(backend, timing).await;
    let inside = Arc::new(AtomicU32::new(0));
    for round in 0..rounds {
        let contenders = (0..8).map(|contender| {
            let (store, inside) = (store.clone(), inside.clone());
            tokio::spawn(async move {
                let me = holder(&format!("{round}-{contender}"));
                let held = store.lock(me, Duration::from_mins(2)).await.unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two holders");
                held.check().await.unwrap();
                let epoch = held.head().epoch;
                assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1, "two holders");
                held.release().await.unwrap();
                epoch
            })
        });
        let mut epochs = Vec::new();
        for contender in contenders.collect::<Vec<_>>() {
            epochs.push(contender.await.unwrap());
        }
        epochs.sort_unstable();
        let first = u64::from(round) * 8 + 1;
        assert_eq!(epochs, (first..first + 8).collect::<Vec<_>>());
    }
}

/// Eight contenders that do not wait: one wins, the others see it.
pub(crate) async fn rush(backend: Arc<dyn Backend>, rounds: u32) {
    let store = new_on(backend, PATIENT).await;
    for round in 0..rounds {
        let contenders = (0..8).map(|contender| {
            let store = store.clone();
            tokio::spawn(async move {
                store.lock(holder(&format!("{round}-{contender}")), Duration::ZERO).await
            })
        });
        let mut held = Vec::new();
        for contender in contenders.collect::<Vec<_>>() {
            match contender.await.unwrap() {
                Ok(lock) => held.push(lock),
                Err(error) => assert_eq!(error.kind, LedgerErrorKind::Locked, "{error}"),
            }
        }
        assert_eq!(held.len(), 1, "round {round}");
        held[0].release().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn races_in_a_directory() {
    let root = tempfile::tempdir().unwrap();
    race(Arc::new(LocalBackend::new(root.path().join("race"))), rounds()).await;
    rush(Arc::new(LocalBackend::new(root.path().join("rush"))), rounds()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn races_for_a_lease() {
    race(Arc::new(Simulated::objects()), rounds()).await;
    rush(Arc::new(Simulated::objects()), rounds()).await;
}

#[tokio::test]
async fn whoever_waits_sees_the_holder() {
    for backend in [Simulated::directory(), Simulated::objects()] {
        let store = new_on(Arc::new(backend), PATIENT).await;
        let held = lock(&store, "one").await;
        let refused = store.lock(holder("two"), Duration::from_millis(20)).await.map(drop);
        assert_error(refused, LedgerErrorKind::Locked, "ada on build-7, process 7: `apply`");
        held.release().await.unwrap();
        assert!(lock(&store, "two").await.took_over().is_none());
    }
}

#[tokio::test]
async fn a_crash_frees_a_directory_at_once() {
    let root = tempfile::tempdir().unwrap();
    let backend = Arc::new(LocalBackend::new(root.path()));
    let store = new_on(backend, PATIENT).await;
    drop(lock(&store, "one").await);
    assert_eq!(store.holder().await.unwrap(), None);
    let held = lock(&store, "two").await;
    assert_eq!(held.took_over().map(|holder| holder.nonce.as_str()), Some("one"));
    assert_eq!(held.head().epoch, 2);
}

/// A holder that stops, is taken over, and wakes: nothing that it does counts.
pub(crate) async fn takeover(backend: Arc<dyn Backend>, timing: Timing) {
    let store = new_on(backend.clone(), timing).await;
    let (stop, stopped) = watch::channel(false);
    let stopping = Stopping { inner: backend, stopped };
    let asleep = open_on(Arc::new(stopping), timing).await.unwrap();
    let sleeper = lock(&asleep, "sleeper").await;
    let head = begin(&*sleeper, &sleeper.head(), "one").await.unwrap();
    let journal = sleeper.open_journal("one").await.unwrap();
    let holder_before = store.holder().await.unwrap().unwrap();
    stop.send(true).unwrap();

    let next = store.lock(holder("next"), timing.ttl * 20).await.unwrap();
    assert_eq!(next.took_over(), Some(&holder_before));
    assert_eq!(next.head().operation, head.operation);
    assert_eq!(next.head().epoch, head.epoch + 1);
    let resumed = next.open_journal("one").await.unwrap();
    assert_eq!(resumed.replayed().len(), 1);

    stop.send(false).unwrap();
    let moved = LedgerErrorKind::Moved;
    let before = store.head().await.unwrap();
    assert_error(sleeper.check().await, moved, "taken over by ada");
    assert_error(sleeper.swap_head(head.clone()).await, moved, "");
    assert_error(journal.append(TIME.to_owned(), opened()).await, moved, "");
    assert_error(sleeper.put_plan(&crate::support::plan(&head, "x")).await, moved, "");
    assert_error(sleeper.open_journal("one").await.map(drop), moved, "");
    assert_eq!(store.head().await.unwrap(), before);
    assert_eq!(store.journal("one", true).await.unwrap().len(), 1);

    sleeper.release().await.unwrap();
    assert_eq!(store.holder().await.unwrap().unwrap().nonce, "next");
    finish(&*next, &next.head()).await.unwrap();
    next.release().await.unwrap();
}

/// A process that can be stopped, as by SIGSTOP: while it is, none of its requests is sent.
#[derive(Debug)]
struct Stopping {
    inner: Arc<dyn Backend>,
    stopped: watch::Receiver<bool>,
}

impl Stopping {
    async fn awake(&self) -> &dyn Backend {
        self.stopped.clone().wait_for(|stopped| !stopped).await.unwrap();
        self.inner.as_ref()
    }
}

#[async_trait]
impl Backend for Stopping {
    fn locate(&self, path: &str) -> String {
        self.inner.locate(path)
    }
    async fn get(&self, path: &str) -> Result<Option<Object>, LedgerError> {
        self.awake().await.get(path).await
    }
    async fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Put, LedgerError> {
        self.awake().await.put_if_absent(path, bytes).await
    }
    async fn put_if_match(
        &self,
        path: &str,
        bytes: &[u8],
        expected: &Version,
    ) -> Result<Put, LedgerError> {
        self.awake().await.put_if_match(path, bytes, expected).await
    }
    async fn list(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        self.awake().await.list(folder).await
    }
    fn can_append(&self) -> bool {
        self.inner.can_append()
    }
    async fn appender(&self, path: &str, keep: u64) -> Result<Box<dyn Append>, LedgerError> {
        self.awake().await.appender(path, keep).await
    }
    async fn guard(&self, path: &str) -> Result<Guard, LedgerError> {
        self.awake().await.guard(path).await
    }
}

#[tokio::test]
async fn a_holder_that_slept_writes_nothing() {
    takeover(Arc::new(Simulated::objects()), HASTY).await;
}

/// The race that the fence is for: the former holder looked before it was taken over, and writes
/// after.
#[tokio::test]
async fn the_fence_holds_where_looking_does_not() {
    let backend = Simulated::objects();
    let store = new_on(Arc::new(backend.clone()), PATIENT).await;
    let former = lock(&store, "former").await;
    let head = begin(&*former, &former.head(), "one").await.unwrap();
    let journal = former.open_journal("one").await.unwrap();
    // Its lease is fresh, so it does not look again: the store itself must refuse.
    let other = open_on(Arc::new(backend.clone()), PATIENT).await.unwrap();
    let unlock = other.unlock(holder("admin"), "it hangs").await.unwrap().unwrap();
    assert_eq!((unlock.freed.nonce.as_str(), unlock.epoch), ("former", 2));
    former.check().await.unwrap();
    assert_error(former.swap_head(head).await, LedgerErrorKind::Moved, "HEAD");

    let next = lock(&other, "next").await;
    let resumed = next.open_journal("one").await.unwrap();
    let late = journal.append(TIME.to_owned(), opened()).await;
    assert_error(late, LedgerErrorKind::Moved, "journal/one");
    resumed.append(TIME.to_owned(), opened()).await.unwrap();
    assert_eq!(store.journal("one", true).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_beating_holder_is_not_taken_over() {
    let store = new_on(Arc::new(Simulated::objects()), HASTY).await;
    let held = lock(&store, "one").await;
    let refused = store.lock(holder("two"), HASTY.ttl * 4).await.map(drop);
    assert_error(refused, LedgerErrorKind::Locked, "held by");
    held.check().await.unwrap();
}

#[tokio::test]
async fn a_request_to_park_reaches_the_holder() {
    for backend in [Simulated::directory(), Simulated::objects()] {
        let store = new_on(Arc::new(backend), HASTY).await;
        assert_eq!(store.request_park(holder("urgent")).await.unwrap(), None);
        let held = lock(&store, "slow").await;
        let asked = store.request_park(holder("urgent")).await.unwrap();
        assert_eq!(asked.unwrap().nonce, "slow");
        while held.park_requested().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(held.park_requested().unwrap().nonce, "urgent");
        held.check().await.unwrap();
        held.release().await.unwrap();
        assert!(lock(&store, "urgent").await.park_requested().is_none());
    }
}

#[tokio::test]
async fn an_unlock_needs_a_reason_and_a_dead_holder() {
    let store = new_on(Arc::new(Simulated::directory()), PATIENT).await;
    assert_eq!(store.unlock(holder("admin"), "nothing held").await.unwrap(), None);
    assert_error(store.unlock(holder("admin"), " ").await, LedgerErrorKind::Refused, "reason");
    let _held = lock(&store, "alive").await;
    let refused = store.unlock(holder("admin"), "impatient").await;
    assert_error(refused, LedgerErrorKind::Locked, "process 7");
}

#[tokio::test]
async fn a_lock_object_that_was_removed_frees_nobody_twice() {
    let backend = Simulated::objects();
    let store = new_on(Arc::new(backend.clone()), PATIENT).await;
    release(&store, "one").await;
    let former = lock(&store, "former").await;
    backend.tamper("lock", None);
    let next = lock(&store, "next").await;
    assert_eq!(next.head().epoch, former.head().epoch + 1);
    let head = former.head();
    assert_error(former.swap_head(head).await, LedgerErrorKind::Moved, "HEAD");
}

#[tokio::test]
async fn dying_while_taking_the_lock_blocks_nobody() {
    for backend in [Simulated::directory(), Simulated::objects()] {
        new_on(Arc::new(backend.clone()), PATIENT).await;
        for point in 0..3 {
            for death in [Death::Before, Death::After] {
                let dying = open_on(Arc::new(backend.process(Some(point), death)), PATIENT).await;
                let taken = dying.unwrap().lock(holder("dying"), Duration::ZERO).await.map(drop);
                let store = open_on(Arc::new(backend.process(None, death)), PATIENT).await.unwrap();
                if point < 2 {
                    assert_error(taken, LedgerErrorKind::Io, "died");
                }
                store.unlock(holder("admin"), "it died").await.unwrap();
                let held = lock(&store, "next").await;
                held.check().await.unwrap();
                held.release().await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn clocks_of_other_machines_do_not_matter() {
    // Whatever time a holder claims, only silence counts.
    for since in ["1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
        let store = new_on(Arc::new(Simulated::objects()), HASTY).await;
        let claims = relctl_engine::Holder { since: since.to_owned(), ..holder("one") };
        let held: Box<dyn Lock> = store.lock(claims, Duration::ZERO).await.unwrap();
        assert_error(try_lock(&store).await, LedgerErrorKind::Locked, since);
        drop(held);
        let next = store.lock(holder("two"), HASTY.ttl * 20).await.unwrap();
        assert_eq!(next.took_over().unwrap().since, since);
    }
}

async fn try_lock(store: &LedgerStore) -> Result<(), LedgerError> {
    store.lock(holder("impatient"), Duration::ZERO).await.map(drop)
}

/// Who does not want to wait is not told "locked" before it was seen that the holder lives; one that
/// died is taken over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_is_watched_until_it_is_known_whether_it_lives() {
    let backend = Simulated::objects();
    let store = new_on(Arc::new(backend.clone()), HASTY).await.watching_holders();
    let alive = store.lock(holder("one"), Duration::ZERO).await.unwrap();
    let refused = store.lock(holder("two"), Duration::ZERO).await.map(drop);
    assert_error(refused, LedgerErrorKind::Locked, "held by ada on build-7");
    // It stops without a word.
    drop(alive);
    let taken = store.lock(holder("two"), Duration::ZERO).await.unwrap();
    assert_eq!(taken.took_over().unwrap().nonce, "one");
    taken.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_hears_of_it_when_it_is_asked_to_park() {
    for backend in [Simulated::objects(), Simulated::directory()] {
        let store = new_on(Arc::new(backend), HASTY).await;
        let held = store.lock(holder("one"), Duration::ZERO).await.unwrap();
        assert!(held.park_requested().is_none());
        let (asked, ()) = tokio::join!(store.request_park(holder("two")), held.asked_to_park());
        assert_eq!(asked.unwrap().unwrap().nonce, "one");
        assert_eq!(held.park_requested().unwrap().nonce, "two");
        held.release().await.unwrap();
    }
}
