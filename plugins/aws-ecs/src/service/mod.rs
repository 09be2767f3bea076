//! `aws_ecs_service`: which revision a service runs, and how.

mod body;
mod canonical;
mod report;
mod rollout;
mod write;

use aws_connector::json::{Object, text};
use aws_connector::{documents, wrong};
use relctl_sdk::{
    Assessment, Change, Diagnostic, Document, Failure, Field, Host, Map, Reversal, Risk, Severity,
    Subject, Undo, Value, Verb,
};

use crate::api::Ecs;
use crate::arn;
use crate::config::Home;

pub(crate) use body::network_to_wire;
pub(crate) use canonical::of_answer;
pub(crate) use rollout::poll;
pub(crate) use write::apply;

/// The canonical form of what is declared.
pub(crate) fn validate(host: &impl Host, declared: &Document) -> Result<Document, Vec<Diagnostic>> {
    let home = Home::of(host).map_err(|error| vec![error])?;
    let prefix = home.arn_prefix();
    let document =
        documents::canonical(declared, |object| canonical::of_declared(object, prefix.as_deref()));
    let mut problems = Vec::new();
    if let Some(definition) = document.field("task_definition").text() {
        problems.extend(check_definition(definition, &home));
    }
    if document.field("desired_count").known().and_then(Value::as_i64).is_some_and(|n| n < 0) {
        problems.push(wrong("/desired_count", "is less than 0", "give 0 or more"));
    }
    let controller = document.field("deployment_controller").known().and_then(|c| c.get("type"));
    if controller.and_then(Value::as_str).is_some_and(|name| NOT_FOLLOWED.contains(&name)) {
        problems.push(wrong(
            "/deployment_controller/type",
            "is one with which ECS does not say how a rollout went",
            "use `ECS`, with a `strategy` in `deployment_configuration` for blue/green",
        ));
    }
    if let Some(tags) = document.field("tags").known().and_then(Value::as_object) {
        problems.extend(crate::tags::rules(tags));
    }
    let triggers = document.field("restart_triggers").known().and_then(Value::as_object);
    for (key, value) in triggers.into_iter().flatten() {
        if value.as_str().is_some_and(|value| value.chars().count() > 256) {
            problems.push(wrong(
                &format!("/restart_triggers/{key}"),
                "is longer than the 256 characters of a tag, where it is kept",
                "use a hash of it",
            ));
        }
    }
    if problems.is_empty() { Ok(document) } else { Err(problems) }
}

/// A task definition must name a revision, in the account and the region of the plugin.
fn check_definition(definition: &str, home: &Home) -> Option<Diagnostic> {
    let at = "/task_definition";
    if !definition.starts_with("arn:") {
        return Some(wrong(
            at,
            "is a short name, and the plugin's account is not known",
            "give `account` and `region` in the plugin's `config`, or the whole ARN",
        ));
    }
    if arn::revision_of(definition).is_none() {
        return Some(wrong(
            at,
            "names no revision, so that nobody could say what will run",
            "write `family:revision`, or refer to the task definition's `arn`",
        ));
    }
    let (region, account) = arn::region_and_account(definition)?;
    let differs = |ours: Option<&str>, theirs: &str| ours.is_some_and(|ours| ours != theirs);
    if differs(home.region(), region) || differs(home.account(), account) {
        return Some(wrong(
            at,
            &format!("is of account {account} and region {region}, not of this plugin's"),
            "use a task definition of the same account and region",
        ));
    }
    None
}

/// What is there. The subjects share their cluster (`group-by`).
pub(crate) fn observe(host: &impl Host, subjects: &[Subject]) -> Vec<Result<Option<Map>, Failure>> {
    let ecs = Ecs::new(host);
    let mut by_cluster: Vec<(String, Vec<String>)> = Vec::new();
    for (cluster, name) in subjects.iter().filter_map(|subject| identity(subject).ok()) {
        match by_cluster.iter_mut().find(|(known, _)| *known == cluster) {
            Some((_, names)) => names.push(name.to_owned()),
            None => by_cluster.push((cluster.to_owned(), vec![name.to_owned()])),
        }
    }
    let found: Vec<(String, Result<Vec<Object>, Failure>)> = by_cluster
        .into_iter()
        .map(|(cluster, names)| {
            let services = ecs.services(&cluster, &names).map_err(Failure::from);
            (cluster, services)
        })
        .collect();
    let one = |subject: &Subject| {
        let (cluster, name) = identity(subject)?;
        let services = found.iter().find(|(known, _)| known == cluster).map(|(_, found)| found);
        match services {
            Some(Ok(services)) => {
                let is_it = |service: &&Object| {
                    is_there(service) && text(service, "serviceName") == Some(name)
                };
                let found = services.iter().find(is_it).map(canonical::of_answer);
                if let Some(found) = found.as_ref().filter(|_| subject.role() == "resource") {
                    check_controller(name, found)?;
                }
                Ok(found)
            }
            Some(Err(Failure::NotFound(_))) => Err(Failure::NotFound(format!(
                "cluster `{cluster}` is not there; check its name, and the plugin's account and region"
            ))),
            Some(Err(failure)) => Err(failure.clone()),
            None => Ok(None),
        }
    };
    subjects.iter().map(one).collect()
}

