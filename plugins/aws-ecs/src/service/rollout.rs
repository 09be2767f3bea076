//! Follows the deployment that a step created, and nothing else.
//!
//! A service that is stable proves nothing: ECS is stable after it rolled back, too. Success is
//! the very deployment of this step, complete, with its tasks running (facts: E3, E4).

use aws_connector::json::{Object, text};
use aws_connector::look_again_ms;
use relctl_sdk::{Document, Failure, Host, Level, Progress, Step, Value};
use serde_json::json;

use super::{canonical, identity, report};
use crate::api::Ecs;
use crate::arn;

/// The longest wait between two looks, in milliseconds.
const LOOK_AGAIN_MS: u32 = 3_000;

/// What a step waits for. It crosses to the host and back as the token of a pending step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wait {
    pub(crate) goal: Goal,
    /// The task definition that shall run, an ARN.
    pub(crate) definition: String,
    /// The service ran 0 tasks before, or shall: that its rollout proves nothing is known.
    pub(crate) empty: bool,
    /// When the wait began, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    /// The person was told that this will be a degraded success.
    pub(crate) warned: bool,
}

/// What ends a wait.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Goal {
    /// This deployment is complete. `None`: the endpoint shows no deployment of its own for the
    /// change, so that only the service's counts can be looked at.
    Deployment(Option<String>),
    /// The service runs as many tasks as it shall.
    Count,
    /// ECS took the deployment with this ARN back.
    RolledBack(String),
    /// The service is gone.
    Gone,
}

impl Wait {
    pub(crate) fn to_token(&self) -> String {
        let (goal, of) = match &self.goal {
            Goal::Deployment(id) => ("deployment", id.as_deref()),
            Goal::Count => ("count", None),
            Goal::RolledBack(arn) => ("rolled-back", Some(arn.as_str())),
            Goal::Gone => ("gone", None),
        };
        json!({ "goal": goal, "of": of, "definition": self.definition, "empty": self.empty, "since": self.since_ms, "warned": self.warned })
            .to_string()
    }

    pub(crate) fn from_token(token: &str) -> Option<Self> {
        let token: Object = serde_json::from_str(token).ok()?;
        let of = text(&token, "of").map(str::to_owned);
        let goal = match text(&token, "goal")? {
            "deployment" => Goal::Deployment(of),
            "count" => Goal::Count,
            "rolled-back" => Goal::RolledBack(of?),
            "gone" => Goal::Gone,
            _ => return None,
        };
        let definition = text(&token, "definition")?.to_owned();
        let empty = token.get("empty")?.as_bool()?;
        let since_ms = token.get("since")?.as_u64()?;
        let warned = token.get("warned")?.as_bool()?;
        Some(Self { goal, definition, empty, since_ms, warned })
    }

    pub(crate) fn pending(&self, now_ms: u64, message: String) -> Progress {
        let elapsed_ms = now_ms.saturating_sub(self.since_ms);
        let retry_after_ms = look_again_ms(elapsed_ms, LOOK_AGAIN_MS);
        Progress::Pending { token: self.to_token(), message, retry_after_ms }
    }
}

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As wanted, and seen to be.
    Complete,
    /// As wanted as far as the endpoint shows it; why that is not all.
    Degraded(&'static str),
    /// Not yet; how far it is.
    Under(String),
    /// It will not be; why.
    Failed(String),
}

/// Judges what `DescribeServices` answers.
pub(crate) fn judge(service: &Object, wait: &Wait) -> Standing {
    match &wait.goal {
        Goal::Deployment(Some(id)) => judge_deployment(service, id, wait),
        Goal::Deployment(None) | Goal::Count | Goal::RolledBack(_) | Goal::Gone => {
            judge_counts(service, wait)
        }
    }
}

