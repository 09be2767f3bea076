//! Between the engine's types and the contract's. Answers of guests are not trusted: what is not in
//! the contract is an error that says why, and their sentences lose what looks like a credential:
//! clouds put into an event or an error whatever somebody once gave them.

use std::sync::Arc;

use relctl_broker::http::redact;
use relctl_engine::{Change, StepCall, Subject};
use relctl_plan::{
    Assessment, Attempt, Diagnostic, Document, Failure, MAX_INTEGER, Map, Outcome, Path, Progress,
    Reversal, Risk, Severity, Undo, Value, Verb, Verdict,
};

use crate::bindings::types as wire;

/// What an answer has that the contract does not allow.
pub(crate) type Malformed = String;

// From the engine to the guest.

pub(crate) fn subject(subject: &Subject) -> wire::Subject {
    wire::Subject {
        address: subject.address.as_str().to_owned(),
        desired: subject.desired.as_deref().map(document),
        prior: subject.prior.as_deref().map(map),
    }
}

pub(crate) fn change(change: &Change) -> wire::Change {
    wire::Change {
        subject: subject(&change.subject),
        verb: match change.verb {
            Verb::Create => wire::Verb::Create,
            // What is adopted with differences is updated; checks have no changes.
            Verb::Update | Verb::Adopt | Verb::Check => wire::Verb::Update,
            Verb::Replace => wire::Verb::Replace,
            Verb::Delete => wire::Verb::Delete,
            Verb::Run => wire::Verb::Run,
        },
        observed: change.observed.as_deref().map(map),
        desired: change.desired.as_deref().map(document),
        paths: change.paths.iter().map(Path::to_pointer).collect(),
        undo: change.undo.as_ref().map(|undo| wire::Undo {
            open: document(&undo.open),
            sealed: undo.sealed.as_ref().map(document),
        }),
    }
}

pub(crate) fn step(step: &StepCall) -> wire::Step {
    wire::Step {
        id: step.id.as_str().to_owned(),
        token: step.token.clone(),
        run_key: step.run_key.clone(),
        attempt: match step.attempt {
            Attempt::First => wire::Attempt::First,
            Attempt::Again => wire::Attempt::Again,
        },
        change: change(&step.change),
        planned: document(&step.planned),
        lineage: step.lineage.clone(),
        timeout_ms: u64::try_from(step.timeout.as_millis()).unwrap_or(u64::MAX),
    }
}

fn document(document: &Document) -> wire::Document {
    wire::Document {
        unknown: document.unknown.iter().map(Path::to_pointer).collect(),
        ..map(&document.value)
    }
}

fn map(map: &Map) -> wire::Document {
    // Writing to a string, with text keys only, cannot fail.
    let json = serde_json::to_string(map).unwrap_or_default();
    wire::Document { json, unknown: Vec::new() }
}

/// How many bytes of documents a subject carries.
pub(crate) fn subject_bytes(subject: &wire::Subject) -> usize {
    document_bytes(subject.desired.as_ref()) + document_bytes(subject.prior.as_ref())
}

/// How many bytes of documents a change carries.
pub(crate) fn change_bytes(change: &wire::Change) -> usize {
    let undo = change.undo.as_ref();
    subject_bytes(&change.subject)
        + document_bytes(change.observed.as_ref())
        + document_bytes(change.desired.as_ref())
        + document_bytes(undo.map(|undo| &undo.open))
        + document_bytes(undo.and_then(|undo| undo.sealed.as_ref()))
}

fn document_bytes(document: Option<&wire::Document>) -> usize {
    document.map_or(0, |document| document.json.len())
}

// From the guest to the engine.

/// What a guest was asked about, as it crossed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    documents: [Option<(&'a str, &'a Arc<Map>)>; 2],
}

impl<'a> Asked<'a> {
    pub(crate) fn of(subject: &'a Subject, wire: &'a wire::Subject) -> Self {
        let desired = subject.desired.as_deref().map(|desired| &desired.value);
        let crossed = |document: &'a Option<wire::Document>| Some(document.as_ref()?.json.as_str());
        let documents =
            [crossed(&wire.desired).zip(desired), crossed(&wire.prior).zip(subject.prior.as_ref())];
        Self { documents }
    }

    /// The value of an answer that says, byte for byte, what was asked: the same one, shared. Most
    /// answers do, where nothing changes.
    fn value(self, answer: &str) -> Option<Arc<Map>> {
        let same = self.documents.into_iter().flatten().find(|(json, _)| *json == answer);
        same.map(|(_, value)| Arc::clone(value))
    }
}

