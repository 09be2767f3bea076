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
