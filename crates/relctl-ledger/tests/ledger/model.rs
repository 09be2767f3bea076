//! A ledger against a trivial model, with deaths between and during any two writes, and with the power
//! cut between any two steps of a write.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use relctl_engine::{Ledger, LedgerError};
use relctl_ledger::{LedgerStore, LocalBackend};
use relctl_plan::{Digest, Head, JournalEvent};

use crate::power::{Disk, Fate, Step, Watched};
use crate::simulated::{Death, Simulated};
use crate::support::{PATIENT, TIME, begin, finish, holder, lock, new_on, open_on};

/// What must be true, whoever died when.
#[derive(Debug, Clone, Default)]
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

fn blow() -> impl Strategy<Value = Blow> {
    let numbers = proptest::collection::vec(any::<u8>(), 1..20);
    (command(), any::<usize>(), proptest::option::weighted(0.8, numbers))
}

/// What a command got done before it died, as far as it was told.
#[derive(Debug, Clone, Default)]
struct Told {
    begun: bool,
    lines: Vec<Digest>,
    tried_to_finish: bool,
    finished: bool,
}

/// Runs a command. Whenever it is told something, `tells` hears all that it was told so far.
async fn run(
    store: &LedgerStore,
    command: &Command,
    id: &str,
    mut tells: impl FnMut(&Told),
) -> Result<(), LedgerError> {
    let mut told = Told::default();
    let lock = store.lock(holder(id), Duration::ZERO).await?;
    let head = match lock.head() {
        head @ Head { operation: Some(_), .. } => head,
        head => begin(&*lock, &head, id).await?,
    };
    told.begun = true;
    tells(&told);
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
            tells(&told);
        }
    }
    if command.finishes {
        told.tried_to_finish = true;
        tells(&told);
        finish(&*lock, &head).await?;
        told.finished = true;
        tells(&told);
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
        let result = run(&store, command, &id, |now| told.clone_from(now)).await;
        assert!(result.is_ok() || process.is_dead(), "{result:?}");
        drop(store);

        let after = backend.process(None, Death::Before);
        let store = open_on(Arc::new(after), PATIENT).await.unwrap();
        check(&store, &mut model, &told, &id, process.is_dead()).await;
        store.unlock(holder("admin"), "between two commands").await.unwrap();
    }
}

/// A machine whose power can be cut: a ledger in a folder, which is another one after each cut.
struct Machine {
    disk: Disk,
    folder: Watched,
    model: Model,
}

/// A command that ran to its end, step by step, with what it was told after so many steps.
struct Ran {
    steps: Vec<Step>,
    told: Vec<(usize, Told)>,
}

impl Machine {
    async fn new() -> Self {
        let folder = Watched::new();
        new_on(backend(folder.path()), PATIENT).await;
        let mut disk = Disk::new();
        folder.take().iter().for_each(|step| disk.repeat(folder.path(), step));
        Self { disk, folder, model: Model::default() }
    }

    async fn run(&self, command: &Command, id: &str) -> Ran {
        let store = open_on(backend(self.folder.path()), PATIENT).await.unwrap();
        let mut told = Vec::new();
        let hears = |now: &Told| told.push((self.folder.count(), now.clone()));
        run(&store, command, id, hears).await.unwrap();
        Ran { steps: self.folder.take(), told }
    }

    /// As it is when the power was cut after so many steps, or the process alone was killed.
    async fn after(&self, ran: &Ran, count: usize, id: &str, cut: &mut Cut<'_>) -> Self {
        let mut disk = self.disk.clone();
        ran.steps[..count].iter().for_each(|step| disk.repeat(self.folder.path(), step));
        if let Cut::Power(fate) = cut {
            disk.cut_power(fate);
        }
        let folder = Watched::new();
        disk.restore(folder.path());
        let heard = ran.told.iter().rev().find(|(after, _)| *after <= count);
        let told = heard.map(|(_, told)| told.clone()).unwrap_or_default();
        let store = open_on(backend(folder.path()), PATIENT).await.unwrap();
        let mut model = self.model.clone();
        check(&store, &mut model, &told, id, true).await;
        if matches!(cut, Cut::Process) {
            // A HEAD that was seen is relied on from when the lock is taken: only then is it durable.
            lock(&store, "next").await.release().await.unwrap();
            folder.take().iter().for_each(|step| disk.repeat(folder.path(), step));
        }
        Self { disk, folder, model }
    }
}