pub(crate) fn read_document(
    document: wire::Document,
    asked: Asked<'_>,
) -> Result<Document, Malformed> {
    let value = match asked.value(&document.json) {
        Some(value) => value,
        None => serde_json::from_str(&document.json)
            .map_err(|error| format!("a document that is not a JSON object: {error}"))?,
    };
    for inner in value.values() {
        check_value(inner, DEEPEST)?;
    }
    if document.unknown.is_empty() {
        return Ok(Document::known(value));
    }
    let mut read = Document::known(value);
    for pointer in document.unknown {
        let path = read_path(&pointer)?;
        if path.is_root() || read.get(&path).is_some_and(|value| !value.is_null()) {
            return Err(format!("`{pointer}` is called unknown and has a value"));
        }
        read.unknown.insert(path);
    }
    Ok(read)
}

/// Reads a document that was not asked about.
fn read_new(document: wire::Document) -> Result<Document, Malformed> {
    read_document(document, Asked::default())
}

/// Reads a document in which everything is known.
pub(crate) fn read_known(
    document: wire::Document,
    asked: Asked<'_>,
) -> Result<Arc<Map>, Malformed> {
    let document = read_document(document, asked)?;
    match document.unknown.first() {
        None => Ok(document.value),
        Some(path) => Err(format!("`{path}` is unknown where everything is known")),
    }
}

pub(crate) fn read_assessment(assessment: wire::Assessment) -> Result<Assessment, Malformed> {
    Ok(Assessment {
        planned: read_new(assessment.planned)?,
        replace: assessment.replace,
        reversal: match assessment.reversal {
            wire::Reversal::Exact => Reversal::Exact,
            wire::Reversal::Compensating => Reversal::Compensating,
            wire::Reversal::Kept => Reversal::Kept,
            wire::Reversal::Impossible => Reversal::Impossible,
        },
        undo: match assessment.undo {
            None => None,
            Some(undo) => Some(Undo {
                open: read_new(undo.open)?,
                sealed: undo.sealed.map(read_new).transpose()?,
            }),
        },
        risks: assessment.risks.iter().map(read_risk).collect(),
        notes: assessment.notes.iter().map(|note| sentence(note)).collect(),
        relies_on: assessment
            .relies_on
            .iter()
            .map(|pointer| read_path(pointer))
            .collect::<Result<_, _>>()?,
    })
}

pub(crate) fn read_progress(progress: wire::Progress) -> Result<Progress, Malformed> {
    Ok(match progress {
        wire::Progress::Done(document) => {
            Progress::Done(Document::known(read_known(document, Asked::default())?))
        }
        wire::Progress::Pending(pending) => Progress::Pending {
            token: pending.token,
            message: sentence(&pending.message),
            retry_after_ms: pending.retry_after_ms,
        },
    })
}

pub(crate) fn read_verdict(verdict: &wire::Verdict) -> Verdict {
    Verdict {
        outcome: match verdict.outcome {
            wire::Outcome::Pass => Outcome::Pass,
            wire::Outcome::Fail => Outcome::Fail,
            wire::Outcome::Inconclusive => Outcome::Inconclusive,
        },
        evidence: sentence(&verdict.evidence),
    }
}

pub(crate) fn read_failure(failure: wire::Failure) -> Result<Failure, Malformed> {
    Ok(match failure {
        wire::Failure::Invalid(diagnostics) => Failure::Invalid(read_diagnostics(diagnostics)?),
        wire::Failure::Denied(message) => Failure::Denied(sentence(&message)),
        wire::Failure::Precondition(message) => Failure::Precondition(sentence(&message)),
        wire::Failure::NotFound(message) => Failure::NotFound(sentence(&message)),
        wire::Failure::Throttled(wait) => Failure::Throttled(wait),
        wire::Failure::Unavailable(message) => Failure::Unavailable(sentence(&message)),
        wire::Failure::Partial((document, message)) => {
            let document = Document::known(read_known(document, Asked::default())?);
            Failure::Partial { document, message: sentence(&message) }
        }
        wire::Failure::Unknown(message) => Failure::Unknown(sentence(&message)),
    })
}

