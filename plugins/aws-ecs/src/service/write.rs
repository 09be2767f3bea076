//! Creates, changes and deletes a service.

use aws_connector::json::{Object, tags_to_list, text};
use relctl_sdk::{Attempt, Document, Failure, Host, Level, Progress, Step, Value, Verb};

use super::body::{self, TagChanges};
use super::canonical;
use super::rollout::{Goal, Wait};
use super::{identity, is_there, makes_deployment};
use crate::api::Ecs;

/// Does a step, up to where there is something to wait for.
pub(crate) fn apply(host: &impl Host, step: &Step) -> Result<Progress, Failure> {
    let ecs = Ecs::new(host);
    let (cluster, name) = identity(&step.change.subject)?;
    let there = ecs.services(cluster, &[name.to_owned()])?.into_iter().find(is_there);
    match (step.change.verb, there) {
        (Verb::Delete, None) => Ok(Progress::Done(Document::default())),
        (Verb::Delete, Some(_)) => delete(host, &ecs, cluster, name),
        (Verb::Create, None) => create(host, &ecs, step),
        (Verb::Create, Some(service)) if is_ours(&service, step) => {
            let id = primary(&service).and_then(|d| text(&d, "id").map(str::to_owned));
            Ok(wait(host, step, Goal::Deployment(id)).pending("created, starting".to_owned()))
        }
        (Verb::Create, Some(_)) => Err(Failure::Precondition(format!(
            "service `{name}` of cluster `{cluster}` exists already; plan again to adopt it"
        ))),
        (_, Some(service)) => update(host, &ecs, step, &service),
        (_, None) => {
            Err(Failure::NotFound(format!("service `{name}` of cluster `{cluster}` is gone")))
        }
    }
}

/// Whether a service that was to be created was created by an earlier attempt of this step.
fn is_ours(service: &Object, step: &Step) -> bool {
    let lineage = canonical::of_answer(service);
    step.attempt == Attempt::Again && text(&lineage, "lineage") == Some(&step.lineage)
}

fn primary(service: &Object) -> Option<Object> {
    canonical::deployments(service).into_iter().find(|d| text(d, "status") == Some("PRIMARY"))
}

fn wait(host: &impl Host, step: &Step, goal: Goal) -> Wait {
    let change = &step.change;
    let wanted = change.desired_field("task_definition").text();
    let definition = wanted.or(change.observed_text("task_definition")).unwrap_or_default();
    Wait { goal, definition: definition.to_owned(), since_ms: host.now_ms() }
}

fn create(host: &impl Host, ecs: &Ecs, step: &Step) -> Result<Progress, Failure> {
    let desired = step.change.desired.clone().unwrap_or_default().value;
    let answer = ecs.create_service(&body::create(&desired, &step.lineage, &step.token))?;
    let service = service_in(&answer)?;
    let id = primary(&service).and_then(|d| text(&d, "id").map(str::to_owned));
    Ok(wait(host, step, Goal::Deployment(id)).pending("created, starting".to_owned()))
}

fn delete(host: &impl Host, ecs: &Ecs, cluster: &str, name: &str) -> Result<Progress, Failure> {
    ecs.update_service(
        &serde_json::json!({ "cluster": cluster, "service": name, "desiredCount": 0 }),
    )?;
    ecs.delete_service(cluster, name)?;
    let wait = Wait { goal: Goal::Gone, definition: String::new(), since_ms: host.now_ms() };
    Ok(wait.pending("draining".to_owned()))
}

fn update(host: &impl Host, ecs: &Ecs, step: &Step, before: &Object) -> Result<Progress, Failure> {
    let arn = text(before, "serviceArn").unwrap_or_default().to_owned();
    change_tags(ecs, &arn, &body::tag_changes(&step.change, &step.lineage)).or_else(|failure| {
        // Whose a service is, is worth a tag, but not a failed release.
        let only_lineage = !step.change.paths.iter().any(|path| super::top(path) == "tags");
        if only_lineage {
            host.log(
                Level::Warn,
                &format!("the service was not tagged with its ledger: {failure:?}"),
            );
            Ok(())
        } else {
            Err(failure)
        }
    })?;
    let deploys = makes_deployment(&step.change);
    let id_before = primary(before).and_then(|d| text(&d, "id").map(str::to_owned));
    let started = if deploys && step.attempt == Attempt::Again {
        earlier_attempt(step, before)
    } else {
        None
    };
    let goal = match (started, body::update(&step.change)) {
        (Some(id), _) => Some(Goal::Deployment(Some(id))),
        (None, None) => None,
        (None, Some(body)) => {
            if let Some(arn) = take_back(ecs, step, before, &body)? {
                Some(Goal::RolledBack(arn))
            } else {
                let after = send(ecs, step, &body)?;
                let id = primary(&after).and_then(|d| text(&d, "id").map(str::to_owned));
                if deploys {
                    Some(Goal::Deployment(id.filter(|id| Some(id) != id_before.as_ref())))
                } else {
                    let counts = step.change.paths.iter().any(|path| path == "/desired_count");
                    counts.then_some(Goal::Count)
                }
            }
        }
    };
    change_tags(ecs, &arn, &body::trigger_changes(&step.change))?;
    if let Some(goal) = goal {
        Ok(wait(host, step, goal).pending("the service is told".to_owned()))
    } else {
        let (cluster, name) = identity(&step.change.subject)?;
        let service = ecs.services(cluster, &[name.to_owned()])?.into_iter().next();
        let service = service.unwrap_or_default();
        Ok(Progress::Done(Document::known(canonical::of_answer(&service))))
    }
}

