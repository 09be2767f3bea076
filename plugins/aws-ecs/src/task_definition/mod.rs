//! `aws_ecs_task_definition`: a revision, made from what a service runs or from the file alone.
//!
//! Revisions are never deregistered: going back must stay possible (facts: Terraform's rollback).

mod body;
mod canonical;
mod register;
mod rules;

use std::collections::BTreeSet;

use aws_connector::documents;
use aws_connector::json::{Object, text};
use relctl_sdk::{
    Assessment, Change, Diagnostic, Document, Failure, Host, Map, Reversal, Risk, Severity,
    Subject, Undo, Value, Verb,
};

use crate::api::Ecs;
use crate::arn;

pub(crate) use register::apply;

/// The canonical form of what is declared. A file that is the whole owns the whole: it is compared
/// by the hash of its content too, so that what it does not mention does not stay.
pub(crate) fn validate(declared: &Document) -> Result<Document, Vec<Diagnostic>> {
    let mut wrong = rules::of_declared(&declared.value);
    let mut document = documents::canonical(declared, canonical::of_declared);
    document.unknown.retain(|pointer| !pointer.as_str().starts_with("/definition"));
    document.value.remove("definition");
    let checked = documents::with_placeholders(&document);
    if is_whole(&document.value) {
        wrong.extend(rules::of_whole(&body::merged(None, &checked)));
        if document.unknown.is_empty() {
            let hash = body::content_sha256(&filled(&document.value));
            document.set("content_sha256", hash);
        } else {
            document.set_unknown("content_sha256");
        }
    } else {
        wrong.extend(rules::of_canonical(&checked));
    }
    if wrong.is_empty() { Ok(document) } else { Err(wrong) }
}

/// Whether the file is the whole, not a change of what a service runs.
fn is_whole(declared: &Object) -> bool {
    declared.get("from").is_none_or(Value::is_null)
}

/// Declared content as AWS would answer it.
fn filled(declared: &Object) -> Object {
    let content = body::merged(None, declared);
    canonical::of_answer(&body::to_wire(&content), &Value::Null)
}

/// What is there: the revision that the service runs, or the newest active one of the family.
pub(crate) fn observe(host: &impl Host, subjects: &[Subject]) -> Vec<Result<Option<Map>, Failure>> {
    let ecs = Ecs::new(host);
    let running = Running::look(&ecs, subjects);
    subjects.iter().map(|subject| observe_one(&ecs, subject, &running)).collect()
}

fn observe_one(ecs: &Ecs, subject: &Subject, running: &Running) -> Result<Option<Map>, Failure> {
    if subject.role() == "lookup"
        && let Some(which) = subject.identity_text("task_definition")
    {
        let answer = ecs.task_definition(which)?;
        return Ok(answer.and_then(|answer| read(&answer, subject)));
    }
    let family = documents::identity(subject, "family")?;
    let newest = ecs.task_definition(family)?;
    if from_of(subject).is_none() {
        return Ok(newest.and_then(|answer| read(&answer, subject)));
    }
    let arn = running.arn(subject)?;
    let newest_arn = newest.as_ref().and_then(arn_in);
    if newest_arn == Some(&arn) {
        return Ok(newest.and_then(|answer| read(&answer, subject)));
    }
    let newer = newest_arn.and_then(arn::revision_of).filter(|newest| {
        arn::family_of(&arn) == Some(family) && Some(*newest) > arn::revision_of(&arn)
    });
    let answer = ecs.task_definition(&arn)?.ok_or_else(|| {
        Failure::NotFound(format!(
            "the service of `from` runs {}, which is deleted; give the whole task definition, without `from`",
            arn::family_revision(&arn)
        ))
    })?;
    let mut observed = read(&answer, subject);
    if let (Some(observed), Some(newer)) = (&mut observed, newer) {
        observed.insert("unrolled_revision".to_owned(), newer.into());
    }
    Ok(observed)
}

/// What services run that task definitions are made from, looked up cluster by cluster.
struct Running(Vec<(String, Result<Vec<Object>, Failure>)>);

impl Running {
    fn look(ecs: &Ecs, subjects: &[Subject]) -> Self {
        let mut wanted: Vec<(String, Vec<String>)> = Vec::new();
        for (cluster, service) in subjects.iter().filter_map(from_of) {
            match wanted.iter_mut().find(|(name, _)| *name == cluster) {
                Some((_, services)) if services.contains(&service) => {}
                Some((_, services)) => services.push(service),
                None => wanted.push((cluster, vec![service])),
            }
        }
        let look = |(cluster, services): (String, Vec<String>)| {
            let found = ecs.services(&cluster, &services).map_err(Failure::from);
            (cluster, found)
        };
        Self(wanted.into_iter().map(look).collect())
    }

