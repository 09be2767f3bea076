//! Operations that are stopped halfway: by a signal, or killed.

use std::fmt::Write as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};

use crate::environment::TestEnvironment;
use crate::site;

/// How many lines the long release appends, one after the other.
const LINES: usize = 200;

/// A release that takes a while: many runs, each of which waits for the one before it.
fn long() -> TestEnvironment {
    let environment = TestEnvironment::new();
    let head = "[release]\nname = \"site\"\nversion = \"v1.0.0\"\n\n\
                [plugins.local]\nconfig = { root = \"www\" }\n";
    environment.write("release.toml", &format!("{head}{}", lines()));
    environment.relctl("init").success();
    environment
}

/// The runs, each of which appends one line.
fn lines() -> String {
    chain(LINES)
}

/// So many of them.
pub(crate) fn chain(count: usize) -> String {
    let mut text = String::new();
    for line in 0..count {
        write!(text, "\n[action.local_append.a{line}]\npath = \"log\"\nline = \"line {line}\"\n")
            .unwrap();
        if line > 0 {
            writeln!(text, "depends_on = [\"action.local_append.a{}\"]", line - 1).unwrap();
        }
    }
    text
}

/// Starts an apply, and returns when its first effect is there.
fn start(site: &TestEnvironment) -> Child {
    start_command(site, &mut site.command(&["apply", "--auto-approve"]))
}

/// Starts a command, and returns when the first line is appended.
pub(crate) fn start_command(site: &TestEnvironment, command: &mut Command) -> Child {
    let mut child = command.spawn().unwrap();
    let give_up = Instant::now() + Duration::from_mins(2);
    while !site.exists("www/log") {
        if let Some(status) = child.try_wait().unwrap() {
            let output = child.wait_with_output().unwrap();
            panic!("ended too early, {status}: {}", site.output(&output));
        }
        assert!(Instant::now() < give_up, "nothing was ever done");
        std::thread::yield_now();
    }
    child
}

pub(crate) fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// The lines that were appended are the first ones, each once.
pub(crate) fn appended(site: &TestEnvironment) -> usize {
    let log = site.read("www/log");
    for (number, line) in log.lines().enumerate() {
        assert_eq!(line, format!("line {number}"));
    }
    log.lines().count()
}

#[test]
fn a_signal_parks_and_resume_goes_on() {
    let site = long();
    let child = start(&site);
    send(&child, Signal::TERM);
    let sent = Instant::now();
    let output = site.output(&child.wait_with_output().unwrap());
    assert!(sent.elapsed() < Duration::from_secs(5), "parking took {:?}", sent.elapsed());
    assert_eq!(output.code, Some(130), "{output}");
    assert!(output.stdout.contains("relctl resume"), "{output}");
    let so_far = appended(&site);
    assert!(so_far < LINES, "all was done before the signal came");

    // Nothing else may start before this is settled.
    assert_snapshot!(site.relctl("plan").stderr, @"
    error: operation 000001-[short] was interrupted

    hint: go on: relctl resume
    hint: stop it where it is: relctl resume --stop
    hint: go back: relctl revert
    ");
    site.relctl("apply --auto-approve").exits(6);

    site.relctl("resume").success();
    assert_eq!(appended(&site), LINES);
    assert!(site.relctl("status").success().stdout.contains("#1"));
}

#[test]
fn what_was_killed_is_resumed_and_each_effect_is_there_once() {
    let site = long();
    let mut child = start(&site);
    send(&child, Signal::KILL);
    child.wait().unwrap();
    let so_far = appended(&site);
    assert!(so_far < LINES, "all was done before the signal came");
    site.relctl("resume").success();
    assert_eq!(appended(&site), LINES);
}

#[test]
fn what_was_killed_is_stopped_and_then_released_anew() {
    let site = long();
    let mut child = start(&site);
    send(&child, Signal::KILL);
    child.wait().unwrap();
    site.relctl("resume --stop").exits(9);
    let so_far = appended(&site);
    assert!(so_far < LINES);
    site.relctl("apply --auto-approve").success();
    assert_eq!(appended(&site), LINES);
}

#[test]
fn applying_the_interrupted_plan_again_resumes_it() {
    let site = long();
    site.relctl("plan -o plan.json").success();
    let mut child = site.command(&["apply", "plan.json"]).spawn().unwrap();
    while !site.exists("www/log") {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    send(&child, Signal::KILL);
    child.wait().unwrap();
    site.relctl("apply plan.json").success();
    assert_eq!(appended(&site), LINES);
}

#[test]
fn the_way_back_is_not_blocked_by_an_interrupted_way_forward() {
    let site = site::released();
    site::bump(&site);
    site.write("release.toml", &format!("{}{}", site.read("release.toml"), lines()));
    let mut child = start(&site);
    send(&child, Signal::KILL);
    child.wait().unwrap();
    site.relctl("revert --auto-approve").success();
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
    assert!(!site.exists("www/v1.1.0/index.html"));
}

#[test]
fn two_signals_leave_at_once_and_resume_settles() {
    let site = long();
    let child = start(&site);
    send(&child, Signal::INT);
    send(&child, Signal::INT);
    let output = site.output(&child.wait_with_output().unwrap());
    assert_eq!(output.code, Some(130), "{output}");
    site.relctl("resume").success();
    assert_eq!(appended(&site), LINES);
}
