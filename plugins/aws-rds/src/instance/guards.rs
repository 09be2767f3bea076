//! What a change of a database would do to it, and what is refused (facts: RDS takes it, or not
//! until it is too late).

use aws_connector::json::{Object, text};
use relctl_sdk::{
    Assessment, Change, Document, Failure, Map, Reversal, Risk, Severity, Undo, Value, Verb,
};

use crate::restore::{Restore, SETTINGS};

/// Fields whose change takes the database away for a while.
const DOWNTIME: &[(&str, &str)] = &[
    ("engine_version", "it restarts on the new engine version"),
    ("instance_class", "it moves to another machine"),
    ("db_subnet_group_name", "it moves to another network"),
    ("port", "it restarts on another port, and clients must follow"),
    ("option_group_name", "some options restart it"),
    ("ca_cert_identifier", "it may restart for its new certificate"),
];

/// What the change would mean.
pub(crate) fn assess(change: &Change) -> Result<Assessment, Failure> {
    match (&change.observed, change.verb) {
        (None, _) => Ok(assess_creation(change)),
        (Some(observed), Verb::Delete) => assess_deletion(change, observed),
        (Some(observed), _) => assess_change(change, observed),
    }
}

fn assess_creation(change: &Change) -> Assessment {
    let mut assessment = Assessment::new(Reversal::Kept);
    if let Some(snapshot) = change.desired_field("snapshot_identifier").text() {
        assessment.notes.push(format!("is restored from snapshot {snapshot}"));
        assessment.risks.push(Risk {
            severity: Severity::Caution,
            message: format!(
                "what was written after snapshot {snapshot} was taken is not in the restored database; settings that are not declared take RDS's defaults (one zone, default groups, no deletion protection)"
            ),
        });
    }
    assessment
}

fn assess_deletion(change: &Change, observed: &Map) -> Result<Assessment, Failure> {
    let name = text(observed, "identifier").unwrap_or_default();
    if observed.get("deletion_protection") == Some(&Value::Bool(true)) {
        return Err(Failure::Precondition(format!(
            "database {name} has deletion protection, which relctl never takes away by itself; release `deletion_protection = false` first, then delete it"
        )));
    }
    let last = final_snapshot(change)?;
    let mut assessment = Assessment::new(Reversal::Impossible);
    let kept = match last {
        Some(last) => format!("its automated backups go too; snapshot {last} is taken before"),
        None => "its automated backups go too, and no final snapshot is taken".to_owned(),
    };
    assessment.risks.push(Risk {
        severity: Severity::PointOfNoReturn,
        message: format!("database {name} is deleted with its data; {kept}"),
    });
    Ok(assessment)
}

/// The final snapshot of a deletion; `None`: skipping it was declared.
pub(crate) fn final_snapshot(change: &Change) -> Result<Option<String>, Failure> {
    let from = |map: Option<&Map>| {
        map.and_then(|map| text(map, "final_snapshot_identifier").map(str::to_owned))
    };
    let prior = change.subject.prior.as_ref();
    if let Some(last) = from(prior).or_else(|| from(change.observed.as_ref())) {
        return Ok(Some(last));
    }
    let skip = |map: Option<&Map>| {
        map.and_then(|map| map.get("skip_final_snapshot")) == Some(&Value::Bool(true))
    };
    if skip(prior) || skip(change.observed.as_ref()) {
        return Ok(None);
    }
    Err(Failure::Precondition(
        "nothing says what becomes of the data; release `final_snapshot_identifier = \"…\"` (or `skip_final_snapshot = true`) with the database first, then delete it".to_owned(),
    ))
}

fn assess_change(change: &Change, observed: &Map) -> Result<Assessment, Failure> {
    let name = text(observed, "identifier").unwrap_or_default();
    let differs =
        |field: &str| change.paths.iter().any(|path| path.split('/').nth(1) == Some(field));
    let mut assessment = Assessment::new(Reversal::Exact);
    assessment.undo = Some(undo_of(observed));

    if differs("engine_version") {
        check_version(change, observed, name, &mut assessment)?;
    }
    if differs("allocated_storage") {
        let (old, new) = (
            number(observed.get("allocated_storage")),
            number(change.desired_field("allocated_storage").known()),
        );
        if let (Some(old), Some(new)) = (old, new) {
            if new < old {
                return Err(Failure::Precondition(format!(
                    "database {name} has {old} GiB, and RDS cannot shrink it to {new}; leave `allocated_storage` at {old}, or move the data to a new instance"
                )));
            }
            let least = (old * 11 + 9) / 10;
            if new < least {
                return Err(Failure::Precondition(format!(
                    "database {name} has {old} GiB, and RDS grows storage by a tenth at least: it would make {least} of {new}, which would differ for ever; declare {least} or more"
                )));
            }
            assessment.notes.push("storage that has grown stays grown".to_owned());
            assessment.reversal = assessment.reversal.max(Reversal::Kept);
        }
    }
    let immediately = change.desired_field("apply_immediately").known() == Some(&Value::Bool(true));
    timing(observed, name, immediately, &differs, &mut assessment);
    for (field, what) in DOWNTIME.iter().filter(|(field, _)| differs(field)) {
        assessment.risks.push(Risk {
            severity: Severity::Downtime,
            message: format!("database {name} is away for minutes ({field}): {what}"),
        });
    }
    if differs("parameter_group_name") {
        assessment.risks.push(Risk {
            severity: Severity::Caution,
            message: format!("static parameters of {name}'s new parameter group take effect only after a reboot, which relctl does not do"),
        });
    }
    if differs("deletion_protection")
        && change.desired_field("deletion_protection").known() == Some(&Value::Bool(false))
    {
        assessment.risks.push(Risk {
            severity: Severity::Caution,
            message: format!(
                "database {name} can be deleted by anybody with the permission afterwards"
            ),
        });
    }
    Ok(assessment)
}

