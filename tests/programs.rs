//! What programs read: JSON on stdout and nothing else there, exit codes, pipes.

use std::io::Read;

use insta::assert_snapshot;
use serde_json::Value;

use crate::environment::{Output, TestEnvironment};
use crate::site;

/// The names of the events, one JSON document a line.
fn events(output: &Output) -> Vec<Value> {
    output.raw.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_reading_command_prints_one_document() {
    let site = site::released();
    for command in [
        "status",
        "validate",
        "plan",
        "log",
        "show",
        "show 1",
        "diff",
        "drift",
        "ledger verify",
        "plugin list",
        "plugin inspect local",
        "schema",
    ] {
        let output = site.relctl(&format!("{command} --json"));
        assert!(output.json().is_object(), "{command}: {output}");
        assert_eq!(output.stderr, "", "{command}");
    }
}

#[test]
fn a_plan_in_json_is_the_plan() {
    let site = site::initialised();
    let on_stdout = site.relctl("plan --json -o plan.json").success().raw;
    assert_eq!(
        serde_json::from_str::<Value>(&on_stdout).unwrap(),
        serde_json::from_str::<Value>(&site.read("plan.json")).unwrap()
    );
}

#[test]
fn apply_prints_one_event_a_line() {
    let site = site::initialised();
    let output = site.relctl("apply --auto-approve --json").success();
    let events = events(&output);
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names.first(), Some(&"planned"));
    assert_eq!(names.iter().filter(|name| **name == "step-done").count(), 3);
    assert_eq!(names.last(), Some(&"report"));
    assert_eq!(events.last().unwrap()["outcome"], "succeeded");
}

#[test]
fn an_error_is_a_document_too() {
    let site = site::uninitialised();
    assert_snapshot!(site.relctl("plan --json"), @r#"
    exit code: 1
    ----- stdout
    {
      "error": {
        "hints": [
          "`relctl init` creates one; if there should be one, check `--ledger`"
        ],
        "kind": "ledger",
        "message": "there is no ledger: `state/site/default/HEAD` does not exist"
      },
      "exit": 1
    }
    ----- stderr
    error: there is no ledger: `state/site/default/HEAD` does not exist

    hint: `relctl init` creates one; if there should be one, check `--ledger`
    "#);
    let initialised = site::initialised();
    let output = initialised.relctl("apply --json").exits(7);
    assert_eq!(events(&output).last().unwrap()["event"], "error");
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    let site = site::released();
    let mut child = site.command(&["schema"]).spawn().unwrap();
    let mut first = [0];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    // The pipe is closed here, with most of the schema unread.
    let output = site.output(&child.wait_with_output().unwrap());
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_reader_who_leaves_changes_nothing_about_an_apply() {
    let site = site::initialised();
    let run = |site: &TestEnvironment| {
        let mut child = site.command(&["apply", "--auto-approve"]).spawn().unwrap();
        drop(child.stdout.take());
        site.output(&child.wait_with_output().unwrap()).code
    };
    assert_eq!(run(&site), Some(0));
    assert_eq!(site.read("www/migrations.log"), "migrated to v1.0.0\n");
    // How it ended is told all the same.
    site.edit("release.toml", "matches = \"site ${release.version}\"", "matches = \"another\"");
    assert_eq!(run(&site), Some(9));
}

#[test]
fn colour_is_for_whoever_asks() {
    let site = site::initialised();
    let colored = site.relctl("plan --color always").success().raw;
    assert!(colored.contains('\u{1b}'));
    let plain = site.relctl("plan").success().raw;
    assert!(!plain.contains('\u{1b}'));
    let mut forced = site.command(&["plan"]);
    assert!(site.run(forced.env("CLICOLOR_FORCE", "1")).raw.contains('\u{1b}'));
}

#[test]
fn quiet_says_nothing_but_data() {
    let site = site::initialised();
    let output = site.relctl("apply --auto-approve -q").success();
    assert_eq!(output.stderr, "");
}

#[test]
fn no_credential_of_the_environment_reaches_any_output() {
    let site = site::initialised();
    let mut seen = String::new();
    for arguments in ["plan -vv -o plan.json", "apply -vv plan.json", "status -vv", "show --json"] {
        let mut command = site.command(&arguments.split(' ').collect::<Vec<_>>());
        let output =
            site.run(command.env("AWS_SECRET_ACCESS_KEY", "s3cr3t").env("RELCTL_LOG", "trace"));
        seen.push_str(&output.raw);
        seen.push_str(&output.stderr);
    }
    seen.push_str(&everything_below(&site));
    assert!(!seen.contains("s3cr3t"));
}

fn everything_below(site: &TestEnvironment) -> String {
    fn collect(folder: &std::path::Path, text: &mut String) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                collect(&path, text);
            } else if let Ok(bytes) = std::fs::read(&path) {
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    }
    let mut text = String::new();
    collect(site.root(), &mut text);
    text
}
