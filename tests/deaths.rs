//! A ledger in a bucket, with the real binary: killed at every request that writes, before it is
//! carried out and after; stopped and taken over; and how few requests reading takes.
//!
//! The proxy before the store kills `relctl` as the n-th write arrives, or when it was carried out
//! and before it is answered. Every n is tried until nothing is left to die at.

use std::time::{Duration, Instant};

use relctl_test::proxy::ProxyRules;
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::death::{MOMENTS, Moment, Point, died, every, go_on, pid};
use crate::real::tree;
use crate::shared::{SOON, Shared, Store};

const FIRST: &str = r#"[release]
name = "site"
version = "v1"

[plugins.local]
config = { root = "www" }

[resource.local_file.page]
path = "page.html"
content = "page of v1\n"
"#;

const SECOND: &str = r#"[release]
name = "site"
version = "v2"

[plugins.local]
config = { root = "www" }

[action.local_append.before]
path = "log"
line = "before v2"

[resource.local_file.page]
path = "page.html"
content = "page of v2\n"
depends_on = ["action.local_append.before"]

[action.local_append.after]
path = "log"
line = "after v2"
depends_on = ["resource.local_file.page"]
"#;

/// Runs a command that is killed at its `number`-th write; false if it ended well before.
fn dies(shared: &Shared<'_>, arguments: &str, number: usize, moment: Moment) -> bool {
    let point = Point { counts: |call| call.writes, number, moment };
    died(&point.kill(&shared.site, &shared.store.url(), |endpoint| {
        let mut command = shared.command(arguments, endpoint);
        command.env("RELCTL_TEST_LOCK_TTL_MS", SOON);
        command
    }))
}

/// A site on its way, and how it shall end.
struct Way<'a> {
    shared: Shared<'a>,
    command: &'static str,
    log: &'static str,
    page: &'static str,
    serial: u64,
}

fn forward(store: &Store) -> Way<'_> {
    let shared = Shared::new(store, FIRST);
    shared.relctl("apply --auto-approve").success();
    shared.site.write("release.toml", SECOND);
    shared.relctl("plan -o plan.json").success();
    let command = "apply plan.json --parallelism 1";
    Way { shared, command, log: "before v2\nafter v2\n", page: "page of v2\n", serial: 2 }
}

fn back(store: &Store) -> Way<'_> {
    let shared = forward(store).shared;
    shared.relctl("apply plan.json").success();
    let command = "revert --to 1 --auto-approve --parallelism 1";
    Way { shared, command, log: "before v2\nafter v2\n", page: "page of v1\n", serial: 3 }
}

impl Way<'_> {
    fn assert_done(&self, shared: &Shared<'_>, context: &str) {
        assert_eq!(shared.site.read("www/log"), self.log, "{context}");
        assert_eq!(shared.site.read("www/page.html"), self.page, "{context}");
        let head = shared.head();
        assert_eq!(head["operation"], Value::Null, "{context}");
        assert_eq!(head["serial"], self.serial, "{context}");
        // Nothing that was written is in doubt: all of it is read and proved.
        let log = shared.relctl("log --json").success().json();
        assert_eq!(log["entries"].as_array().unwrap().len() as u64, self.serial, "{context}");
    }

    /// Goes on with one command, whatever was cut off.
    fn rescue(&self, shared: &Shared<'_>, context: &str) {
        let is_done = || shared.serial() == self.serial;
        go_on(|arguments| shared.impatient(arguments), self.command, is_done, context);
        self.assert_done(shared, context);
    }
}

/// Dies at every `step`-th write from `first` on, in both ways; how often.
fn at_every_write(way: &Way<'_>, first: usize, step: usize, rescue: impl Fn(&Shared<'_>, &str)) {
    let mut points = 0;
    for moment in MOMENTS {
        for number in (first..).step_by(step) {
            let shared = way.shared.fork();
            if !dies(&shared, way.command, number, moment) {
                break;
            }
            rescue(&shared, &format!("died {moment:?} write {number} of `{}`", way.command));
            points += 1;
        }
    }
    println!("`relctl {}` died at {points} points of its S3 ledger", way.command);
    assert!(points >= 20 / step, "only {points} points");
}

#[test]
fn an_apply_that_died_is_resumed() {
    let store = Store::start();
    let way = forward(&store);
    at_every_write(&way, 1, every(4), |shared, context| way.rescue(shared, context));
}

#[test]
fn applying_the_plan_again_ends_as_if_nobody_had_died() {
    let store = Store::start();
    let way = forward(&store);
    at_every_write(&way, 2, every(4), |shared, context| {
        let done = shared.serial() == way.serial;
        let again = shared.impatient(way.command);
        assert_eq!(again.code, Some(if done { 5 } else { 0 }), "{context}: {again}");
        way.assert_done(shared, context);
    });
}

#[test]
fn a_revert_that_died_is_resumed() {
    let store = Store::start();
    let way = back(&store);
    at_every_write(&way, 3, every(4), |shared, context| way.rescue(shared, context));
}

