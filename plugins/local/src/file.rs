//! `local_file`: a text file, as a resource and as a lookup.

use std::fmt::Write as _;

use relctl_sdk::{
    Assessment, Attempt, Change, Diagnostic, Document, Failure, Field, FileError, Host, Map, Node,
    Reversal, Risk, Severity, Step, Value, Verb,
};
use sha2::{Digest as _, Sha256};

use crate::path;

/// The permission bits of a file that nobody gave any.
const DEFAULT_MODE: u32 = 0o644;

pub(crate) fn validate(mut desired: Document) -> Result<Document, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    path::canonicalize(&mut desired, &mut diagnostics);
    if let Field::Known(mode) = desired.field("mode") {
        match mode.as_str().and_then(parse_mode) {
            Some(mode) => desired.set("mode", mode_text(mode)),
            None => diagnostics.push(Diagnostic {
                path: "/mode".to_owned(),
                message: format!("{mode} is not a file mode"),
                hint: Some("write three octal digits in quotes: \"0644\"".to_owned()),
            }),
        }
    }
    if diagnostics.is_empty() { Ok(desired) } else { Err(diagnostics) }
}

pub(crate) fn observe(host: &impl Host, path: &str) -> Result<Option<Map>, Failure> {
    let failed = |error| Failure::from_file(path, error);
    let mode = match host.stat(path).map_err(failed)? {
        None => return Ok(None),
        Some(Node::File(mode)) => mode,
        Some(other) => return Err(in_the_way(path, &other)),
    };
    match host.read(path) {
        Ok(bytes) => Ok(Some(describe(path, &bytes, mode))),
        Err(FileError::NotFound) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

pub(crate) fn assess(change: &Change) -> Assessment {
    let mut assessment = Assessment::new(Reversal::Exact);
    if change.verb != Verb::Delete {
        match change.desired_field("content") {
            Field::Unknown => assessment.planned.set_unknown("sha256"),
            field => {
                if let Some(content) = field.text() {
                    assessment.planned.set("sha256", sha256(content.as_bytes()));
                }
            }
        }
        if change.verb == Verb::Create && change.desired_field("mode") == Field::Absent {
            assessment.planned.set("mode", mode_text(mode_to_write(change)));
        } else if removes_mode(change) {
            assessment.planned.set("mode", mode_text(DEFAULT_MODE));
        }
    }
    let observed_bytes_lost = change.observed.as_ref().is_some_and(|o| !o.contains_key("content"));
    if observed_bytes_lost && change.verb != Verb::Create {
        assessment.reversal = Reversal::Impossible;
        assessment.risks.push(Risk {
            severity: Severity::Destructive,
            message: "what the file holds now is not text, so relctl cannot put it back".to_owned(),
        });
    }
    if let Some(mode) = change.observed_text("mode") {
        let mut undo = relctl_sdk::Undo::default();
        undo.open.set("mode", mode);
        assessment.undo = Some(undo);
    }
    assessment
}

pub(crate) fn apply(host: &impl Host, step: &Step) -> Result<Document, Failure> {
    let change = &step.change;
    let path = crate::identity(&change.subject)?;
    let failed = |error| Failure::from_file(path, error);
    if change.verb == Verb::Delete {
        return match host.remove(path) {
            // Someone was faster, or the first attempt was: it is gone either way.
            Ok(()) | Err(FileError::NotFound) => Ok(Document::default()),
            Err(error) => Err(failed(error)),
        };
    }
    let there = observe(host, path)?;
    let content = match (change.desired_field("content").text(), &there) {
        (Some(content), _) => content.as_bytes().to_vec(),
        (None, Some(_)) => host.read(path).map_err(failed)?,
        (None, None) => {
            return Err(Failure::Precondition(format!(
                "`{path}` is gone, and its content is not declared"
            )));
        }
    };
    let mode = match change.desired_field("mode").text() {
        Some(text) => parse_mode(text).unwrap_or(DEFAULT_MODE),
        None if removes_mode(change) => DEFAULT_MODE,
        None => there.as_ref().and_then(observed_mode).unwrap_or_else(|| mode_to_write(change)),
    };
    let wanted = describe(path, &content, mode);
    if let Some(there) = there {
        if there == wanted && step.attempt == Attempt::Again {
            return Ok(wanted.into());
        }
        if change.verb == Verb::Create {
            return Err(Failure::Precondition(format!(
                "`{path}` exists already; plan again to take it over"
            )));
        }
    }
    host.write_atomic(path, &content, mode).map_err(failed)?;
    Ok(wanted.into())
}

/// The canonical form of a file. Bytes that are not text have a digest, but no `content`.
fn describe(path: &str, bytes: &[u8], mode: u32) -> Map {
    let mut map = Map::new();
    if let Ok(content) = std::str::from_utf8(bytes) {
        map.insert("content".to_owned(), content.into());
    }
    map.insert("mode".to_owned(), mode_text(mode).into());
    map.insert("path".to_owned(), path.into());
    map.insert("sha256".to_owned(), sha256(bytes).into());
    map
}

/// The mode where the release file says nothing: as it was before a release that is undone, or the
/// default.
fn mode_to_write(change: &Change) -> u32 {
    let undo = change.undo.as_ref().and_then(|undo| undo.open.field("mode").text());
    undo.and_then(parse_mode).unwrap_or(DEFAULT_MODE)
}

/// Whether a declared mode left the release file: every file has one, so it goes back to the default.
fn removes_mode(change: &Change) -> bool {
    let desired = change.desired.as_ref();
    change.verb == Verb::Update
        && desired.is_some_and(|d| d.value.get("mode") == Some(&Value::Null))
}

fn observed_mode(observed: &Map) -> Option<u32> {
    parse_mode(observed.get("mode")?.as_str()?)
}

fn parse_mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = matches!(digits.len(), 3 | 4) && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
    u32::from_str_radix(digits, 8).ok().filter(|mode| octal && *mode <= 0o777)
}

fn mode_text(mode: u32) -> String {
    format!("{mode:04o}")
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _never_fails = write!(text, "{byte:02x}");
        text
    })
}

