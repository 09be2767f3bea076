//! Rollouts as AWS shows them: success is the deployment that this very step made, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use relctl_test::proxy::{ProxiedCall, ProxyRules, Reply};
use serde_json::{Value, json};

use crate::environment::Output;
use crate::production::{HEAD, Production, deployment, roll_out, rollout};

fn says(applied: &Output, parts: &[&str]) {
    for part in parts {
        assert!(applied.to_string().contains(part), "`{part}` is not said: {applied}");
    }
}

/// The old deployment while it is replaced.
fn old(running: u64) -> Value {
    deployment("ecs-svc/1", "ACTIVE", "COMPLETED", 1, running)
}

fn new(state: &str, running: u64) -> Value {
    deployment("ecs-svc/2", "PRIMARY", state, 2, running)
}

fn began() -> Value {
    json!({ "deployments": [new("IN_PROGRESS", 0), old(2)] })
}

/// Applies a release whose rollout goes through these states.
fn rolls_out(states: Vec<Value>) -> Production {
    Production::behind(&roll_out(), rollout(ProxyRules::default(), states))
}

/// E3, R16: the deployment that the step made is complete with its tasks running: plain success,
/// not a degraded one, with the counts and the newest event on the way.
#[test]
fn a_rollout_that_is_seen_to_complete() {
    let events = json!([{ "message": "(service api) has started 1 tasks: (task 7f)." }]);
    let production = rolls_out(vec![
        began(),
        json!({ "deployments": [new("IN_PROGRESS", 1), old(1)], "events": events }),
        json!({ "deployments": [new("IN_PROGRESS", 2), old(0)] }),
        json!({ "deployments": [new("COMPLETED", 2)] }),
    ]);
    let applied = production.relctl("apply --auto-approve").success();
    says(&applied, &["1 of 2 tasks on the new revision", "has started 1 tasks"]);
    assert!(!applied.to_string().contains("degraded"), "{applied}");
}

/// E3: where the endpoint shows no deployment of the change, success is degraded, and says so.
#[test]
fn what_cannot_be_seen_is_degraded() {
    let production = Production::start(&roll_out());
    let applied = production.relctl("apply --auto-approve").success();
    says(&applied, &["verification is degraded"]);
}

/// E4, R16: the circuit breaker rolled back, and the service is stable again: a failed release, with
/// ECS's reason, the stopped task's exit code, and the way back. The ledger knows what runs.
#[test]
fn a_circuit_breaker_that_rolled_back_and_then_stable() {
    let failed = json!({ "id": "ecs-svc/2", "status": "ACTIVE", "rolloutState": "FAILED", "desiredCount": 0, "runningCount": 0, "failedTasks": 3,
        "taskDefinition": deployment("x", "", "", 2, 0)["taskDefinition"],
        "rolloutStateReason": "ECS deployment circuit breaker: tasks failed to start." });
    let back = deployment("ecs-svc/3", "PRIMARY", "COMPLETED", 1, 2);
    let runs = back["taskDefinition"].clone();
    let rules = rollout(
        ProxyRules::default(),
        vec![
            began(),
            json!({ "deployments": [back, failed], "taskDefinition": runs,
            "events": [{ "message": "(service api) (deployment ecs-svc/2) deployment failed: tasks failed to start." }] }),
        ],
    );
    let stopped = json!({ "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/production/7f", "startedBy": "ecs-svc/2", "lastStatus": "STOPPED",
        "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
        "containers": [{ "name": "api", "exitCode": 78, "reason": "cannot read DATABASE_URL" }] });
    let rules = rules
        .answer("ListTasks", |_| Reply::json(200, &json!({ "taskArns": ["arn:7f"] })))
        .answer("DescribeTasks", move |_| {
            Reply::json(200, &json!({ "tasks": [stopped], "failures": [] }))
        });
    let production = Production::behind(&roll_out(), rules);
    let applied = production.relctl("apply --auto-approve").exits(9);
    says(
        &applied,
        &[
            "circuit breaker",
            "deployment ecs-svc/3 of api:1 is in its place",
            "container api ended with exit code 78 (cannot read DATABASE_URL)",
            "event: (service api) (deployment ecs-svc/2) deployment failed",
            "go back",
            "relctl revert",
        ],
    );
    let shown = production.relctl("show --json").success();
    assert!(shown.raw.contains("task-definition/api:1"), "what runs is recorded: {shown}");
}

/// E4, R16: by the time of the first look the rollback is over and forgotten: stable, and no success.
#[test]
fn stable_on_the_old_revision_is_no_success() {
    let back = deployment("ecs-svc/3", "PRIMARY", "COMPLETED", 1, 2);
    let runs = back["taskDefinition"].clone();
    let production =
        rolls_out(vec![began(), json!({ "deployments": [back], "taskDefinition": runs })]);
    let applied = production.relctl("apply --auto-approve").exits(9);
    says(&applied, &["ecs-svc/2", "is gone", "ecs-svc/3 of api:1"]);
}

