//! An example: a plugin with one kind, `note`, whose objects are files. `docs/plugin-author.md`
//! explains it line by line.

use relctl_sdk::{
    Assessment, Attempt, Change, Description, Diagnostic, Document, Failure, Field, FileError,
    Host, Kind, Map, Plugin, Progress, Reversal, Role, Step, Subject, Verb,
};

/// The plugin.
#[derive(Debug)]
pub struct Note;

relctl_sdk::export!(Note);

impl Plugin for Note {
    fn describe() -> Description {
        Description {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kinds: vec![Kind {
                name: "note".to_owned(),
                role: Role::Resource,
                schema: include_str!("note.json").to_owned(),
                batch: 50,
                group_by: Vec::new(),
            }],
            files: true,
            http: Vec::new(),
        }
    }

    /// One spelling for each note: no blank space around its text.
    fn validate(_host: &impl Host, subject: &Subject) -> Result<Document, Vec<Diagnostic>> {
        let mut note = subject.desired.clone().unwrap_or_default();
        if let Some(title) = note.field("title").text()
            && !title.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        {
            return Err(vec![Diagnostic {
                path: "/title".to_owned(),
                message: format!("`{title}` is not a title"),
                hint: Some("use lower-case letters, digits and `-`".to_owned()),
            }]);
        }
        if let Some(text) = note.field("text").text().map(|text| text.trim().to_owned()) {
            note.set("text", text);
        }
        Ok(note)
    }

    fn observe(host: &impl Host, subjects: &[Subject]) -> Vec<Result<Option<Map>, Failure>> {
        subjects.iter().map(|subject| look(host, title(subject)?)).collect()
    }

    fn assess(_host: &impl Host, change: &Change) -> Result<Assessment, Failure> {
        let mut assessment = Assessment::new(Reversal::Exact);
        match change.desired_field("text") {
            Field::Unknown => assessment.planned.set_unknown("words"),
            text => {
                if let Some(text) = text.text() {
                    assessment.planned.set("words", count_words(text));
                }
            }
        }
        Ok(assessment)
    }

    fn apply(host: &impl Host, step: &Step) -> Result<Progress, Failure> {
        let title = title(&step.change.subject)?;
        let path = path(title);
        let failed = |error| Failure::from_file(&path, error);
        if step.change.verb == Verb::Delete {
            return match host.remove(&path) {
                Ok(()) | Err(FileError::NotFound) => Ok(Progress::Done(Document::default())),
                Err(error) => Err(failed(error)),
            };
        }
        let Some(text) = step.change.desired_field("text").text() else {
            return Err(Failure::Precondition("`text` is not declared".to_owned()));
        };
        let wanted = note(title, text);
        let there = look(host, title)?;
        // The first attempt of this step may have been interrupted after it wrote.
        if step.attempt == Attempt::Again && there.as_ref() == Some(&wanted) {
            return Ok(Progress::Done(wanted.into()));
        }
        if step.change.verb == Verb::Create && there.is_some() {
            return Err(Failure::Precondition(format!("there is a note `{title}` already")));
        }
        host.write_atomic(&path, format!("{text}\n").as_bytes(), 0o644).map_err(failed)?;
        Ok(Progress::Done(wanted.into()))
    }
}

fn title(subject: &Subject) -> Result<&str, Failure> {
    subject
        .identity_text("title")
        .ok_or_else(|| Failure::Unavailable("the note's title is not known yet".to_owned()))
}

fn path(title: &str) -> String {
    format!("notes/{title}.txt")
}

/// The note with this title, canonical.
fn look(host: &impl Host, title: &str) -> Result<Option<Map>, Failure> {
    match host.read(&path(title)) {
        Ok(bytes) => Ok(Some(note(title, String::from_utf8_lossy(&bytes).trim()))),
        Err(FileError::NotFound) => Ok(None),
        Err(error) => Err(Failure::from_file(&path(title), error)),
    }
}

fn note(title: &str, text: &str) -> Map {
    let mut note = Document::default();
    note.set("title", title);
    note.set("text", text);
    note.set("words", count_words(text));
    note.value
}

fn count_words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[cfg(test)]
mod tests {
    use relctl_sdk::testing::{FakeHost, change, document, map, step, subject};
    use serde_json::json;

    use super::*;

    fn wanted() -> Subject {
        subject("resource.note.todo", json!({"title": "todo", "text": "ship it"}))
    }

    #[test]
    fn a_note_has_one_spelling() {
        let host = FakeHost::default();
        let written = subject("resource.note.x", json!({"title": "x", "text": " a \n"}));
        let canonical = document(json!({"title": "x", "text": "a"}));
        assert_eq!(Note::validate(&host, &written), Ok(canonical));
        let wrong = subject("resource.note.x", json!({"title": "../x"}));
        assert_eq!(Note::validate(&host, &wrong).unwrap_err()[0].path, "/title");
    }

    #[test]
    fn what_was_applied_is_observed() {
        let host = FakeHost::default();
        let create = step(change(Verb::Create, wanted(), None));
        let Ok(Progress::Done(done)) = Note::apply(&host, &create) else { panic!("done") };
        assert_eq!(done, document(json!({"title": "todo", "text": "ship it", "words": 2})));
        assert_eq!(Note::observe(&host, &[wanted()]), [Ok(Some(done.value))]);
    }

    #[test]
    fn the_plan_knows_what_the_step_will_give() {
        let assessed = Note::assess(&FakeHost::default(), &change(Verb::Create, wanted(), None));
        assert_eq!(assessed.unwrap().planned.value, map(json!({"words": 2})));
    }

    #[test]
    fn an_interrupted_step_is_not_done_twice() {
        let host = FakeHost::default();
        let first = step(change(Verb::Create, wanted(), None));
        let again = Step { attempt: Attempt::Again, ..first.clone() };
        Note::apply(&host, &first).unwrap();
        Note::apply(&host, &again).unwrap();
        assert_eq!(host.writes(), 1);
    }

    #[test]
    fn a_deleted_note_is_gone() {
        let host = FakeHost::default();
        host.put("notes/todo.txt", "ship it", 0o644);
        let delete = step(change(Verb::Delete, wanted(), None));
        Note::apply(&host, &delete).unwrap();
        assert_eq!(Note::observe(&host, &[wanted()]), [Ok(None)]);
    }
}
