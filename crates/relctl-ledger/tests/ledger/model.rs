//! A ledger against a trivial model, with deaths between and during any two writes.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use relctl_engine::{Ledger, LedgerError};
use relctl_ledger::LedgerStore;
use relctl_plan::{Digest, Head, JournalEvent};

use crate::simulated::{Death, Simulated};
use crate::support::{PATIENT, TIME, begin, finish, holder, new_on, open_on};

/// What must be true, whoever died when.
#[derive(Debug, Default)]
struct Model {
    /// The versions of the entries, oldest first.
    entries: Vec<String>,
    /// The operation that has begun and was not finished.
    open: Option<String>,
    /// Lines of its journal that were acknowledged.
    lines: Vec<Digest>,
}

/// One command: it takes the lock, goes on with what is open or begins something, journals some
/// lines, perhaps finishes. It may die at one of its writes.
#[derive(Debug, Clone)]
struct Command {
    lines: usize,
    finishes: bool,
    dies: Option<(u64, Death)>,
}

fn command() -> impl Strategy<Value = Command> {
    let death = prop_oneof![Just(Death::Before), Just(Death::During), Just(Death::After)];
    let dies = proptest::option::of((0_u64..16, death));
    (0_usize..4, any::<bool>(), dies).prop_map(|(lines, finishes, dies)| Command {
        lines,
        finishes,
        dies,
    })
}

/// What a command got done before it died, as far as it was told.
#[derive(Debug, Default)]
struct Told {
    begun: bool,
    lines: Vec<Digest>,
    tried_to_finish: bool,
    finished: bool,
}

async fn run(
    store: &LedgerStore,
    command: &Command,
    id: &str,
    told: &mut Told,
) -> Result<(), LedgerError> {
    let lock = store.lock(holder(id), Duration::ZERO).await?;
    let head = match lock.head() {
        head @ Head { operation: Some(_), .. } => head,
        head => begin(&*lock, &head, id).await?,
    };
    told.begun = true;
    let open = head.operation.clone().unwrap().id;
    {
        let journal = lock.open_journal(&open).await?;
        let is_closed = journal
            .replayed()
            .last()
            .is_some_and(|line| matches!(line.event, JournalEvent::Closed { .. }));
        for number in 0..if is_closed { 0 } else { command.lines } {
            let event = JournalEvent::Opened {
                actor: id.to_owned(),
                host: number.to_string(),
                epoch: head.epoch,
            };
            journal.append(TIME.to_owned(), event).await?;
            told.lines.push(journal.last().await.unwrap());
        }
    }
    if command.finishes {
        told.tried_to_finish = true;
        finish(&*lock, &head).await?;
        told.finished = true;
    }
    lock.release().await
}

async fn check(store: &LedgerStore, model: &mut Model, told: &Told, id: &str, died: bool) {
    let head = store.head().await.unwrap();
    let open = head.operation.as_ref().map(|operation| operation.id.clone());
    let was_open = model.open.clone();
    let mine = was_open.clone().unwrap_or_else(|| id.to_owned());

    // HEAD is before or after what was being written, and after what was acknowledged.
    let grew = head.serial > model.entries.len() as u64;
    if grew {
        assert!(told.tried_to_finish, "an entry that nobody wrote");
        assert_eq!(open, None);
        model.entries.push(mine.clone());
        model.open = None;
        model.lines.clear();
    } else {
        assert!(!told.finished, "an acknowledged entry is gone");
        if told.begun || was_open.is_some() {
            assert_eq!(open.as_ref(), Some(&mine), "an operation that had begun is gone");
        }
        assert!(died || open.is_none() || open == Some(mine));
        model.open = open;
        model.lines.extend(told.lines.iter().cloned());
    }
    assert_eq!(head.serial, model.entries.len() as u64);

    let versions: Vec<_> =
        store.history(usize::MAX).await.unwrap().into_iter().map(|row| row.entry.version).collect();
    let expected: Vec<_> = model.entries.iter().rev().cloned().collect();
    assert_eq!(versions, expected);

    if let Some(operation) = &model.open {
        let lines = store.journal(operation, true).await.unwrap();
        let digests: Vec<_> = lines.into_iter().map(|line| line.digest).collect();
        let mut rest = digests.iter();
        for line in &model.lines {
            assert!(rest.any(|there| there == line), "an acknowledged line is gone");
        }
    }
    let verification = store.verify().await.unwrap();
    assert!(verification.problems.is_empty(), "{:?}", verification.problems);
}

async fn survive(backend: Simulated, commands: Vec<Command>) {
    new_on(Arc::new(backend.clone()), PATIENT).await;
    let mut model = Model::default();
    for (number, command) in commands.iter().enumerate() {
        let id = format!("op-{number}");
        let (left, death) = command.dies.unzip();
        let process = backend.process(left, death.unwrap_or(Death::Before));
        let store = open_on(Arc::new(process.clone()), PATIENT).await.unwrap();
        let mut told = Told::default();
        let result = run(&store, command, &id, &mut told).await;
        assert!(result.is_ok() || process.is_dead(), "{result:?}");
        drop(store);

        let after = backend.process(None, Death::Before);
        let store = open_on(Arc::new(after), PATIENT).await.unwrap();
        check(&store, &mut model, &told, &id, process.is_dead()).await;
        store.unlock(holder("admin"), "between two commands").await.unwrap();
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn a_directory_survives(commands in proptest::collection::vec(command(), 1..12)) {
        block_on(survive(Simulated::directory(), commands));
    }

    #[test]
    fn an_object_store_survives(commands in proptest::collection::vec(command(), 1..12)) {
        block_on(survive(Simulated::objects(), commands));
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(128)
}

/// Every point of one operation at which its process can die, in each of the three ways.
#[tokio::test]
async fn every_point_of_one_operation() {
    let mut points = 0;
    for backend in [Simulated::directory as fn() -> Simulated, Simulated::objects] {
        for death in [Death::Before, Death::During, Death::After] {
            for point in 0.. {
                let dying = Command { lines: 2, finishes: true, dies: Some((point, death)) };
                let rest = Command { lines: 1, finishes: true, dies: None };
                let probe = backend();
                survive(probe.clone(), vec![dying.clone(), rest]).await;
                points += 1;
                if !reaches(backend(), &dying).await {
                    break;
                }
            }
        }
    }
    assert!(points > 60, "only {points} points were tried");
    println!("{points} points of death tried");
}

async fn reaches(backend: Simulated, command: &Command) -> bool {
    new_on(Arc::new(backend.clone()), PATIENT).await;
    let (left, death) = command.dies.unwrap();
    let process = backend.process(Some(left), death);
    let store = open_on(Arc::new(process.clone()), PATIENT).await.unwrap();
    let result = run(&store, command, "op", &mut Told::default()).await;
    assert!(result.is_ok() || process.is_dead(), "{result:?}");
    process.is_dead()
}
