//! `local_append`: appends a line to a file, exactly once for each run.

use relctl_sdk::{Assessment, Change, Diagnostic, Document, Failure, Host, Map, Reversal, Step};

use crate::path;

pub(crate) fn validate(mut desired: Document) -> Result<Document, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    path::canonicalize(&mut desired, &mut diagnostics);
    if let Some(line) = path::text_field(&desired, "line", &mut diagnostics)
        && line.contains('\n')
    {
        diagnostics.push(Diagnostic {
            path: "/line".to_owned(),
            message: "a line has no line break in it".to_owned(),
            hint: Some("use one action for each line".to_owned()),
        });
    }
    if diagnostics.is_empty() { Ok(desired) } else { Err(diagnostics) }
}

/// A line in a log stays: what undoes its effect is another line, which only the release file knows.
pub(crate) fn assess(_change: &Change) -> Assessment {
    Assessment::new(Reversal::Kept)
}

pub(crate) fn apply(host: &impl Host, step: &Step) -> Result<Document, Failure> {
    let change = &step.change;
    let path = crate::identity(&change.subject)?;
    let Some(line) = change.desired_field("line").text() else {
        return Err(Failure::Precondition("`line` is not known".to_owned()));
    };
    let bytes = format!("{line}\n");
    // The run's key, not the step's token: another plan, after an outcome that nobody knew, is to find
    // what this one began. The host looks for it on every attempt.
    let run = step.run_key.as_ref().unwrap_or(&step.token);
    host.append(path, bytes.as_bytes(), run).map_err(|error| Failure::from_file(path, error))?;
    let mut done = Map::new();
    done.insert("line".to_owned(), line.into());
    done.insert("path".to_owned(), path.into());
    Ok(done.into())
}

#[cfg(test)]
mod tests {
    use relctl_sdk::testing::{FakeHost, change, document, step, subject};
    use relctl_sdk::{Attempt, Verb};
    use serde_json::json;

    use super::*;

    #[test]
    fn one_line_at_a_time() {
        assert!(validate(document(json!({"path": "log", "line": "a"}))).is_ok());
        let found = validate(document(json!({"path": "log", "line": "a\nb"}))).unwrap_err();
        assert_eq!(found[0].path, "/line");
    }

    #[test]
    fn once_for_each_run() {
        let host = FakeHost::default();
        let action = subject("action.local_append.migrate", json!({"path": "log", "line": "001"}));
        let key = |key: &str| Some(key.to_owned());
        let first = Step { run_key: key("one"), ..step(change(Verb::Run, action, None)) };
        let again = Step { attempt: Attempt::Again, ..first.clone() };
        let of_another_plan = Step { token: "another".to_owned(), ..again.clone() };
        let other = Step { run_key: key("two"), ..first.clone() };
        for step in [&first, &again, &of_another_plan, &other] {
            apply(&host, step).unwrap();
        }
        assert_eq!(host.read("log").unwrap(), b"001\n001\n");
    }
}
