//! Creates, changes and deletes a service.

use aws_connector::Problem;
use aws_connector::json::{Object, tags_to_list, text};
use relctl_sdk::{Attempt, Change, Document, Failure, Host, Level, Progress, Step, Value, Verb};
use serde_json::json;

use super::body::{self, TagChanges};
use super::canonical::{self, RESTART_TAG};
use super::rollout::{Goal, Wait};
use super::{identity, is_there, makes_deployment};
use crate::api::Ecs;
use crate::arn;

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
            let goal = Goal::Deployment(primary_id(&service));
            Ok(wait(host, step, &canonical::of_answer(&service), goal)
                .pending(host.now_ms(), "created".to_owned()))
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

fn primary_id(service: &Object) -> Option<String> {
    primary(service).and_then(|deployment| text(&deployment, "id").map(str::to_owned))
}

/// What to wait for; `now` is the service as it is.
fn wait(host: &impl Host, step: &Step, now: &Object, goal: Goal) -> Wait {
    let wanted = step.change.desired_field("task_definition").text();
    let definition = wanted.or_else(|| text(now, "task_definition")).unwrap_or_default().to_owned();
    let wanted = step.change.desired_field("desired_count").known();
    let count = wanted.or_else(|| now.get("desired_count")).and_then(Value::as_i64);
    Wait { goal, definition, empty: count == Some(0), since_ms: host.now_ms(), warned: false }
}

fn create(host: &impl Host, ecs: &Ecs, step: &Step) -> Result<Progress, Failure> {
    let desired = step.change.desired.clone().unwrap_or_default().value;
    let answer = ecs.create_service(&body::create(&desired, &step.lineage, &step.token))?;
    let service = service_in(&answer)?;
    let goal = Goal::Deployment(primary_id(&service));
    Ok(wait(host, step, &canonical::of_answer(&service), goal)
        .pending(host.now_ms(), "created".to_owned()))
}

fn delete(host: &impl Host, ecs: &Ecs, cluster: &str, name: &str) -> Result<Progress, Failure> {
    let drained = json!({ "cluster": cluster, "service": name, "desiredCount": 0 });
    ecs.update_service(&drained)?;
    ecs.delete_service(cluster, name)?;
    let wait = Wait {
        goal: Goal::Gone,
        definition: String::new(),
        empty: true,
        since_ms: host.now_ms(),
        warned: false,
    };
    Ok(wait.pending(host.now_ms(), "draining".to_owned()))
}

/// Changes what differs. The plan's observation is not there at a second attempt, so everything is
/// compared with the service as it is now.
fn update(host: &impl Host, ecs: &Ecs, step: &Step, before: &Object) -> Result<Progress, Failure> {
    let now = canonical::of_answer(before);
    let arn = text(&now, "arn").unwrap_or_default();
    let mut change = step.change.clone();
    change.observed = Some(now.clone());
    set_own_tags(host, ecs, arn, &change, &step.lineage)?;

    let earlier = if step.attempt == Attempt::Again { earlier_attempt(step, before) } else { None };
    let goal = match (earlier, body::update(&change)) {
        (Some(goal), _) => Some(goal),
        (None, None) => None,
        (None, Some(body)) => match take_back(ecs, step, before, &body)? {
            Some(arn) => Some(Goal::RolledBack(arn)),
            None => told(ecs, step, before, &body)?,
        },
    };
    change_tags(ecs, arn, &body::trigger_changes(&change))?;
    if let Some(goal) = goal {
        return Ok(
            wait(host, step, &now, goal).pending(host.now_ms(), "the service is told".to_owned())
        );
    }
    let service = look(ecs, step)?;
    Ok(Progress::Done(Document::known(canonical::of_answer(&service))))
}

