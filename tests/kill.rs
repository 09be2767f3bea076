//! Dying just before and just after every durable write, with the real binary: whatever was cut off,
//! `resume`, `resume --stop` and `revert` reach the same end, with each effect there once.
//!
//! `RELCTL_TEST_DIE_AT=<n>` aborts `relctl` at its n-th durable moment (`crates/relctl/src/die_at.rs`):
//! a journal line, an object of the ledger, a swap of HEAD, a file, a link, a removal, the intent,
//! the bytes and the receipt of an append. Every n is tried until nothing is left to die at; the
//! number of points is printed (`cargo test -- --nocapture`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::death::{died, go_on};
use crate::environment::TestEnvironment;
use crate::real::{Node, tree};

/// With every kind of effect: creates, changes, removes, switches, appends.
const RELEASE: &str = r#"[release]
name = "site"
version = "v1"

[plugins.local]
config = { root = "www" }

[resource.local_file.page]
path = "page.html"
content = "page of v1\n"
mode = "0600"

[resource.local_file.old]
path = "old/deep/page.html"
content = "of v1 alone\n"

[resource.local_link.current]
path = "current"
target = "old"
depends_on = ["resource.local_file.page"]
"#;

const NEXT: &str = r#"[release]
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

[resource.local_file.new]
path = "new/deep/page.html"
content = "new: ${resource.local_file.page.sha256}\n"

[resource.local_value.kept]
input = "${resource.local_file.new.sha256}"

[removed.resource.local_file.old]
delete = true

[resource.local_link.current]
path = "current"
target = "new"
depends_on = ["resource.local_file.new"]

[action.local_append.after]
path = "log"
line = "after v2"
depends_on = ["resource.local_link.current"]

[check.local_match.served]
path = "current/deep/page.html"
matches = "new: "
depends_on = ["resource.local_link.current"]
"#;

type Tree = BTreeMap<String, Node>;

/// A site on its way, what its files were, and what they shall be.
struct Way {
    site: TestEnvironment,
    /// The command that is killed.
    command: &'static str,
    before: Tree,
    after: Tree,
    serial_after: u64,
}

/// v1 is in force, and v2 is planned.
fn forward() -> Way {
    let site = TestEnvironment::new();
    site.write("release.toml", RELEASE);
    site.relctl("init").success();
    site.relctl("apply --auto-approve").success();
    site.write("release.toml", NEXT);
    site.relctl("plan -o plan.json").success();
    Way::new(site, "apply plan.json --parallelism 1")
}

/// v2 is in force, and taken back.
fn back() -> Way {
    let site = forward().site;
    site.relctl("apply plan.json").success();
    Way::new(site, "revert --to 1 --auto-approve --parallelism 1")
}

impl Way {
    fn new(site: TestEnvironment, command: &'static str) -> Self {
        let done = site.fork();
        done.relctl(command).success();
        let (before, after) = (files(&site), files(&done));
        Self { command, before, after, serial_after: serial(&done), site }
    }

    /// A site whose process died at the `moment`-th durable write; `None`: it has no such.
    fn died_at(&self, moment: u64) -> Option<TestEnvironment> {
        let site = self.site.fork();
        dies(&site, self.command, moment).then_some(site)
    }

    /// Goes on with one command; the operation is complete then.
    fn rescue(&self, site: &TestEnvironment, context: &str) {
        let is_done = || serial(site) == self.serial_after;
        go_on(|arguments| site.relctl(arguments), self.command, is_done, context);
        self.assert_done(site, context);
    }

    /// Asserts that the operation is complete, as if nobody had died.
    fn assert_done(&self, site: &TestEnvironment, context: &str) {
        assert_eq!(files(site), self.after, "{context}");
        assert_eq!(head(site)["operation"], Value::Null, "{context}");
        assert_eq!(serial(site), self.serial_after, "{context}");
    }
}

