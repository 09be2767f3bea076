//! Something for each of some fields.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use litemap::LiteMap;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Path;

/// Something for each of some fields, sorted by path. Most objects have few, for which a tree would be
/// mostly empty. As JSON it is an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields<V>(LiteMap<Path, V>);

impl<V> Fields<V> {
    pub fn new() -> Self {
        Self(LiteMap::new())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<V> Default for Fields<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Deref for Fields<V> {
    type Target = LiteMap<Path, V>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<V> DerefMut for Fields<V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<V> FromIterator<(Path, V)> for Fields<V> {
    fn from_iter<I: IntoIterator<Item = (Path, V)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// As an object, also where there is no field: the map's own way writes a list then.
impl<V: Serialize> Serialize for Fields<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Fields<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
    }
}

struct FieldsVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for FieldsVisitor<V> {
    type Value = Fields<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object from paths to values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields<V>, A::Error> {
        let mut fields = Fields::new();
        while let Some((path, value)) = entries.next_entry()? {
            fields.insert(path, value);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_an_object_and_nothing_else() {
        let none: Fields<u8> = Fields::new();
        assert_eq!(serde_json::to_string(&none).unwrap(), "{}");
        let two = Fields::from_iter([(Path::field("b"), 2), (Path::field("a"), 1)]);
        assert_eq!(serde_json::to_string(&two).unwrap(), r#"{"a":1,"b":2}"#);
        assert_eq!(serde_json::from_str::<Fields<u8>>(r#"{"b":2,"a":1}"#).unwrap(), two);
        for list in ["[]", r#"[["a",1]]"#] {
            let error = serde_json::from_str::<Fields<u8>>(list).unwrap_err().to_string();
            assert!(error.contains("expected an object from paths to values"), "{error}");
        }
    }
}
