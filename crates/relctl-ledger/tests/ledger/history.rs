//! Entries: newest first, by serial, by prefix, and quickly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use relctl_engine::{Ledger, LedgerError, LedgerErrorKind};
use relctl_ledger::{Append, Backend, Guard, LedgerStore, Match, Object, Put, Version};

use crate::simulated::Simulated;
use crate::support::{PATIENT, assert_error, new_on, open_on, options, place, release};

/// Counts requests.
#[derive(Debug)]
struct Counting {
    inner: Simulated,
    requests: Arc<AtomicU64>,
}

impl Counting {
    fn count(&self) -> &Simulated {
        self.requests.fetch_add(1, Ordering::SeqCst);
        &self.inner
    }
}

#[async_trait]
impl Backend for Counting {
    fn locate(&self, path: &str) -> String {
        self.inner.locate(path)
    }
    async fn get(&self, path: &str) -> Result<Option<Object>, LedgerError> {
        self.count().get(path).await
    }
    async fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Put, LedgerError> {
        self.count().put_if_absent(path, bytes).await
    }
    async fn put_if_match(
        &self,
        path: &str,
        bytes: &[u8],
        expected: &Version,
    ) -> Result<Put, LedgerError> {
        self.count().put_if_match(path, bytes, expected).await
    }
    async fn list(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        self.count().list(folder).await
    }
    fn can_append(&self) -> bool {
        self.inner.can_append()
    }
    async fn appender(&self, path: &str, keep: u64) -> Result<Box<dyn Append>, LedgerError> {
        self.count().appender(path, keep).await
    }
    async fn guard(&self, path: &str) -> Result<Guard, LedgerError> {
        self.inner.guard(path).await
    }
}

#[tokio::test]
async fn the_first_page_takes_three_requests_at_most() {
    let backend = Simulated::objects();
    let store = new_on(Arc::new(backend.clone()), PATIENT).await;
    let requests = Arc::new(AtomicU64::new(0));
    let inner = backend.clone();
    let counting = Counting { inner: backend, requests: requests.clone() };
    let counted = open_on(Arc::new(counting), PATIENT).await.unwrap();
    for number in 1..=entries() {
        release(&store, &format!("v{number}")).await;
        requests.store(0, Ordering::SeqCst);
        let rows = counted.history(30).await.unwrap();
        let serials: Vec<_> = rows.iter().map(|row| row.entry.serial).collect();
        let expected: Vec<_> = (1..=number).rev().take(30).collect();
        assert_eq!(serials, expected);
        let taken = requests.load(Ordering::SeqCst);
        assert!(taken <= 3, "{taken} requests with {number} entries");
    }

    // The same in a directory, for the figure in docs/reliability.md.
    let root = tempfile::tempdir().unwrap();
    for (path, bytes) in inner.files() {
        let path = root.path().join("shop/default").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let started = Instant::now();
    let local = LedgerStore::open(options(&place(root.path()))).await.unwrap();
    assert_eq!(local.history(30).await.unwrap(), store.history(30).await.unwrap());
    println!(
        "first page of {} entries in {:?}, memory and directory",
        entries(),
        started.elapsed()
    );
}

/// How many entries; `RELCTL_TEST_ENTRIES` asks for more.
fn entries() -> u64 {
    std::env::var("RELCTL_TEST_ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(220)
}

#[tokio::test]
async fn pages_are_only_a_copy() {
    let backend = Simulated::directory();
    let store = new_on(Arc::new(backend.clone()), PATIENT).await;
    let first_page = "history/00000000.json.zst";
    for number in 1..=3 {
        release(&store, &format!("v{number}")).await;
    }
    let older = backend.files()[first_page].clone();
    for number in 4..=105 {
        release(&store, &format!("v{number}")).await;
    }
    let whole = store.history(usize::MAX).await.unwrap();
    for page in [Some(older.as_slice()), None] {
        backend.tamper(first_page, page);
        assert_eq!(store.history(usize::MAX).await.unwrap(), whole);
        assert!(store.verify().await.unwrap().problems.is_empty());
    }
    // A page that does not hold what its entries' names say is not believed.
    backend.tamper(first_page, Some(b"x"));
    let damaged = store.history(usize::MAX).await;
    assert_error(damaged, LedgerErrorKind::Untrusted, first_page);
}

#[tokio::test]
async fn entries_are_found() {
    let store = new_on(Arc::new(Simulated::objects()), PATIENT).await;
    for number in 1..=40 {
        release(&store, &format!("v{number}")).await;
    }
    let rows = store.history(usize::MAX).await.unwrap();
    for row in &rows {
        assert_eq!(store.find_serial(row.entry.serial).await.unwrap().as_ref(), Some(row));
        let found = store.find_prefix(&row.digest.as_str()[..12]).await.unwrap();
        assert_eq!(found, Match::Single(Box::new(row.clone())));
    }
    for serial in [0, 41, u64::MAX] {
        assert_eq!(store.find_serial(serial).await.unwrap(), None);
    }
    let missing = rows[0].digest.as_str().chars().rev().collect::<String>();
    assert_eq!(store.find_prefix(&missing).await.unwrap(), Match::NoMatch);
    for prefix in ["", "abc", "xyzw"] {
        let refused = store.find_prefix(prefix).await;
        assert_error(refused, LedgerErrorKind::Refused, "beginning of an entry's digest");
    }
    assert_eq!(store.head().await.unwrap().serial, 40);
}