pub(crate) fn read_diagnostics(
    diagnostics: Vec<wire::Diagnostic>,
) -> Result<Vec<Diagnostic>, Malformed> {
    let read = |diagnostic: wire::Diagnostic| {
        let path = read_path(&diagnostic.path)?;
        let hint = diagnostic.hint.as_deref().map(sentence);
        Ok(Diagnostic { path, message: sentence(&diagnostic.message), hint })
    };
    diagnostics.into_iter().map(read).collect()
}

fn read_risk(risk: &wire::Risk) -> Risk {
    Risk {
        severity: match risk.severity {
            wire::Severity::PointOfNoReturn => Severity::PointOfNoReturn,
            wire::Severity::Destructive => Severity::Destructive,
            wire::Severity::Downtime => Severity::Downtime,
            wire::Severity::Caution => Severity::Caution,
        },
        message: sentence(&risk.message),
    }
}

/// A guest's sentence, for people and for the journal.
pub(crate) fn sentence(text: &str) -> String {
    redact(text, &[])
}

fn read_path(pointer: &str) -> Result<Path, Malformed> {
    Path::from_pointer(pointer).map_err(|_| format!("`{pointer}`, which is no JSON pointer"))
}

/// How many levels below its fields a document may have: with the plan around it, it must still be
/// readable, and readers of JSON stop at 128.
const DEEPEST: usize = 100;

/// Refuses integers that do not survive canonical JSON, and what is nested too deeply to be read again.
fn check_value(value: &Value, levels: usize) -> Result<(), Malformed> {
    let Some(below) = levels.checked_sub(1) else {
        return Err(format!("a document that is nested more than {DEEPEST} levels deep"));
    };
    match value {
        Value::Number(number) => {
            let fits = match (number.as_i64(), number.as_u64()) {
                (Some(integer), _) => (-MAX_INTEGER..=MAX_INTEGER).contains(&integer),
                (None, Some(_too_large)) => false,
                (None, None) => true,
            };
            if fits { Ok(()) } else { Err(format!("the integer {number}, beyond 2^53 - 1")) }
        }
        Value::Array(items) => items.iter().try_for_each(|item| check_value(item, below)),
        Value::Object(map) => map.values().try_for_each(|inner| check_value(inner, below)),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use relctl_plan::Address;
    use serde_json::json;

    use super::*;

    fn shared(value: Value) -> Arc<Map> {
        let Value::Object(map) = value else { panic!("an object") };
        Arc::new(map)
    }

    fn known(json: &str) -> wire::Document {
        wire::Document { json: json.to_owned(), unknown: Vec::new() }
    }

    #[test]
    fn an_answer_that_repeats_the_question_is_shared() {
        let (desired, prior) = (shared(json!({"a": 1})), shared(json!({"a": 1, "b": [true]})));
        let asked = Subject {
            address: Address::new(relctl_plan::Role::Resource, "k", "n").unwrap(),
            desired: Some(Document::known(Arc::clone(&desired)).into()),
            prior: Some(Arc::clone(&prior)),
        };
        let crossed = subject(&asked);
        let asked = Asked::of(&asked, &crossed);
        for (json, same) in [(r#"{"a":1}"#, &desired), (r#"{"a":1,"b":[true]}"#, &prior)] {
            assert!(Arc::ptr_eq(&read_known(known(json), asked).unwrap(), same), "{json}");
        }
        for json in [r#"{ "a": 1 }"#, r#"{"a":2}"#] {
            let read = read_known(known(json), asked).unwrap();
            assert!(!Arc::ptr_eq(&read, &desired) && !Arc::ptr_eq(&read, &prior), "{json}");
            assert_eq!(Value::Object(read.as_ref().clone()), json.parse::<Value>().unwrap());
        }
    }

    #[test]
    fn numbers_are_checked_in_what_is_shared_too() {
        let prior = shared(json!({"a": [MAX_INTEGER + 1]}));
        let asked = Subject {
            address: Address::new(relctl_plan::Role::Resource, "k", "n").unwrap(),
            desired: None,
            prior: Some(prior),
        };
        let crossed = subject(&asked);
        let answer = crossed.prior.clone().unwrap();
        let read = read_known(answer, Asked::of(&asked, &crossed));
        assert_eq!(read, Err("the integer 9007199254740992, beyond 2^53 - 1".to_owned()));
    }

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        let nested = |levels: usize| {
            known(&format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels)))
        };
        assert!(read_known(nested(100), Asked::default()).is_ok());
        let refused = read_known(nested(101), Asked::default());
        assert_eq!(refused, Err("a document that is nested more than 100 levels deep".to_owned()));
    }
}