/// When it happens, and what else would happen with it.
fn timing(
    observed: &Map,
    name: &str,
    immediately: bool,
    differs: &impl Fn(&str) -> bool,
    assessment: &mut Assessment,
) {
    let pending = observed.get("pending").and_then(Value::as_object);
    let waiting: Vec<String> = pending
        .into_iter()
        .flatten()
        .filter(|(field, _)| !differs(field))
        .map(|(field, value)| format!("{field} → {value}"))
        .collect();
    if immediately && !waiting.is_empty() {
        assessment.risks.push(Risk {
            severity: Severity::Downtime,
            message: format!(
                "`apply_immediately` also carries out what waits for the maintenance window of {name}: {}",
                waiting.join(", ")
            ),
        });
    } else if !waiting.is_empty() {
        assessment
            .notes
            .push(format!("waiting for the maintenance window: {}", waiting.join(", ")));
    }
    if immediately {
        assessment.notes.push("happens at once".to_owned());
    } else {
        let window = text(observed, "maintenance_window").unwrap_or("not set");
        assessment.notes.push(format!("what needs it waits for the maintenance window ({window}); `apply_immediately = true` does not wait"));
    }
    assessment.relies_on.push("/pending".to_owned());
}

fn check_version(
    change: &Change,
    observed: &Map,
    name: &str,
    assessment: &mut Assessment,
) -> Result<(), Failure> {
    let engine = text(observed, "engine").unwrap_or_default();
    let old = text(observed, "engine_version").unwrap_or_default();
    let Some(new) = change.desired_field("engine_version").text() else { return Ok(()) };
    if is_older(new, old) {
        return Err(Failure::Precondition(match &change.undo {
            Some(undo) => no_way_down(name, old, &undo.open.value),
            None => format!(
                "database {name} runs {engine} {old}, and RDS has no way down to {new}; declare {old}, or restore a snapshot from before the upgrade as a new instance"
            ),
        }));
    }
    let major = major_of(engine, new) != major_of(engine, old);
    if major
        && change.desired_field("allow_major_version_upgrade").known() != Some(&Value::Bool(true))
    {
        return Err(Failure::Precondition(format!(
            "{engine} {old} → {new} is a major upgrade of database {name}; allow it with `allow_major_version_upgrade = true`, and give a `parameter_group_name` of the new family"
        )));
    }
    assessment.reversal = Reversal::Impossible;
    assessment.risks.push(Risk {
        severity: Severity::PointOfNoReturn,
        message: format!(
            "{engine} {old} → {new} of {name} cannot be taken back: RDS has no downgrade. Going back means restoring a snapshot from before as a new instance (what is written since is lost)"
        ),
    });
    Ok(())
}

/// Why the database cannot go back, and what a person can do.
fn no_way_down(name: &str, now: &str, was: &Object) -> String {
    let old = text(was, "engine_version").unwrap_or("the version before");
    let restore = Restore { name, snapshot: None, was, is_cluster: false };
    let procedure = restore.procedure().join("\n  ");
    format!(
        "database {name} runs {now}, and RDS has no way down to {old}\nTo take {name} back by hand, losing everything that was written since the snapshot that you restore:\n  {procedure}"
    )
}

/// Whether version `a` comes before `b`, part by part; a missing part is neither.
fn is_older(a: &str, b: &str) -> bool {
    for (a, b) in a.split('.').zip(b.split('.')) {
        match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) if a != b => return a < b,
            (Ok(_), Ok(_)) => {}
            _ if a != b => return a < b,
            _ => {}
        }
    }
    false
}

/// The part of a version that is its major one: two numbers where engines count like that.
fn major_of<'a>(engine: &str, version: &'a str) -> Vec<&'a str> {
    let parts = version.split('.');
    let new_postgres = engine.contains("postgres") && !version.starts_with("9.");
    parts.take(if new_postgres { 1 } else { 2 }).collect()
}

fn number(value: Option<&Value>) -> Option<i64> {
    value.and_then(Value::as_i64)
}

fn undo_of(observed: &Map) -> Undo {
    let mut open = Document::default();
    for name in SETTINGS {
        if let Some(value) = observed.get(*name) {
            open.set(name, value.clone());
        }
    }
    Undo { open, sealed: None }
}