/// R16: somebody deployed over it, even the same revision: nobody can say that this one went well.
#[test]
fn a_newer_deployment_of_somebody_else() {
    let foreign = deployment("ecs-svc/9", "PRIMARY", "COMPLETED", 2, 2);
    let production = rolls_out(vec![began(), json!({ "deployments": [foreign] })]);
    let applied = production.relctl("apply --auto-approve").exits(9);
    says(&applied, &["somebody deployed over it", "ecs-svc/9"]);
}

/// R16: it completes at 0 tasks: that proves nothing, and is not plain success.
#[test]
fn scaled_to_zero_proves_nothing() {
    let mut zero = new("COMPLETED", 0);
    zero["desiredCount"] = json!(0);
    let production = rolls_out(vec![began(), json!({ "deployments": [zero], "desiredCount": 0 })]);
    let applied = production.relctl("apply --auto-approve").exits(9);
    says(&applied, &["0 tasks"]);
}

/// R16: old tasks that never drain, tasks that exit 0 at once, a hook that pauses the rollout: it is
/// not complete, and after its own time it has failed, with the counts.
#[test]
fn a_rollout_that_does_not_end_has_failed_after_its_time() {
    for (what, states) in [
        ("old tasks stay", json!({ "deployments": [new("COMPLETED", 2), old(2)] })),
        ("tasks come and go", json!({ "deployments": [new("IN_PROGRESS", 0), old(2)] })),
        ("paused", json!({ "deployments": [new("IN_PROGRESS", 2), old(2)] })),
    ] {
        let production = rolls_out(vec![began(), states]);
        let applied = production.relctl("apply --auto-approve --step-timeout 7s").exits(9);
        says(&applied, &["not complete after", "relctl revert"]);
        assert!(!applied.stderr.contains("UNKNOWN"), "{what}: {applied}");
    }
}

/// Somebody else's deployment is in flight, a service runs 0 tasks: said before anything starts.
#[test]
fn what_would_spoil_the_rollout_is_said_before() {
    let busy = Production::behind(
        &roll_out(),
        ProxyRules::default().rewrite("DescribeServices", |_, reply| {
            reply.edit_json(|json| {
                json["services"][0]["deployments"] =
                    json!([deployment("ecs-svc/7", "PRIMARY", "IN_PROGRESS", 1, 1), old(1)]);
            });
        }),
    );
    let plan = busy.relctl("plan").success();
    assert!(plan.stdout.contains("a deployment of api is in flight"), "{plan}");

    let empty = Production::start(&roll_out());
    empty.moto.ecs(
        "UpdateService",
        &json!({ "cluster": "production", "service": "api", "desiredCount": 0 }),
    );
    let plan = empty.relctl("plan").success();
    assert!(plan.stdout.contains("api runs 0 tasks"), "{plan}");
}

/// A controller with which ECS does not say how a rollout went is refused while planning, also
/// where nothing would change, with the way out: which works.
#[test]
fn unsupported_controllers_are_refused_while_planning() {
    let adopted = format!(
        "{HEAD}\n[resource.aws_ecs_service.api]\ncluster = \"production\"\nname = \"api\"\n"
    );
    let looked_up = adopted.replace("[resource.", "[lookup.");
    for controller in ["CODE_DEPLOY", "EXTERNAL"] {
        let production = Production::behind(
            &roll_out(),
            ProxyRules::default().rewrite("DescribeServices", move |_, reply| {
                reply.edit_json(|json| {
                    json["services"][0]["deploymentController"] = json!({ "type": controller });
                });
            }),
        );
        for release in [roll_out(), adopted.clone()] {
            production.environment.write("release.toml", &release);
            let plan = production.relctl("plan").exits(1);
            for part in [controller, "use a lookup here"] {
                assert!(plan.stderr.contains(part), "{part}: {plan}");
            }
        }
        production.environment.write("release.toml", &looked_up);
        production.relctl("plan").success();
        assert_eq!(production.writes(), Vec::<String>::new());
    }
}

/// E8: the reply to `RegisterTaskDefinition` is lost: the revision is found by its content.
#[test]
fn a_lost_reply_of_register_task_definition() {
    let rules = ProxyRules::default().lose_reply("RegisterTaskDefinition", 1);
    let production = Production::behind(&roll_out(), rules);
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.proxy.count("RegisterTaskDefinition"), 1);
    assert_eq!(production.revisions("api"), ["api:1", "api:2"]);
}

/// The reply to `UpdateService` is lost: the service is looked at, and not told twice.
#[test]
fn a_lost_reply_of_update_service() {
    let rules = ProxyRules::default().lose_reply("UpdateService", 1);
    let production = Production::behind(&roll_out(), rules);
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.proxy.count("UpdateService"), 1);
    assert_eq!(production.runs("api"), ("v1.1.0".to_owned(), 2));
}