/// Runs a command that dies at its `moment`-th durable write; false if it ended well before.
fn dies(site: &TestEnvironment, command: &str, moment: u64) -> bool {
    let mut process = site.command(&command.split(' ').collect::<Vec<_>>());
    died(&site.run(process.env("RELCTL_TEST_DIE_AT", moment.to_string())))
}

/// Everything below the root; the log too, so that a line that is there twice is another tree.
fn files(site: &TestEnvironment) -> Tree {
    tree(&site.path("www"))
}

fn head(site: &TestEnvironment) -> Value {
    serde_json::from_str(&site.read("state/site/default/HEAD")).unwrap()
}

fn serial(site: &TestEnvironment) -> u64 {
    head(site)["serial"].as_u64().unwrap()
}

/// Dies at every moment of the operation and rescues the site; returns how many there are.
fn at_every_moment(way: &Way, rescue: impl Fn(&TestEnvironment, &str)) -> u64 {
    let mut moment = 1;
    while let Some(site) = way.died_at(moment) {
        rescue(&site, &format!("died at {moment} of `{}`", way.command));
        moment += 1;
    }
    println!("`relctl {}` died at {} points", way.command, moment - 1);
    assert!(moment > 40, "only {moment} points: is it the binary that was just built?");
    moment - 1
}

#[test]
fn resume_ends_as_if_nobody_had_died() {
    let way = forward();
    at_every_moment(&way, |site, context| {
        way.rescue(site, context);
        let plan = site.relctl("plan --detailed-exitcode");
        assert_eq!(plan.code, Some(0), "{context}: {plan}");
    });
}

#[test]
fn applying_the_plan_again_ends_as_if_nobody_had_died() {
    let way = forward();
    at_every_moment(&way, |site, context| {
        let done = serial(site) == way.serial_after;
        // A plan is applied once: after its entry is written, it is refused.
        drop(site.relctl(way.command).exits(if done { 5 } else { 0 }));
        way.assert_done(site, context);
    });
}

#[test]
fn stopped_and_reverted_it_is_as_before() {
    let way = forward();
    at_every_moment(&way, |site, context| {
        if head(site)["operation"].is_object() {
            // It may have died when all was done, and only the entry was missing.
            let stopped = site.relctl("resume --stop");
            assert!(matches!(stopped.code, Some(0 | 9)), "{context}: {stopped}");
        }
        assert_eq!(head(site)["operation"], Value::Null, "{context}");
        back_to_the_first(&way, site, context);
    });
}

#[test]
fn reverted_at_once_it_is_as_before() {
    let way = forward();
    at_every_moment(&way, |site, context| back_to_the_first(&way, site, context));
}

/// Reverts to v1, and then releases v2 again: what was appended before is not appended again.
fn back_to_the_first(way: &Way, site: &TestEnvironment, context: &str) {
    // Before an operation was opened v1 is in force still, and there is nothing to revert.
    if serial(site) > 1 || head(site)["operation"].is_object() {
        let revert = site.relctl("revert --to 1 --auto-approve");
        assert_eq!(revert.code, Some(0), "{context}: {revert}");
    }
    let mut now = files(site);
    now.remove("log");
    assert_eq!(now, way.before, "{context}");
    let again = site.relctl("apply --auto-approve");
    assert_eq!(again.code, Some(0), "{context}: {again}");
    assert_eq!(files(site), way.after, "{context}");
}

#[test]
fn a_revert_that_died_is_resumed() {
    let way = back();
    at_every_moment(&way, |site, context| way.rescue(site, context));
}

#[test]
fn a_resume_that_dies_again_and_again_ends_well() {
    let way = forward();
    let (mut first, mut points) = (1, 0);
    while let Some(site) = way.died_at(first) {
        // Each resume comes one write further than the one before it, then dies too.
        let mut again = 1;
        while head(&site)["operation"].is_object() && dies(&site, "resume --parallelism 1", again) {
            again += 1;
            points += 1;
        }
        way.rescue(&site, &format!("died at {first}, and {again} times in resume"));
        first += 7;
    }
    println!("`relctl resume` died at {points} points");
    assert!(points > 40, "{points}");
}
