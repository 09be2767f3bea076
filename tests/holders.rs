//! Who holds the lock: shown, asked to park, taken over, and unlocked.

use std::process::{Child, Command};

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::bucket::{BUCKET, Bucket};
use crate::environment::{Output, TestEnvironment};
use crate::interruption::{appended, chain, send, start_command};
use crate::site;

/// So many that they are not done before anyone can ask.
const MANY: usize = 1_500;

/// The small site, in force, and a version that takes a while.
fn prepare(ledger: &str, relctl: impl Fn(&TestEnvironment, &str) -> Output) -> TestEnvironment {
    let site = site::uninitialised();
    let section = format!("[ledger]\nurl = \"{ledger}\"\n\n[plugins.local]");
    site.edit("release.toml", "[plugins.local]", &section);
    relctl(&site, "init").success();
    relctl(&site, "apply --auto-approve").success();
    site::bump(&site);
    site.write("release.toml", &format!("{}{}", site.read("release.toml"), chain(MANY)));
    site
}

/// An apply that runs, as a CI service runs it. What it says goes to files: nobody reads a pipe while
/// it runs.
fn start_in_ci(site: &TestEnvironment, command: &mut Command) -> Child {
    let file = |name| std::fs::File::create(site.root().join("tmp").join(name)).unwrap();
    command.stdout(file("stdout")).stderr(file("stderr"));
    command
        .env("GITHUB_SERVER_URL", "https://ci.example")
        .env("GITHUB_REPOSITORY", "team/site")
        .env("GITHUB_RUN_ID", "7")
        .env("RELCTL_ACTOR", "ci");
    start_command(site, command)
}

/// What it said, once it has ended.
fn end_of(site: &TestEnvironment, mut child: Child) -> Output {
    let read = |name| std::fs::read(site.root().join("tmp").join(name)).unwrap();
    let status = child.wait().unwrap();
    let (stdout, stderr) = (read("stdout"), read("stderr"));
    site.output(&std::process::Output { status, stdout, stderr })
}

fn preempted(command: impl Fn(&TestEnvironment, &str) -> Command, site: &TestEnvironment) {
    let relctl = |arguments: &str| site.run(&mut command(site, arguments));
    let child = start_in_ci(site, &mut command(site, "apply --auto-approve"));
    let status = relctl("status --json --no-drift").success().json();
    assert_eq!(status["lock"]["actor"], "ci");
    assert_eq!(status["lock"]["command"], "apply");
    assert_eq!(status["lock"]["run_url"], "https://ci.example/team/site/actions/runs/7");
    assert_eq!(status["lock"]["plan_id"], status["operation"]["plan_id"]);
    let locked = relctl("apply --auto-approve").exits(6);
    for part in
        ["is running", "held by ci on", "`apply`, plan", "https://ci.example", "revert --preempt"]
    {
        assert!(locked.stderr.contains(part), "{part}: {locked}");
    }
    let reverted = relctl("revert --preempt --auto-approve");
    let parked = end_of(site, child);
    assert_eq!(parked.code, Some(130), "{parked}");
    assert!(parked.stdout.contains("to make room for ada on"), "{parked}");
    let reverted = reverted.success();
    assert!(reverted.stderr.contains("Asked it to park"), "{reverted}");
    assert!(reverted.stdout.contains("is back at v1.0.0 #1"), "{reverted}");
    assert!(appended(site) < MANY, "all was done before anyone asked");
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
    // Nobody is left to be asked.
    let again = relctl("revert --preempt --auto-approve").exits(1);
    assert!(again.stderr.contains("is a revert already"), "{again}");
}

#[test]
fn a_revert_goes_before_an_apply_that_runs() {
    let site = prepare("state", TestEnvironment::relctl);
    preempted(
        |site, arguments| site.command(&arguments.split_whitespace().collect::<Vec<_>>()),
        &site,
    );
}

#[test]
fn a_revert_goes_before_an_apply_that_runs_on_s3() {
    let bucket = Bucket::start();
    let site =
        prepare(&format!("s3://{BUCKET}/team"), |site, arguments| bucket.relctl(site, arguments));
    preempted(|site, arguments| bucket.command(site, arguments), &site);
}

#[test]
fn a_holder_that_died_is_taken_over_and_resumed() {
    let bucket = Bucket::start();
    let site =
        prepare(&format!("s3://{BUCKET}/team"), |site, arguments| bucket.relctl(site, arguments));
    let mut child = start_in_ci(&site, &mut bucket.command(&site, "apply --auto-approve"));
    send(&child, Signal::KILL);
    child.wait().unwrap();
    // Nobody can see yet that it died.
    assert!(bucket.relctl(&site, "status").success().stdout.contains("held by ci on"));
    site.edit("release.toml", "version = \"v1.1.0\"", "version = \"v1.2.0\"");
    let plan = bucket.relctl(&site, "plan").exits(6);
    assert!(plan.stderr.contains("if it died, this takes over"), "{plan}");
    let resumed = bucket.relctl(&site, "resume --stop").exits(9);
    assert!(resumed.stderr.contains("Took over the lock of ci on"), "{resumed}");
    assert!(resumed.stderr.contains("Watching whether it lives"), "{resumed}");
    assert!(appended(&site) < MANY);
    assert!(bucket.relctl(&site, "status").success().stdout.contains("lock        free"));
    bucket.relctl(&site, "ledger verify").success();
}

#[test]
fn an_unlock_is_on_the_record() {
    let bucket = Bucket::start();
    let site =
        prepare(&format!("s3://{BUCKET}/team"), |site, arguments| bucket.relctl(site, arguments));
    let mut child = start_in_ci(&site, &mut bucket.command(&site, "apply --auto-approve"));
    send(&child, Signal::KILL);
    child.wait().unwrap();
    bucket.relctl(&site, "unlock --auto-approve").exits(1);
    let mut unlock = bucket.command(&site, "unlock --auto-approve --reason");
    let unlocked = site.run(unlock.arg("runner-7 was shut down")).success();
    let host = regex::Regex::new(r"ci on \S+ ").unwrap();
    assert_snapshot!(host.replace(&unlocked.stdout, "ci on [host] "), @"
    The lock is free, and the reason is recorded (unlocks/[short].json).
    It was held by ci on [host] (pid [pid]), `apply`, plan [short] since 2026-11-22T10:00:00Z, https://ci.example/team/site/actions/runs/7.
    See what it left open: relctl status
    ");
    let export = bucket.relctl(&site, "ledger export").success();
    let record = export.raw.lines().last().unwrap();
    assert!(record.contains("runner-7 was shut down") && record.contains("\"ci\""), "{record}");
    let status = bucket.relctl(&site, "status").success();
    assert!(status.stdout.contains("was interrupted"), "{status}");
    bucket.relctl(&site, "revert --auto-approve").success();
}

#[test]
fn a_holder_that_lives_here_is_not_unlocked() {
    let site = prepare("state", TestEnvironment::relctl);
    let child = start_in_ci(&site, &mut site.command(&["apply", "--auto-approve"]));
    let refused = site.run(&mut site.command(&["unlock", "--auto-approve", "--reason", "no"]));
    assert!(refused.exits(6).stderr.contains("revert --preempt"));
    site.relctl("unlock --auto-approve --park").success();
    let parked = end_of(&site, child);
    assert_eq!(parked.code, Some(130), "{parked}");
    site.relctl("resume --stop").exits(9);
}
