//! What a person needs to know about a rollout: how far it is, and why it failed.

use std::fmt::Write as _;

use aws_connector::json::{Object, text};
use relctl_sdk::Value;

use crate::api::{Ecs, objects};
use crate::task;

/// Progress with the newest event, which often says what ECS waits for.
pub(crate) fn progress(service: &Object, progress: &str) -> String {
    match events(service).next() {
        Some(event) => format!("{progress}; {event}"),
        None => progress.to_owned(),
    }
}

/// Why a rollout failed: the stopped tasks' reasons and exit codes, ECS's history, the newest
/// events. What cannot be read is left out: the failure itself must be said.
pub(crate) fn failure(ecs: &Ecs, service: &Object, deployment: Option<&str>, why: &str) -> String {
    let mut report = why.to_owned();
    let cluster = text(service, "clusterArn").unwrap_or_default();
    let name = text(service, "serviceName").unwrap_or_default();
    for line in stopped_tasks(ecs, cluster, name, deployment) {
        report.push_str("\n  ");
        report.push_str(&line);
    }
    if let Ok(Some(history)) = ecs.service_deployments(cluster, name)
        && let Some(newest) = history.first()
    {
        let status = text(newest, "status").unwrap_or_default();
        let reason = text(newest, "statusReason").unwrap_or_default();
        let _ = write!(report, "\n  deployment history: {status} {reason}");
    }
    for event in events(service).take(3) {
        report.push_str("\n  event: ");
        report.push_str(event);
    }
    report
}

fn events(service: &Object) -> impl Iterator<Item = &str> {
    let events = service.get("events").and_then(Value::as_array);
    events.into_iter().flatten().filter_map(|event| event.get("message")?.as_str())
}

/// Distinct lines about stopped tasks of the deployment, at most three.
fn stopped_tasks(ecs: &Ecs, cluster: &str, name: &str, deployment: Option<&str>) -> Vec<String> {
    let tasks = ecs
        .tasks_of(cluster, &("serviceName", name), "STOPPED")
        .and_then(|arns| ecs.tasks(cluster, &arns))
        .unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    for stopped in tasks {
        let other = deployment.is_some_and(|id| text(&stopped, "startedBy") != Some(id));
        if other {
            continue;
        }
        let mut line = format!("a task stopped: {}", task::stop_reason(&stopped));
        for container in objects(&Value::Object(stopped.clone()), "containers") {
            let _ = write!(line, "; {}", task::container_end(&container));
        }
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.truncate(3);
    lines
}
