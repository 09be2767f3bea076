//! Starts a one-off task, at most once for each run key.

use aws_connector::json::{Object, text};
use relctl_sdk::{Attempt, Failure, Host, Progress, Step, Value};
use serde_json::json;

use super::wait::Wait;
use crate::api::{Ecs, objects};
use crate::arn;
use crate::service::network_to_wire;

/// `startedBy` of a run: ECS finds tasks by it.
pub(super) fn started_by(step: &Step) -> String {
    step.run_key.as_deref().unwrap_or(&step.token).chars().take(36).collect()
}

/// The task of this run, if ECS shows one, running or stopped.
pub(super) fn find(ecs: &Ecs, cluster: &str, step: &Step) -> Result<Option<String>, Failure> {
    let started_by = started_by(step);
    for status in ["RUNNING", "STOPPED"] {
        let found = ecs.tasks_of(cluster, &("startedBy", &started_by), status)?;
        if let Some(arn) = found.into_iter().next() {
            return Ok(Some(arn));
        }
    }
    Ok(None)
}

/// Starts the task, unless this run has one.
pub(crate) fn apply(host: &impl Host, step: &Step) -> Result<Progress, Failure> {
    let ecs = Ecs::new(host);
    let desired = step.change.desired.clone().unwrap_or_default().value;
    let cluster = text(&desired, "cluster").unwrap_or_default();
    let definition_arn = text(&desired, "task_definition").unwrap_or_default();
    let definition = definition_of(&ecs, definition_arn)?;
    let container = container_of(&desired, &definition)?;
    let mut wait = Wait { task: None, container, since_ms: host.now_ms(), ended_ms: None };

    if let Some(arn) = find(&ecs, cluster, step)? {
        wait.task = Some(arn);
        return Ok(wait.pending(host.now_ms(), "this run's task was started before"));
    }
    if step.attempt == Attempt::Again {
        return Err(Failure::Unknown(format!(
            "this run was begun, and ECS shows no task that it started (`aws ecs list-tasks --started-by {}`); stopped tasks stay visible for an hour. See in the database whether it ran. If it did not, make it another run: `triggers = {{ again = \"1\" }}`. If it did, leave the action out of the release",
            started_by(step)
        )));
    }
    if text(&definition, "status") != Some("ACTIVE") {
        return Err(Failure::Precondition(format!(
            "{} is {}: ECS starts active revisions only",
            arn::family_revision(definition_arn),
            text(&definition, "status").unwrap_or("not active")
        )));
    }
    if text(&definition, "networkMode") == Some("awsvpc")
        && desired.get("network").is_none_or(Value::is_null)
    {
        return Err(Failure::Precondition(format!(
            "{} uses awsvpc, so its tasks need `network`; take it from a lookup: `network = \"${{lookup.aws_ecs_service.NAME.network}}\"`",
            arn::family_revision(definition_arn)
        )));
    }
    match ecs.run_task(&body(&desired, &wait.container, step)) {
        Ok(answer) => {
            let task = objects(&answer, "tasks").into_iter().next();
            match task.and_then(|task| text(&task, "taskArn").map(str::to_owned)) {
                Some(arn) => {
                    wait.task = Some(arn);
                    Ok(wait.pending(host.now_ms(), "the task is started"))
                }
                None => {
                    Err(Failure::Precondition(format!("ECS started no task: {}", reasons(&answer))))
                }
            }
        }
        // Whether it runs will show.
        Err(problem) if problem.is_unknown() => {
            Ok(wait.pending(host.now_ms(), "no answer from ECS: looking for the task"))
        }
        Err(problem) => Err(problem.into()),
    }
}

fn reasons(answer: &Value) -> String {
    let reasons: Vec<String> = objects(answer, "failures")
        .iter()
        .map(|failure| {
            let reason = text(failure, "reason").unwrap_or("no reason given");
            match text(failure, "detail") {
                Some(detail) => format!("{reason} ({detail})"),
                None => reason.to_owned(),
            }
        })
        .collect();
    if reasons.is_empty() { "it gives no reason".to_owned() } else { reasons.join(", ") }
}

pub(super) fn definition_of(ecs: &Ecs, arn: &str) -> Result<Object, Failure> {
    let answer = ecs.task_definition(arn)?;
    let definition = answer.and_then(|answer| answer.get("taskDefinition")?.as_object().cloned());
    definition.ok_or_else(|| {
        Failure::NotFound(format!("task definition {} is not there", arn::family_revision(arn)))
    })
}

