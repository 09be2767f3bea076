//! Makes, changes and deletes a database, and waits until it is so.

use aws_connector::json::{Object, lay_over, text};
use aws_connector::look_again_ms;
use aws_sdk_rds::types::DbInstance;
use relctl_sdk::{Attempt, Document, Failure, Host, Progress, Step, Value, Verb};
use serde_json::json;

use super::canonical::{self, STEERING};
use super::{guards, identifier};
use crate::api::Rds;

/// The longest wait between two looks, in milliseconds.
const LOOK_AGAIN_MS: u32 = 5_000;

/// How often in a row it must be as wanted.
const LOOKS: u64 = 3;

/// For so long after a change "available" proves nothing, in milliseconds, unless RDS was seen to
/// work on it: it shows "available" for a while before it begins (facts: stale available).
const GRACE_MS: u64 = 30_000;

/// States in which a database takes changes.
const READY: &[&str] = &["available", "storage-optimization"];

/// States from which nothing comes by itself.
const BROKEN: &[&str] = &[
    "failed",
    "incompatible-restore",
    "incompatible-parameters",
    "incompatible-network",
    "storage-full",
    "deleted",
];

/// What is waited for, as the token of a pending step.
#[derive(Debug, Clone, PartialEq)]
struct Wait {
    /// What the database shall be: there and as wanted, or gone.
    gone: bool,
    /// A restored database was told what a restore does not take.
    told: bool,
    work: Work,
    looks: u64,
    since_ms: u64,
}

/// How far RDS is with what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// It was told nothing.
    None,
    /// It may be about to begin.
    Told,
    /// It was seen to work.
    Seen,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Told => "told",
            Self::Seen => "seen",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::None, Self::Told, Self::Seen].into_iter().find(|work| work.name() == name)
    }
}

impl Wait {
    fn begin(host: &impl Host, gone: bool, work: Work) -> Self {
        Self { gone, told: false, work, looks: 0, since_ms: host.now_ms() }
    }

    fn pending(&self, host: &impl Host, message: String) -> Progress {
        let token = json!({ "gone": self.gone, "told": self.told, "work": self.work.name(),
            "looks": self.looks, "since": self.since_ms });
        let waited = host.now_ms().saturating_sub(self.since_ms);
        let retry_after_ms = look_again_ms(waited, LOOK_AGAIN_MS);
        Progress::Pending { token: token.to_string(), message, retry_after_ms }
    }

    /// Whether "available" and "as wanted" may be believed by now.
    fn is_settled(&self, waited_ms: u64) -> bool {
        let begun = self.work != Work::Told || waited_ms >= GRACE_MS;
        begun && self.looks >= LOOKS
    }

    fn from_token(token: &str) -> Option<Self> {
        let token: Object = serde_json::from_str(token).ok()?;
        Some(Self {
            gone: token.get("gone")?.as_bool()?,
            told: token.get("told")?.as_bool()?,
            work: Work::named(token.get("work")?.as_str()?)?,
            looks: token.get("looks")?.as_u64()?,
            since_ms: token.get("since")?.as_u64()?,
        })
    }
}

/// Does a step, up to where there is something to wait for.
pub(crate) fn apply(host: &impl Host, step: &Step) -> Result<Progress, Failure> {
    let rds = Rds::new(host);
    let identifier = identifier(&step.change.subject)?;
    let there = rds.instance(&identifier)?;
    match (step.change.verb, there) {
        (Verb::Delete, None) => Ok(Progress::Done(Document::default())),
        (Verb::Delete, Some(instance)) => {
            if instance.db_instance_status() != Some("deleting") {
                let last = guards::final_snapshot(&step.change)?;
                rds.delete_instance(&identifier, last.as_deref())?;
            }
            Ok(Wait::begin(host, true, Work::Told).pending(host, "deleting".to_owned()))
        }
        (Verb::Create, Some(instance))
            if step.attempt == Attempt::Again && is_ours(&instance, step) =>
        {
            Ok(Wait::begin(host, false, Work::None).pending(host, "creating".to_owned()))
        }
        (Verb::Create, Some(_)) => Err(exists(&identifier)),
        (Verb::Create, None) => create(host, &rds, step, &identifier),
        (Verb::Replace, _) => Err(Failure::Precondition(format!(
            "database `{identifier}` holds data and is never replaced"
        ))),
        (_, None) => Err(Failure::NotFound(format!("database `{identifier}` is gone"))),
        (_, Some(instance)) => update(host, &rds, step, &identifier, &instance),
    }
}