/// A call that was never carried out is unknown as well, and the next apply makes good.
#[test]
fn a_call_that_never_arrived_is_made_again_by_the_next_apply() {
    let rules = ProxyRules::default().reset("UpdateService", 1);
    let production = Production::behind(&roll_out(), rules);
    let applied = production.relctl("apply --auto-approve").exits(9);
    says(&applied, &["UNKNOWN"]);
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.runs("api"), ("v1.1.0".to_owned(), 2));
}

/// Going back from a deployment that is still in flight: ECS itself takes it back, and no second
/// deployment is begun.
#[test]
fn an_unfinished_deployment_is_stopped() {
    let updated: Arc<AtomicBool> = Arc::default();
    let stopped: Arc<AtomicBool> = Arc::default();
    let (begun, halted) = (Arc::clone(&updated), Arc::clone(&stopped));
    let in_flight = || json!([new("IN_PROGRESS", 1), old(2)]);
    let before = deployment("ecs-svc/1", "PRIMARY", "COMPLETED", 1, 2);
    let back = before.clone();
    let arn = "arn:aws:ecs:us-east-1:123456789012:service-deployment/production/api/d2";
    let shown = Arc::clone(&stopped);
    let show = move |_: &ProxiedCall| {
        let status = if shown.load(SeqCst) { "ROLLBACK_SUCCESSFUL" } else { "IN_PROGRESS" };
        let mine = json!({ "serviceDeploymentArn": arn, "status": status });
        Reply::json(200, &json!({ "serviceDeployments": [mine] }))
    };
    let rules = ProxyRules::default()
        .rewrite("UpdateService", move |_, reply| {
            begun.store(true, SeqCst);
            reply.edit_json(|json| json["service"]["deployments"] = in_flight());
        })
        .rewrite("DescribeServices", move |_, reply| {
            let is_back = stopped.load(SeqCst);
            let (deployments, revision) = match (updated.load(SeqCst), is_back) {
                (false, _) => (json!([before]), 1),
                (true, false) => (in_flight(), 2),
                (true, true) => (json!([back]), 1),
            };
            let runs = deployment("", "", "", revision, 0)["taskDefinition"].clone();
            reply.edit_json(|json| {
                json["services"][0]["deployments"] = deployments;
                json["services"][0]["taskDefinition"] = runs;
            });
        })
        .answer("ListServiceDeployments", show.clone())
        .answer("DescribeServiceDeployments", show)
        .answer("StopServiceDeployment", move |_| {
            halted.store(true, SeqCst);
            Reply::json(200, &json!({ "serviceDeploymentArn": arn }))
        });
    let production = Production::behind(&roll_out(), rules);
    production.relctl("apply --auto-approve --step-timeout 7s").exits(9);
    production.relctl("revert --auto-approve").success();
    assert_eq!(production.proxy.count("UpdateService"), 1, "no second bake");
    let calls = production.proxy.calls();
    let stop = calls.iter().find(|call| call.operation == "StopServiceDeployment").unwrap();
    assert_eq!(stop.json(), json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" }));
}

/// E3: a service whose traffic ECS shifts itself (blue/green) shows no rollout state: its history
/// says how the deployment ended.
#[test]
fn a_blue_green_rollout_is_followed_in_the_history() {
    for (status, code) in [("SUCCESSFUL", 0), ("ROLLBACK_SUCCESSFUL", 9), ("STOPPED", 9)] {
        let mut silent = new("", 2);
        silent.as_object_mut().unwrap().remove("rolloutState");
        let rules = rollout(
            ProxyRules::default(),
            vec![json!({ "deployments": [silent, old(2)], "runningCount": 2 })],
        );
        let target = "arn:aws:ecs:us-east-1:123456789012:service-revision/production/api/2";
        let of = move |call: &ProxiedCall| {
            let status = if call.nth < 2 { "IN_PROGRESS" } else { status };
            let mine = json!({ "serviceDeploymentArn": "arn:d", "targetServiceRevisionArn": target,
                "status": status, "statusReason": "an alarm went off" });
            Reply::json(200, &json!({ "serviceDeployments": [mine] }))
        };
        let production =
            Production::behind(&roll_out(), rules.answer("ListServiceDeployments", of));
        let applied = production.relctl("apply --auto-approve").exits(code);
        if code == 0 {
            assert!(!applied.to_string().contains("degraded"), "{applied}");
        } else {
            says(&applied, &[status, "an alarm went off", "relctl revert"]);
        }
    }
}

/// `timeout` is the step's own, and in the plan: a roll-out may take longer or less than others.
#[test]
fn a_service_has_its_own_timeout() {
    let release = roll_out() + "timeout = \"7s\"\n";
    let stuck = json!({ "deployments": [new("IN_PROGRESS", 1), old(2)] });
    let production =
        Production::behind(&release, rollout(ProxyRules::default(), vec![began(), stuck]));
    let applied = production.relctl("apply --auto-approve").exits(9);
    says(&applied, &["not complete after", "1 of 2 tasks on the new revision"]);
}
