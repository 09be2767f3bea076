//! Registers a revision, unless there is one with the same content.

use aws_connector::json::{Object, tags_to_list, text};
use relctl_sdk::{Document, Failure, Host, Level, Step, Value, Verb};

use super::{Running, arn_in, body, content_of, is_whole, read};
use crate::api::Ecs;
use crate::arn;

/// How many of a family's newest active revisions are searched for the same content.
const SEARCHED: usize = 10;

/// Does a step: finds or registers the wanted content.
pub(crate) fn apply(host: &impl Host, step: &Step) -> Result<Document, Failure> {
    let change = &step.change;
    if change.verb == Verb::Delete {
        return Ok(Document::default());
    }
    let ecs = Ecs::new(host);
    let desired = change.desired.clone().unwrap_or_default().value;
    let base = match base_of(&ecs, step, &desired)? {
        Some((base, answer)) => Some((base, Some(answer))),
        None => recorded_content(&ecs, step)?.map(|content| (content, None)),
    };
    let wanted = body::merged(base.as_ref().map(|(base, _)| base), &desired);
    let hash = body::content_sha256(&canonical_content(&wanted));

    let mut candidates: Vec<String> = Vec::new();
    let base_answer = base.and_then(|(_, answer)| answer);
    candidates.extend(base_answer.as_ref().and_then(arn_in).map(str::to_owned));
    candidates.extend(
        change.undo.as_ref().and_then(|undo| undo.open.field("arn").text().map(str::to_owned)),
    );
    let prior = change.subject.prior.as_ref();
    candidates.extend(prior.and_then(|prior| text(prior, "arn").map(str::to_owned)));
    let family = text(&wanted, "family").unwrap_or_default();

    if let Some(found) = same_content(&ecs, family, candidates, &hash)? {
        host.log(
            Level::Info,
            &format!(
                "{} has this content already",
                arn_in(&found).map_or("", arn::family_revision)
            ),
        );
        return finish(&ecs, &found, &wanted, step);
    }
    let registered = match ecs.register_task_definition(body::to_wire(&wanted)) {
        Ok(answer) => answer,
        Err(problem) if problem.is_unknown() => {
            // The reply was lost: either it is registered now, and is found, or it is not.
            let found = same_content(&ecs, family, Vec::new(), &hash)?;
            return match found {
                Some(found) => finish(&ecs, &found, &wanted, step),
                None => Err(problem.into()),
            };
        }
        Err(problem) => return Err(problem.into()),
    };
    finish(&ecs, &registered, &wanted, step)
}

/// The revision that the content is made from, with its values: what the service runs or, going
/// back, what it ran then. `None`: the file is the whole, or that revision is gone.
fn base_of(ecs: &Ecs, step: &Step, desired: &Object) -> Result<Option<(Object, Value)>, Failure> {
    let change = &step.change;
    let back_to = change.undo.as_ref().and_then(|undo| undo.open.field("arn").text());
    if let (Some(back_to), Some(undo)) = (back_to, &change.undo) {
        let answer = ecs.task_definition(back_to)?;
        let same = |content: &Object| {
            undo.open.field("content_sha256").text() == Some(&body::content_sha256(content))
        };
        let there = answer.map(|answer| (content_of(&answer), answer));
        if let Some(there) = there.filter(|(content, _)| same(content)) {
            return Ok(Some(there));
        }
        let hash = undo.open.field("content_sha256").text().unwrap_or_default();
        let family = text(desired, "family").or(arn::family_of(back_to)).unwrap_or_default();
        let twin = same_content(ecs, family, Vec::new(), hash)?;
        return Ok(twin.map(|answer| (content_of(&answer), answer)));
    }
    if is_whole(desired) {
        return Ok(None);
    }
    let arn = running(ecs, step)?;
    let answer = ecs.task_definition(&arn)?.ok_or_else(|| {
        Failure::Precondition(format!("{} is deleted; plan again", arn::family_revision(&arn)))
    })?;
    Ok(Some((content_of(&answer), answer)))
}

/// What the service runs. A second attempt is not told what was observed; it runs the same still.
fn running(ecs: &Ecs, step: &Step) -> Result<String, Failure> {
    let subject = &step.change.subject;
    match step.change.observed_text("arn") {
        Some(arn) => Ok(arn.to_owned()),
        None => Running::look(ecs, std::slice::from_ref(subject)).arn(subject),
    }
}

