//! One-off tasks: at most once for each run, and the exit code decides.

use aws_ecs::AwsEcs;
use relctl_sdk::testing::{FakeHost, change, step, subject};
use relctl_sdk::{Attempt, Failure, Plugin, Progress, Step, Subject, Value, Verb};
use serde_json::json;

use crate::cloud::{Answer, Cloud};

const RUN_KEY: &str = "fedcba9876543210fedcba9876543210";

fn tasks(arns: &[&str]) -> Answer {
    Answer::Json(200, json!({ "taskArns": arns }))
}

fn described(task: Value) -> Answer {
    Answer::Json(200, json!({ "tasks": [task], "failures": [] }))
}

fn migration(status: &str) -> (Cloud, FakeHost, Step) {
    let cloud = Cloud::default();
    cloud.put("web", 42, status, json!({ "networkMode": "awsvpc", "containerDefinitions": [{ "name": "api", "image": "web:1.1",
        "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "/ecs/prod", "awslogs-stream-prefix": "web" } } }] }));
    cloud.script("ListTasks", [tasks(&[])]);
    cloud.script(
        "RunTask",
        [Answer::Json(200, json!({ "tasks": [{ "taskArn": "task/prod/t1" }], "failures": [] }))],
    );
    let host = cloud.host();
    let declared = subject(
        "action.aws_ecs_task.migrate",
        json!({ "cluster": "prod", "task_definition": "web:42", "command": ["npm", "run", "migrate:up"],
        "environment": { "DRY": "0" }, "network": { "subnets": ["subnet-a"], "security_groups": ["sg-1"], "assign_public_ip": false }, "launch_type": "FARGATE" }),
    );
    let canonical = AwsEcs::validate(&host, &declared).unwrap();
    let mut step = step(change(Verb::Run, Subject { desired: Some(canonical), ..declared }, None));
    step.run_key = Some(RUN_KEY.to_owned());
    (cloud, host, step)
}

/// A page of a log, with the token that leads to the next one in either direction.
fn page(messages: &[&str], next: &str) -> Answer {
    let events: Vec<Value> = messages.iter().map(|message| json!({ "message": message })).collect();
    Answer::Json(
        200,
        json!({ "events": events, "nextBackwardToken": next, "nextForwardToken": next }),
    )
}

/// A migration whose log states both versions, in lines of one form.
fn versioned() -> (Cloud, FakeHost, Step) {
    let (cloud, host, mut step) = migration("ACTIVE");
    let pattern = r"schema is at (\d+)";
    let desired = step.change.desired.as_mut().unwrap();
    desired.set("schema_version", json!({ "before": pattern, "after": pattern }));
    (cloud, host, step)
}

fn stopped(code: u64) -> Answer {
    described(
        json!({ "lastStatus": "STOPPED", "containers": [{ "name": "api", "exitCode": code }] }),
    )
}

#[test]
fn the_versions_that_a_log_states_are_left_behind() {
    let head = page(&["schema is at 41", "up 42\nschema is at 42"], "f/1");
    let tail = page(&["schema is at 42", "up 43", "schema is at 43", "bye"], "b/1");
    let (cloud, host, step) = versioned();
    cloud.script("GetLogEvents", [head.clone(), tail.clone()]);
    let waiting = token(AwsEcs::apply(&host, &step));
    cloud.script("DescribeTasks", [stopped(0)]);
    let Ok(Progress::Done(document)) = AwsEcs::poll(&host, &step, &waiting) else { panic!("done") };
    assert_eq!(document.value["schema_version_before"], "41");
    assert_eq!(document.value["schema_version_after"], "43");
    assert_eq!(host.logged(), Vec::<String>::new());

    // How far one came that failed is what the person on call wants to know.
    let (cloud, host, step) = versioned();
    cloud.script("GetLogEvents", [head, tail]);
    let waiting = token(AwsEcs::apply(&host, &step));
    cloud.script("DescribeTasks", [stopped(1)]);
    let Err(Failure::Partial(document, message)) = AwsEcs::poll(&host, &step, &waiting) else {
        panic!("it failed")
    };
    assert_eq!(document.value["schema_version_after"], "43");
    assert!(message.contains("\n  schema_version_before is 41\n"), "{message}");
}

#[test]
fn a_version_that_is_not_stated_is_absent_and_warned_of() {
    let no = json!({ "__type": "AccessDeniedException", "message": "no" });
    for (log, may_come) in
        [(Answer::Json(400, no), false), (page(&["nothing of the kind"], "x/1"), true)]
    {
        let (cloud, host, step) = versioned();
        cloud.script("GetLogEvents", [log]);
        let waiting = token(AwsEcs::apply(&host, &step));
        cloud.script("DescribeTasks", [stopped(0)]);
        let mut polled = AwsEcs::poll(&host, &step, &waiting);
        if may_come {
            // A log may be behind its task for a moment.
            let waiting = token(polled);
            host.set_now_ms(10_000);
            polled = AwsEcs::poll(&host, &step, &waiting);
        }
        let Ok(Progress::Done(document)) = polled else { panic!("done: {polled:?}") };
        assert_eq!(document.value.get("schema_version_before"), None);
        let warned = host.logged();
        assert_eq!(warned.len(), 2, "{warned:?}");
        let start = "action.aws_ecs_task.migrate: schema_version_before is not known: ";
        assert!(warned[0].starts_with(start), "{warned:?}");
    }
}

#[test]
fn a_pattern_that_cannot_be_meant_is_refused() {
    let declared = json!({ "cluster": "prod", "task_definition": "web:42", "schema_version": { "after": "v\\d+" } });
    let host = Cloud::default().host();
    let problems =
        AwsEcs::validate(&host, &subject("action.aws_ecs_task.migrate", declared)).unwrap_err();
    assert_eq!(problems[0].path, "/schema_version/after");
    assert!(problems[0].message.contains("0 groups"), "{problems:?}");
}

/// How a migration that exits with 1 is told, where its log is answered for so.
fn told(log: impl IntoIterator<Item = Answer>) -> (Cloud, String) {
    let (cloud, host, step) = migration("ACTIVE");
    cloud.script("GetLogEvents", log);
    let waiting = token(AwsEcs::apply(&host, &step));
    cloud.script("DescribeTasks", [described(json!({ "taskArn": "task/prod/t1", "lastStatus": "STOPPED", "containers": [{ "name": "api", "exitCode": 1 }] }))]);
    match AwsEcs::poll(&host, &step, &waiting) {
        Err(Failure::Partial(_, message)) => (cloud, message),
        other => panic!("it failed: {other:?}"),
    }
}

#[test]
fn a_failure_shows_the_end_of_its_log() {
    // An empty page is not the end; the same token again is.
    let (cloud, message) = told([
        page(&["up 42", "no such\ncolumn"], "b/1"),
        page(&[], "b/2"),
        page(&["up 41"], "b/3"),
        page(&[], "b/3"),
    ]);
    assert!(
        message.ends_with(
            "log: group /ecs/prod, stream web/api/t1\n    up 41\n    up 42\n    no such\n    column"
        ),
        "{message}"
    );
    assert_eq!(cloud.count("GetLogEvents"), 4);
    assert_eq!(
        cloud.sent("GetLogEvents"),
        json!({ "logGroupName": "/ecs/prod", "logStreamName": "web/api/t1", "limit": 20, "startFromHead": false, "nextToken": "b/3" })
    );
    // A stream that never says that it ends is left.
    let (cloud, message) = told((0..30).map(|n| page(&[], &format!("b/{n}"))));
    assert!(message.ends_with("(there is nothing in it)"), "{message}");
    assert_eq!(cloud.count("GetLogEvents"), 10);
}

#[test]
fn a_log_that_cannot_be_read_changes_no_verdict() {
    let refused = |code: &str| Answer::Json(400, json!({ "__type": code, "message": "no" }));
    for (answer, why) in [
        (refused("AccessDeniedException"), "`logs:GetLogEvents` is not allowed"),
        (refused("ResourceNotFoundException"), "ResourceNotFoundException"),
        (refused("ThrottlingException"), "is throttled"),
        (Answer::Lost, "connection reset"),
        (Answer::Text(200, "no JSON".to_owned()), "cannot be read"),
    ] {
        let (_, message) = told([answer]);
        assert!(message.contains("exit code 1"), "{message}");
        assert!(message.contains("group /ecs/prod, stream web/api/t1"), "{message}");
        assert!(message.contains("cannot be shown: ") && message.contains(why), "{why}: {message}");
    }
}

#[test]
fn a_log_of_another_region_is_not_looked_for_here() {
    let (cloud, host, step) = migration("ACTIVE");
    let options = json!({ "awslogs-group": "/ecs/prod", "awslogs-stream-prefix": "web", "awslogs-region": "eu-west-1" });
    cloud.put(
        "web",
        42,
        "ACTIVE",
        json!({ "containerDefinitions": [{ "name": "api",
        "logConfiguration": { "logDriver": "awslogs", "options": options } }] }),
    );
    let waiting = token(AwsEcs::apply(&host, &step));
    cloud.script("DescribeTasks", [described(json!({ "lastStatus": "STOPPED" }))]);
    let Err(Failure::Partial(_, message)) = AwsEcs::poll(&host, &step, &waiting) else {
        panic!("it failed")
    };
    assert!(message.contains("it is in eu-west-1"), "{message}");
    assert_eq!(cloud.count("GetLogEvents"), 0);
}

fn token(progress: Result<Progress, Failure>) -> String {
    match progress {
        Ok(Progress::Pending { token, .. }) => token,
        other => panic!("not pending: {other:?}"),
    }
}

#[test]
fn a_run_is_started_once_with_what_makes_it_findable() {
    let (cloud, host, step) = migration("ACTIVE");
    let waiting = token(AwsEcs::apply(&host, &step));
    assert_eq!(
        cloud.sent("RunTask"),
        json!({ "cluster": "prod", "taskDefinition": "arn:aws:ecs:us-east-1:123456789012:task-definition/web:42", "count": 1, "launchType": "FARGATE",
            "startedBy": RUN_KEY, "clientToken": step.token,
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-a"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED" } },
            "overrides": { "containerOverrides": [{ "name": "api", "command": ["npm", "run", "migrate:up"], "environment": [{ "name": "DRY", "value": "0" }] }] } })
    );
    cloud.script("DescribeTasks", [
        described(json!({ "taskArn": "task/prod/t1", "lastStatus": "RUNNING" })),
        described(json!({ "taskArn": "task/prod/t1", "lastStatus": "STOPPED", "containers": [{ "name": "api", "exitCode": 0 }] })),
    ]);
    assert!(matches!(AwsEcs::poll(&host, &step, &waiting), Ok(Progress::Pending { .. })));
    let Ok(Progress::Done(document)) = AwsEcs::poll(&host, &step, &waiting) else { panic!("done") };
    assert_eq!(
        Value::Object(document.value),
        json!({ "task_arn": "task/prod/t1", "container": "api", "exit_code": 0, "log_group": "/ecs/prod", "log_stream": "web/api/t1" })
    );

    cloud.script("ListTasks", [tasks(&["task/prod/t1"])]);
    assert!(token(AwsEcs::apply(&host, &step)).contains("t1"));
    assert_eq!(cloud.count("RunTask"), 1, "the same run is not started again");
}

#[test]
fn a_migration_that_fails_says_why_and_where_its_log_is() {
    for (containers, parts) in [
        (json!([{ "name": "api", "exitCode": 1 }]), ["exit code 1", "/ecs/prod", "web/api/t1"]),
        (
            json!([{ "name": "sidecar", "exitCode": 0 }, { "name": "api", "exitCode": 3, "reason": "assertion failed" }]),
            ["exit code 3", "assertion failed", "web/api/t1"],
        ),
        (
            json!([{ "name": "api", "reason": "CannotPullContainerError" }]),
            ["without an exit code", "CannotPullContainerError", "TaskFailedToStart"],
        ),
    ] {
        let (cloud, host, step) = migration("ACTIVE");
        let waiting = token(AwsEcs::apply(&host, &step));
        cloud.script("DescribeTasks", [described(json!({ "taskArn": "task/prod/t1", "lastStatus": "STOPPED", "stopCode": "TaskFailedToStart", "containers": containers }))]);
        let Err(Failure::Partial(_, message)) = AwsEcs::poll(&host, &step, &waiting) else {
            panic!("it failed")
        };
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[test]
fn a_lost_reply_is_a_task_to_be_found() {
    let (cloud, host, step) = migration("ACTIVE");
    cloud.script("RunTask", [Answer::Lost]);
    let waiting = token(AwsEcs::apply(&host, &step));
    let Ok(Progress::Pending { token: waiting, .. }) = AwsEcs::poll(&host, &step, &waiting) else {
        panic!("still looking")
    };
    cloud.script("ListTasks", [tasks(&["task/prod/t1"])]);
    let Ok(Progress::Pending { token: waiting, .. }) = AwsEcs::poll(&host, &step, &waiting) else {
        panic!("found")
    };
    cloud.script("DescribeTasks", [described(json!({ "taskArn": "task/prod/t1", "lastStatus": "STOPPED", "containers": [{ "name": "api", "exitCode": 0 }] }))]);
    assert!(matches!(AwsEcs::poll(&host, &step, &waiting), Ok(Progress::Done(_))));
    assert_eq!(cloud.count("RunTask"), 1);
}

#[test]
fn begun_and_not_visible_is_unknown() {
    let (cloud, host, mut step) = migration("ACTIVE");
    step.attempt = Attempt::Again;
    assert!(
        matches!(AwsEcs::apply(&host, &step), Err(Failure::Unknown(message)) if message.contains(RUN_KEY))
    );
    assert_eq!(cloud.count("RunTask"), 0);

    let (cloud, host, step) = migration("ACTIVE");
    let waiting = token(AwsEcs::apply(&host, &step));
    cloud.script("DescribeTasks", [Answer::Json(200, json!({ "tasks": [], "failures": [] }))]);
    assert!(
        matches!(AwsEcs::poll(&host, &step, &waiting), Ok(Progress::Pending { .. })),
        "eventually consistent"
    );
    host.set_now_ms(300_001);
    assert!(matches!(AwsEcs::poll(&host, &step, &waiting), Err(Failure::Unknown(_))));
}

#[test]
fn what_ecs_would_not_start_is_not_started() {
    let (cloud, host, step) = migration("ACTIVE");
    cloud.script(
        "RunTask",
        [Answer::Json(200, json!({ "tasks": [], "failures": [{ "reason": "RESOURCE:MEMORY" }] }))],
    );
    assert!(
        matches!(AwsEcs::apply(&host, &step), Err(Failure::Precondition(message)) if message.contains("RESOURCE:MEMORY"))
    );

    let (cloud, host, step) = migration("INACTIVE");
    assert!(
        matches!(AwsEcs::apply(&host, &step), Err(Failure::Precondition(message)) if message.contains("INACTIVE"))
    );
    assert_eq!(cloud.count("RunTask"), 0);

    let (cloud, host, mut step) = migration("ACTIVE");
    step.change.desired.as_mut().unwrap().value.remove("network");
    assert!(
        matches!(AwsEcs::apply(&host, &step), Err(Failure::Precondition(message)) if message.contains("network = "))
    );
    assert_eq!(cloud.count("RunTask"), 0);
}

#[test]
fn a_task_that_never_ends_is_unknown_and_not_stopped() {
    let (cloud, host, step) = migration("ACTIVE");
    let waiting = token(AwsEcs::apply(&host, &step));
    cloud.script(
        "DescribeTasks",
        [described(json!({ "taskArn": "task/prod/t1", "lastStatus": "RUNNING" }))],
    );
    host.set_now_ms(step.timeout_ms + 1);
    assert!(
        matches!(AwsEcs::poll(&host, &step, &waiting), Err(Failure::Unknown(message)) if message.contains("RUNNING"))
    );
    assert_eq!(cloud.count("StopTask"), 0);
}