/// Something else stands where a file or link should be.
pub(crate) fn in_the_way(path: &str, node: &Node) -> Failure {
    let what = match node {
        Node::File(_) => "a file",
        Node::Directory => "a folder",
        Node::Link(_) => "a link",
        Node::Other => "neither a file nor a link",
    };
    Failure::Precondition(format!("`{path}` is {what}; move it away first"))
}

#[cfg(test)]
mod tests {
    use relctl_sdk::testing::{FakeHost, change, document, map, step, subject};
    use serde_json::json;

    use super::*;

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn file(value: Value) -> relctl_sdk::Subject {
        subject("resource.local_file.x", value)
    }

    #[test]
    fn validate_gives_the_one_spelling() {
        for (written, canonical) in [
            (json!({"path": "./a", "mode": "755"}), json!({"path": "a", "mode": "0755"})),
            (json!({"path": "a", "mode": "0o640"}), json!({"path": "a", "mode": "0640"})),
            (json!({"path": "a", "content": "x"}), json!({"path": "a", "content": "x"})),
        ] {
            assert_eq!(validate(document(written)), Ok(document(canonical)));
        }
        for wrong in ["rw", "9", "1777", "64", "06444"] {
            let found = validate(document(json!({"path": "a", "mode": wrong}))).unwrap_err();
            assert_eq!(found[0].path, "/mode", "{wrong}");
        }
        assert_eq!(validate(document(json!({"path": "../a", "mode": 1}))).unwrap_err().len(), 2);
    }

    #[test]
    fn observes_what_is_there() {
        let host = FakeHost::default();
        assert_eq!(observe(&host, "a"), Ok(None));
        host.put("a", "hello", 0o600);
        let seen = json!({"path": "a", "content": "hello", "mode": "0600", "sha256": HELLO});
        assert_eq!(observe(&host, "a"), Ok(Some(map(seen))));
        host.put("d/b", [0xff], 0o644);
        assert!(!observe(&host, "d/b").unwrap().unwrap().contains_key("content"));
        assert!(matches!(observe(&host, "d"), Err(Failure::Precondition(_))));
    }

    #[test]
    fn assesses_the_digest_where_the_content_is_known() {
        let known = change(Verb::Create, file(json!({"path": "a", "content": "hello"})), None);
        assert_eq!(assess(&known).planned, document(json!({"sha256": HELLO, "mode": "0644"})));

        let mut unknown = known;
        unknown.desired.as_mut().unwrap().set_unknown("content");
        let planned = assess(&unknown).planned;
        assert_eq!(planned.field("sha256"), Field::Unknown);
    }

    #[test]
    fn bytes_that_are_not_text_cannot_be_brought_back() {
        let observed = map(json!({"path": "a", "mode": "0644", "sha256": "…"}));
        let desired = file(json!({"path": "a", "content": "x"}));
        let assessment = assess(&change(Verb::Update, desired, Some(observed)));
        assert_eq!(assessment.reversal, Reversal::Impossible);
        assert_eq!(assessment.risks.len(), 1);
    }

    #[test]
    fn creates_updates_and_deletes() {
        let host = FakeHost::default();
        let desired = json!({"path": "a", "content": "hello"});
        let create = step(change(Verb::Create, file(desired.clone()), None));
        let done = apply(&host, &create).unwrap();
        assert_eq!(Some(done.value), observe(&host, "a").unwrap());
        assert!(matches!(apply(&host, &create), Err(Failure::Precondition(_))));

        let again = Step { attempt: Attempt::Again, ..create };
        apply(&host, &again).unwrap();
        assert_eq!(host.writes(), 1);

        let mode = file(json!({"path": "a", "content": "hi", "mode": "0600"}));
        apply(&host, &step(change(Verb::Update, mode, observe(&host, "a").unwrap()))).unwrap();
        let content_alone = file(desired);
        apply(&host, &step(change(Verb::Update, content_alone, None))).unwrap();
        assert_eq!(host.stat("a").unwrap(), Some(Node::File(0o600)), "an undeclared mode stays");

        let left = json!({"path": "a", "content": "hi", "mode": null});
        let left = change(Verb::Update, file(left), observe(&host, "a").unwrap());
        assert_eq!(assess(&left).planned.field("mode").text(), Some("0644"));
        apply(&host, &step(left)).unwrap();
        assert_eq!(host.stat("a").unwrap(), Some(Node::File(0o644)), "a mode that left is reset");

        let delete = step(change(Verb::Delete, file(json!({"path": "a"})), None));
        assert_eq!(apply(&host, &delete), Ok(Document::default()));
        assert_eq!(apply(&host, &delete), Ok(Document::default()));
        assert_eq!(host.stat("a"), Ok(None));
    }
}
