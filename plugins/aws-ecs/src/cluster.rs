//! `aws_ecs_cluster`: where services and tasks run.

use aws_connector::json::{Object, Side, drop_empty, sort, tags_to_list, tags_to_map, text};
use aws_connector::{documents, json::lay_over};
use relctl_sdk::{
    Assessment, Attempt, Change, Diagnostic, Document, Failure, Host, Map, Progress, Reversal,
    Risk, Severity, Step, Subject, Value, Verb,
};
use serde_json::json;

use crate::api::Ecs;
use crate::names::value_to_snake;
use crate::{arn, tags};

/// The canonical form of what is declared.
pub(crate) fn validate(declared: &Document) -> Result<Document, Vec<Diagnostic>> {
    let document = documents::canonical(declared, |declared| {
        let mut document = declared.clone();
        canonicalise(&mut document, Side::Desired);
        document
    });
    let problems = document.field("tags").known().and_then(Value::as_object).map(tags::rules);
    match problems.filter(|problems| !problems.is_empty()) {
        Some(problems) => Err(problems),
        None => Ok(document),
    }
}

fn canonicalise(document: &mut Object, side: Side) {
    if let Some(Value::String(name)) = document.get_mut("name") {
        *name = arn::name_of(name).to_owned();
    }
    sort(document, "capacity_providers");
    if let Some(setting) = document.remove("setting") {
        document.insert("setting".to_owned(), aws_connector::json::by_key(setting, "name"));
    }
    drop_empty(document, side);
}

fn of_answer(cluster: &Object) -> Object {
    let mut document = Object::new();
    let mut copy = |wire: &str, name: &str| {
        if let Some(value) = cluster.get(wire) {
            document.insert(name.to_owned(), value_to_snake(value));
        }
    };
    copy("clusterName", "name");
    copy("clusterArn", "arn");
    copy("settings", "setting");
    copy("capacityProviders", "capacity_providers");
    if let Value::Object(mut tags) = tags_to_map(cluster.get("tags").cloned().unwrap_or_default()) {
        tags.retain(|key, _| !key.starts_with("aws:"));
        document.insert("tags".to_owned(), tags.into());
    }
    canonicalise(&mut document, Side::Observed);
    document
}

/// What is there.
pub(crate) fn observe(host: &impl Host, subjects: &[Subject]) -> Vec<Result<Option<Map>, Failure>> {
    let names: Vec<String> = subjects
        .iter()
        .filter_map(|subject| {
            subject.identity_text("name").map(|name| arn::name_of(name).to_owned())
        })
        .collect();
    let found = Ecs::new(host).clusters(&names).map_err(Failure::from);
    let one = |subject: &Subject| {
        let name = arn::name_of(documents::identity(subject, "name")?);
        let clusters = found.as_ref().map_err(Clone::clone)?;
        let is_it = |c: &&Object| {
            text(c, "clusterName") == Some(name) && text(c, "status") != Some("INACTIVE")
        };
        Ok(clusters.iter().find(is_it).map(of_answer))
    };
    subjects.iter().map(one).collect()
}

/// What a change of a cluster would mean.
pub(crate) fn assess(change: &Change) -> Assessment {
    let mut assessment = Assessment::new(Reversal::Exact);
    if change.verb == Verb::Delete {
        assessment.reversal = Reversal::Compensating;
        assessment.risks.push(Risk {
            severity: Severity::Destructive,
            message: "ECS deletes a cluster only when nothing is left in it".to_owned(),
        });
    }
    assessment
}

/// Does a step.
pub(crate) fn apply(host: &impl Host, step: &Step) -> Result<Progress, Failure> {
    let ecs = Ecs::new(host);
    let change = &step.change;
    let name = arn::name_of(documents::identity(&change.subject, "name")?).to_owned();
    let empty = Object::new();
    let desired = change.desired.as_ref().map_or(&empty, |desired| &desired.value);
    let mut wanted = change.observed.clone().unwrap_or_default();
    lay_over(&mut wanted, desired);
    let settings = wanted.get("setting").cloned().map(aws_connector::json::to_list);
    match change.verb {
        Verb::Delete => {
            if find(&ecs, &name)?.is_some() {
                ecs.delete_cluster(&name)?;
            }
            return Ok(Progress::Done(Document::default()));
        }
        Verb::Create => match find(&ecs, &name)? {
            Some(_) if step.attempt == Attempt::First => {
                return Err(Failure::Precondition(format!(
                    "cluster `{name}` exists already; plan again to adopt it"
                )));
            }
            Some(_) => {}
            None => {
                let tags = wanted.get("tags").and_then(Value::as_object).unwrap_or(&empty);
                let mut body = json!({ "clusterName": name, "tags": tags_to_list(tags) });
                if let (Some(body), Some(settings)) = (body.as_object_mut(), &settings) {
                    body.insert("settings".to_owned(), settings.clone());
                }
                ecs.create_cluster(&body)?;
            }
        },
        _ => {
            let differs =
                |field: &str| change.paths.iter().any(|p| p.split('/').nth(1) == Some(field));
            if differs("setting") {
                ecs.update_cluster(&json!({ "cluster": name, "settings": settings }))?;
            }
            if differs("tags") {
                set_tags(&ecs, change, desired)?;
            }
        }
    }
    let cluster = find(&ecs, &name)?;
    let cluster =
        cluster.ok_or_else(|| Failure::Unknown(format!("cluster `{name}` is not shown yet")))?;
    Ok(Progress::Done(Document::known(of_answer(&cluster))))
}

fn set_tags(ecs: &Ecs, change: &Change, desired: &Object) -> Result<(), Failure> {
    let arn = change.observed_text("arn").unwrap_or_default();
    let there = change
        .observed
        .as_ref()
        .and_then(|o| o.get("tags")?.as_object())
        .cloned()
        .unwrap_or_default();
    let wanted = desired.get("tags").and_then(Value::as_object).cloned();
    let removed: Vec<String> = there
        .keys()
        .filter(|key| {
            wanted.as_ref().is_none_or(|wanted| wanted.get(*key).is_some_and(Value::is_null))
        })
        .cloned()
        .collect();
    let mut set = wanted.unwrap_or_default();
    set.retain(|_, value| !value.is_null());
    if !set.is_empty() {
        ecs.tag(arn, &tags_to_list(&set))?;
    }
    if !removed.is_empty() {
        ecs.untag(arn, &removed)?;
    }
    Ok(())
}

fn find(ecs: &Ecs, name: &str) -> Result<Option<Object>, Failure> {
    let found = ecs.clusters(&[name.to_owned()])?;
    Ok(found.into_iter().find(|cluster| text(cluster, "status") != Some("INACTIVE")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_reads_as_it_is_declared() {
        let answer = json!({ "clusterName": "prod", "clusterArn": "arn:aws:ecs:r:a:cluster/prod", "status": "ACTIVE",
            "settings": [{ "name": "containerInsights", "value": "enabled" }], "capacityProviders": ["FARGATE_SPOT", "FARGATE"],
            "tags": [{ "key": "aws:x", "value": "1" }, { "key": "team", "value": "x" }], "runningTasksCount": 3 });
        let observed = of_answer(answer.as_object().unwrap());
        assert_eq!(
            Value::Object(observed),
            json!({ "name": "prod", "arn": "arn:aws:ecs:r:a:cluster/prod", "capacity_providers": ["FARGATE", "FARGATE_SPOT"],
                "setting": { "containerInsights": { "name": "containerInsights", "value": "enabled" } }, "tags": { "team": "x" } })
        );
    }
}