fn judge_deployment(service: &Object, id: &str, wait: &Wait) -> Standing {
    let definition = wait.definition.as_str();
    let deployments = canonical::deployments(service);
    let primary = deployments.iter().find(|d| text(d, "status") == Some("PRIMARY"));
    let instead = || {
        primary.filter(|d| text(d, "id") != Some(id)).map_or_else(String::new, |d| {
            let runs = text(d, "taskDefinition").map_or("", arn::family_revision);
            format!("; deployment {} of {runs} is in its place", text(d, "id").unwrap_or_default())
        })
    };
    let Some(mine) = deployments.iter().find(|d| text(d, "id") == Some(id)) else {
        return Standing::Failed(format!(
            "deployment {id} of this step is gone: it was rolled back, or somebody deployed over it{}",
            instead()
        ));
    };
    let state = text(mine, "rolloutState");
    if state == Some("FAILED") {
        let reason = text(mine, "rolloutStateReason").unwrap_or("ECS gives no reason");
        return Standing::Failed(format!("deployment {id} failed: {reason}{}", instead()));
    }
    if text(mine, "status") != Some("PRIMARY") {
        return Standing::Failed(format!("deployment {id} of this step was replaced{}", instead()));
    }
    if text(mine, "taskDefinition").map(arn::family_revision)
        != Some(arn::family_revision(definition))
    {
        return Standing::Failed(format!(
            "deployment {id} runs {}, not {}",
            text(mine, "taskDefinition").map_or("", arn::family_revision),
            arn::family_revision(definition)
        ));
    }
    let (running, desired) = (count(mine, "runningCount"), count(mine, "desiredCount"));
    let progress = || {
        let failed = count(mine, "failedTasks");
        let failed = if failed > 0 { format!(", {failed} failed to start") } else { String::new() };
        Standing::Under(format!("{running} of {desired} tasks on the new revision{failed}"))
    };
    let others: i64 = deployments
        .iter()
        .filter(|d| text(d, "id") != Some(id))
        .map(|d| count(d, "runningCount"))
        .sum();
    match state {
        Some("COMPLETED") if desired == 0 => at_zero(wait),
        Some("COMPLETED") if others > 0 => Standing::Under(format!(
            "{running} of {desired} tasks on the new revision, {others} of older ones not yet gone"
        )),
        Some("COMPLETED") if running >= desired => Standing::Complete,
        None if deployments.len() == 1 && running >= desired && desired > 0 => {
            Standing::Degraded("this service's endpoint does not say how its rollout stands")
        }
        _ => progress(),
    }
}

/// A rollout at 0 tasks proves nothing; unless that was known, it is none.
fn at_zero(wait: &Wait) -> Standing {
    if wait.empty {
        Standing::Degraded("it runs 0 tasks, which proves nothing")
    } else {
        Standing::Failed(
            "it was scaled to 0 tasks meanwhile, so that nothing shows whether the new revision works"
                .to_owned(),
        )
    }
}

fn judge_counts(service: &Object, wait: &Wait) -> Standing {
    let runs = text(service, "taskDefinition").map_or("", arn::family_revision);
    if runs != arn::family_revision(&wait.definition) {
        return Standing::Failed(format!(
            "the service runs {runs}, not {}: somebody changed it meanwhile",
            arn::family_revision(&wait.definition)
        ));
    }
    let (running, desired) = (count(service, "runningCount"), count(service, "desiredCount"));
    if running < desired || (wait.goal == Goal::Count && running > desired) {
        return Standing::Under(format!("{running} of {desired} tasks run"));
    }
    match (&wait.goal, desired) {
        (Goal::Count, _) => Standing::Complete,
        (_, 0) => at_zero(wait),
        _ => Standing::Degraded(
            "the endpoint shows no deployment of this change, only the service's counts",
        ),
    }
}

fn count(object: &Object, name: &str) -> i64 {
    object.get(name).and_then(Value::as_i64).unwrap_or_default()
}

/// Looks how a pending step stands.
pub(crate) fn poll(host: &impl Host, step: &Step, token: &str) -> Result<Progress, Failure> {
    let wait = Wait::from_token(token).ok_or_else(|| {
        Failure::Unknown("the token of this wait is not one of this plugin's".to_owned())
    })?;
    let (cluster, name) = identity(&step.change.subject)?;
    let ecs = Ecs::new(host);
    let service = ecs.services(cluster, &[name.to_owned()])?.into_iter().next();
    let is_there = service.as_ref().is_some_and(super::is_there);
    let service = match service {
        _ if wait.goal == Goal::Gone && !is_there => {
            return Ok(Progress::Done(Document::default()));
        }
        Some(service) if is_there || wait.goal == Goal::Gone => service,
        _ => {
            return Err(Failure::Partial(Document::default(), format!("service {name} is gone")));
        }
    };
    let standing = match &wait.goal {
        Goal::RolledBack(arn) => taken_back(&ecs, &service, &wait, arn)?,
        Goal::Gone => Standing::Under(format!("{} tasks left", count(&service, "runningCount"))),
        Goal::Deployment(Some(id)) if is_silent(&service, id) => {
            by_history(&ecs, &service, id, &wait)?.unwrap_or_else(|| judge(&service, &wait))
        }
        _ => judge(&service, &wait),
    };
    // Before relctl's own clock runs out, which could only say that nobody knows.
    let waited = host.now_ms().saturating_sub(wait.since_ms);
    let overdue = waited + 2 * u64::from(LOOK_AGAIN_MS) > step.timeout_ms;
    match standing {
        Standing::Complete => Ok(Progress::Done(Document::known(canonical::of_answer(&service)))),
        // Said as progress, which a person and a CI log see, before it is done.
        Standing::Degraded(why) if !wait.warned => {
            let wait = Wait { warned: true, ..wait };
            Ok(wait
                .pending(host.now_ms(), format!("as wanted, but verification is degraded: {why}")))
        }
        Standing::Degraded(why) => {
            host.log(Level::Warn, &format!("service {name}: verification degraded: {why}"));
            let mut document = Document::known(canonical::of_answer(&service));
            document.set("verification", format!("degraded: {why}"));
            Ok(Progress::Done(document))
        }
        Standing::Under(progress) if overdue => {
            let why = format!("not complete after {} s: {progress}", waited / 1000);
            Err(failed(host, &ecs, &service, &wait, &why))
        }
        Standing::Under(progress) => {
            Ok(wait.pending(host.now_ms(), report::progress(&service, &progress)))
        }
        Standing::Failed(why) => Err(failed(host, &ecs, &service, &wait, &why)),
    }
}

