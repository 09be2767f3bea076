//! The diff on owned fields. Pure, and the only place where two states are compared.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::document::{get, remove, set};
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
    for (name, value) in document {
        collect(value, &Path::field(name), fields.at(&Path::field(name)), &mut paths);
    }
    paths
}

fn collect(value: &Value, at: &Path, field: Option<&Field>, paths: &mut BTreeSet<Path>) {
    match value {
        Value::Object(map) if !map.is_empty() && !field.is_some_and(|f| f.atomic) => {
            for (name, inner) in map {
                let below = field.and_then(|f| f.fields.get(name).or(f.entries.as_deref()));
                collect(inner, &at.join(name), below, paths);
            }
        }
        _ => {
            paths.insert(at.clone());
        }
    }
}

/// Compares what is desired with what is observed, on the owned fields alone.
///
/// `null` is desired where a field is to be removed; `null` and absent are the same. Unknown
/// counts as changed.
pub fn diff(desired: &Document, observed: Option<&Map>, fields: &Field) -> Vec<FieldChange> {
    owned_paths(&desired.value, fields)
        .into_iter()
        .filter_map(|path| {
            let unknown = desired.is_unknown(&path);
            let present = |value: &&Value| !value.is_null();
            let after = desired.get(&path).filter(present).filter(|_| !unknown);
            let before = observed.and_then(|map| get(map, &path)).filter(present);
            let same = !unknown && after == before;
            (!same).then(|| FieldChange {
                multiline: fields.at(&path).is_some_and(|f| f.multiline),
                before: before.cloned(),
                after: after.cloned(),
                unknown,
                path,
            })
        })
        .collect()
}

/// The parts of `document` at `paths`.
pub fn select<'a>(document: &Map, paths: impl IntoIterator<Item = &'a Path>) -> Map {
    let mut selected = Map::new();
    for path in paths {
        if let Some(value) = get(document, path) {
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
                Some(Value::Null) | None => remove(&mut result.value, &path),
                Some(value) => result.set(&path, value.clone()),
            }
        }
    }
    result
}
