//! Small helpers for JSON objects.

use relctl_sdk::Value;

/// A JSON object.
pub type Object = relctl_sdk::Map;

/// Which of two states a document tells of: it decides what "nothing there" looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Declared. What amounts to absent is `null`: owned, and to be absent.
    Desired,
    /// Read from the cloud. What amounts to absent is left out.
    Observed,
}

/// Makes a field absent, in the manner of its side.
pub fn make_absent(map: &mut Object, name: &str, side: Side) {
    match side {
        Side::Desired => map.insert(name.to_owned(), Value::Null),
        Side::Observed => map.remove(name),
    };
}

/// Makes every field absent that is an empty list, object or string, and, observed, `null`.
pub fn drop_empty(map: &mut Object, side: Side) {
    let names: Vec<String> =
        map.iter().filter(|(_, value)| is_empty(value)).map(|(name, _)| name.clone()).collect();
    for name in names {
        make_absent(map, &name, side);
    }
}

/// Whether a value says nothing.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Sets a field that is not there, on what was observed only: a default that is declared is owned.
pub fn fill(map: &mut Object, name: &str, default: Value, side: Side) {
    if side == Side::Observed && map.get(name).is_none_or(Value::is_null) {
        map.insert(name.to_owned(), default);
    }
}

/// Sorts a list whose order means nothing.
pub fn sort(map: &mut Object, name: &str) {
    if let Some(Value::Array(items)) = map.get_mut(name) {
        items.sort_by_cached_key(ToString::to_string);
        items.dedup();
    }
}

/// Turns a list of objects into an object by the value of `key`; one already in that form gets its
/// key written into each entry.
pub fn by_key(value: Value, key: &str) -> Value {
    match value {
        Value::Array(items) => items
            .into_iter()
            .filter_map(|item| {
                let name = item.get(key)?.as_str()?.to_owned();
                Some((name, item))
            })
            .collect::<Object>()
            .into(),
        Value::Object(mut map) => {
            for (name, entry) in &mut map {
                if let Value::Object(entry) = entry {
                    entry.insert(key.to_owned(), Value::String(name.clone()));
                }
            }
            Value::Object(map)
        }
        other => other,
    }
}

/// Turns an object by key back into the list that AWS wants, in the order of the keys.
pub fn to_list(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().map(|(_, entry)| entry).collect(),
        other => other,
    }
}

/// Lays `over` on `under`: objects merge, `null` removes, everything else replaces.
pub fn lay_over(under: &mut Object, over: &Object) {
    for (name, value) in over {
        match (under.get_mut(name), value) {
            (_, Value::Null) => {
                under.remove(name);
            }
            (Some(Value::Object(below)), Value::Object(above)) if !above.is_empty() => {
                lay_over(below, above);
            }
            (_, Value::Object(above)) => {
                let mut fresh = Object::new();
                lay_over(&mut fresh, above);
                under.insert(name.clone(), Value::Object(fresh));
            }
            _ => {
                under.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The text of a field.
pub fn text<'a>(map: &'a Object, name: &str) -> Option<&'a str> {
    map.get(name).and_then(Value::as_str)
}

/// Tags as a map; AWS sends them as a list of `key` and `value`.
pub fn tags_to_map(value: Value) -> Value {
    match value {
        Value::Array(items) => items
            .into_iter()
            .filter_map(|item| {
                let key = item.get("key")?.as_str()?.to_owned();
                let value = item.get("value").cloned().unwrap_or_else(|| Value::from(""));
                Some((key, value))
            })
            .collect::<Object>()
            .into(),
        other => other,
    }
}

/// Tags as AWS wants them.
pub fn tags_to_list(tags: &Object) -> Vec<Value> {
    tags.iter().map(|(key, value)| serde_json::json!({ "key": key, "value": value })).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn laying_over_merges_objects_and_removes_nulls() {
        let mut under = json!({ "a": { "x": 1, "y": 2 }, "b": [1, 2], "c": 3 });
        let over = json!({ "a": { "y": null, "z": { "k": null, "l": 1 } }, "b": [9], "c": null });
        lay_over(under.as_object_mut().unwrap(), over.as_object().unwrap());
        assert_eq!(under, json!({ "a": { "x": 1, "z": { "l": 1 } }, "b": [9] }));
    }

    #[test]
    fn absent_is_null_when_declared_and_nothing_when_observed() {
        let full = json!({ "command": [], "user": "", "cpu": 1 });
        for (side, want) in [
            (Side::Desired, json!({ "command": null, "user": null, "cpu": 1 })),
            (Side::Observed, json!({ "cpu": 1 })),
        ] {
            let mut map = full.as_object().unwrap().clone();
            drop_empty(&mut map, side);
            assert_eq!(Value::Object(map), want);
        }
    }
}
