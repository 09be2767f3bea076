//! Documents: what an object holds, with the parts that are not known yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Map, Path, Value};

/// The largest integer that survives RFC 8785, whose numbers are doubles: 2⁵³ − 1.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// A JSON object, and the paths in it whose values are not known yet (`null` there).
///
/// Keyed lists are held as objects from key to entry; every other list is atomic. The value is shared
/// with whatever else holds the same one, and copied where it is changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    #[serde(default, skip_serializing_if = "is_empty")]
    pub value: Arc<Map>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unknown: BTreeSet<Path>,
}

impl Document {
    /// A document that is wholly known.
    pub fn known(value: impl Into<Arc<Map>>) -> Self {
        Self { value: value.into(), unknown: BTreeSet::new() }
    }

    pub fn is_known(&self) -> bool {
        self.unknown.is_empty()
    }

    /// The value at `path`, `None` where there is none; unknown values read as `null`.
    pub fn get(&self, path: &Path) -> Option<&Value> {
        get(&self.value, path.segments())
    }

    /// Whether the value at `path`, or a part of it, or what it is a part of, is unknown.
    pub fn is_unknown(&self, path: &Path) -> bool {
        self.unknown.iter().any(|unknown| unknown.contains(path) || path.contains(unknown))
    }

    /// Sets the value at `path`, making the objects above it as needed. `path` is not the root.
    pub fn set(&mut self, path: &Path, value: Value) {
        self.unknown.retain(|unknown| !path.contains(unknown));
        set(Arc::make_mut(&mut self.value), path, value);
    }

    /// The document without what is at `path`; an object that this leaves empty stays.
    #[must_use]
    pub fn without(mut self, path: &Path) -> Self {
        self.unknown.retain(|unknown| !path.contains(unknown));
        remove(Arc::make_mut(&mut self.value), path);
        self
    }

    /// Marks the value at `path` as not known yet.
    pub fn set_unknown(&mut self, path: &Path) {
        self.set(path, Value::Null);
        self.unknown.insert(path.clone());
    }
}

fn is_empty(value: &Arc<Map>) -> bool {
    value.is_empty()
}

impl From<Map> for Document {
    fn from(value: Map) -> Self {
        Self::known(value)
    }
}

/// The value to which these names lead below `map`; `None` without any: the root is not a [`Value`].
pub(crate) fn get<'a, 'n>(
    map: &'a Map,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'a Value> {
    let mut segments = names.into_iter();
    let mut value = map.get(segments.next()?)?;
    for segment in segments {
        value = value.as_object()?.get(segment)?;
    }
    Some(value)
}

/// Removes what is at `path` below `map`, if anything is.
pub(crate) fn remove(map: &mut Map, path: &Path) {
    let mut segments: Vec<&str> = path.segments().collect();
    let Some(last) = segments.pop() else { return };
    let mut at = map;
    for segment in segments {
        match at.get_mut(segment) {
            Some(Value::Object(inner)) => at = inner,
            _ => return,
        }
    }
    at.remove(last);
}

/// Sets the value at `path` below `map`; what stands in the way of it is replaced by an object.
pub(crate) fn set(map: &mut Map, path: &Path, value: Value) {
    let mut segments: Vec<&str> = path.segments().collect();
    let Some(last) = segments.pop() else { return };
    let mut at = map;
    for segment in segments {
        let slot = at.entry(segment.to_owned()).or_insert_with(|| Value::Object(Map::new()));
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        let Value::Object(inner) = slot else { return };
        at = inner;
    }
    at.insert(last.to_owned(), value);
}