/// The container that runs the command and whose exit code decides: the named one, or the only
/// essential one.
fn container_of(desired: &Object, definition: &Object) -> Result<String, Failure> {
    let containers = objects(&Value::Object(definition.clone()), "containerDefinitions");
    let names: Vec<&str> = containers.iter().filter_map(|c| text(c, "name")).collect();
    if let Some(wanted) = text(desired, "container") {
        if names.contains(&wanted) {
            return Ok(wanted.to_owned());
        }
        return Err(Failure::Precondition(format!(
            "the task definition has no container `{wanted}`; it has {}",
            names.join(", ")
        )));
    }
    let is_essential = |c: &&Object| c.get("essential") != Some(&Value::Bool(false));
    let essential: Vec<&str> =
        containers.iter().filter(is_essential).filter_map(|c| text(c, "name")).collect();
    match essential.as_slice() {
        [only] => Ok((*only).to_owned()),
        _ => Err(Failure::Precondition(format!(
            "the task has several essential containers; name the one that decides: `container = \"…\"`, one of {}",
            names.join(", ")
        ))),
    }
}

/// `overrides` of `RunTask`.
pub(super) fn overrides(desired: &Object, container: &str) -> Value {
    let mut of_container = Object::new();
    of_container.insert("name".to_owned(), container.into());
    if let Some(command) = desired.get("command").filter(|command| !command.is_null()) {
        of_container.insert("command".to_owned(), command.clone());
    }
    if let Some(Value::Object(environment)) = desired.get("environment") {
        let list: Vec<Value> = environment
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        of_container.insert("environment".to_owned(), list.into());
    }
    let mut overrides = Object::new();
    for name in ["cpu", "memory"] {
        if let Some(value) = text(desired, name) {
            overrides.insert(name.to_owned(), value.into());
        }
    }
    if of_container.len() > 1 {
        overrides.insert("containerOverrides".to_owned(), json!([of_container]));
    }
    Value::Object(overrides)
}

fn body(desired: &Object, container: &str, step: &Step) -> Value {
    let mut body = json!({
        "cluster": desired.get("cluster"),
        "taskDefinition": desired.get("task_definition"),
        "count": 1,
        "startedBy": started_by(step),
        // Never the SDK's own: a guest has no entropy, every one would send the same.
        "clientToken": step.token,
        "overrides": overrides(desired, container),
    });
    let Some(body_map) = body.as_object_mut() else { return body };
    if let Some(network) = desired.get("network").filter(|network| !network.is_null()) {
        body_map.insert("networkConfiguration".to_owned(), network_to_wire(network));
    }
    for (name, wire) in [
        ("launch_type", "launchType"),
        ("platform_version", "platformVersion"),
        ("capacity_provider_strategy", "capacityProviderStrategy"),
    ] {
        if let Some(value) = desired.get(name).filter(|value| !value.is_null()) {
            body_map.insert(wire.to_owned(), crate::names::value_to_camel(value));
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    use relctl_sdk::testing::map as object;

    #[test]
    fn the_container_is_named_or_clear() {
        let two = object(
            json!({ "containerDefinitions": [{ "name": "api", "essential": true }, { "name": "proxy", "essential": false }] }),
        );
        let both =
            object(json!({ "containerDefinitions": [{ "name": "api" }, { "name": "proxy" }] }));
        assert_eq!(container_of(&object(json!({})), &two).unwrap(), "api");
        assert_eq!(container_of(&object(json!({ "container": "proxy" })), &two).unwrap(), "proxy");
        assert!(
            matches!(container_of(&object(json!({ "container": "x" })), &two), Err(Failure::Precondition(m)) if m.contains("api, proxy"))
        );
        assert!(
            matches!(container_of(&object(json!({})), &both), Err(Failure::Precondition(m)) if m.contains("container = "))
        );
    }

    #[test]
    fn overrides_are_of_the_container() {
        assert_eq!(overrides(&object(json!({})), "api"), json!({}));
        assert_eq!(
            overrides(
                &object(
                    json!({ "command": ["a"], "environment": { "B": "2", "A": "1" }, "cpu": "512" })
                ),
                "api"
            ),
            json!({ "cpu": "512", "containerOverrides": [{ "name": "api", "command": ["a"],
                "environment": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }] }] })
        );
    }
}