    /// The ARN of the task definition that a subject's service runs.
    fn arn(&self, subject: &Subject) -> Result<String, Failure> {
        let (cluster, service) = from_of(subject).unwrap_or_default();
        let found = self.0.iter().find(|(name, _)| *name == cluster).map(|(_, found)| found);
        let services = match found {
            Some(Ok(services)) => services.as_slice(),
            Some(Err(failure)) => return Err(failure.clone()),
            None => &[],
        };
        services
            .iter()
            .filter(|found| text(found, "status") != Some("INACTIVE"))
            .find(|found| text(found, "serviceName") == Some(arn::name_of(&service)))
            .map(crate::service::of_answer)
            .and_then(|found| text(&found, "task_definition").map(str::to_owned))
            .ok_or_else(|| {
                Failure::NotFound(format!(
                    "`from` names service `{service}` of cluster `{cluster}`, which is not there; check both names, and the plugin's account and region"
                ))
            })
    }
}

fn from_of(subject: &Subject) -> Option<(String, String)> {
    let declared = subject.desired.as_ref().map(|desired| &desired.value);
    let from = declared.or(subject.prior.as_ref())?.get("from")?;
    Some((from.get("cluster")?.as_str()?.to_owned(), from.get("service")?.as_str()?.to_owned()))
}

/// The ARN in an answer about a task definition.
fn arn_in(answer: &Value) -> Option<&str> {
    answer.get("taskDefinition")?.get("taskDefinitionArn")?.as_str()
}

/// Everything in an answer about a task definition, secrets included: stays in the plugin.
fn content_of(answer: &Value) -> Object {
    let definition = answer.get("taskDefinition").and_then(Value::as_object);
    let tags = answer.get("tags").unwrap_or(&Value::Null);
    definition.map(|definition| canonical::of_answer(definition, tags)).unwrap_or_default()
}

/// An answer about a task definition as relctl sees it.
fn read(answer: &Value, subject: &Subject) -> Option<Map> {
    let arn = arn_in(answer)?;
    let mut observed = content_of(answer);
    let hash = body::content_sha256(&observed);
    let desired = subject.desired.as_ref().map(|desired| &desired.value);
    if let Some(desired) = desired {
        canonical::spell_alike(&mut observed, desired);
    }
    canonical::withhold(&mut observed, desired);
    observed.insert("content_sha256".to_owned(), hash.into());
    observed.insert("arn".to_owned(), arn.into());
    observed.insert("family_revision".to_owned(), arn::family_revision(arn).into());
    if let Some(revision) = arn::revision_of(arn) {
        observed.insert("revision".to_owned(), revision.into());
    }
    documents::steer(&mut observed, subject, &["from", "task_definition"]);
    Some(observed)
}

/// What a new revision would mean.
pub(crate) fn assess(change: &Change) -> Result<Assessment, Failure> {
    if change.verb == Verb::Delete {
        let mut assessment = Assessment::new(Reversal::Kept);
        assessment.notes.push("its revisions stay registered: relctl never deregisters".to_owned());
        return Ok(assessment);
    }
    let mut assessment = Assessment::new(Reversal::Exact);
    let desired = change.desired.clone().unwrap_or_default();
    let Some(observed) = &change.observed else { return Ok(assessment) };
    let base = if is_whole(&desired.value) { None } else { Some(observed) };
    let wrong = rules::of_whole(&body::merged(base, &documents::with_placeholders(&desired)));
    if !wrong.is_empty() {
        return Err(Failure::Invalid(wrong));
    }
    let family = text(observed, "family_revision").unwrap_or_default();
    if base.is_some() {
        let service = desired.value.get("from").and_then(|from| from.get("service"));
        let service = service.and_then(Value::as_str).unwrap_or_default();
        let back_to = change.undo.as_ref().and_then(|undo| undo.open.field("arn").text());
        assessment.notes.push(match back_to.map(arn::family_revision) {
            Some(was) => format!("goes back to what {was} was, from {family}"),
            None => format!("made from {family}, which service {service} runs"),
        });
        assessment.relies_on.extend(["/arn".to_owned(), "/unrolled_revision".to_owned()]);
        let names: BTreeSet<String> =
            register::withheld_names(observed).into_iter().map(|(_, name)| name).collect();
        if !names.is_empty() {
            let names: Vec<String> = names.into_iter().collect();
            assessment.notes.push(format!(
                "plain-text values are not recorded, since they may be secrets ({}); going back takes them from {family}, which should not be deleted",
                names.join(", ")
            ));
        }
    }
    if let Some(newer) = observed.get("unrolled_revision") {
        assessment.risks.push(Risk {
            severity: Severity::Caution,
            message: format!(
                "a newer revision {}:{newer} was registered and never rolled out; what it changed is not part of this release, which is made from {family}",
                text(observed, "family").unwrap_or_default()
            ),
        });
    }
    assessment.undo = Some(undo_of(observed));
    Ok(assessment)
}

/// What is needed to go back: which revision it was, and its content but for the plain-text values
/// that were withheld.
fn undo_of(observed: &Map) -> Undo {
    let mut open = Document::default();
    for name in ["arn", "revision", "content_sha256"] {
        if let Some(value) = observed.get(name) {
            open.set(name, value.clone());
        }
    }
    open.set("content", body::merged(Some(observed), &Object::new()));
    Undo { open, sealed: None }
}