/// Whether the service shows a deployment without saying how it stands, as it does where ECS shifts
/// the traffic itself (blue/green, linear, canary).
fn is_silent(service: &Object, id: &str) -> bool {
    let deployments = canonical::deployments(service);
    let mine = deployments.iter().find(|d| text(d, "id") == Some(id));
    mine.is_some_and(|mine| text(mine, "rolloutState").is_none())
}

/// How a deployment stands by ECS's own history. `None`: it is not in there, or there is none.
fn by_history(
    ecs: &Ecs,
    service: &Object,
    id: &str,
    wait: &Wait,
) -> Result<Option<Standing>, Failure> {
    let cluster = text(service, "clusterArn").unwrap_or_default();
    let name = text(service, "serviceName").unwrap_or_default();
    let Some(history) = ecs.service_deployments(cluster, name)? else { return Ok(None) };
    // `ecs-svc/123` rolls out the service revision `…/123`.
    let revision = format!("/{}", arn::name_of(id));
    let is_mine = |d: &&Object| {
        text(d, "targetServiceRevisionArn").is_some_and(|target| target.ends_with(&revision))
    };
    let Some(mine) = history.iter().find(is_mine) else { return Ok(None) };
    let status = text(mine, "status").unwrap_or_default();
    let reason = text(mine, "statusReason").unwrap_or("ECS gives no reason");
    let (running, desired) = (count(service, "runningCount"), count(service, "desiredCount"));
    Ok(Some(match status {
        "SUCCESSFUL" if desired == 0 => at_zero(wait),
        "SUCCESSFUL" if running >= desired => Standing::Complete,
        "SUCCESSFUL" | "PENDING" | "IN_PROGRESS" => {
            Standing::Under(format!("{status}, {running} of {desired} tasks run"))
        }
        status => Standing::Failed(format!("deployment {id} is {status}: {reason}")),
    }))
}

/// How ECS's own way back stands.
fn taken_back(ecs: &Ecs, service: &Object, wait: &Wait, arn: &str) -> Result<Standing, Failure> {
    let Some(deployment) = ecs.service_deployment(arn)? else {
        return Ok(Standing::Failed("the deployment that was to be taken back is gone".to_owned()));
    };
    Ok(match text(&deployment, "status").unwrap_or_default() {
        "ROLLBACK_SUCCESSFUL" | "STOPPED" => match judge_counts(service, wait) {
            // ECS's history says that the way back is complete.
            Standing::Degraded(_) => Standing::Complete,
            other => other,
        },
        status @ ("ROLLBACK_FAILED" | "SUCCESSFUL") => {
            Standing::Failed(format!("ECS could not take the deployment back: {status}"))
        }
        status => Standing::Under(format!("ECS takes the deployment back: {status}")),
    })
}

