//! Services: only the deployment of this very step is success.

use aws_ecs::AwsEcs;
use relctl_sdk::testing::{FakeHost, change, step, subject};
use relctl_sdk::{
    Attempt, Change, Failure, Plugin, Progress, Severity, Step, Subject, Value, Verb,
};
use serde_json::json;

use crate::cloud::{Answer, Cloud, PREFIX, deployment, service};

fn old() -> Value {
    deployment("ecs-svc/1", "PRIMARY", "COMPLETED", "web:41", 2)
}

fn changed(host: &FakeHost, desired: Value, paths: &[&str]) -> Change {
    let mut declared = json!({ "cluster": "prod", "name": "web" });
    for (name, value) in desired.as_object().unwrap() {
        declared[name] = value.clone();
    }
    let declared = subject("resource.aws_ecs_service.web", declared);
    let canonical = AwsEcs::validate(host, &declared).unwrap();
    let subject = Subject { desired: Some(canonical), ..declared };
    let observed = AwsEcs::observe(host, std::slice::from_ref(&subject)).remove(0).unwrap();
    let mut change = change(Verb::Update, subject, observed);
    change.paths = paths.iter().map(|path| (*path).to_owned()).collect();
    change
}

fn rollout_of(cloud: &Cloud, deployments: Value, more: Value) -> (FakeHost, Change) {
    cloud.script("TagResource", [Answer::Json(200, json!({}))]);
    cloud.script("DescribeServices", [service("web:41", deployments, more)]);
    let host = cloud.host();
    let change = changed(&host, json!({ "task_definition": "web:42" }), &["/task_definition"]);
    (host, change)
}

/// What `UpdateService` answers when it makes this deployment.
fn updated(deployments: Value) -> Answer {
    let Answer::Json(_, answer) = service("web:42", deployments, json!({})) else { unreachable!() };
    Answer::Json(200, json!({ "service": answer["services"][0] }))
}

fn token(progress: Result<Progress, Failure>) -> String {
    match progress {
        Ok(Progress::Pending { token, .. }) => token,
        other => panic!("not pending: {other:?}"),
    }
}

fn started(cloud: &Cloud) -> (FakeHost, Step, String) {
    let (host, change) = rollout_of(cloud, json!([old()]), json!({}));
    let new = deployment("ecs-svc/2", "PRIMARY", "IN_PROGRESS", "web:42", 0);
    cloud.script(
        "UpdateService",
        [updated(json!([new, deployment("ecs-svc/1", "ACTIVE", "COMPLETED", "web:41", 2)]))],
    );
    let step = step(change);
    let token = token(AwsEcs::apply(&host, &step));
    (host, step, token)
}

#[test]
fn success_is_this_steps_deployment_complete_and_running() {
    let cloud = Cloud::default();
    let (host, step, token) = started(&cloud);
    assert_eq!(
        cloud.sent("UpdateService"),
        json!({ "cluster": "prod", "service": "web", "taskDefinition": format!("{PREFIX}task-definition/web:42") })
    );
    let running = |n, state| deployment("ecs-svc/2", "PRIMARY", state, "web:42", n);
    cloud.script(
        "DescribeServices",
        [
            service(
                "web:42",
                json!([
                    running(1, "IN_PROGRESS"),
                    deployment("ecs-svc/1", "ACTIVE", "COMPLETED", "web:41", 2)
                ]),
                json!({}),
            ),
            service("web:42", json!([running(2, "COMPLETED")]), json!({})),
        ],
    );
    let Ok(Progress::Pending { message, .. }) = AwsEcs::poll(&host, &step, &token) else {
        panic!("not complete yet")
    };
    assert!(message.starts_with("1 of 2 tasks on the new revision"), "{message}");
    let Ok(Progress::Done(document)) = AwsEcs::poll(&host, &step, &token) else {
        panic!("complete")
    };
    assert_eq!(document.value["task_definition"], json!(format!("{PREFIX}task-definition/web:42")));
    assert!(!document.value.contains_key("verification"));
}

