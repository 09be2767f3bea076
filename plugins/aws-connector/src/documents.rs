//! Documents between relctl and a kind's logic.

use relctl_sdk::{Document, Failure, Pointer, Subject, Value};

use crate::json::Object;

/// Makes a declared document canonical with `rule`, which sees `null` where a value is not known
/// yet, and marks what is unknown again.
pub fn canonical(declared: &Document, rule: impl FnOnce(&Object) -> Object) -> Document {
    let mut document = Document::known(rule(&declared.value));
    for pointer in &declared.unknown {
        set_null(&mut document.value, pointer);
        document.unknown.insert(pointer.clone());
    }
    document
}

fn set_null(document: &mut Object, pointer: &Pointer) {
    let names = pointer.as_str().split('/').skip(1);
    let mut names: Vec<String> =
        names.map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
    let Some(last) = names.pop() else { return };
    let mut at = document;
    for name in names {
        let slot = at.entry(name).or_insert_with(|| Value::Object(Object::new()));
        if !slot.is_object() {
            *slot = Value::Object(Object::new());
        }
        let Value::Object(inner) = slot else { return };
        at = inner;
    }
    at.insert(last, Value::Null);
}

/// The text that says which object is meant.
pub fn identity<'a>(subject: &'a Subject, name: &str) -> Result<&'a str, Failure> {
    subject.identity_text(name).ok_or_else(|| {
        Failure::Unavailable(format!("`{name}` of {} is not known yet", subject.address))
    })
}

/// Copies the fields that only steer what relctl does: the cloud does not have them, so that they
/// are as declared.
pub fn steer(observed: &mut Object, subject: &Subject, names: &[&str]) {
    let declared = subject.desired.as_ref().map(|desired| &desired.value);
    for name in names {
        if let Some(value) = declared.or(subject.prior.as_ref()).and_then(|d| d.get(*name)) {
            observed.insert((*name).to_owned(), value.clone());
        }
    }
}

/// The object with unknown values put in place of `null`: good enough to check the rest.
pub fn with_placeholders(document: &Document) -> Object {
    let mut value = document.value.clone();
    fill(&mut value, &Pointer::default(), document);
    value
}

fn fill(map: &mut Object, at: &Pointer, document: &Document) {
    for (name, value) in map {
        let pointer = at.join(name);
        if document.unknown.contains(&pointer) {
            *value = Value::String("(known after apply)".to_owned());
        } else if let Value::Object(inner) = value {
            fill(inner, &pointer, document);
        }
    }
}

#[cfg(test)]
mod tests {
    use relctl_sdk::testing::document;
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_values_stay_unknown() {
        let mut declared = document(json!({ "a": { "b/c": null, "d": [] }, "e": 1 }));
        declared.unknown.insert(Pointer::raw("/a/b~1c"));
        let canonical = canonical(&declared, |_| Object::from_iter([("e".to_owned(), json!(2))]));
        assert_eq!(Value::Object(canonical.value.clone()), json!({ "a": { "b/c": null }, "e": 2 }));
        assert_eq!(canonical.unknown, declared.unknown);
        assert_eq!(
            Value::Object(with_placeholders(&canonical)),
            json!({ "a": { "b/c": "(known after apply)" }, "e": 2 })
        );
    }
}
