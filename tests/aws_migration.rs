//! Migrations that fail in every way: the services stay untouched, and the person on call is told
//! what the cloud says and how to go back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use relctl_test::proxy::{ProxyRules, Reply};
use serde_json::{Value, json};

use crate::environment::Output;
use crate::production::{Production, tasks_end, whole};

/// Applies a release whose migration goes as `rules` say; asserts that the service is untouched.
fn fails(rules: ProxyRules, arguments: &str) -> (Production, Output) {
    let production = Production::behind(&whole(), rules);
    let applied = production.relctl(&format!("apply --auto-approve {arguments}")).exits(9);
    assert_eq!(production.runs("api"), ("v1.0.0".to_owned(), 1), "{applied}");
    assert_eq!(production.proxy.count("UpdateService"), 0, "{applied}");
    (production, applied)
}

fn ended(containers: Value, code: &str, reason: &str) -> Value {
    json!({ "lastStatus": "STOPPED", "stopCode": code, "stoppedReason": reason, "containers": containers })
}

/// R17, E10: exit code 1 of the migration is a failure that names its log, and the way back.
#[test]
fn a_migration_that_exits_1() {
    let end = ended(
        json!([{ "name": "api", "exitCode": 1 }, { "name": "proxy", "exitCode": 0 }]),
        "EssentialContainerExited",
        "Essential container in task exited",
    );
    let (production, applied) = fails(tasks_end(ProxyRules::default(), end), "");
    applied.says(&[
        "container api ended with exit code 1",
        "EssentialContainerExited: Essential container in task exited",
        "log: group /ecs/production, stream api/api/",
        "held",
        "go back",
        "relctl revert",
    ]);
    // A run that certainly failed may be tried again, and is another run.
    let again = production.relctl("apply --auto-approve").exits(9);
    again.says(&["exit code 1"]);
    assert_eq!(production.proxy.count("RunTask"), 2);
}

/// R17: a migration that was killed for its memory.
#[test]
fn a_migration_that_runs_out_of_memory() {
    let end = ended(
        json!([{ "name": "api", "exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage" }]),
        "EssentialContainerExited",
        "Essential container in task exited",
    );
    let (_, applied) = fails(tasks_end(ProxyRules::default(), end), "");
    applied.says(&["exit code 137", "OutOfMemoryError"]);
}

/// R17, E10: a container that never started has no exit code, and that is no success.
#[test]
fn a_migration_without_an_exit_code() {
    let end = ended(
        json!([{ "name": "api", "reason": "CannotPullContainerError: pull access denied" }]),
        "TaskFailedToStart",
        "Task failed to start",
    );
    let (_, applied) = fails(tasks_end(ProxyRules::default(), end), "");
    applied.says(&["without an exit code", "CannotPullContainerError", "TaskFailedToStart"]);
}

/// R17: ECS answers 200 and starts nothing.
#[test]
fn a_migration_that_never_starts() {
    let rules = ProxyRules::default().answer("RunTask", |_| {
        Reply::json(200, &json!({ "tasks": [], "failures": [{ "arn": "arn:x", "reason": "RESOURCE:MEMORY", "detail": "no host has 512 MiB" }] }))
    });
    let (_, applied) = fails(rules, "");
    applied.says(&["ECS started no task", "RESOURCE:MEMORY", "no host has 512 MiB"]);
}

/// R17, E10: the named container decides, not the side-car.
#[test]
fn a_side_car_exits_0_and_the_migration_exits_3() {
    let end = ended(
        json!([{ "name": "proxy", "exitCode": 0 }, { "name": "api", "exitCode": 3 }]),
        "EssentialContainerExited",
        "Essential container in task exited",
    );
    let (_, applied) = fails(tasks_end(ProxyRules::default(), end), "");
    applied.says(&["container api ended with exit code 3"]);
}

/// The other way round: a side-car that was killed at the end fails nothing.
#[test]
fn a_migration_exits_0_and_the_side_car_137() {
    let end = ended(
        json!([{ "name": "proxy", "exitCode": 137 }, { "name": "api", "exitCode": 0 }]),
        "EssentialContainerExited",
        "Essential container in task exited",
    );
    let production = Production::behind(&whole(), tasks_end(ProxyRules::default(), end));
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.runs("api"), ("v1.1.0".to_owned(), 2));
}