/// The deployment that an earlier attempt of this step made: one that was not there when the step
/// began, and that runs what is wanted. Without this look a restart could happen twice.
fn earlier_attempt(step: &Step, service: &Object) -> Option<String> {
    let at_begin = step.change.observed_text("deployment_id");
    let wanted = step.change.desired_field("task_definition").text();
    let primary = primary(service)?;
    let id = text(&primary, "id")?;
    let runs = canonical::of_answer(service);
    let right = wanted.is_none_or(|wanted| text(&runs, "task_definition") == Some(wanted));
    (Some(id) != at_begin && right).then(|| id.to_owned())
}

/// Sends the change. A lost reply is looked into at once: either the service is as wanted, or
/// nobody can say.
fn send(ecs: &Ecs, step: &Step, body: &Value) -> Result<Object, Failure> {
    match ecs.update_service(body) {
        Ok(answer) => service_in(&answer),
        Err(problem) if problem.is_unknown() => {
            let (cluster, name) = identity(&step.change.subject)?;
            let service = ecs.services(cluster, &[name.to_owned()])?.into_iter().next();
            let service = service.unwrap_or_default();
            let forced = body.get("forceNewDeployment").is_some();
            let done = if forced {
                earlier_attempt(step, &service).is_some()
            } else {
                is_as_wanted(step, &canonical::of_answer(&service))
            };
            if done { Ok(service) } else { Err(problem.into()) }
        }
        Err(problem) => Err(problem.into()),
    }
}

/// Whether the changed fields are what they shall be, as far as they can be compared.
fn is_as_wanted(step: &Step, now: &Object) -> bool {
    let desired = step.change.desired.clone().unwrap_or_default().value;
    let (desired, now) = (Value::Object(desired), Value::Object(now.clone()));
    step.change.paths.iter().filter(|path| super::top(path) != "tags").all(|path| {
        let want = desired.pointer(path).filter(|value| !value.is_null());
        want == now.pointer(path).filter(|value| !value.is_null())
    })
}

/// Going back while the deployment is still in flight: ECS itself takes it back, where it can.
/// Another `UpdateService` would start a second bake.
fn take_back(
    ecs: &Ecs,
    step: &Step,
    before: &Object,
    body: &Value,
) -> Result<Option<String>, Failure> {
    let Some(undo) = &step.change.undo else { return Ok(None) };
    let wanted = step.change.desired_field("task_definition").text();
    let only_definition = body.as_object().is_some_and(|body| {
        body.keys().all(|key| matches!(key.as_str(), "cluster" | "service" | "taskDefinition"))
    });
    let was = undo.open.field("deployment_id").text();
    let deployments = canonical::deployments(before);
    let is_back =
        deployments.iter().any(|d| text(d, "id") == was && text(d, "taskDefinition") == wanted);
    let in_flight = primary(before).is_some_and(|d| canonical::is_in_flight(&d));
    if was.is_none() || !only_definition || !is_back || !in_flight {
        return Ok(None);
    }
    let (cluster, name) = identity(&step.change.subject)?;
    let Some(history) = ecs.service_deployments(cluster, name)? else { return Ok(None) };
    let running = history.iter().find(|d| text(d, "status") == Some("IN_PROGRESS"));
    let Some(arn) = running.and_then(|d| text(d, "serviceDeploymentArn")) else { return Ok(None) };
    match ecs.roll_back_deployment(arn) {
        Ok(_) => Ok(Some(arn.to_owned())),
        Err(problem) if problem.is_not_implemented() => Ok(None),
        Err(problem) => Err(problem.into()),
    }
}

fn change_tags(ecs: &Ecs, arn: &str, changes: &TagChanges) -> Result<(), Failure> {
    if !changes.set.is_empty() {
        ecs.tag(arn, &tags_to_list(&changes.set))?;
    }
    if !changes.removed.is_empty() {
        ecs.untag(arn, &changes.removed)?;
    }
    Ok(())
}

fn service_in(answer: &Value) -> Result<Object, Failure> {
    let service = answer.get("service").and_then(Value::as_object).cloned();
    service.ok_or_else(|| Failure::Unknown("ECS answered without a service".to_owned()))
}