/// Tells the service, and says what to wait for.
fn told(ecs: &Ecs, step: &Step, before: &Object, body: &Value) -> Result<Option<Goal>, Failure> {
    if is_forced(body) {
        // Says to a second attempt whether the restart happened.
        let mark = format!("{} {}", step.token, primary_id(before).unwrap_or_default());
        let arn = text(before, "serviceArn").unwrap_or_default();
        ecs.tag(arn, &[json!({ "key": RESTART_TAG, "value": mark })])?;
    }
    let after = send(ecs, step, before, body)?;
    if makes_deployment(&step.change) {
        let new = primary_id(&after).filter(|id| Some(id) != primary_id(before).as_ref());
        return Ok(Some(Goal::Deployment(new)));
    }
    let counts = step.change.paths.iter().any(|path| path == "/desired_count");
    Ok(counts.then_some(Goal::Count))
}

fn is_forced(body: &Value) -> bool {
    body.get("forceNewDeployment").is_some()
}

/// What an earlier attempt of this step began. `None`: nothing was begun that must not happen twice.
fn earlier_attempt(step: &Step, service: &Object) -> Option<Goal> {
    if !makes_deployment(&step.change) {
        return None;
    }
    if step.change.paths.iter().any(|path| super::top(path) == "restart_triggers") {
        let id = primary_id(service)?;
        let mark = canonical::tag(service, RESTART_TAG)?;
        let (token, at_begin) = mark.split_once(' ')?;
        return (token == step.token && at_begin != id).then_some(Goal::Deployment(Some(id)));
    }
    let now = canonical::of_answer(service);
    let definition = text(&now, "task_definition")?;
    let primary = primary(service)?;
    let runs = text(&primary, "taskDefinition").map(arn::family_revision);
    let shown = runs == Some(arn::family_revision(definition));
    let id = text(&primary, "id").filter(|_| shown).map(str::to_owned);
    is_as_wanted(step, &now).then_some(Goal::Deployment(id))
}

/// Sends the change. A lost reply is looked into at once: either the service is as wanted, or
/// nobody can say.
fn send(ecs: &Ecs, step: &Step, before: &Object, body: &Value) -> Result<Object, Failure> {
    match ecs.update_service(body) {
        Ok(answer) => service_in(&answer),
        Err(problem) if problem.is_unknown() => {
            let service = look(ecs, step)?;
            let done = if is_forced(body) {
                primary_id(&service) != primary_id(before)
            } else {
                is_as_wanted(step, &canonical::of_answer(&service))
            };
            if done { Ok(service) } else { Err(problem.into()) }
        }
        Err(problem) => Err(problem.into()),
    }
}

fn look(ecs: &Ecs, step: &Step) -> Result<Object, Failure> {
    let (cluster, name) = identity(&step.change.subject)?;
    let found = ecs.services(cluster, &[name.to_owned()])?.into_iter().find(is_there);
    found.ok_or_else(|| Failure::Unknown(format!("service `{name}` is not shown any more")))
}

/// Whether the changed fields are what they shall be.
fn is_as_wanted(step: &Step, now: &Object) -> bool {
    let desired = step.change.desired.clone().unwrap_or_default().value;
    let (desired, now) = (Value::Object(desired), Value::Object(now.clone()));
    let said = |path: &&String| !matches!(super::top(path), "tags" | "restart_triggers");
    step.change.paths.iter().filter(said).all(|path| {
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

/// Sets the declared tags, and whose the service is. The latter is worth a tag, but not a failed
/// release.
fn set_own_tags(
    host: &impl Host,
    ecs: &Ecs,
    arn: &str,
    change: &Change,
    lineage: &str,
) -> Result<(), Failure> {
    let result = change_tags(ecs, arn, &body::tag_changes(change, lineage));
    let declared = change.paths.iter().any(|path| super::top(path) == "tags");
    match result {
        Err(problem) if !declared => {
            let why = problem.sentence();
            host.log(Level::Warn, &format!("{arn} was not tagged with its ledger: {why}"));
            Ok(())
        }
        result => Ok(result?),
    }
}

fn change_tags(ecs: &Ecs, arn: &str, changes: &TagChanges) -> Result<(), Problem> {
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