/// R17: one that does not end is unknown, never failed, and is not stopped: half a migration may be
/// worse. Looked for again, it is the same run.
#[test]
fn a_migration_that_does_not_end_is_unknown_and_looked_for_again() {
    let rules = tasks_end(ProxyRules::default(), json!({ "lastStatus": "RUNNING" }));
    let (production, applied) = fails(rules, "--step-timeout 6s");
    applied.says(&["UNKNOWN", "is RUNNING", "stop-task", "log"]);
    // It was looked for, and cannot be told yet: its operation stays open.
    let again = production.relctl("apply --auto-approve --step-timeout 6s").exits(10);
    again.says(&["is RUNNING", "resume --resolve action.aws_ecs_task.migrate=done"]);
    assert_eq!(production.proxy.count("RunTask"), 1, "at most once");
    assert_eq!(production.proxy.count("StopTask"), 0);
}

/// R17: two applies at once, of two plans with the same migration: one runs it, the other does
/// nothing at all, neither now nor later.
#[test]
fn two_applies_at_once_run_one_migration() {
    let released: Arc<AtomicBool> = Arc::default();
    let ends = Arc::clone(&released);
    let rules = ProxyRules::default().rewrite("DescribeTasks", move |_, reply| {
        let is_over = ends.load(Ordering::SeqCst);
        reply.edit_json(|json| {
            json["tasks"][0]["lastStatus"] = if is_over { "STOPPED" } else { "RUNNING" }.into();
            json["tasks"][0]["containers"] = json!([{ "name": "api", "exitCode": 0 }]);
        });
    });
    let production = Production::behind(&whole(), rules);
    production.relctl("plan -o a.json").success();
    production.environment.write("release.toml", &(whole() + "tags = { plan = \"b\" }\n"));
    production.relctl("plan -o b.json").success();
    production.proxy.clear();

    let (ended, end) = mpsc::channel();
    for plan in ["a.json", "b.json"] {
        let child =
            production.command(&format!("apply {plan}"), production.proxy.url()).spawn().unwrap();
        let ended = ended.clone();
        thread::spawn(move || ended.send((plan, child.wait_with_output().unwrap())).unwrap());
    }
    // Whoever ends while the migration runs is not the one that runs it.
    let (loser, output) = end.recv().unwrap();
    let refused = production.environment.output(&output).exits(6);
    refused.says(&["is held by", "--lock-timeout"]);
    released.store(true, Ordering::SeqCst);
    let (winner, output) = end.recv().unwrap();
    production.environment.output(&output).success();

    let once = ["CreateDBSnapshot", "RegisterTaskDefinition", "RunTask", "UpdateService"];
    let counts = || once.map(|operation| production.proxy.count(operation));
    assert_eq!(counts(), [1; 4]);
    production.relctl(&format!("apply {loser}")).exits(5);
    assert_eq!(counts(), [1; 4]);
    let tags = production.service("api")["tags"].to_string();
    assert_eq!(tags.contains("\"plan\""), winner == "b.json", "{tags}");
}

/// E10: two applies of one release run one migration: the second finds it done.
#[test]
fn a_release_that_is_applied_again_after_a_revert_does_not_migrate_twice() {
    let production = Production::start(&whole());
    production.relctl("apply --auto-approve").success();
    production.relctl("revert --to start --auto-approve").success();
    assert_eq!(production.runs("api").0, "v1.0.0");
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.runs("api").0, "v1.1.0");
    assert_eq!(production.proxy.count("RunTask"), 1);
}

/// The reply to `RunTask` is lost: the task that it started is found by its run, and waited for.
#[test]
fn a_lost_reply_of_run_task() {
    let production = Production::behind(&whole(), ProxyRules::default().lose_reply("RunTask", 1));
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.proxy.count("RunTask"), 1);
    assert_eq!(production.runs("api"), ("v1.1.0".to_owned(), 2));
}

/// Begun and never visible is unknown: nobody may run it a second time without having looked.
#[test]
fn a_run_that_was_begun_and_is_not_visible_is_unknown() {
    let rules = ProxyRules::default().reset("RunTask", 1).reset("RunTask", 2);
    let (production, applied) = fails(rules, "--step-timeout 4s");
    applied.says(&["UNKNOWN", "list-tasks", "--started-by"]);
    let again = production.relctl("apply --auto-approve --step-timeout 4s").exits(10);
    again.says(&["UNKNOWN", "resume --resolve action.aws_ecs_task.migrate=done"]);
    assert_eq!(production.proxy.count("RunTask"), 1, "it is looked for, not started again");
}