#[cfg(test)]
mod tests {
    use relctl_sdk::testing::{change, map, subject};
    use serde_json::json;

    use super::*;

    fn assessed(
        observed: Value,
        desired: Value,
        undo: Option<Undo>,
    ) -> Result<Assessment, Failure> {
        let mut there = map(
            json!({ "identifier": "db", "engine": "postgres", "engine_version": "15.4", "allocated_storage": 100,
            "maintenance_window": "sun:03:00-sun:04:00" }),
        );
        aws_connector::json::lay_over(&mut there, &map(observed));
        let paths = desired.as_object().unwrap().keys().map(|key| format!("/{key}")).collect();
        let mut change =
            change(Verb::Update, subject("resource.aws_db_instance.db", desired), Some(there));
        change.paths = paths;
        change.undo = undo;
        assess(&change)
    }

    #[test]
    fn what_cannot_be_taken_back_is_refused_or_said() {
        for (observed, desired, refused) in [
            (json!({}), json!({ "engine_version": "14.9" }), Some("no way down")),
            (json!({}), json!({ "engine_version": "15.2" }), Some("no way down")),
            (json!({}), json!({ "engine_version": "16.1" }), Some("allow_major_version_upgrade")),
            (
                json!({ "engine": "mysql", "engine_version": "8.0.35" }),
                json!({ "engine_version": "8.4.0" }),
                Some("allow_major_version_upgrade"),
            ),
            (
                json!({ "engine": "mysql", "engine_version": "8.0.35" }),
                json!({ "engine_version": "8.0.36" }),
                None,
            ),
            (
                json!({}),
                json!({ "engine_version": "16.1", "allow_major_version_upgrade": true }),
                None,
            ),
            (json!({}), json!({ "engine_version": "15.10" }), None),
            (json!({}), json!({ "allocated_storage": 50 }), Some("cannot shrink")),
            (json!({}), json!({ "allocated_storage": 109 }), Some("declare 110 or more")),
            (json!({}), json!({ "allocated_storage": 110 }), None),
            (json!({}), json!({ "instance_class": "db.m6g.large" }), None),
        ] {
            let result = assessed(observed, desired.clone(), None);
            match (result, refused) {
                (Err(Failure::Precondition(message)), Some(words)) => {
                    assert!(message.contains(words), "{desired}: {message}");
                }
                (Ok(assessment), None) => {
                    let irreversible = desired.get("engine_version").is_some();
                    assert_eq!(
                        assessment.reversal == Reversal::Impossible,
                        irreversible,
                        "{desired}"
                    );
                    assert_eq!(
                        assessment.risks.iter().any(|r| r.severity == Severity::PointOfNoReturn),
                        irreversible
                    );
                }
                (result, _) => panic!("{desired}: {result:?}"),
            }
        }
    }

    #[test]
    fn what_waits_is_shown_and_what_would_be_flushed_is_a_risk() {
        let observed = json!({ "pending": { "instance_class": "db.r6g.large" } });
        let later =
            assessed(observed.clone(), json!({ "backup_retention_period": 7 }), None).unwrap();
        assert!(later.risks.is_empty());
        assert!(later.notes.iter().any(|note| note.contains("instance_class → \"db.r6g.large\"")));
        let now = assessed(
            observed,
            json!({ "backup_retention_period": 7, "apply_immediately": true }),
            None,
        )
        .unwrap();
        assert!(
            now.risks.iter().any(|risk| risk.severity == Severity::Downtime
                && risk.message.contains("instance_class"))
        );
    }

    #[test]
    fn going_back_over_an_upgrade_prints_the_recorded_settings() {
        let undo = undo_of(&map(
            json!({ "engine_version": "14.9", "db_subnet_group_name": "private", "vpc_security_group_ids": ["sg-7"],
            "parameter_group_name": "pg14", "multi_az": true, "deletion_protection": true }),
        ));
        let Err(Failure::Precondition(message)) =
            assessed(json!({}), json!({ "engine_version": "14.9" }), Some(undo))
        else {
            panic!("it is refused")
        };
        for part in ["private", "sg-7", "pg14", "Multi-AZ true", "deletion protection true", "14.9"]
        {
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn deletion_is_never_forced() {
        let deletion = |observed: Value| {
            let there = map(observed);
            let mut change = change(
                Verb::Delete,
                subject("resource.aws_db_instance.db", json!({})),
                Some(there.clone()),
            );
            change.subject.prior = Some(there);
            assess(&change)
        };
        assert!(
            matches!(deletion(json!({ "identifier": "db", "deletion_protection": true, "skip_final_snapshot": true })), Err(Failure::Precondition(m)) if m.contains("deletion protection"))
        );
        assert!(
            matches!(deletion(json!({ "identifier": "db" })), Err(Failure::Precondition(m)) if m.contains("final_snapshot_identifier"))
        );
        let last = deletion(json!({ "identifier": "db", "final_snapshot_identifier": "last-one" }))
            .unwrap();
        assert!(
            last.risks.iter().any(|risk| risk.severity == Severity::PointOfNoReturn
                && risk.message.contains("last-one"))
        );
    }
}