#[test]
fn a_circuit_breaker_that_rolled_back_is_a_failure_with_its_reasons() {
    let cloud = Cloud::default();
    let (host, step, token) = started(&cloud);
    let mut failed = deployment("ecs-svc/2", "ACTIVE", "FAILED", "web:42", 0);
    failed["rolloutStateReason"] = "ECS deployment circuit breaker: tasks failed to start.".into();
    cloud.script(
        "DescribeServices",
        [service(
            "web:41",
            json!([deployment("ecs-svc/3", "PRIMARY", "COMPLETED", "web:41", 2), failed]),
            json!({}),
        )],
    );
    cloud.script("ListTasks", [Answer::Json(200, json!({ "taskArns": ["t/1", "t/2"] }))]);
    let task = |by: &str, reason: &str| {
        json!({ "taskArn": format!("task/prod/{by}-t"), "taskDefinitionArn": format!("{PREFIX}task-definition/web:42"),
            "startedBy": by, "stopCode": "EssentialContainerExited", "stoppedReason": reason, "lastStatus": "STOPPED",
            "containers": [{ "name": "proxy", "exitCode": 0 }, { "name": "api", "exitCode": 137, "reason": "OutOfMemoryError" }] })
    };
    cloud.put("web", 42, "ACTIVE", json!({ "containerDefinitions": [{ "name": "api", "logConfiguration": { "logDriver": "awslogs",
        "options": { "awslogs-group": "/ecs/prod", "awslogs-stream-prefix": "web" } } }] }));
    let log = json!({ "events": [{ "message": "cannot read DATABASE_URL" }] });
    cloud.script("GetLogEvents", [Answer::Json(200, log)]);
    cloud.script(
        "DescribeTasks",
        [Answer::Json(
            200,
            json!({ "tasks": [task("ecs-svc/2", "it ran out"), task("ecs-svc/1", "an old one")] }),
        )],
    );
    let Err(Failure::Partial(document, message)) = AwsEcs::poll(&host, &step, &token) else {
        panic!("it failed")
    };
    for part in [
        "circuit breaker",
        "ecs-svc/3",
        "web:41",
        "it ran out",
        "exit code 137",
        "OutOfMemoryError",
        "log: group /ecs/prod, stream web/api/2-t\n    cannot read DATABASE_URL\n",
        "steady state",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("an old one"), "{message}");
    assert_eq!(
        document.value["task_definition"],
        json!(format!("{PREFIX}task-definition/web:41")),
        "what actually runs is recorded"
    );
}

#[test]
fn stable_after_a_rollback_or_a_foreign_deployment_is_no_success() {
    for newer in ["web:41", "web:42", "web:77"] {
        let cloud = Cloud::default();
        let (host, step, token) = started(&cloud);
        cloud.script(
            "DescribeServices",
            [service(
                newer,
                json!([deployment("ecs-svc/9", "PRIMARY", "COMPLETED", newer, 2)]),
                json!({}),
            )],
        );
        assert!(
            matches!(AwsEcs::poll(&host, &step, &token), Err(Failure::Partial(_, message)) if message.contains("ecs-svc/9")),
            "{newer}"
        );
    }
}

#[test]
fn a_rollout_that_never_ends_fails_by_its_own_timeout() {
    let cloud = Cloud::default();
    let (host, step, token) = started(&cloud);
    cloud.script(
        "DescribeServices",
        [service(
            "web:42",
            json!([deployment("ecs-svc/2", "PRIMARY", "IN_PROGRESS", "web:42", 0)]),
            json!({}),
        )],
    );
    host.set_now_ms(step.timeout_ms / 2);
    assert!(matches!(AwsEcs::poll(&host, &step, &token), Ok(Progress::Pending { .. })));
    host.set_now_ms(step.timeout_ms);
    assert!(
        matches!(AwsEcs::poll(&host, &step, &token), Err(Failure::Partial(_, message)) if message.contains("not complete after 60 s: 0 of 2"))
    );
}

#[test]
fn an_endpoint_that_shows_no_deployment_is_degraded_at_best() {
    let cloud = Cloud::default();
    let (host, change) = rollout_of(&cloud, json!([old()]), json!({}));
    cloud.script("UpdateService", [updated(json!([old()]))]);
    let step = step(change);
    let token = token(AwsEcs::apply(&host, &step));
    cloud.script("DescribeServices", [service("web:42", json!([old()]), json!({}))]);
    let Ok(Progress::Pending { token, message, .. }) = AwsEcs::poll(&host, &step, &token) else {
        panic!("it is said first")
    };
    assert!(message.contains("degraded"), "{message}");
    let Ok(Progress::Done(document)) = AwsEcs::poll(&host, &step, &token) else { panic!("done") };
    assert!(document.value["verification"].as_str().unwrap().starts_with("degraded"));
    assert!(host.logged().iter().any(|line| line.contains("degraded")));
}

#[test]
fn a_lost_reply_is_looked_into() {
    let new = deployment("ecs-svc/2", "PRIMARY", "IN_PROGRESS", "web:42", 0);
    for (after, is_known) in [
        (service("web:42", json!([new]), json!({})), true),
        (service("web:41", json!([old()]), json!({})), false),
    ] {
        let cloud = Cloud::default();
        let (host, change) = rollout_of(&cloud, json!([old()]), json!({}));
        cloud.script("UpdateService", [Answer::Lost]);
        cloud.script("DescribeServices", [service("web:41", json!([old()]), json!({})), after]);
        let result = AwsEcs::apply(&host, &step(change));
        assert_eq!(
            matches!(&result, Ok(Progress::Pending { token, .. }) if token.contains("ecs-svc/2")),
            is_known,
            "{result:?}"
        );
        assert_eq!(matches!(result, Err(Failure::Unknown(_))), !is_known);
    }
}

