//! The diff on owned fields. Pure, and the only place where two states are compared.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::document::{get, set};
use crate::{Document, Field, Map, Path, Value};

/// One field that will change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    pub path: Path,
    /// `None`: absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// `None`: removed, or not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// The new value is known only while applying.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// Text that is shown as a line diff.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub multiline: bool,
}

/// The paths that a document owns: its leaves. An empty object or list is a leaf, which owns the
/// whole as empty; so is every list, and every object that the kind calls atomic.
pub fn owned_paths(document: &Map, fields: &Field) -> BTreeSet<Path> {
    let mut paths = BTreeSet::new();
    each_owned(document, fields, &mut |names, _, _| {
        paths.insert(names.iter().copied().collect());
    });
    paths
}

/// Takes the names that lead to a leaf, its value, and its field where the kind has it.
type Visit<'v, 'a> = &'v mut dyn FnMut(&[&'a str], &'a Value, Option<&'a Field>);

/// Visits each leaf that a document owns, in the order of their paths.
fn each_owned<'a>(document: &'a Map, fields: &'a Field, visit: Visit<'_, 'a>) {
    fn walk<'a>(
        map: &'a Map,
        within: Option<&'a Field>,
        names: &mut Vec<&'a str>,
        visit: Visit<'_, 'a>,
    ) {
        for (name, value) in map {
            let field = within.and_then(|f| f.fields.get(name).or(f.entries.as_deref()));
            names.push(name);
            match value {
                Value::Object(inner) if !inner.is_empty() && !field.is_some_and(|f| f.atomic) => {
                    walk(inner, field, names, visit);
                }
                _ => visit(names, value, field),
            }
            names.pop();
        }
    }
    walk(document, Some(fields), &mut Vec::new(), visit);
}

/// Compares what is desired with what is observed, on the owned fields alone.
///
/// `null` is desired where a field is to be removed; `null` and absent are the same. Unknown
/// counts as changed.
pub fn diff(desired: &Document, observed: Option<&Map>, fields: &Field) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    each_owned(&desired.value, fields, &mut |names, value, field| {
        let path = || names.iter().copied().collect::<Path>();
        let unknown = !desired.is_known() && desired.is_unknown(&path());
        let after = Some(value).filter(|value| !value.is_null() && !unknown);
        let before = observed.and_then(|map| get(map, names.iter().copied()));
        let before = before.filter(|value| !value.is_null());
        let same = !unknown
            && match (after, before) {
                (Some(after), Some(before)) => same_value(after, before),
                (after, before) => after.is_none() && before.is_none(),
            };
        if !same {
            changes.push(FieldChange {
                path: path(),
                before: before.cloned(),
                after: after.cloned(),
                unknown,
                multiline: field.is_some_and(|f| f.multiline),
            });
        }
    });
    changes
}

/// Whether two values are the same. `1` and `1.0` are: canonical JSON (RFC 8785) writes both as
/// `1`, so which of them is read back says nothing.
pub fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same_value(a, b)))
        }
        _ => a == b,
    }
}

/// The parts of `document` at `paths`.
pub fn select<'a>(document: &Map, paths: impl IntoIterator<Item = &'a Path>) -> Map {
    let mut selected = Map::new();
    for path in paths {
        if let Some(value) = get(document, path.segments()) {
            set(&mut selected, path, value.clone());
        }
    }
    selected
}

