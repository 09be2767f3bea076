//! `local_link`: a symbolic link, switched atomically.

use relctl_sdk::{
    Assessment, Attempt, Change, Diagnostic, Document, Failure, FileError, Host, Map, Node,
    Reversal, Step, Verb,
};

use crate::{file, path};

pub(crate) fn validate(mut desired: Document) -> Result<Document, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    path::canonicalize(&mut desired, &mut diagnostics);
    if let Some(target) = path::text_field(&desired, "target", &mut diagnostics)
        && (target.is_empty() || target.starts_with('/'))
    {
        diagnostics.push(Diagnostic {
            path: "/target".to_owned(),
            message: format!("`{target}` is not a relative path"),
            hint: Some("targets are relative to the link's folder".to_owned()),
        });
    }
    if diagnostics.is_empty() { Ok(desired) } else { Err(diagnostics) }
}

pub(crate) fn observe(host: &impl Host, path: &str) -> Result<Option<Map>, Failure> {
    match host.stat(path).map_err(|error| Failure::from_file(path, error))? {
        None => Ok(None),
        Some(Node::Link(target)) => Ok(Some(describe(path, &target))),
        Some(other) => Err(file::in_the_way(path, &other)),
    }
}

pub(crate) fn assess(_change: &Change) -> Assessment {
    Assessment::new(Reversal::Exact)
}

pub(crate) fn apply(host: &impl Host, step: &Step) -> Result<Document, Failure> {
    let change = &step.change;
    let path = crate::identity(&change.subject)?;
    let failed = |error| Failure::from_file(path, error);
    if change.verb == Verb::Delete {
        // Whatever took the link's place is not relctl's to remove.
        observe(host, path)?;
        return match host.remove(path) {
            Ok(()) | Err(FileError::NotFound) => Ok(Document::default()),
            Err(error) => Err(failed(error)),
        };
    }
    let Some(target) = change.desired_field("target").text() else {
        return Err(Failure::Precondition(format!("the target of `{path}` is not declared")));
    };
    let wanted = describe(path, target);
    if let Some(there) = observe(host, path)? {
        if there == wanted && step.attempt == Attempt::Again {
            return Ok(wanted.into());
        }
        if change.verb == Verb::Create {
            return Err(Failure::Precondition(format!(
                "`{path}` exists already; plan again to take it over"
            )));
        }
    }
    host.link(path, target).map_err(failed)?;
    Ok(wanted.into())
}

fn describe(path: &str, target: &str) -> Map {
    let mut map = Map::new();
    map.insert("path".to_owned(), path.into());
    map.insert("target".to_owned(), target.into());
    map
}

#[cfg(test)]
mod tests {
    use relctl_sdk::Value;
    use relctl_sdk::testing::{FakeHost, change, document, map, step, subject};
    use serde_json::json;

    use super::*;

    fn link(value: Value) -> relctl_sdk::Subject {
        subject("resource.local_link.current", value)
    }

    #[test]
    fn validates_both_ends() {
        let good = json!({"path": "current", "target": "releases/v1"});
        assert_eq!(validate(document(good.clone())), Ok(document(good)));
        let found = validate(document(json!({"path": "/current", "target": "/etc"}))).unwrap_err();
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn makes_switches_and_removes() {
        let host = FakeHost::default();
        let to = |target: &str| link(json!({"path": "current", "target": target}));
        let create = step(change(Verb::Create, to("v1"), None));
        let done = apply(&host, &create).unwrap();
        assert_eq!(Some(done.value), observe(&host, "current").unwrap());

        apply(&host, &step(change(Verb::Update, to("v2"), None))).unwrap();
        let seen = map(json!({"path": "current", "target": "v2"}));
        assert_eq!(observe(&host, "current"), Ok(Some(seen)));

        let delete = step(change(Verb::Delete, to("v2"), None));
        assert_eq!(apply(&host, &delete), Ok(Document::default()));
        assert_eq!(observe(&host, "current"), Ok(None));
    }

    #[test]
    fn never_replaces_a_file() {
        let host = FakeHost::default();
        host.put("current", "precious", 0o644);
        for verb in [Verb::Create, Verb::Update, Verb::Delete] {
            let subject = link(json!({"path": "current", "target": "v1"}));
            let result = apply(&host, &step(change(verb, subject, None)));
            assert!(matches!(result, Err(Failure::Precondition(_))), "{verb:?}");
        }
        assert_eq!(host.writes(), 0);
    }
}
