//! Task definitions: made from what runs, registered once, found again, gone back to.

use aws_ecs::AwsEcs;
use relctl_sdk::testing::{FakeHost, change, step, subject};
use relctl_sdk::{
    Assessment, Attempt, Change, Failure, Map, Plugin, Progress, Severity, Subject, Undo, Value,
    Verb,
};
use serde_json::json;

use crate::cloud::{Answer, Cloud, PREFIX, deployment, service};

const SECRET: &str = "hunter2-canary";

/// Production as a team has it: web:41 runs, with a secret in plain text.
fn production() -> (Cloud, FakeHost) {
    let cloud = Cloud::default();
    cloud.put("web", 41, "ACTIVE", body("web:1.0"));
    cloud.script(
        "DescribeServices",
        [service(
            "web:41",
            json!([deployment("ecs-svc/1", "PRIMARY", "COMPLETED", "web:41", 2)]),
            json!({}),
        )],
    );
    let host = cloud.host();
    (cloud, host)
}

fn body(image: &str) -> Value {
    json!({ "cpu": "256", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "futureField": { "kept": true },
        "containerDefinitions": [{ "name": "api", "image": image, "essential": true, "cpu": 0, "mountPoints": [],
            "environment": [{ "name": "PASSWORD", "value": SECRET }, { "name": "LEVEL", "value": "info" }],
            "portMappings": [{ "containerPort": 80, "hostPort": 80, "protocol": "tcp" }] }] })
}

/// The release's task definition, in canonical form.
fn wanted(host: &FakeHost, image: &str) -> Subject {
    let declared = subject(
        "resource.aws_ecs_task_definition.web",
        json!({ "family": "web", "from": { "cluster": "prod", "service": "web" },
        "container_definitions": { "api": { "image": image, "environment": { "LEVEL": { "value": "info" } } } } }),
    );
    let canonical = AwsEcs::validate(host, &declared).unwrap();
    Subject { desired: Some(canonical), ..declared }
}

fn observe(host: &FakeHost, subject: &Subject) -> Map {
    AwsEcs::observe(host, std::slice::from_ref(subject)).remove(0).unwrap().unwrap()
}

fn planned(host: &FakeHost, image: &str) -> (Change, Assessment) {
    let subject = wanted(host, image);
    let observed = observe(host, &subject);
    let mut change = change(Verb::Update, subject, Some(observed));
    change.paths = vec!["/container_definitions/api/image".to_owned()];
    let assessment = AwsEcs::assess(host, &change).unwrap();
    (change, assessment)
}

fn done(progress: Result<Progress, Failure>) -> Map {
    match progress {
        Ok(Progress::Done(document)) => document.value,
        other => panic!("not done: {other:?}"),
    }
}

/// The step that goes back over `forth`.
fn back(host: &FakeHost, forth: &Assessment) -> Change {
    let (mut change, _) = planned(host, "web:1.0");
    change.undo.clone_from(&forth.undo);
    change
}

#[test]
fn what_the_service_runs_is_changed_where_the_file_speaks() {
    let (cloud, host) = production();
    let (change, assessment) = planned(&host, "web:1.1");
    assert_eq!(
        assessment.notes,
        [
            "made from web:41, which service web runs",
            "plain-text values are not recorded, since they may be secrets (PASSWORD); going back takes them from web:41, which should not be deleted"
        ]
    );
    assert_eq!(host.writes(), 0, "planning writes nothing");
    let document = done(AwsEcs::apply(&host, &step(change)));
    assert_eq!(document["arn"], json!(format!("{PREFIX}task-definition/web:42")));
    let sent = cloud.sent("RegisterTaskDefinition");
    let mut expected = body("web:1.1");
    expected["family"] = "web".into();
    expected["containerDefinitions"] = json!([{ "name": "api", "image": "web:1.1", "essential": true,
        "environment": [{ "name": "LEVEL", "value": "info" }, { "name": "PASSWORD", "value": SECRET }], "portMappings": [{ "containerPort": 80 }] }]);
    assert_eq!(sent, expected, "what the file does not mention is kept, also what no SDK knows");
}