/// What happens to a machine.
enum Cut<'a> {
    /// Only the process ends: the system still has what was not synced.
    Process,
    Power(&'a mut dyn FnMut(&str) -> Fate),
}

fn backend(root: &Path) -> Arc<LocalBackend> {
    Arc::new(LocalBackend::new(root.join("state")))
}

/// What becomes of each change that was not synced, from these numbers over and over.
fn luck(numbers: &[u8]) -> impl FnMut(&str) -> Fate {
    let mut numbers = numbers.iter().cycle();
    move |_| [Fate::Lost, Fate::Torn, Fate::Kept][usize::from(*numbers.next().unwrap()) % 3]
}

/// A command, after how many of its steps something happens, and what: `None`: its process is killed.
type Blow = (Command, usize, Option<Vec<u8>>);

async fn survive_blows(blows: Vec<Blow>) {
    let mut machine = Machine::new().await;
    for (number, (command, count, numbers)) in blows.iter().enumerate() {
        let id = format!("op-{number}");
        let ran = machine.run(command, &id).await;
        let count = count % (ran.steps.len() + 1);
        let mut fate = numbers.as_deref().map(luck);
        let mut cut = fate.as_mut().map_or(Cut::Process, |fate| Cut::Power(fate));
        machine = machine.after(&ran, count, &id, &mut cut).await;
    }
}

/// Every step of one operation after which the power can be cut, and what can be left then; the next
/// command goes on.
#[tokio::test]
async fn every_power_cut_of_one_operation() {
    let fates: [fn(&str) -> Fate; 5] = [
        |_| Fate::Lost,
        |_| Fate::Torn,
        |_| Fate::Kept,
        |what| if what == "names" { Fate::Kept } else { Fate::Lost },
        |what| if what == "names" { Fate::Lost } else { Fate::Kept },
    ];
    let machine = Machine::new().await;
    let operation = Command { lines: 2, finishes: true, dies: None };
    let ran = machine.run(&operation, "first").await;
    let rest = Command { lines: 1, finishes: true, dies: None };
    let mut points = 0;
    for count in 0..=ran.steps.len() {
        for mut fate in fates {
            let rebooted = machine.after(&ran, count, "first", &mut Cut::Power(&mut fate)).await;
            let went_on = rebooted.run(&rest, "second").await;
            let end = went_on.steps.len();
            let ended = rebooted.after(&went_on, end, "second", &mut Cut::Process).await;
            assert!(ended.model.open.is_none() && !ended.model.entries.is_empty());
            points += 1;
        }
    }
    assert!(points > 200, "only {points} power cuts");
    println!("the power was cut {points} times");
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn a_directory_survives(commands in proptest::collection::vec(command(), 1..12)) {
        block_on(survive(Simulated::directory(), commands));
    }

    #[test]
    fn an_object_store_survives(commands in proptest::collection::vec(command(), 1..12)) {
        block_on(survive(Simulated::objects(), commands));
    }
}

proptest! {
    // Each step is on a real disk first.
    #![proptest_config(cases(32))]

    #[test]
    fn a_disk_survives_power_cuts(blows in proptest::collection::vec(blow(), 1..6)) {
        block_on(survive_blows(blows));
    }
}

/// How many histories; `RELCTL_TEST_CASES` asks for more.
fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("RELCTL_TEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(usual),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
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
    let result = run(&store, command, "op", |_| {}).await;
    assert!(result.is_ok() || process.is_dead(), "{result:?}");
    process.is_dead()
}