#[test]
fn a_second_attempt_follows_what_the_first_began() {
    let cloud = Cloud::default();
    let (host, mut change) = rollout_of(&cloud, json!([old()]), json!({}));
    change.observed = None;
    let mut again = step(change);
    again.attempt = Attempt::Again;
    let new = deployment("ecs-svc/2", "PRIMARY", "IN_PROGRESS", "web:42", 0);
    cloud.script("DescribeServices", [service("web:42", json!([new]), json!({}))]);
    assert!(token(AwsEcs::apply(&host, &again)).contains("ecs-svc/2"));
    assert_eq!(cloud.count("UpdateService"), 0);

    cloud.script("DescribeServices", [service("web:41", json!([old()]), json!({}))]);
    cloud.script(
        "UpdateService",
        [updated(json!([deployment("ecs-svc/3", "PRIMARY", "IN_PROGRESS", "web:42", 0)]))],
    );
    assert!(token(AwsEcs::apply(&host, &again)).contains("ecs-svc/3"), "it had not begun");
}

#[test]
fn a_restart_happens_once() {
    let cloud = Cloud::default();
    let (host, _) = rollout_of(&cloud, json!([old()]), json!({}));
    let restart = changed(
        &host,
        json!({ "restart_triggers": { "config": "2" } }),
        &["/restart_triggers/config"],
    );
    let mut again = step(restart);
    let new = deployment("ecs-svc/2", "PRIMARY", "IN_PROGRESS", "web:41", 0);
    cloud.script("UpdateService", [updated(json!([new]))]);
    AwsEcs::apply(&host, &again).unwrap();
    assert_eq!(cloud.sent("UpdateService")["forceNewDeployment"], json!(true));
    assert_eq!(
        cloud.sent("TagResource")["tags"],
        json!([{ "key": "relctl:trigger:config", "value": "2" }]),
        "set when the restart is asked for"
    );

    again.attempt = Attempt::Again;
    again.change.observed = None;
    for (mark, primary, times) in [
        (format!("{} ecs-svc/1", again.token), "ecs-svc/2", 1),
        (format!("{} ecs-svc/1", again.token), "ecs-svc/1", 2),
        ("another ecs-svc/0".to_owned(), "ecs-svc/1", 3),
    ] {
        let there = json!([deployment(primary, "PRIMARY", "IN_PROGRESS", "web:41", 0)]);
        cloud.script(
            "DescribeServices",
            [service(
                "web:41",
                there,
                json!({ "tags": [{ "key": "relctl:restart", "value": mark }] }),
            )],
        );
        AwsEcs::apply(&host, &again).unwrap();
        assert_eq!(cloud.count("UpdateService"), times, "{mark} {primary}");
    }
}

#[test]
fn going_back_in_flight_lets_ecs_take_it_back() {
    let cloud = Cloud::default();
    let flying = json!([
        deployment("ecs-svc/2", "PRIMARY", "IN_PROGRESS", "web:42", 0),
        deployment("ecs-svc/1", "ACTIVE", "COMPLETED", "web:41", 2)
    ]);
    cloud.script("TagResource", [Answer::Json(200, json!({}))]);
    cloud.script("DescribeServices", [service("web:41", json!([old()]), json!({}))]);
    let host = cloud.host();
    let forth = changed(&host, json!({ "task_definition": "web:42" }), &["/task_definition"]);
    let undo = AwsEcs::assess(&host, &forth).unwrap().undo;
    cloud.script("DescribeServices", [service("web:42", flying, json!({}))]);
    let mut back = changed(&host, json!({ "task_definition": "web:41" }), &["/task_definition"]);
    back.undo = undo;
    cloud.script("ListServiceDeployments", [Answer::Json(200, json!({ "serviceDeployments": [{ "serviceDeploymentArn": "sd/2", "status": "IN_PROGRESS" }] }))]);
    cloud.script(
        "StopServiceDeployment",
        [Answer::Json(200, json!({ "serviceDeploymentArn": "sd/2" }))],
    );
    let step = step(back);
    let waiting = token(AwsEcs::apply(&host, &step));
    assert_eq!(
        cloud.sent("StopServiceDeployment"),
        json!({ "serviceDeploymentArn": "sd/2", "stopType": "ROLLBACK" })
    );
    assert_eq!(cloud.count("UpdateService"), 0);

    let status =
        |status: &str| Answer::Json(200, json!({ "serviceDeployments": [{ "status": status }] }));
    cloud.script(
        "DescribeServiceDeployments",
        [status("ROLLBACK_IN_PROGRESS"), status("ROLLBACK_SUCCESSFUL")],
    );
    cloud.script("DescribeServices", [service("web:41", json!([old()]), json!({}))]);
    assert!(matches!(AwsEcs::poll(&host, &step, &waiting), Ok(Progress::Pending { .. })));
    assert!(matches!(AwsEcs::poll(&host, &step, &waiting), Ok(Progress::Done(_))));
}