/// Whether it was made by this ledger.
fn is_ours(instance: &DbInstance, step: &Step) -> bool {
    let tags = crate::api::tag_map(instance.tag_list());
    text(&tags, crate::LINEAGE_TAG) == Some(&step.lineage)
}

fn exists(identifier: &str) -> Failure {
    Failure::Precondition(format!("database `{identifier}` exists already; plan again to adopt it"))
}

fn create(host: &impl Host, rds: &Rds, step: &Step, identifier: &str) -> Result<Progress, Failure> {
    let mut wanted = Object::new();
    if let Some(desired) = &step.change.desired {
        lay_over(&mut wanted, &desired.value);
    }
    let mut tags = wanted.get("tags").and_then(Value::as_object).cloned().unwrap_or_default();
    tags.insert(crate::LINEAGE_TAG.to_owned(), step.lineage.clone().into());
    let made = if wanted.contains_key("snapshot_identifier") {
        rds.restore_instance(&wanted, &tags)
    } else {
        if !wanted.contains_key("manage_master_user_password") {
            // Nobody may ask for a password here, so that none can leak.
            wanted.insert("manage_master_user_password".to_owned(), true.into());
        }
        rds.create_instance(&wanted, &tags)
    };
    match made {
        Ok(()) => {}
        // The reply was lost: either it is there now, or nobody can say.
        Err(problem) if problem.is_unknown() => match rds.instance(identifier)? {
            Some(instance) if is_ours(&instance, step) => {}
            Some(_) => return Err(exists(identifier)),
            None => return Err(problem.into()),
        },
        Err(problem) => return Err(problem.into()),
    }
    Ok(Wait::begin(host, false, Work::None).pending(host, "creating".to_owned()))
}

fn update(
    host: &impl Host,
    rds: &Rds,
    step: &Step,
    identifier: &str,
    instance: &DbInstance,
) -> Result<Progress, Failure> {
    let status = instance.db_instance_status().unwrap_or_default();
    let fields = differing(instance, step);
    if !fields.is_empty() {
        if !READY.contains(&status) {
            return Err(Failure::Precondition(format!(
                "database `{identifier}` is {status}; wait until it is available, then apply again"
            )));
        }
        modify(rds, step, identifier, &fields)?;
    }
    change_tags(rds, step, instance)?;
    let work = if fields.is_empty() { Work::None } else { Work::Told };
    let wait = Wait::begin(host, false, work);
    Ok(wait.pending(host, "changing".to_owned()))
}

fn modify(rds: &Rds, step: &Step, identifier: &str, fields: &Object) -> Result<(), Failure> {
    let flag = |name| step.change.desired_field(name).known() == Some(&Value::Bool(true));
    let immediately = flag("apply_immediately") || step.change.verb == Verb::Create;
    match rds.modify_instance(identifier, fields, immediately, flag("allow_major_version_upgrade"))
    {
        // What is asked for is there, or waits, already.
        Err(problem) if problem.is("InvalidParameterCombination") && is_no_change(&problem) => {
            Ok(())
        }
        result => Ok(result?),
    }
}

fn is_no_change(problem: &aws_connector::Problem) -> bool {
    matches!(&problem.cause, aws_connector::Cause::Service { message, .. } if message.contains("No modifications were requested"))
}

/// The declared fields that are not so, values that wait for the window counted as being there.
fn differing(instance: &DbInstance, step: &Step) -> Object {
    let observed = canonical::of_answer(instance, &step.change.subject);
    let mut fields = Object::new();
    for (name, value) in step.change.desired.iter().flat_map(|desired| &desired.value) {
        let steers =
            STEERING.contains(&name.as_str()) || matches!(name.as_str(), "identifier" | "tags");
        if !steers && !value.is_null() && observed.get(name) != Some(value) {
            fields.insert(name.clone(), value.clone());
        }
    }
    fields
}

fn change_tags(rds: &Rds, step: &Step, instance: &DbInstance) -> Result<(), Failure> {
    let arn = instance.db_instance_arn().unwrap_or_default();
    let there = crate::api::tag_map(instance.tag_list());
    let wanted = step.change.desired.as_ref().and_then(|d| d.value.get("tags")?.as_object());
    let mut set = wanted.cloned().unwrap_or_default();
    let removed: Vec<String> = set
        .iter()
        .filter(|(key, value)| value.is_null() && there.contains_key(*key))
        .map(|(key, _)| key.clone())
        .collect();
    set.retain(|key, value| !value.is_null() && there.get(key) != Some(value));
    if !set.is_empty() {
        rds.tag(arn, &set)?;
    }
    if !removed.is_empty() {
        rds.untag(arn, &removed)?;
    }
    Ok(())
}