/// Lays the owned fields of `desired` over `observed`: what the object will be, as far as the
/// release file says. Removed fields are gone, unknown ones are marked.
pub fn overlay(observed: Option<&Map>, desired: &Document, fields: &Field) -> Document {
    let mut result = Document::known(observed.cloned().unwrap_or_default());
    for path in owned_paths(&desired.value, fields) {
        if desired.is_unknown(&path) {
            result.set_unknown(&path);
        } else {
            match desired.get(&path) {
                Some(Value::Null) | None => result = result.without(&path),
                Some(value) => result.set(&path, value.clone()),
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map {
        let Value::Object(map) = value else { panic!("an object") };
        map
    }

    /// `tags` is atomic, `containers` holds entries.
    fn fields() -> Field {
        let atomic = Field { atomic: true, ..Field::default() };
        let text = Field { multiline: true, ..Field::default() };
        let entry = Field { fields: [("text".into(), text)].into(), ..Field::default() };
        let keyed = Field { entries: Some(Box::new(entry)), ..Field::default() };
        Field {
            fields: [("tags".to_owned(), atomic), ("containers".to_owned(), keyed)].into(),
            ..Field::default()
        }
    }

    fn strings(paths: impl IntoIterator<Item = Path>) -> Vec<String> {
        paths.into_iter().map(|path| path.to_string()).collect()
    }

    #[test]
    fn leaves_are_owned() {
        let document = map(json!({
            "a": { "b": 1, "c": { "d": null } },
            "empty": {},
            "list": [{ "x": 1 }],
            "none": [],
            "tags": { "x": 1, "y": 2 },
            "containers": { "api": { "image": "i" } },
        }));
        assert_eq!(
            strings(owned_paths(&document, &fields())),
            ["a.b", "a.c.d", "containers.api.image", "empty", "list", "none", "tags"]
        );
    }

    #[test]
    fn only_declared_fields_differ() {
        let mut desired = Document::known(map(json!({
            "same": 1, "other": 1, "new": 1, "gone": null, "never": null,
            "containers": { "api": { "text": "b\n" } },
            "tags": { "x": 1 }, "empty": {},
        })));
        desired.set_unknown(&Path::field("later"));
        let observed = map(json!({
            "same": 1, "other": 2, "gone": 3, "later": 4, "not": "mentioned",
            "containers": { "api": { "text": "a\n", "not": "mentioned" }, "web": {} },
            "tags": { "x": 1, "y": 2 }, "empty": { "x": 1 },
        }));
        let changes = diff(&desired, Some(&observed), &fields());
        let shown: Vec<String> = changes
            .iter()
            .map(|change| {
                let side = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
                let after = if change.unknown { Some("?".to_owned()) } else { side(&change.after) };
                let none = || "-".to_owned();
                let (before, after) =
                    (side(&change.before).unwrap_or_else(none), after.unwrap_or_else(none));
                let lines = if change.multiline { " (lines)" } else { "" };
                format!("{}: {before} → {after}{lines}", change.path)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "containers.api.text: \"a\\n\" → \"b\\n\" (lines)",
                "empty: {\"x\":1} → {}",
                "gone: 3 → -",
                "later: 4 → ?",
                "new: - → 1",
                "other: 2 → 1",
                "tags: {\"x\":1,\"y\":2} → {\"x\":1}",
            ]
        );
    }

    #[test]
    fn the_form_of_a_number_is_no_difference() {
        for (a, b, same) in [
            (json!(1), json!(1.0), true),
            (json!([{ "x": 2.0 }]), json!([{ "x": 2 }]), true),
            (json!(1), json!(1.5), false),
            (json!(1), json!("1"), false),
            (json!([1]), json!([1, 1]), false),
            (json!({ "x": 1 }), json!({ "y": 1 }), false),
        ] {
            assert_eq!(same_value(&a, &b), same, "{a} {b}");
            let (a, b) = (map(json!({ "f": a })), map(json!({ "f": b })));
            assert_eq!(diff(&Document::known(a), Some(&b), &fields()).is_empty(), same);
        }
    }

    fn any_map() -> impl Strategy<Value = Map> {
        let leaf =
            prop::sample::select(vec![Value::Null, json!(1), json!("x"), json!([]), json!([{}])]);
        let value = leaf.prop_recursive(3, 16, 3, |inner| {
            prop::collection::btree_map("[abc]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        });
        prop::collection::btree_map("a|b|c|tags|containers", value, 0..4)
            .prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn owned_paths_are_the_whole_document(document in any_map()) {
            let paths = owned_paths(&document, &fields());
            prop_assert_eq!(select(&document, &paths), document);
        }

        #[test]
        fn what_was_laid_over_differs_no_more(desired in any_map(), observed in any_map()) {
            let desired = Document::known(desired);
            let after = overlay(Some(&observed), &desired, &fields());
            prop_assert!(after.is_known());
            prop_assert_eq!(diff(&desired, Some(&after.value), &fields()), []);
            // And a second time changes nothing.
            prop_assert_eq!(overlay(Some(&after.value), &desired, &fields()), after);
        }

        #[test]
        fn what_is_not_mentioned_stays(desired in any_map(), observed in any_map()) {
            let owned = owned_paths(&desired, &fields());
            let others: BTreeSet<Path> = owned_paths(&observed, &fields())
                .into_iter()
                .filter(|path| !owned.iter().any(|o| o.contains(path) || path.contains(o)))
                .collect();
            let desired = Document::known(desired);
            let after = overlay(Some(&observed), &desired, &fields());
            prop_assert_eq!(select(&after.value, &others), select(&observed, &others));
            for change in diff(&desired, Some(&observed), &fields()) {
                prop_assert!(owned.contains(&change.path));
            }
        }
    }
}
