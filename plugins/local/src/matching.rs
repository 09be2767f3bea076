//! `local_match`: checks what a file holds.

use regex_lite::Regex;
use relctl_sdk::{
    Diagnostic, Document, Failure, Field, FileError, Host, Outcome, Subject, Verdict,
};

use crate::path;

/// How much of a file the evidence quotes, in characters.
const QUOTED: usize = 80;

pub(crate) fn validate(mut desired: Document) -> Result<Document, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    path::canonicalize(&mut desired, &mut diagnostics);
    let given = |name| desired.field(name) != Field::Absent;
    if given("equals") == given("matches") {
        diagnostics.push(Diagnostic {
            path: String::new(),
            message: "exactly one of `equals` and `matches` says what the file must hold"
                .to_owned(),
            hint: None,
        });
    }
    if let Some(pattern) = desired.field("matches").text()
        && let Err(error) = Regex::new(pattern)
    {
        diagnostics.push(Diagnostic {
            path: "/matches".to_owned(),
            message: format!("not a regular expression: {error}"),
            hint: None,
        });
    }
    if diagnostics.is_empty() { Ok(desired) } else { Err(diagnostics) }
}

pub(crate) fn probe(host: &impl Host, subject: &Subject) -> Result<Verdict, Failure> {
    let path = crate::identity(subject)?;
    let bytes = match host.read(path) {
        Ok(bytes) => bytes,
        Err(FileError::NotFound) => {
            return Ok(verdict(Outcome::Fail, format!("there is no file `{path}`")));
        }
        Err(FileError::OtherKind(message)) => return Ok(verdict(Outcome::Fail, message)),
        Err(error) => return Err(Failure::from_file(path, error)),
    };
    let text = String::from_utf8_lossy(&bytes);
    let desired = subject.desired.clone().unwrap_or_default();
    match (desired.field("equals").text(), desired.field("matches").text()) {
        (Some(expected), _) => Ok(if text == expected {
            verdict(Outcome::Pass, format!("`{path}` is as expected, {} bytes", bytes.len()))
        } else {
            let (expected, got) = (quote(expected), quote(&text));
            verdict(Outcome::Fail, format!("`{path}` holds {got}, expected {expected}"))
        }),
        (None, Some(pattern)) => {
            let regex = Regex::new(pattern)
                .map_err(|error| Failure::Precondition(format!("`matches`: {error}")))?;
            Ok(match regex.find(&text) {
                Some(found) => {
                    verdict(Outcome::Pass, format!("`{path}` has {}", quote(found.as_str())))
                }
                None => verdict(
                    Outcome::Fail,
                    format!("nothing in `{path}` matches `{pattern}`; it holds {}", quote(&text)),
                ),
            })
        }
        (None, None) => {
            Ok(verdict(Outcome::Inconclusive, "what is expected is not known".to_owned()))
        }
    }
}

fn verdict(outcome: Outcome, evidence: String) -> Verdict {
    Verdict { outcome, evidence }
}

/// The beginning of a text, in quotes.
fn quote(text: &str) -> String {
    let mut chars = text.chars();
    let beginning: String = chars.by_ref().take(QUOTED).collect();
    let more = if chars.next().is_some() { "…" } else { "" };
    format!("{beginning:?}{more}")
}

#[cfg(test)]
mod tests {
    use relctl_sdk::Value;
    use relctl_sdk::testing::{FakeHost, document, subject};
    use serde_json::json;

    use super::*;

    #[test]
    fn exactly_one_expectation() {
        for (desired, ok) in [
            (json!({"path": "a", "equals": "x"}), true),
            (json!({"path": "a", "matches": "^x$"}), true),
            (json!({"path": "a"}), false),
            (json!({"path": "a", "equals": "x", "matches": "x"}), false),
            (json!({"path": "a", "matches": "("}), false),
        ] {
            assert_eq!(validate(document(desired.clone())).is_ok(), ok, "{desired}");
        }
    }

    #[test]
    fn says_what_it_saw() {
        let host = FakeHost::default();
        host.put("a", "version 1.1", 0o644);
        let probe =
            |desired: Value| probe(&host, &subject("check.local_match.x", desired)).unwrap();
        for (desired, outcome, evidence) in [
            (json!({"path": "a", "equals": "version 1.1"}), Outcome::Pass, "11 bytes"),
            (json!({"path": "a", "equals": "x"}), Outcome::Fail, "holds \"version 1.1\""),
            (json!({"path": "a", "matches": r"\d\.\d"}), Outcome::Pass, "has \"1.1\""),
            (json!({"path": "a", "matches": "x"}), Outcome::Fail, "nothing in `a` matches"),
            (json!({"path": "b", "equals": "x"}), Outcome::Fail, "no file `b`"),
        ] {
            let verdict = probe(desired);
            assert_eq!(verdict.outcome, outcome);
            assert!(verdict.evidence.contains(evidence), "{}", verdict.evidence);
        }
    }
}