/// What a revert goes back to when the cloud no longer has it: the recorded content.
///
/// Plain-text values were not recorded, but the hash of all the content was. Mostly they are what
/// runs now still, which the hash proves.
fn recorded_content(ecs: &Ecs, step: &Step) -> Result<Option<Object>, Failure> {
    let Some(undo) = &step.change.undo else { return Ok(None) };
    let recorded = undo.sealed.as_ref().unwrap_or(&undo.open);
    let content = recorded.value.get("content").and_then(Value::as_object).cloned();
    let Some(content) = content else { return Ok(None) };
    let mut missing = withheld_names(&content);
    if missing.is_empty() {
        return Ok(Some(content));
    }
    if let Some(answer) = ecs.task_definition(&running(ecs, step)?)? {
        let filled = with_values_of(&content, &content_of(&answer), &missing);
        let hash = body::content_sha256(&canonical_content(&filled));
        if undo.open.field("content_sha256").text() == Some(&hash) {
            return Ok(Some(filled));
        }
    }
    let was = undo.open.field("arn").text().map_or("", arn::family_revision);
    let desired = step.change.desired.as_ref();
    let declared = desired.and_then(|d| d.value.get("container_definitions"));
    missing.retain(|(container, name)| {
        let value =
            declared.and_then(|d| d.get(container)?.get("environment")?.get(name)?.get("value"));
        value.is_none_or(Value::is_null)
    });
    if let Some((container, name)) = missing.first() {
        return Err(Failure::Precondition(format!(
            "{was} is deleted, and the value of {name} in its container {container} was not recorded, since it may be a secret, and is another one now; register it again with the value that it had (`aws ecs register-task-definition`), then go back again"
        )));
    }
    Ok(Some(content))
}

/// Content with the values of these variables as another content has them.
fn with_values_of(content: &Object, other: &Object, names: &[(String, String)]) -> Object {
    let mut filled = Value::Object(content.clone());
    let other = other.get("container_definitions");
    for (container, name) in names {
        let value =
            other.and_then(|c| c.get(container)?.get("environment")?.get(name)?.get("value"));
        let variable = filled
            .get_mut("container_definitions")
            .and_then(|c| c.get_mut(container)?.get_mut("environment")?.get_mut(name));
        if let (Some(value), Some(Value::Object(variable))) = (value, variable) {
            variable.insert("value".to_owned(), value.clone());
        }
    }
    match filled {
        Value::Object(filled) => filled,
        _ => content.clone(),
    }
}

/// Containers and variables whose plain-text values were left out.
pub(super) fn withheld_names(content: &Object) -> Vec<(String, String)> {
    let mut names = Vec::new();
    let containers = content.get("container_definitions").and_then(Value::as_object);
    for (container, definition) in containers.into_iter().flatten() {
        let variables = definition.get("environment").and_then(Value::as_object);
        for (name, variable) in variables.into_iter().flatten() {
            if variable.get("value").is_none() {
                names.push((container.clone(), name.clone()));
            }
        }
    }
    names
}

/// Wanted content as AWS will answer it, so that its hash is that of the answer.
fn canonical_content(wanted: &Object) -> Object {
    super::canonical::of_answer(&body::to_wire(wanted), &Value::Null)
}

/// An active revision with this content: among the named ones, then the newest of the family.
fn same_content(
    ecs: &Ecs,
    family: &str,
    mut candidates: Vec<String>,
    hash: &str,
) -> Result<Option<Value>, Failure> {
    let mut seen: Vec<String> = Vec::new();
    let mut listed = false;
    loop {
        for arn in std::mem::take(&mut candidates) {
            if seen.contains(&arn) || arn::family_of(&arn) != Some(family) {
                continue;
            }
            if let Some(answer) = ecs.task_definition(&arn)? {
                let status = answer.get("taskDefinition").and_then(|d| d.get("status"));
                let is_active = status.and_then(Value::as_str) == Some("ACTIVE");
                if is_active && body::content_sha256(&content_of(&answer)) == hash {
                    return Ok(Some(answer));
                }
            }
            seen.push(arn);
        }
        if listed {
            return Ok(None);
        }
        listed = true;
        candidates = ecs.newest_revisions(family, SEARCHED)?;
    }
}

/// Sees to the tags, which change in place, and reads the revision as relctl sees it.
fn finish(ecs: &Ecs, answer: &Value, wanted: &Object, step: &Step) -> Result<Document, Failure> {
    let arn = arn_in(answer).unwrap_or_default().to_owned();
    let empty = Object::new();
    let tags = |content: &Object| content.get("tags").and_then(Value::as_object).cloned();
    let there = tags(&content_of(answer)).unwrap_or_default();
    let wanted_tags = wanted.get("tags").and_then(Value::as_object).unwrap_or(&empty);
    let set: Object = wanted_tags
        .iter()
        .filter(|(key, value)| there.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let declared = step.change.desired.as_ref().and_then(|d| d.value.get("tags")?.as_object());
    let removed: Vec<String> = declared
        .into_iter()
        .flatten()
        .filter(|(key, value)| value.is_null() && there.contains_key(*key))
        .map(|(key, _)| key.clone())
        .collect();
    if !set.is_empty() {
        ecs.tag(&arn, &tags_to_list(&set))?;
    }
    if !removed.is_empty() {
        ecs.untag(&arn, &removed)?;
    }
    let answer = if set.is_empty() && removed.is_empty() {
        Some(answer.clone())
    } else {
        ecs.task_definition(&arn)?
    };
    let observed = answer.and_then(|answer| read(&answer, &step.change.subject));
    observed
        .map(Document::known)
        .ok_or_else(|| Failure::Unknown(format!("{arn} was registered and cannot be described")))
}