#[test]
fn a_resume_that_dies_again_and_again_ends_well() {
    let store = Store::start();
    let way = forward(&store);
    let mut points = 0;
    for first in (5..).step_by(3 * every(4)) {
        let shared = way.shared.fork();
        if !dies(&shared, way.command, first, Moment::After) {
            break;
        }
        // Each resume comes one write further than the one before it, then dies too.
        let mut again = 1;
        let mut moments = MOMENTS.into_iter().cycle();
        while shared.head()["operation"].is_object() {
            let command = "resume --parallelism 1 --lock-timeout 60s";
            if !dies(&shared, command, again, moments.next().unwrap()) {
                break;
            }
            again += 1;
            points += 1;
        }
        way.rescue(&shared, &format!("died at {first}, and {again} times in resume"));
    }
    println!("`relctl resume` died at {points} points of its S3 ledger");
    assert!(points >= 8, "{points}");
}

/// Appends lines, one after the other.
fn lines(count: usize) -> String {
    let line = |line: usize| {
        let needs = match line {
            0 => String::new(),
            _ => format!("\"action.local_append.a{}\"", line - 1),
        };
        format!(
            "\n[action.local_append.a{line}]\npath = \"log\"\nline = \"line {line}\"\ndepends_on = [{needs}]\n"
        )
    };
    (0..count).map(line).fold(FIRST.to_owned(), |text, line| text + &line)
}

/// Waits until something is so.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_mins(2);
    while !is_so() {
        assert!(Instant::now() < give_up, "{what} never happened");
        std::thread::yield_now();
    }
}

/// A holder that is stopped, is taken over, and wakes: it writes nothing to the ledger and starts
/// no step, whatever its clock and that of whoever took over say.
#[test]
fn a_holder_that_slept_writes_nothing() {
    const LINES: usize = 40;
    let rounds: usize =
        std::env::var("RELCTL_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let store = Store::start();
    let start = Shared::new(&store, &lines(LINES));
    start.relctl("plan -o plan.json").success();
    let mut caught = 0;
    for round in 0..rounds {
        let shared = start.fork();
        // The TTL is the same for both, as it is in life.
        let command = |arguments: &str, now: &str| {
            let mut command = shared.command(arguments, &store.url());
            command.env("RELCTL_TEST_LOCK_TTL_MS", SOON).env("RELCTL_TEST_NOW", now);
            command
        };
        let clocks = [
            ("2026-11-22T10:15:00Z", "2026-11-22T09:45:00Z"),
            ("2026-11-22T09:45:00Z", "2026-11-22T10:15:00Z"),
        ];
        let (asleep, awake) = clocks[round % 2];
        // Another machine: what it could not record is kept there.
        let elsewhere = shared.site.root().join("home/elsewhere");
        let mut sleeper = command("apply plan.json", asleep);
        let sleeper = sleeper.env("XDG_STATE_HOME", elsewhere).spawn().unwrap();
        let lines_so_far = || {
            std::fs::read_to_string(shared.site.path("www/log")).unwrap_or_default().lines().count()
        };
        wait_for("a line", || lines_so_far() > (round * 7) % (LINES / 2));
        kill_process(pid(&sleeper), Signal::STOP).unwrap();
        let resume = || shared.site.run(&mut command("resume --lock-timeout 60s", awake));
        let resumed = resume();
        // It may have been stopped in the middle of an append, which nobody can do in its place: a
        // call that was sent already.
        let in_flight = resumed.code != Some(0);
        assert!(!in_flight || resumed.to_string().contains("appends/lock"), "{resumed}");
        let (objects, files) = (shared.objects(), tree(&shared.site.path("www")));

        kill_process(pid(&sleeper), Signal::CONT).unwrap();
        let woken = shared.site.output(&sleeper.wait_with_output().unwrap());
        assert!(woken.code.is_some_and(|code| code != 0), "{woken}");
        assert_eq!(shared.objects(), objects, "it wrote to the ledger: {woken}");
        if in_flight {
            // Its step could not be told, so the operation is open still.
            drop(resume().success());
            caught += 1;
        } else {
            assert_eq!(tree(&shared.site.path("www")), files, "it started a step: {woken}");
        }
        let expected: String = (0..LINES).map(|line| format!("line {line}\n")).collect();
        assert_eq!(shared.site.read("www/log"), expected, "{woken}");
        assert_eq!(shared.serial(), 1);
    }
    println!("{rounds} holders slept, were taken over, and woke; {caught} of them in mid-append");
}

#[test]
fn the_first_page_of_the_log_takes_three_requests() {
    let store = Store::start();
    let shared = Shared::new(&store, FIRST);
    for version in 1..=4 {
        shared.site.write("release.toml", &FIRST.replace("v1", &format!("v{version}")));
        shared.relctl("apply --auto-approve").success();
    }
    let proxy = ProxyRules::default().before(&store.url()).unwrap();
    let log = shared.site.run(&mut shared.command("log", proxy.url())).success();
    assert!(log.stdout.contains("v4") && log.stdout.contains("v1"), "{log}");
    let calls: Vec<String> = proxy.calls().into_iter().map(|call| call.operation).collect();
    assert!(calls.len() <= 3, "{calls:?}");
}
