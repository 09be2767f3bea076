//! Takes a snapshot, waits for it, verifies that it is this run's, and prunes what this step took
//! before.

use aws_connector::json::{Object, text};
use aws_connector::look_again_ms;
use relctl_sdk::{Attempt, Document, Failure, Host, Level, Progress, Step, Value};

use super::age;
use super::model::{Database, Names, Snapshot, Source};
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

    fn not_ours(&self, snapshot: &Snapshot) -> Failure {
        super::not_ours(&self.identifier, &snapshot.source)
    }

    /// What the run leaves behind: the snapshot, verified to be of its database, and how to restore
    /// from it with the settings that the database has now.
    fn left_behind(&self, rds: &Rds, snapshot: &Snapshot) -> Result<Document, Failure> {
        let mut document = Document::known(snapshot.document(&self.names));
        let source = self.source.identifier();
        let Some(database) = rds.source(&self.source)? else {
            let message = format!(
                "snapshot `{}` is available, but its database `{source}` is gone, so that nobody can tell whether it is what was there",
                snapshot.identifier
            );
            return Err(Failure::Partial(document, message));
        };
        if let Some(mismatch) = snapshot.mismatch(&database) {
            let message = format!(
                "snapshot `{}` is available, and not what `{source}` is: {mismatch}; look at both (`aws rds describe-db-snapshots`), then plan again",
                snapshot.identifier
            );
            return Err(Failure::Partial(document, message));
        }
        document.set("restore_procedure", database.procedure(&self.source, &snapshot.identifier));
        Ok(document)
    }
}

/// Whether RDS takes a snapshot of it now.
pub(super) fn is_ready(database: &Database) -> bool {
    READY.contains(&database.status.as_str())
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
            Err(wanted.not_ours(&there))
        };
    }
    let source = wanted.source.identifier();
    let Some(database) = rds.source(&wanted.source)? else { return Err(super::no_source(source)) };
    if let Some(fresh) = fresh_enough(&rds, &wanted, &database, host.now_ms())? {
        host.log(Level::Info, &format!("snapshot {} is young enough and serves", fresh.identifier));
        return Ok(Progress::Done(wanted.left_behind(&rds, &fresh)?));
    }
    if !is_ready(&database) {
        return Err(Failure::Precondition(format!(
            "database `{source}` is {}, and RDS takes snapshots of available ones only",
            database.status
        )));
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
                Some(there) => return Err(wanted.not_ours(&there)),
                None => return Err(problem.into()),
            }
        }
        Err(problem) => return Err(problem.into()),
    }
    let again = if step.attempt == Attempt::Again { " again" } else { "" };
    Ok(pending(host, format!("snapshot {} is begun{again}", wanted.identifier)))
}

/// The newest available snapshot of the database as it is now, where `max_age` lets it serve.
fn fresh_enough(
    rds: &Rds,
    wanted: &Wanted,
    database: &Database,
    now_ms: u64,
) -> Result<Option<Snapshot>, Failure> {
    let Some(most) = text(&wanted.desired, "max_age").and_then(age::milliseconds) else {
        return Ok(None);
    };
    let oldest = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_sub(most);
    let newest = rds
        .snapshots(&wanted.source)?
        .into_iter()
        .filter(Snapshot::is_available)
        .filter(|snapshot| snapshot.created_ms.is_some_and(|created| created >= oldest))
        .filter(|snapshot| snapshot.mismatch(database).is_none())
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
        return Err(wanted.not_ours(&snapshot));
    }
    let document = Document::known(snapshot.document(&wanted.names));
    match snapshot.status.as_str() {
        "available" => {
            let left_behind = wanted.left_behind(&rds, &snapshot)?;
            prune(host, &rds, &wanted, step)?;
            Ok(Progress::Done(left_behind))
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
    let own = own(rds.snapshots(&wanted.source)?, &step.change.subject.address);
    let own = own.into_iter().filter(|s| text(&s.tags, LINEAGE_TAG) == Some(&step.lineage));
    for snapshot in own.skip(keep.max(1)) {
        match rds.delete_snapshot(&wanted.source, &snapshot.identifier) {
            Ok(()) => host.log(Level::Info, &format!("deleted snapshot {}", snapshot.identifier)),
            // The new snapshot is there: an old one that stays is no reason to fail.
            Err(problem) => host.log(
                Level::Warn,
                &format!("snapshot {} stays: {}", snapshot.identifier, problem.sentence()),
            ),
        }
    }
    Ok(())
}

/// Whether some run of this action took it.
pub(super) fn is_of_step(snapshot: &Snapshot, address: &str) -> bool {
    text(&snapshot.tags, STEP_TAG) == Some(address)
}

/// A step's own available snapshots, the newest first.
pub(super) fn own(all: Vec<Snapshot>, address: &str) -> Vec<Snapshot> {
    let is_own = |snapshot: &Snapshot| snapshot.is_available() && is_of_step(snapshot, address);
    let mut own: Vec<Snapshot> = all.into_iter().filter(is_own).collect();
    own.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.created_ms));
    own
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
    fn a_steps_own_are_told_apart_the_newest_first() {
        let ours = [(STEP_TAG, "action.aws_db_snapshot.before")];
        let all = vec![
            snapshot("a", 1, &ours),
            snapshot("c", 3, &ours),
            snapshot("b", 2, &ours),
            snapshot("manual", 0, &[]),
            snapshot("another-steps", 0, &[(STEP_TAG, "action.aws_db_snapshot.nightly")]),
        ];
        let own = own(all, "action.aws_db_snapshot.before");
        let names: Vec<&str> = own.iter().map(|snapshot| snapshot.identifier.as_str()).collect();
        assert_eq!(names, ["c", "b", "a"]);
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