#[test]
fn what_stands_in_the_way_is_said_before_anything_starts() {
    let cloud = Cloud::default();
    let flying = json!([deployment("ecs-svc/7", "PRIMARY", "IN_PROGRESS", "web:41", 0)]);
    let (host, change) = rollout_of(&cloud, flying, json!({ "desiredCount": 0 }));
    let assessment = AwsEcs::assess(&host, &change).unwrap();
    for part in ["in flight", "0 tasks"] {
        assert!(
            assessment
                .risks
                .iter()
                .any(|risk| risk.severity == Severity::Caution && risk.message.contains(part)),
            "{part}"
        );
    }
    assert_eq!(host.writes(), 0);
}

#[test]
fn a_service_that_ecs_does_not_deploy_is_looked_up_and_not_owned() {
    for controller in ["CODE_DEPLOY", "EXTERNAL"] {
        let cloud = Cloud::default();
        let more = json!({ "deploymentController": { "type": controller } });
        cloud.script("DescribeServices", [service("web:41", json!([old()]), more)]);
        let host = cloud.host();
        let fields = json!({ "cluster": "prod", "name": "web" });
        let owned = subject("resource.aws_ecs_service.web", fields.clone());
        let looked_up = subject("lookup.aws_ecs_service.web", fields.clone());
        let observed = AwsEcs::observe(&host, &[owned, looked_up]);
        assert!(
            matches!(&observed[0], Err(Failure::Precondition(message)) if message.contains(controller) && message.contains("use a lookup")),
            "{observed:?}"
        );
        assert!(matches!(&observed[1], Ok(Some(_))), "{observed:?}");

        let mut declared = fields;
        declared["deployment_controller"] = json!({ "type": controller });
        let declared = subject("resource.aws_ecs_service.web", declared);
        let problems = AwsEcs::validate(&host, &declared).unwrap_err();
        assert_eq!(problems[0].path, "/deployment_controller/type");
    }
}

#[test]
fn a_refusal_names_the_action_also_when_it_comes_as_xml() {
    let cloud = Cloud::default();
    let (host, change) = rollout_of(&cloud, json!([old()]), json!({}));
    cloud.script("UpdateService", [Answer::Text(403, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/ci is not authorized</Message></Error></ErrorResponse>".to_owned())]);
    assert!(
        matches!(AwsEcs::apply(&host, &step(change)), Err(Failure::Denied(message)) if message.contains("`ecs:UpdateService`"))
    );
}

#[test]
fn a_task_definition_must_be_of_this_account_and_name_a_revision() {
    let host = Cloud::default().host();
    for (definition, good) in [
        ("web:42", true),
        ("web", false),
        ("arn:aws:ecs:us-east-1:123456789012:task-definition/web:42", true),
        ("arn:aws:ecs:us-east-1:999999999999:task-definition/web:42", false),
        ("arn:aws:ecs:eu-west-1:123456789012:task-definition/web:42", false),
    ] {
        let declared = subject(
            "resource.aws_ecs_service.web",
            json!({ "cluster": "prod", "name": "web", "task_definition": definition }),
        );
        assert_eq!(AwsEcs::validate(&host, &declared).is_ok(), good, "{definition}");
    }
}

#[test]
fn services_of_a_cluster_are_asked_for_ten_at_a_time() {
    let cloud = Cloud::default();
    cloud.script("DescribeServices", [service("web:41", json!([old()]), json!({}))]);
    let host = cloud.host();
    let subjects: Vec<Subject> = (0..25)
        .map(|n| {
            subject(
                "resource.aws_ecs_service.web",
                json!({ "cluster": "prod", "name": format!("web-{n}") }),
            )
        })
        .collect();
    assert!(AwsEcs::observe(&host, &subjects).iter().all(|answer| answer == &Ok(None)));
    assert_eq!(cloud.count("DescribeServices"), 3);
    assert_eq!(cloud.sent("DescribeServices")["services"].as_array().unwrap().len(), 5);
}
