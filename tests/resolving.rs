//! Steps of which nobody can tell whether they happened: a person looks, and says so.

use insta::assert_snapshot;

use crate::environment::{Output, TestEnvironment};
use crate::site;

/// A site whose apply died while it appended, and where someone else wrote into the file since:
/// whether the line is in it cannot be told any more.
fn unclear() -> TestEnvironment {
    let prepared = site::initialised();
    prepared.relctl("plan -o plan.json").success();
    for moment in 1.. {
        let site = prepared.fork();
        let mut apply = site.command(&["apply", "plan.json"]);
        let output = site.run(apply.env("RELCTL_TEST_DIE_AT", moment.to_string()));
        assert_eq!(output.code, None, "it never died while it appended: {output}");
        if intended(&site) {
            site.write("www/migrations.log", "someone else\n");
            return site;
        }
    }
    unreachable!("there are fewer moments than numbers")
}

/// Whether it is noted that something is about to be appended.
fn intended(site: &TestEnvironment) -> bool {
    let notes = site.path("www/.relctl/appends").read_dir().into_iter().flatten();
    notes.flatten().any(|note| note.path().extension().is_some_and(|kind| kind == "intent"))
}

fn resume(site: &TestEnvironment, flags: &[&str]) -> Output {
    site.run(&mut site.command(&[&["resume"], flags].concat()))
}

const DONE: &str = "action.local_append.migrate=done";
const NOT_DONE: &str = "action.local_append.migrate=not-done";

#[test]
fn the_operation_waits_for_a_person() {
    let site = unclear();
    let undecided = resume(&site, &[]).exits(10);
    assert_snapshot!(undecided.stdout, @"
    UNDECIDED: site v1.0.0; 1 step may or may not have happened, a person must say
      1 ▶ run action.local_append.migrate has an UNKNOWN outcome: cannot tell whether this was appended to `migrations.log`: an earlier attempt was interrupted and the file was changed since; look at its end
      done      1 step: 2
      held      1 step: 3, not started
      decide    look whether it happened, then say `done` or `not-done`:
                relctl resume --resolve action.local_append.migrate=done --reason '…'
      go back   relctl revert
    ");
    resume(&site, &[]).exits(10);
    // Nobody goes past it.
    site.relctl("plan").exits(6);
    // Without a reason nothing is said.
    resume(&site, &["--resolve", DONE]).exits(1);
    let wrong =
        resume(&site, &["--resolve", "resource.local_link.current=done", "--reason", "guessed"]);
    assert_snapshot!(wrong.exits(1).stderr, @"
    error: whether resource.local_link.current happened is not in question

    hint: in question are only: action.local_append.migrate
    ");
    resume(&site, &["--resolve", DONE, "--reason", "it is in the backup"]).success();
    assert_eq!(site.read("www/migrations.log"), "someone else\n", "it is not appended again");
    let recorded = site.relctl("ledger export").success().raw;
    for part in ["\"is\":\"resolved\"", "it is in the backup", "\"by\":\"ada\""] {
        assert!(recorded.contains(part), "{part}: {recorded}");
    }
    let shown = site.relctl("show").success();
    assert!(shown.stdout.contains("done, as ada said: it is in the backup"), "{shown}");
    assert!(site.relctl("status").success().stdout.contains("v1.0.0 #1, verified"));
    // The run counts as one that was done.
    assert!(site.relctl("plan --detailed-exitcode").success().stdout.contains("no changes"));
}

#[test]
fn what_did_not_happen_is_done_now() {
    let site = unclear();
    resume(&site, &[]).exits(10);
    resume(&site, &["--resolve", NOT_DONE, "--reason", "not in the backup"]).success();
    assert_eq!(site.read("www/migrations.log"), "someone else\nmigrated to v1.0.0\n");
    assert!(site.exists("www/current/index.html"));
    let shown = site.relctl("show").success();
    assert!(shown.stdout.contains("as ada said: not in the backup"), "{shown}");
    assert!(site.relctl("plan --detailed-exitcode").success().stdout.contains("no changes"));
}

#[test]
fn another_plan_finds_it_and_waits_for_a_person_too() {
    let site = unclear();
    resume(&site, &["--stop"]).exits(9);
    let undecided = site.relctl("apply --auto-approve").exits(10);
    assert!(undecided.stdout.contains(&format!("relctl resume --resolve {DONE}")), "{undecided}");
    assert_eq!(site.read("www/migrations.log"), "someone else\n", "it is not appended again");
    resume(&site, &["--resolve", NOT_DONE, "--reason", "not in the backup"]).success();
    assert_eq!(site.read("www/migrations.log"), "someone else\nmigrated to v1.0.0\n");
    assert!(site.relctl("plan --detailed-exitcode").success().stdout.contains("no changes"));
}

#[test]
fn what_the_world_says_goes_before_what_was_said() {
    let site = unclear();
    // Someone put the file back as it was: now it can be told.
    site.write("www/migrations.log", "migrated to v1.0.0\n");
    let resumed = resume(&site, &["--resolve", NOT_DONE, "--reason", "guessed"]).success();
    assert!(resumed.stderr.contains("was not needed"), "{resumed}");
    assert_eq!(site.read("www/migrations.log"), "migrated to v1.0.0\n");
}

#[test]
fn a_revert_needs_no_answer() {
    let site = unclear();
    resume(&site, &[]).exits(10);
    site.relctl("resume --stop").exits(9);
    let status = site.relctl("status").success();
    assert!(status.stdout.contains("FAILED"), "{status}");
}
