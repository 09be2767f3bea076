//! Takes a snapshot, waits for it, verifies that it is this run's, and prunes what this step took
//! before.

use aws_connector::json::{Object, text};
use aws_connector::look_again_ms;
use relctl_sdk::{Attempt, Document, Failure, Host, Level, Progress, Step, Value};

use super::age;
use super::model::{Names, Snapshot, Source};
use crate::api::Rds;
use crate::{LINEAGE_TAG, RUN_TAG, STEP_TAG};

/// The longest wait between two looks, in milliseconds.
const LOOK_AGAIN_MS: u32 = 5_000;

/// States in which RDS takes a snapshot.
const READY: &[&str] = &["available", "storage-optimization", "backing-up"];

struct Wanted {
    names: Names,
    source: Source,
    identifier: String,
    run: String,
    desired: Object,
}

impl Wanted {
    fn of(step: &Step) -> Self {
        let names = Names::of_kind(step.change.subject.kind());
        let desired = step.change.desired.clone().unwrap_or_default().value;
        let run = step.run_key.clone().unwrap_or_else(|| step.token.clone());
        let of_run = || {
            let run: String = run.chars().take(12).collect();
            format!("{}-{run}", text(&desired, "name_prefix").unwrap_or("relctl"))
        };
        let identifier = text(&desired, names.identifier).map_or_else(of_run, str::to_owned);
        let source = names.source_of(text(&desired, names.source).unwrap_or_default());
        Self { names, source, identifier, run, desired }
    }

    /// Whether a snapshot was taken by this very run.
    fn is_ours(&self, snapshot: &Snapshot) -> bool {
        text(&snapshot.tags, RUN_TAG) == Some(&self.run)
            && snapshot.source.eq_ignore_ascii_case(self.source.identifier())
    }

    fn taken(&self, snapshot: &Snapshot) -> Failure {
        Failure::Precondition(format!(
            "snapshot `{}` exists and is not this run's (it is of `{}`); use `name_prefix`, or another name",
            self.identifier, snapshot.source
        ))
    }
}

fn pending(host: &impl Host, message: String) -> Progress {
    since(host.now_ms(), 0, message)
}

fn since(since_ms: u64, elapsed_ms: u64, message: String) -> Progress {
    let retry_after_ms = look_again_ms(elapsed_ms, LOOK_AGAIN_MS);
    Progress::Pending { token: since_ms.to_string(), message, retry_after_ms }
}

/// Begins, unless this run has its snapshot or a fresh enough one serves.
pub(crate) fn apply(host: &impl Host, step: &Step) -> Result<Progress, Failure> {
    let rds = Rds::new(host);
    let wanted = Wanted::of(step);
    if let Some(there) = rds.snapshot(&wanted.source, &wanted.identifier)? {
        return if wanted.is_ours(&there) {
            Ok(pending(host, "this run's snapshot was begun before".to_owned()))
        } else {
            Err(wanted.taken(&there))
        };
    }
    if let Some(fresh) = fresh_enough(&rds, &wanted, host.now_ms())? {
        host.log(Level::Info, &format!("snapshot {} is young enough and serves", fresh.identifier));
        return Ok(Progress::Done(Document::known(fresh.document(&wanted.names))));
    }
    let source = wanted.source.identifier();
    match rds.status_of(&wanted.source)? {
        None => {
            return Err(Failure::NotFound(format!(
                "database `{source}` is not there; check its name, and the plugin's account and region"
            )));
        }
        Some(status) if !READY.contains(&status.as_str()) => {
            return Err(Failure::Precondition(format!(
                "database `{source}` is {status}, and RDS takes snapshots of available ones only"
            )));
        }
        Some(_) => {}
    }
    let mut tags =
        wanted.desired.get("tags").and_then(Value::as_object).cloned().unwrap_or_default();
    tags.insert(RUN_TAG.to_owned(), wanted.run.clone().into());
    tags.insert(LINEAGE_TAG.to_owned(), step.lineage.clone().into());
    tags.insert(STEP_TAG.to_owned(), step.change.subject.address.clone().into());
    match rds.create_snapshot(&wanted.source, &wanted.identifier, &tags) {
        Ok(()) => {}
        Err(problem)
            if problem.is("DBSnapshotAlreadyExists")
                || problem.is("DBClusterSnapshotAlreadyExists")
                || problem.is_unknown() =>
        {
            // Somebody was quicker, or the reply was lost: whose is it?
            match rds.snapshot(&wanted.source, &wanted.identifier)? {
                Some(there) if wanted.is_ours(&there) => {}
                Some(there) => return Err(wanted.taken(&there)),
                None => return Err(problem.into()),
            }
        }
        Err(problem) => return Err(problem.into()),
    }
    let again = if step.attempt == Attempt::Again { " again" } else { "" };
    Ok(pending(host, format!("snapshot {} is begun{again}", wanted.identifier)))
}

/// The newest available snapshot, where `max_age` lets it serve.
fn fresh_enough(rds: &Rds, wanted: &Wanted, now_ms: u64) -> Result<Option<Snapshot>, Failure> {
    let Some(most) = text(&wanted.desired, "max_age").and_then(age::milliseconds) else {
        return Ok(None);
    };
    let oldest = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_sub(most);
    let newest = rds
        .snapshots(&wanted.source)?
        .into_iter()
        .filter(Snapshot::is_available)
        .filter(|snapshot| snapshot.created_ms.is_some_and(|created| created >= oldest))
        .max_by_key(|snapshot| snapshot.created_ms);
    Ok(newest)
}

