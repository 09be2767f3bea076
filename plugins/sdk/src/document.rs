//! Documents: JSON objects with parts that are not known yet.

use std::collections::BTreeSet;
use std::fmt;

/// A JSON value.
pub type Value = serde_json::Value;

/// A JSON object.
pub type Map = serde_json::Map<String, Value>;

/// A JSON pointer (RFC 6901) to a value in a document, `/containers/api/image`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(String);

impl Pointer {
    /// The pointer to a top-level field.
    pub fn field(name: &str) -> Self {
        Self::default().join(name)
    }

    /// The pointer one level below this one.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self(format!("{}/{}", self.0, name.replace('~', "~0").replace('/', "~1")))
    }

    /// Takes a pointer as it is written.
    pub fn raw(pointer: impl Into<String>) -> Self {
        Self(pointer.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this points to the same value as `other`, or to what that is a part of.
    pub fn contains(&self, other: &Self) -> bool {
        other.below(self).is_some()
    }

    /// What remains of this pointer below `above`: empty where they are the same, `None` where it
    /// does not lie below.
    pub fn below(&self, above: &Self) -> Option<&str> {
        self.0.strip_prefix(&above.0).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A JSON object, and pointers to the values in it that are not known yet (`null` there).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    pub value: Map,
    pub unknown: BTreeSet<Pointer>,
}

/// What a document says about a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    Known(&'a Value),
    /// It, or a part of it, will be known only while applying.
    Unknown,
    /// Not there, or `null`.
    Absent,
}

impl<'a> Field<'a> {
    /// The value, where it is wholly known.
    pub fn known(self) -> Option<&'a Value> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown | Self::Absent => None,
        }
    }

    /// The text, where it is a known one.
    pub fn text(self) -> Option<&'a str> {
        self.known().and_then(Value::as_str)
    }
}

impl Document {
    /// A document that is wholly known.
    pub fn known(value: Map) -> Self {
        Self { value, unknown: BTreeSet::new() }
    }

    /// What it says about a top-level field.
    pub fn field(&self, name: &str) -> Field<'_> {
        if !self.unknown.is_empty() {
            let pointer = Pointer::field(name);
            if self.unknown.iter().any(|u| pointer.contains(u) || u.contains(&pointer)) {
                return Field::Unknown;
            }
        }
        match self.value.get(name) {
            None | Some(Value::Null) => Field::Absent,
            Some(value) => Field::Known(value),
        }
    }

    /// Sets a top-level field.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.forget_unknown(name);
        self.value.insert(name.to_owned(), value.into());
    }

    /// Marks a top-level field as not known yet.
    pub fn set_unknown(&mut self, name: &str) {
        self.set(name, Value::Null);
        self.unknown.insert(Pointer::field(name));
    }

    /// Sets a top-level field to what `from` has at `source`, with what is unknown there.
    pub fn copy_field(&mut self, name: &str, from: &Self, source: &str) {
        let (to, at) = (Pointer::field(name), Pointer::field(source));
        self.set(name, from.value.get(source).cloned().unwrap_or_default());
        for unknown in &from.unknown {
            if let Some(rest) = unknown.below(&at) {
                self.unknown.insert(Pointer(format!("{to}{rest}")));
            }
        }
    }

    fn forget_unknown(&mut self, name: &str) {
        if !self.unknown.is_empty() {
            let pointer = Pointer::field(name);
            self.unknown.retain(|unknown| !pointer.contains(unknown));
        }
    }
}

impl From<Map> for Document {
    fn from(value: Map) -> Self {
        Self::known(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(value: Value, unknown: &[&str]) -> Document {
        let Value::Object(value) = value else { panic!("an object") };
        Document { value, unknown: unknown.iter().map(|p| Pointer::raw(*p)).collect() }
    }

    #[test]
    fn a_field_with_an_unknown_part_is_unknown() {
        let document = document(json!({"a": {"b": null}, "ab": 1, "c": null}), &["/a/b"]);
        assert_eq!(document.field("a"), Field::Unknown);
        assert_eq!(document.field("ab"), Field::Known(&json!(1)));
        assert_eq!(document.field("c"), Field::Absent);
        assert_eq!(document.field("d"), Field::Absent);
    }

    #[test]
    fn copies_a_field_with_its_unknown_parts() {
        let from =
            document(json!({"input": {"a": null, "b": 2}, "in": null}), &["/input/a", "/in"]);
        let mut to = document(json!({}), &["/output"]);
        to.copy_field("output", &from, "input");
        assert_eq!(to, document(json!({"output": {"a": null, "b": 2}}), &["/output/a"]));
    }

    #[test]
    fn pointers_escape() {
        assert_eq!(Pointer::field("a/b~c").join("d").as_str(), "/a~1b~0c/d");
    }
}
