//! `aws_db_instance`: a database, adopted and modified, made, or restored from a snapshot.

mod canonical;
mod guards;
mod write;

use aws_connector::{documents, wrong};
use relctl_sdk::{Diagnostic, Document, Failure, Host, Map, Subject, Value};

use crate::api::Rds;

pub(crate) use canonical::settings;
pub(crate) use guards::assess;
pub(crate) use write::{apply, poll};

/// The canonical form of what is declared.
pub(crate) fn validate(declared: &Document) -> Result<Document, Vec<Diagnostic>> {
    let document = documents::canonical(declared, canonical::of_declared);
    let mut problems = Vec::new();
    for name in ["identifier", "final_snapshot_identifier"] {
        if document.field(name).text().is_some_and(|identifier| !is_identifier(identifier, 63)) {
            problems.push(wrong(
                &format!("/{name}"),
                "is not an RDS identifier",
                "begin with a letter; use letters, digits and single hyphens; do not end with one",
            ));
        }
    }
    if document
        .field("allocated_storage")
        .known()
        .and_then(Value::as_i64)
        .is_some_and(|size| size < 1)
    {
        problems.push(wrong("/allocated_storage", "is less than 1 GiB", "give the size in GiB"));
    }
    if problems.is_empty() { Ok(document) } else { Err(problems) }
}

/// RDS's rule for identifiers of instances (up to 63 characters) and snapshots (up to 255).
pub(crate) fn is_identifier(text: &str, most: usize) -> bool {
    text.len() <= most
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// What is there: all that were asked for in one paged call.
pub(crate) fn observe(host: &impl Host, subjects: &[Subject]) -> Vec<Result<Option<Map>, Failure>> {
    let identifiers: Vec<String> =
        subjects.iter().filter_map(|subject| identifier(subject).ok()).collect();
    let found = Rds::new(host).instances(&identifiers).map_err(Failure::from);
    let one = |subject: &Subject| {
        let identifier = identifier(subject)?;
        let instances = found.as_ref().map_err(Clone::clone)?;
        let is_it = |instance: &&aws_sdk_rds::types::DbInstance| {
            instance.db_instance_identifier() == Some(&identifier)
        };
        Ok(instances.iter().find(is_it).map(|instance| canonical::of_answer(instance, subject)))
    };
    subjects.iter().map(one).collect()
}

fn identifier(subject: &Subject) -> Result<String, Failure> {
    Ok(documents::identity(subject, "identifier")?.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_rdss() {
        for (text, good) in [
            ("prod-db", true),
            ("a", true),
            ("1db", false),
            ("db-", false),
            ("a--b", false),
            ("a_b", false),
            ("", false),
        ] {
            assert_eq!(is_identifier(text, 63), good, "{text}");
        }
        assert!(!is_identifier(&"a".repeat(64), 63));
    }
}
