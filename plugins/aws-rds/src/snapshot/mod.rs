//! `aws_db_snapshot` and `aws_db_cluster_snapshot`: taken when something that needs them runs.

mod age;
mod model;
mod take;

use aws_connector::wrong;
use relctl_sdk::{
    Assessment, Change, Diagnostic, Document, Failure, Field, Host, Map, Reversal, Risk, Severity,
    Subject, Value,
};

use crate::api::Rds;
use crate::instance::is_identifier;

pub(crate) use model::{Snapshot, Source};
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
pub(crate) fn assess(change: &Change) -> Assessment {
    let mut assessment = Assessment::new(Reversal::Kept);
    let names = model::Names::of_kind(change.subject.kind());
    let source = change.desired_field(names.source).text().unwrap_or("the database");
    if let Some(keep) = change.desired_field("keep").known() {
        assessment.risks.push(Risk {
            severity: Severity::Destructive,
            message: format!(
                "of the snapshots that this step took of {source}, only the newest {keep} are kept; the older ones are deleted after it"
            ),
        });
    }
    if let Some(age) = change.desired_field("max_age").text() {
        assessment.notes.push(format!("a snapshot of {source} that is younger than {age} serves"));
    }
    assessment
}

/// Lookups: one snapshot by name, or the newest of a database.
pub(crate) fn observe(host: &impl Host, subjects: &[Subject]) -> Vec<Result<Option<Map>, Failure>> {
    let rds = Rds::new(host);
    let one = |subject: &Subject| {
        if subject.role() != "lookup" {
            return Ok(None);
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