/// Looks how a pending step stands.
pub(crate) fn poll(host: &impl Host, step: &Step, token: &str) -> Result<Progress, Failure> {
    let mut wait = Wait::from_token(token).ok_or_else(|| {
        Failure::Unknown("the token of this wait is not one of this plugin's".to_owned())
    })?;
    let rds = Rds::new(host);
    let identifier = identifier(&step.change.subject)?;
    // Before relctl's own clock runs out, which could only say that nobody knows.
    let waited = host.now_ms().saturating_sub(wait.since_ms);
    let overdue = waited + 2 * u64::from(LOOK_AGAIN_MS) > step.timeout_ms;
    let instance = match rds.instance(&identifier)? {
        None if wait.gone => return Ok(Progress::Done(Document::default())),
        None if overdue => {
            return Err(Failure::Unknown(format!("database `{identifier}` is not shown")));
        }
        None => return Ok(wait.pending(host, "not shown yet".to_owned())),
        Some(instance) => instance,
    };
    let status = instance.db_instance_status().unwrap_or_default().to_owned();
    let document = Document::known(canonical::of_answer(&instance, &step.change.subject));
    if BROKEN.contains(&status.as_str()) && !wait.gone {
        return Err(Failure::Partial(document, format!("database `{identifier}` is {status}")));
    }
    let fields = differing(&instance, step);
    let unbegun = not_begun(&document.value, step);
    let ready = READY.contains(&status.as_str()) && !wait.gone;
    if !ready {
        wait.work = Work::Seen;
    }
    if ready && fields.is_empty() && unbegun.is_empty() {
        wait.looks += 1;
        if wait.is_settled(waited) {
            return Ok(Progress::Done(document));
        }
    } else {
        wait.looks = 0;
    }
    if ready && !fields.is_empty() && step.change.verb == Verb::Create && !wait.told {
        // A restore does not take everything: the rest is changed now.
        modify(&rds, step, &identifier, &fields)?;
        wait.told = true;
        wait.work = Work::Told;
    }
    let left: Vec<&str> =
        fields.keys().map(String::as_str).chain(unbegun.iter().map(String::as_str)).collect();
    let message = match (left.is_empty(), instance.percent_progress()) {
        (true, Some(percent)) => format!("{status} {percent}"),
        (true, None) => status,
        (false, _) => format!("{status}, not yet changed: {}", left.join(", ")),
    };
    if overdue {
        let seconds = waited / 1000;
        return Err(Failure::Partial(
            document,
            format!("database `{identifier}` is not as wanted after {seconds} s: {message}"),
        ));
    }
    Ok(wait.pending(host, message))
}

/// What was to happen at once and still waits. What may wait for the window is there (facts: R2).
fn not_begun(observed: &Object, step: &Step) -> Vec<String> {
    if step.change.desired_field("apply_immediately").known() != Some(&Value::Bool(true)) {
        return Vec::new();
    }
    let desired = step.change.desired.as_ref();
    let pending = observed.get("pending").and_then(Value::as_object);
    let wanted = |name: &String| desired.is_some_and(|d| d.value.get(name).is_some());
    pending.into_iter().flatten().map(|(name, _)| name.clone()).filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_rds::types::PendingModifiedValues;
    use relctl_sdk::testing::{FakeHost, change, step, subject};

    use super::*;

    #[test]
    fn only_what_differs_and_does_not_wait_is_sent() {
        let instance = DbInstance::builder()
            .db_instance_identifier("db")
            .allocated_storage(20)
            .backup_retention_period(1)
            .db_instance_class("db.t3.micro")
            .pending_modified_values(
                PendingModifiedValues::builder().db_instance_class("db.t3.small").build(),
            )
            .build();
        let desired = json!({ "identifier": "db", "allocated_storage": 20, "backup_retention_period": 7, "instance_class": "db.t3.small",
            "apply_immediately": false, "tags": { "a": "b" }, "option_group_name": null });
        let step =
            step(change(Verb::Update, subject("resource.aws_db_instance.db", desired), None));
        assert_eq!(
            Value::Object(differing(&instance, &step)),
            json!({ "backup_retention_period": 7 })
        );
    }

    #[test]
    fn tokens_go_both_ways() {
        let wait = Wait { gone: false, told: true, work: Work::Told, looks: 1, since_ms: 9 };
        let Progress::Pending { token, .. } = wait.pending(&FakeHost::default(), String::new())
        else {
            panic!("it waits")
        };
        assert_eq!(Wait::from_token(&token), Some(wait));
        assert!(Wait::from_token("x").is_none());
    }
}