fn failed(host: &impl Host, ecs: &Ecs, service: &Object, wait: &Wait, why: &str) -> Failure {
    let id = match &wait.goal {
        Goal::Deployment(id) => id.as_deref(),
        _ => None,
    };
    let report = report::failure(host, ecs, service, id, why);
    Failure::Partial(Document::known(canonical::of_answer(service)), report)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:42";

    fn wait(goal: Goal) -> Wait {
        Wait { goal, definition: NEW.to_owned(), empty: false, since_ms: 7, warned: true }
    }

    use relctl_sdk::testing::map as service;

    fn mine(change: Value) -> Value {
        let mut deployment =
            service(json!({ "id": "ecs-svc/2", "status": "PRIMARY", "rolloutState": "IN_PROGRESS",
            "taskDefinition": NEW, "desiredCount": 2, "runningCount": 1, "failedTasks": 0 }));
        aws_connector::json::lay_over(&mut deployment, &service(change));
        Value::Object(deployment)
    }

    fn old(change: Value) -> Value {
        let mut deployment = mine(
            json!({ "id": "ecs-svc/1", "status": "ACTIVE", "rolloutState": "COMPLETED",
            "taskDefinition": "arn:aws:ecs:us-east-1:123456789012:task-definition/web:41", "runningCount": 2 }),
        );
        aws_connector::json::lay_over(deployment.as_object_mut().unwrap(), &service(change));
        deployment
    }

    #[test]
    fn only_this_steps_deployment_counts() {
        for (what, deployments, want) in [
            ("in progress", json!([mine(json!({})), old(json!({}))]), "under"),
            (
                "complete",
                json!([mine(json!({ "rolloutState": "COMPLETED", "runningCount": 2 }))]),
                "complete",
            ),
            (
                "complete, tasks missing",
                json!([mine(json!({ "rolloutState": "COMPLETED" }))]),
                "under",
            ),
            (
                "complete at 0 tasks, which nobody asked for",
                json!([mine(
                    json!({ "rolloutState": "COMPLETED", "desiredCount": 0, "runningCount": 0 })
                )]),
                "failed",
            ),
            (
                "complete, old tasks never drain",
                json!([
                    mine(json!({ "rolloutState": "COMPLETED", "runningCount": 2 })),
                    old(json!({}))
                ]),
                "under",
            ),
            (
                "circuit breaker",
                json!([
                    old(json!({ "status": "PRIMARY" })),
                    mine(
                        json!({ "status": "ACTIVE", "rolloutState": "FAILED", "rolloutStateReason": "tasks failed to start" })
                    )
                ]),
                "failed",
            ),
            (
                "rolled back, then stable",
                json!([old(json!({ "id": "ecs-svc/3", "status": "PRIMARY" }))]),
                "failed",
            ),
            (
                "newer deployment of somebody else",
                json!([
                    mine(json!({ "id": "ecs-svc/9", "taskDefinition": "x:1" })),
                    mine(json!({ "status": "ACTIVE" }))
                ]),
                "failed",
            ),
            (
                "newer deployment, complete",
                json!([mine(
                    json!({ "id": "ecs-svc/9", "rolloutState": "COMPLETED", "runningCount": 2 })
                )]),
                "failed",
            ),
            (
                "another revision",
                json!([mine(
                    json!({ "rolloutState": "COMPLETED", "runningCount": 2, "taskDefinition": "x:1" })
                )]),
                "failed",
            ),
            (
                "old tasks never drain, no state",
                json!([mine(json!({ "rolloutState": null, "runningCount": 2 })), old(json!({}))]),
                "under",
            ),
            (
                "no state, alone",
                json!([mine(json!({ "rolloutState": null, "runningCount": 2 }))]),
                "degraded",
            ),
        ] {
            let standing = judge(
                &service(json!({ "deployments": deployments })),
                &wait(Goal::Deployment(Some("ecs-svc/2".into()))),
            );
            let got = match &standing {
                Standing::Complete => "complete",
                Standing::Degraded(_) => "degraded",
                Standing::Under(_) => "under",
                Standing::Failed(_) => "failed",
            };
            assert_eq!(got, want, "{what}: {standing:?}");
        }
    }

    #[test]
    fn without_a_deployment_of_its_own_it_is_degraded_at_best() {
        for (running, desired, definition, want) in [
            (2, 2, NEW, "degraded"),
            (2, 2, "web:42", "degraded"),
            (1, 2, NEW, "under"),
            (0, 0, NEW, "failed"),
            (2, 2, "web:41", "failed"),
        ] {
            let service = service(
                json!({ "taskDefinition": definition, "runningCount": running, "desiredCount": desired }),
            );
            let got = match judge(&service, &wait(Goal::Deployment(None))) {
                Standing::Complete => "complete",
                Standing::Degraded(_) => "degraded",
                Standing::Under(_) => "under",
                Standing::Failed(_) => "failed",
            };
            assert_eq!(got, want, "{running} of {desired} on {definition}");
        }
    }

    #[test]
    fn a_service_that_is_to_be_empty_is_degraded_at_best() {
        let empty = Wait { empty: true, ..wait(Goal::Deployment(None)) };
        let service =
            service(json!({ "taskDefinition": NEW, "runningCount": 0, "desiredCount": 0 }));
        assert!(matches!(judge(&service, &empty), Standing::Degraded(_)));
    }

    #[test]
    fn tokens_go_both_ways() {
        for goal in [
            Goal::Deployment(Some("ecs-svc/2".into())),
            Goal::Deployment(None),
            Goal::Count,
            Goal::RolledBack("arn".into()),
            Goal::Gone,
        ] {
            let wait = wait(goal);
            assert_eq!(Wait::from_token(&wait.to_token()), Some(wait));
        }
        assert_eq!(Wait::from_token("{}"), None);
    }
}
