//! Between the contract's flat records and the SDK's types.

use std::marker::PhantomData;
use std::sync::Once;

use crate::bindings::Guest;
use crate::bindings::relctl::provider::types as wire;
use crate::{
    Assessment, Change, Description, Diagnostic, Document, Failure, Host as _, Imports, Level, Map,
    Plugin, Pointer, Progress, Step, Subject, Undo, Verdict,
};

/// Exports a [`Plugin`].
#[derive(Debug)]
pub struct Glue<P>(PhantomData<P>);

impl<P: Plugin> Guest for Glue<P> {
    fn describe() -> Description {
        catch_panics();
        P::describe()
    }

    fn validate(subjects: Vec<wire::Subject>) -> Vec<Result<wire::Document, Vec<Diagnostic>>> {
        catch_panics();
        let validate = |wire| match read_subject(wire) {
            Ok(subject) => P::validate(&Imports, &subject).map(write_document),
            Err(message) => Err(vec![Diagnostic { path: String::new(), message, hint: None }]),
        };
        subjects.into_iter().map(validate).collect()
    }

    fn observe(subjects: Vec<wire::Subject>) -> Vec<Result<Option<wire::Document>, wire::Failure>> {
        catch_panics();
        answer_all(subjects, |subjects| P::observe(&Imports, subjects), |seen| seen.map(write_map))
    }

    fn assess(changes: Vec<wire::Change>) -> Vec<Result<wire::Assessment, wire::Failure>> {
        catch_panics();
        let assess = |wire| {
            let change = read_change(wire).map_err(unreadable)?;
            P::assess(&Imports, &change).map(write_assessment).map_err(write_failure)
        };
        changes.into_iter().map(assess).collect()
    }

    fn probe(subjects: Vec<wire::Subject>) -> Vec<Result<Verdict, wire::Failure>> {
        catch_panics();
        answer_all(subjects, |subjects| P::probe(&Imports, subjects), |verdict| verdict)
    }

    fn apply(step: wire::Step) -> Result<wire::Progress, wire::Failure> {
        catch_panics();
        let step = read_step(step).map_err(unreadable)?;
        P::apply(&Imports, &step).map(write_progress).map_err(write_failure)
    }

    fn poll(step: wire::Step, token: String) -> Result<wire::Progress, wire::Failure> {
        catch_panics();
        let step = read_step(step).map_err(unreadable)?;
        P::poll(&Imports, &step, &token).map(write_progress).map_err(write_failure)
    }
}

/// Sends the text of a panic to the log: the trap that follows carries none.
fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| Imports.log(Level::Error, &panic.to_string())));
    });
}

/// Reads all subjects, asks about them together, writes all answers.
fn answer_all<T, W>(
    subjects: Vec<wire::Subject>,
    ask: impl FnOnce(&[Subject]) -> Vec<Result<T, Failure>>,
    write: impl Fn(T) -> W,
) -> Vec<Result<W, wire::Failure>> {
    let asked = subjects.len();
    match subjects.into_iter().map(read_subject).collect::<Result<Vec<_>, _>>() {
        Ok(subjects) => ask(&subjects)
            .into_iter()
            .map(|answer| answer.map(&write).map_err(write_failure))
            .collect(),
        Err(message) => (0..asked).map(|_| Err(unreadable(message.clone()))).collect(),
    }
}

fn unreadable(message: String) -> wire::Failure {
    wire::Failure::Unavailable(message)
}

fn read_map(json: &str) -> Result<Map, String> {
    serde_json::from_str(json).map_err(|error| format!("relctl sent no JSON object: {error}"))
}

fn read_document(document: wire::Document) -> Result<Document, String> {
    Ok(Document {
        value: read_map(&document.json)?,
        unknown: document.unknown.into_iter().map(Pointer::raw).collect(),
    })
}

fn read_subject(subject: wire::Subject) -> Result<Subject, String> {
    Ok(Subject {
        address: subject.address,
        desired: subject.desired.map(read_document).transpose()?,
        prior: subject.prior.map(|prior| read_map(&prior.json)).transpose()?,
    })
}

fn read_change(change: wire::Change) -> Result<Change, String> {
    Ok(Change {
        subject: read_subject(change.subject)?,
        verb: change.verb,
        observed: change.observed.map(|observed| read_map(&observed.json)).transpose()?,
        desired: change.desired.map(read_document).transpose()?,
        paths: change.paths,
        undo: match change.undo {
            Some(undo) => Some(Undo {
                open: read_document(undo.open)?,
                sealed: undo.sealed.map(read_document).transpose()?,
            }),
            None => None,
        },
    })
}

fn read_step(step: wire::Step) -> Result<Step, String> {
    Ok(Step {
        id: step.id,
        token: step.token,
        run_key: step.run_key,
        attempt: step.attempt,
        change: read_change(step.change)?,
        planned: read_document(step.planned)?,
        lineage: step.lineage,
        timeout_ms: step.timeout_ms,
    })
}

fn write_document(Document { value, unknown }: Document) -> wire::Document {
    wire::Document {
        // Writing to a string, with text keys only, cannot fail.
        json: serde_json::to_string(&value).unwrap_or_default(),
        unknown: unknown.into_iter().map(|pointer| pointer.to_string()).collect(),
    }
}

fn write_map(map: Map) -> wire::Document {
    write_document(Document::known(map))
}

fn write_undo(undo: Undo) -> wire::Undo {
    wire::Undo { open: write_document(undo.open), sealed: undo.sealed.map(write_document) }
}

fn write_assessment(assessment: Assessment) -> wire::Assessment {
    wire::Assessment {
        planned: write_document(assessment.planned),
        replace: assessment.replace,
        reversal: assessment.reversal,
        undo: assessment.undo.map(write_undo),
        risks: assessment.risks,
        notes: assessment.notes,
        relies_on: assessment.relies_on,
    }
}

fn write_progress(progress: Progress) -> wire::Progress {
    match progress {
        Progress::Done(document) => wire::Progress::Done(write_document(document)),
        Progress::Pending { token, message, retry_after_ms } => {
            wire::Progress::Pending(wire::Pending { token, message, retry_after_ms })
        }
    }
}

fn write_failure(failure: Failure) -> wire::Failure {
    match failure {
        Failure::Invalid(diagnostics) => wire::Failure::Invalid(diagnostics),
        Failure::Denied(message) => wire::Failure::Denied(message),
        Failure::Precondition(message) => wire::Failure::Precondition(message),
        Failure::NotFound(message) => wire::Failure::NotFound(message),
        Failure::Throttled(wait) => wire::Failure::Throttled(wait),
        Failure::Unavailable(message) => wire::Failure::Unavailable(message),
        Failure::Partial(document, message) => {
            wire::Failure::Partial((write_document(document), message))
        }
        Failure::Unknown(message) => wire::Failure::Unknown(message),
    }
}
