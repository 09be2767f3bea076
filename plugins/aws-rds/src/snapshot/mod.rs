//! `aws_db_snapshot` and `aws_db_cluster_snapshot`: taken when something that needs them runs.

mod age;
mod model;
mod take;

use aws_connector::json::text;
use aws_connector::wrong;
use relctl_sdk::{
    Assessment, Change, Diagnostic, Document, Failure, Field, Host, Map, Reversal, Risk, Severity,
    Subject, Value,
};

use crate::api::Rds;
use crate::instance::is_identifier;

pub(crate) use model::{Database, Snapshot, Source};
pub(crate) use take::{apply, poll};

/// The canonical form of what is declared.
pub(crate) fn validate(
    subject: &Subject,
    declared: &Document,
) -> Result<Document, Vec<Diagnostic>> {
    let mut document = declared.clone();
    let mut problems = Vec::new();
    let names = model::Names::of_kind(subject.kind());
    for name in [names.source, names.identifier, "name_prefix"] {
        let Some(text) = document.field(name).text().map(str::to_lowercase) else { continue };
        if !is_identifier(&text, 255) || text.len() > 240 && name == "name_prefix" {
            problems.push(wrong(
                &format!("/{name}"),
                "is not an RDS identifier",
                "begin with a letter; use letters, digits and single hyphens; do not end with one",
            ));
        }
        document.set(name, text);
    }
    let given = |name: &str| document.field(name) != Field::Absent;
    if subject.role() == "action" && given(names.identifier) == given("name_prefix") {
        problems.push(wrong(
            "",
            &format!("needs one of `{}` and `name_prefix`", names.identifier),
            "with `name_prefix` each run gets a name of its own",
        ));
    }
    if document.field("max_age").text().is_some_and(|text| age::milliseconds(text).is_none()) {
        problems.push(wrong(
            "/max_age",
            "is not a length of time",
            "write it as in `30m`, `24h` or `7d`",
        ));
    }
    if document.field("keep").known().and_then(Value::as_i64).is_some_and(|keep| keep < 1) {
        problems.push(wrong(
            "/keep",
            "is less than 1",
            "the snapshot that was just taken is always kept",
        ));
    }
    if problems.is_empty() { Ok(document) } else { Err(problems) }
}

/// What taking a snapshot would mean: it stays, and does no harm.
pub(crate) fn assess(change: &Change) -> Result<Assessment, Failure> {
    let mut assessment = Assessment::new(Reversal::Kept);
    let names = model::Names::of_kind(change.subject.kind());
    let source = change.desired_field(names.source).text().unwrap_or("the database");
    if let Some(age) = change.desired_field("max_age").text() {
        assessment.notes.push(format!("a snapshot of {source} that is younger than {age} serves"));
    }
    let keep = change.desired_field("keep").known().and_then(Value::as_u64);
    let Some(observed) = &change.observed else {
        assessment.risks.extend(keep.map(|keep| pruning(source, keep, "older ones")));
        return Ok(assessment);
    };
    match text(observed, "status") {
        None => return Err(no_source(source)),
        Some(NOT_READY) => assessment.risks.push(Risk {
            severity: Severity::Caution,
            message: format!(
                "{source} is not available, and RDS takes snapshots of available databases only"
            ),
        }),
        Some(_) => {}
    }
    if let Some(theirs) = text(observed, "taken_of") {
        let name = change.desired_field(names.identifier).text().unwrap_or_default();
        return Err(not_ours(name, theirs));
    }
    let pruned: Vec<&str> = strings(observed.get("pruned")).collect();
    if let Some(keep) = keep.filter(|_| !pruned.is_empty()) {
        assessment.risks.push(pruning(source, keep, &pruned.join(", ")));
    }
    Ok(assessment)
}

/// What an action's observation says of a database that RDS takes no snapshot of now.
const NOT_READY: &str = "not-ready";

fn pruning(source: &str, keep: u64, which: &str) -> Risk {
    Risk {
        severity: Severity::Destructive,
        message: format!(
            "of the snapshots that this step took of {source} the newest {keep} are kept; once the new one is available, those that this ledger took are deleted: {which}"
        ),
    }
}

fn no_source(source: &str) -> Failure {
    Failure::NotFound(format!(
        "database `{source}` is not there; check its name, and the plugin's account and region"
    ))
}

fn not_ours(name: &str, of: &str) -> Failure {
    Failure::Precondition(format!(
        "snapshot `{name}` exists and is not this run's (it is of `{of}`); use `name_prefix`, or another name"
    ))
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// What a run would find: its database, whether its name is taken, what it would prune.
fn observe_run(rds: &Rds, subject: &Subject) -> Result<Option<Map>, Failure> {
    let names = model::Names::of_kind(subject.kind());
    let desired = subject.desired.clone().unwrap_or_default();
    let Some(source) = desired.field(names.source).text().map(|name| names.source_of(name)) else {
        return Ok(None);
    };
    let mut observed = Map::new();
    if let Some(database) = rds.source(&source)? {
        let status = if take::is_ready(&database) { "ready" } else { NOT_READY };
        observed.insert("status".to_owned(), status.into());
    }
    if let Some(name) = desired.field(names.identifier).text()
        && let Some(there) = rds.snapshot(&source, name)?
        && !(take::is_of_step(&there, &subject.address)
            && there.source.eq_ignore_ascii_case(source.identifier()))
    {
        observed.insert("taken_of".to_owned(), there.source.into());
    }
    if let Some(keep) = desired.field("keep").known().and_then(Value::as_u64) {
        let own = take::own(rds.snapshots(&source)?, &subject.address);
        // The one that the run takes is the newest then.
        let left = usize::try_from(keep.saturating_sub(1)).unwrap_or(usize::MAX);
        let pruned: Vec<Value> =
            own.into_iter().skip(left).map(|snapshot| snapshot.identifier.into()).collect();
        observed.insert("pruned".to_owned(), pruned.into());
    }
    Ok(Some(observed))
}

/// What an earlier run left behind, if it can still be restored from.
fn observe_left(rds: &Rds, subject: &Subject, left: &Map) -> Result<Option<Map>, Failure> {
    let names = model::Names::of_kind(subject.kind());
    let text = |name| text(left, name).unwrap_or_default();
    let found = rds.snapshot(&names.source_of(text(names.source)), text(names.identifier))?;
    Ok(found.filter(Snapshot::is_available).map(|snapshot| snapshot.document(&names)))
}

/// Lookups: one snapshot by name, or the newest of a database. Actions: what a run would find, or
/// what is there of what one left.
pub(crate) fn observe(host: &impl Host, subjects: &[Subject]) -> Vec<Result<Option<Map>, Failure>> {
    let rds = Rds::new(host);
    let one = |subject: &Subject| {
        if subject.role() == "action" {
            return match &subject.prior {
                Some(left) => observe_left(&rds, subject, left),
                None => observe_run(&rds, subject),
            };
        }
        let names = model::Names::of_kind(subject.kind());
        let source = subject.identity_text(names.source).unwrap_or_default();
        let source = names.source_of(&source.to_lowercase());
        let found = match subject.identity_text(names.identifier) {
            Some(identifier) => rds.snapshot(&source, &identifier.to_lowercase())?,
            None => rds
                .snapshots(&source)?
                .into_iter()
                .filter(Snapshot::is_available)
                .max_by_key(|snapshot| snapshot.created_ms),
        };
        Ok(found.map(|snapshot| snapshot.document(&names)))
    };
    subjects.iter().map(one).collect()
}