/// Looks how the snapshot is.
pub(crate) fn poll(host: &impl Host, step: &Step, token: &str) -> Result<Progress, Failure> {
    let since_ms: u64 = token.parse().map_err(|_| {
        Failure::Unknown("the token of this wait is not one of this plugin's".to_owned())
    })?;
    let rds = Rds::new(host);
    let wanted = Wanted::of(step);
    let elapsed_ms = host.now_ms().saturating_sub(since_ms);
    let Some(snapshot) = rds.snapshot(&wanted.source, &wanted.identifier)? else {
        return Err(Failure::Partial(
            Document::default(),
            format!("snapshot `{}` was begun and is gone", wanted.identifier),
        ));
    };
    if !wanted.is_ours(&snapshot) {
        return Err(wanted.taken(&snapshot));
    }
    let document = Document::known(snapshot.document(&wanted.names));
    match snapshot.status.as_str() {
        "available" => {
            prune(host, &rds, &wanted, step)?;
            Ok(Progress::Done(document))
        }
        "creating" | "backing-up" | ""
            if elapsed_ms + 2 * u64::from(LOOK_AGAIN_MS) <= step.timeout_ms =>
        {
            Ok(since(since_ms, elapsed_ms, format!("{} {} %", wanted.identifier, snapshot.percent)))
        }
        status => Err(Failure::Partial(
            document,
            format!("snapshot `{}` is {status} after {} s", wanted.identifier, elapsed_ms / 1000),
        )),
    }
}

/// Deletes the oldest of those that this very step took in earlier runs, as the plan said.
fn prune(host: &impl Host, rds: &Rds, wanted: &Wanted, step: &Step) -> Result<(), Failure> {
    let keep =
        wanted.desired.get("keep").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let Some(keep) = keep else { return Ok(()) };
    for snapshot in
        beyond(rds.snapshots(&wanted.source)?, keep, &step.lineage, &step.change.subject.address)
    {
        match rds.delete_snapshot(&wanted.source, &snapshot.identifier) {
            Ok(()) => host.log(Level::Info, &format!("deleted snapshot {}", snapshot.identifier)),
            // The new snapshot is there: an old one that stays is no reason to fail.
            Err(problem) => host.log(
                Level::Warn,
                &format!("snapshot {} stays: {:?}", snapshot.identifier, Failure::from(problem)),
            ),
        }
    }
    Ok(())
}

/// Those of a step's own available snapshots that are not among its newest `keep`.
fn beyond(all: Vec<Snapshot>, keep: usize, lineage: &str, address: &str) -> Vec<Snapshot> {
    let mut own: Vec<Snapshot> = all
        .into_iter()
        .filter(|snapshot| {
            snapshot.is_available()
                && text(&snapshot.tags, LINEAGE_TAG) == Some(lineage)
                && text(&snapshot.tags, STEP_TAG) == Some(address)
        })
        .collect();
    own.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.created_ms));
    own.split_off(keep.max(1).min(own.len()))
}

#[cfg(test)]
mod tests {
    use aws_sdk_rds::primitives::DateTime;
    use aws_sdk_rds::types::{DbSnapshot, Tag};
    use relctl_sdk::Verb;
    use relctl_sdk::testing::{change, step, subject};
    use serde_json::json;

    use super::*;

    fn snapshot(name: &str, created: i64, tags: &[(&str, &str)]) -> Snapshot {
        let mut builder = DbSnapshot::builder()
            .db_snapshot_identifier(name)
            .db_instance_identifier("db")
            .status("available")
            .snapshot_create_time(DateTime::from_secs(created));
        for (key, value) in tags {
            builder = builder.tag_list(Tag::builder().key(*key).value(*value).build());
        }
        Snapshot::of_instance(&builder.build())
    }

    #[test]
    fn only_its_own_are_pruned_the_oldest_first() {
        let ours = [(LINEAGE_TAG, "l"), (STEP_TAG, "action.aws_db_snapshot.before")];
        let all = vec![
            snapshot("a", 1, &ours),
            snapshot("b", 2, &ours),
            snapshot("c", 3, &ours),
            snapshot("manual", 0, &[]),
            snapshot(
                "another-ledgers",
                0,
                &[(LINEAGE_TAG, "x"), (STEP_TAG, "action.aws_db_snapshot.before")],
            ),
            snapshot(
                "another-steps",
                0,
                &[(LINEAGE_TAG, "l"), (STEP_TAG, "action.aws_db_snapshot.nightly")],
            ),
        ];
        let names = |keep| {
            let beyond = beyond(all.clone(), keep, "l", "action.aws_db_snapshot.before");
            beyond.into_iter().map(|snapshot| snapshot.identifier).collect::<Vec<_>>()
        };
        assert_eq!(names(1), ["b", "a"]);
        assert_eq!(names(2), ["a"]);
        assert_eq!(names(9), Vec::<String>::new());
    }

    #[test]
    fn a_run_has_a_name_of_its_own_and_knows_its_snapshot() {
        let desired = json!({ "db_instance_identifier": "db", "name_prefix": "prod-v1" });
        let mut step =
            step(change(Verb::Run, subject("action.aws_db_snapshot.before", desired), None));
        step.run_key = Some("0123456789abcdef0123456789abcdef".to_owned());
        let wanted = Wanted::of(&step);
        assert_eq!(wanted.identifier, "prod-v1-0123456789ab");
        assert!(wanted.is_ours(&snapshot(
            "x",
            1,
            &[(RUN_TAG, "0123456789abcdef0123456789abcdef")]
        )));
        assert!(!wanted.is_ours(&snapshot("x", 1, &[(RUN_TAG, "another")])));
        assert!(!wanted.is_ours(&snapshot("x", 1, &[])));
    }
}
