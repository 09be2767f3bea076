//! What a person needs to know about a rollout: how far it is, and why it failed.

use std::fmt::Write as _;

use aws_connector::json::{Object, text};
use relctl_sdk::{Host, Value};

use crate::api::{Ecs, objects};
use crate::task;

/// Progress with the newest event, which often says what ECS waits for.
pub(crate) fn progress(service: &Object, progress: &str) -> String {
    match events(service).next() {
        Some(event) => format!("{progress}; {event}"),
        None => progress.to_owned(),
    }
}

/// Why a rollout failed: the stopped tasks' reasons and exit codes with the end of a log, ECS's
/// history, the newest events. What cannot be read is left out: the failure itself must be said.
pub(crate) fn failure(
    host: &impl Host,
    ecs: &Ecs,
    service: &Object,
    deployment: Option<&str>,
    why: &str,
) -> String {
    let mut report = why.to_owned();
    let cluster = text(service, "clusterArn").unwrap_or_default();
    let name = text(service, "serviceName").unwrap_or_default();
    let stopped = stopped_tasks(ecs, cluster, name, deployment);
    for line in endings(&stopped) {
        report.push_str("\n  ");
        report.push_str(&line);
    }
    report.push_str(&last_words(host, ecs, &stopped).unwrap_or_default());
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

/// The stopped tasks of the deployment.
fn stopped_tasks(ecs: &Ecs, cluster: &str, name: &str, deployment: Option<&str>) -> Vec<Object> {
    let tasks = ecs
        .tasks_of(cluster, &("serviceName", name), "STOPPED")
        .and_then(|arns| ecs.tasks(cluster, &arns));
    let mut tasks = tasks.unwrap_or_default();
    tasks.retain(|task| deployment.is_none_or(|id| text(task, "startedBy") == Some(id)));
    tasks
}

/// Distinct lines about how they ended, at most three.
fn endings(stopped: &[Object]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for task in stopped {
        let mut line = format!("a task stopped: {}", task::stop_reason(task));
        for container in containers(task) {
            let _ = write!(line, "; {}", task::container_end(&container));
        }
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.truncate(3);
    lines
}

/// The end of the log of a container that ended badly.
fn last_words(host: &impl Host, ecs: &Ecs, stopped: &[Object]) -> Option<String> {
    let is_bad = |container: &Object| container.get("exitCode").is_some_and(|code| *code != 0);
    let (task, container) = stopped.iter().find_map(|task| {
        let container = containers(task).into_iter().find(is_bad)?;
        Some((task, text(&container, "name")?.to_owned()))
    })?;
    let definition = text(task, "taskDefinitionArn")?;
    let log = task::log_of(ecs, definition, &container, text(task, "taskArn")?)?;
    Some(log.said(host))
}

fn containers(task: &Object) -> Vec<Object> {
    objects(&Value::Object(task.clone()), "containers")
}