/// Controllers with which ECS does not say how a rollout went.
const NOT_FOLLOWED: &[&str] = &["CODE_DEPLOY", "EXTERNAL"];

/// A service whose rollouts ECS does not follow can be looked up, and cannot be owned: also one
/// that is only adopted would be changed by a later release.
fn check_controller(name: &str, service: &Map) -> Result<(), Failure> {
    let controller = service.get("deployment_controller").and_then(|c| c.get("type"));
    match controller.and_then(Value::as_str) {
        Some(controller) if NOT_FOLLOWED.contains(&controller) => {
            Err(Failure::Precondition(format!(
                "service {name} is deployed by {controller}, where ECS does not say how a rollout went; give the service the ECS controller (rolling, or ECS's own blue/green), or leave its deployment to that tool and use a lookup here"
            )))
        }
        _ => Ok(()),
    }
}

/// Whether a service is more than a memory: deleted ones stay visible for a while.
fn is_there(service: &Object) -> bool {
    !matches!(text(service, "status"), Some("INACTIVE" | "DRAINING"))
}

fn identity(subject: &Subject) -> Result<(&str, &str), Failure> {
    let cluster = documents::identity(subject, "cluster")?;
    Ok((arn::name_of(cluster), documents::identity(subject, "name")?))
}

/// Fields whose change makes ECS replace the tasks.
const REPLACES_TASKS: &[&str] = &[
    "task_definition",
    "network_configuration",
    "load_balancer",
    "service_registries",
    "platform_version",
    "capacity_provider_strategy",
    "service_connect_configuration",
    "volume_configuration",
    "vpc_lattice_configurations",
    "restart_triggers",
];

/// Whether a change makes a new deployment.
fn makes_deployment(change: &Change) -> bool {
    change.paths.iter().any(|path| REPLACES_TASKS.contains(&top(path)))
}

/// The top-level field that a JSON pointer points into.
fn top(pointer: &str) -> &str {
    pointer.split('/').nth(1).unwrap_or_default()
}

/// What a change of a service would mean.
pub(crate) fn assess(change: &Change) -> Result<Assessment, Failure> {
    let Some(observed) = &change.observed else {
        check_creation(change)?;
        return Ok(Assessment::new(Reversal::Exact));
    };
    let mut assessment = Assessment::new(Reversal::Exact);
    let name = text(observed, "name").unwrap_or_default();
    if change.verb == Verb::Replace {
        return Err(Failure::Precondition(format!(
            "ECS cannot change this of service {name} in place, and keeps the name of a deleted service while it drains; declare a service of another name beside it, move the traffic, and remove this one in a later release"
        )));
    }
    if change.verb == Verb::Delete {
        assessment.reversal = Reversal::Compensating;
        assessment.risks.push(Risk {
            severity: Severity::Downtime,
            message: format!("service {name} and its tasks stop"),
        });
        return Ok(assessment);
    }
    let deploys = makes_deployment(change);
    if deploys && observed.contains_key("deployment_in_flight") {
        assessment.risks.push(Risk {
            severity: Severity::Caution,
            message: format!(
                "a deployment of {name} is in flight already, and this one will replace it"
            ),
        });
    }
    let counts =
        matches!(change.desired_field("desired_count"), Field::Known(count) if *count != 0);
    if deploys && observed.contains_key("scaled_to_zero") && !counts {
        assessment.risks.push(Risk {
            severity: Severity::Caution,
            message: format!("{name} runs 0 tasks, so that its rollout will prove nothing"),
        });
    }
    if change.desired_field("desired_count").known() == Some(&Value::from(0))
        && change.paths.iter().any(|p| p == "/desired_count")
    {
        assessment.risks.push(Risk {
            severity: Severity::Downtime,
            message: format!("{name} goes to 0 tasks"),
        });
    }
    if deploys {
        assessment
            .relies_on
            .extend(["/deployment_in_flight".to_owned(), "/scaled_to_zero".to_owned()]);
    }
    assessment.undo = Some(undo_of(observed));
    Ok(assessment)
}

/// What ECS asks for at creation only.
fn check_creation(change: &Change) -> Result<(), Failure> {
    let daemon = change.desired_field("scheduling_strategy").text() == Some("DAEMON");
    if daemon || change.desired_field("desired_count") != Field::Absent {
        return Ok(());
    }
    Err(Failure::Invalid(vec![wrong(
        "/desired_count",
        "is missing, and ECS asks for it to create a service",
        "write it; where autoscaling moves it afterwards, add `lifecycle = { external = [\"desired_count\"] }`",
    )]))
}

/// What is needed to go back: which deployment was there, and which revision it ran.
fn undo_of(observed: &Map) -> Undo {
    let mut open = Document::default();
    for name in ["task_definition", "deployment_id"] {
        if let Some(value) = observed.get(name) {
            open.set(name, value.clone());
        }
    }
    Undo { open, sealed: None }
}