#[test]
fn plain_text_that_the_file_does_not_mention_leaves_the_plugin_nowhere() {
    let (_, host) = production();
    let (change, assessment) = planned(&host, "web:1.1");
    let document = done(AwsEcs::apply(&host, &step(change.clone())));
    for text in [
        format!("{change:?}"),
        format!("{assessment:?}"),
        format!("{document:?}"),
        host.logged().join("\n"),
    ] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn the_same_content_is_not_registered_twice() {
    let (cloud, host) = production();
    let (change, _) = planned(&host, "web:1.1");
    let first = done(AwsEcs::apply(&host, &step(change.clone())));
    let second = done(AwsEcs::apply(&host, &step(change)));
    assert_eq!(first["arn"], second["arn"]);
    assert_eq!(cloud.count("RegisterTaskDefinition"), 1);
}

#[test]
fn a_lost_reply_is_found_again() {
    let (cloud, host) = production();
    cloud.script("RegisterTaskDefinition", [Answer::Lost]);
    let (change, _) = planned(&host, "web:1.1");
    let document = done(AwsEcs::apply(&host, &step(change.clone())));
    assert_eq!(document["family_revision"], json!("web:42"));
    let mut again = step(change);
    again.attempt = Attempt::Again;
    assert_eq!(done(AwsEcs::apply(&host, &again))["family_revision"], json!("web:42"));
    assert_eq!(cloud.count("RegisterTaskDefinition"), 1);
}

#[test]
fn after_the_rollout_nothing_differs() {
    let (cloud, host) = production();
    let (change, _) = planned(&host, "web:1.1");
    done(AwsEcs::apply(&host, &step(change.clone())));
    cloud.script(
        "DescribeServices",
        [service(
            "web:42",
            json!([deployment("ecs-svc/2", "PRIMARY", "COMPLETED", "web:42", 2)]),
            json!({}),
        )],
    );
    let observed = observe(&host, &change.subject);
    let desired = change.subject.desired.unwrap().value;
    assert_eq!(
        observed["container_definitions"]["api"]["image"],
        desired["container_definitions"]["api"]["image"]
    );
    assert_eq!(
        observed["container_definitions"]["api"]["environment"]["LEVEL"],
        desired["container_definitions"]["api"]["environment"]["LEVEL"]
    );
    assert_eq!(observed["from"], desired["from"]);
}

#[test]
fn a_newer_revision_that_never_rolled_out_is_said() {
    let (cloud, host) = production();
    cloud.put("web", 43, "ACTIVE", body("web:9.9"));
    let (change, assessment) = planned(&host, "web:1.1");
    assert_eq!(change.observed_text("family_revision"), Some("web:41"));
    assert!(
        assessment
            .risks
            .iter()
            .any(|risk| risk.severity == Severity::Caution && risk.message.contains("web:43")),
        "{assessment:?}"
    );
}

#[test]
fn going_back_finds_the_revision_that_ran() {
    let (cloud, host) = production();
    let (forth, assessment) = planned(&host, "web:1.1");
    done(AwsEcs::apply(&host, &step(forth)));
    let document = done(AwsEcs::apply(&host, &step(back(&host, &assessment))));
    assert_eq!(document["family_revision"], json!("web:41"));
    assert_eq!(cloud.count("RegisterTaskDefinition"), 1);
}

#[test]
fn going_back_registers_a_deregistered_revision_again() {
    let (cloud, host) = production();
    let (forth, assessment) = planned(&host, "web:1.1");
    done(AwsEcs::apply(&host, &step(forth)));
    let back = back(&host, &assessment);
    cloud.put("web", 41, "INACTIVE", body("web:1.0"));
    let document = done(AwsEcs::apply(&host, &step(back)));
    assert_eq!(document["family_revision"], json!("web:43"));
    let sent = cloud.sent("RegisterTaskDefinition");
    assert_eq!(sent["containerDefinitions"][0]["environment"][1]["value"], json!(SECRET));
    assert_eq!(sent["containerDefinitions"][0]["image"], json!("web:1.0"));
}

#[test]
fn going_back_to_a_deleted_revision_takes_what_was_recorded() {
    // Sealed; not sealed, and the same value runs still, as the hash shows; and another one runs.
    for (sealed, same, good) in [(true, false, true), (false, true, true), (false, false, false)] {
        let (cloud, host) = production();
        let (forth, assessment) = planned(&host, "web:1.1");
        done(AwsEcs::apply(&host, &step(forth)));
        let mut back = back(&host, &assessment);
        if sealed {
            let mut content = assessment.undo.clone().unwrap().open;
            content.value["content"]["container_definitions"]["api"]["environment"]["PASSWORD"]["value"] =
                SECRET.into();
            back.undo = Some(Undo { open: assessment.undo.unwrap().open, sealed: Some(content) });
        }
        cloud.remove("web:41");
        let mut runs = body("web:1.1");
        if !same {
            runs["containerDefinitions"][0]["environment"][0]["value"] = "another".into();
        }
        cloud.put("web", 50, "ACTIVE", runs);
        back.observed.as_mut().unwrap()["arn"] = format!("{PREFIX}task-definition/web:50").into();
        let result = AwsEcs::apply(&host, &step(back));
        if good {
            assert_eq!(done(result)["family_revision"], json!("web:51"));
            assert_eq!(
                cloud.sent("RegisterTaskDefinition")["containerDefinitions"][0]["environment"][1]["value"],
                json!(SECRET)
            );
        } else {
            assert!(
                matches!(result, Err(Failure::Precondition(message)) if message.contains("PASSWORD") && !message.contains(SECRET))
            );
        }
    }
}

#[test]
fn a_file_that_is_the_whole_owns_the_whole() {
    let cloud = Cloud::default();
    let host = cloud.host();
    let declared = subject(
        "resource.aws_ecs_task_definition.web",
        json!({ "family": "web", "cpu": ".25 vCPU", "memory": "0.5 GB", "network_mode": "awsvpc",
        "requires_compatibilities": ["FARGATE"], "container_definitions": { "api": { "image": "web:1.0", "port_mappings": [{ "container_port": 80, "host_port": 80 }] } } }),
    );
    let canonical = AwsEcs::validate(&host, &declared).unwrap();
    let subject = Subject { desired: Some(canonical.clone()), ..declared };
    let document = done(AwsEcs::apply(&host, &step(change(Verb::Create, subject.clone(), None))));
    assert_eq!(
        document["content_sha256"], canonical.value["content_sha256"],
        "what was registered is what was declared"
    );

    let mut extra = cloud.sent("RegisterTaskDefinition");
    extra["containerDefinitions"][0]["environment"] = json!([{ "name": "EXTRA", "value": "1" }]);
    cloud.put("web", 2, "ACTIVE", extra);
    assert_ne!(
        observe(&host, &subject)["content_sha256"],
        canonical.value["content_sha256"],
        "what the file does not mention is a difference"
    );
}

#[test]
fn a_deletion_leaves_every_revision() {
    let (cloud, host) = production();
    let (mut change, _) = planned(&host, "web:1.0");
    change.verb = Verb::Delete;
    done(AwsEcs::apply(&host, &step(change)));
    assert_eq!(cloud.count("DeregisterTaskDefinition"), 0);
    assert_eq!(host.writes(), 0);
}

#[test]
fn a_service_that_is_not_there_is_named() {
    let (cloud, host) = production();
    cloud.script(
        "DescribeServices",
        [Answer::Json(200, json!({ "services": [], "failures": [{ "reason": "MISSING" }] }))],
    );
    let subject = wanted(&host, "web:1.1");
    let answer = AwsEcs::observe(&host, &[subject]).remove(0);
    assert!(
        matches!(answer, Err(Failure::NotFound(message)) if message.contains("`web`") && message.contains("`prod`"))
    );
}

#[test]
fn fifty_task_definitions_take_few_calls() {
    let (cloud, host) = production();
    let subjects: Vec<Subject> = (0..5).map(|_| wanted(&host, "web:1.1")).collect();
    for chunk in subjects.chunks(5) {
        assert!(AwsEcs::observe(&host, chunk).iter().all(Result::is_ok));
    }
    assert_eq!(cloud.count("DescribeServices"), 1);
    assert_eq!(cloud.count("DescribeTaskDefinition"), 5);
    assert_eq!(cloud.calls().len(), 6);
}
