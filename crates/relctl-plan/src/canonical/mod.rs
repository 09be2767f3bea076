//! Canonical JSON (RFC 8785) and digests over it.

mod writer;

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::writer::Writer;

/// A SHA-256 digest, written as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let ok = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        ok.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }

    /// The first 32 digits, the form of tokens and run keys.
    pub fn token(&self) -> &str {
        self.0.get(..32).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The RFC 8785 form of a value.
///
/// Fails only for values that JSON cannot hold, which the release file's reader has refused.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut writer = Writer::default();
    value.serialize(&mut writer)?;
    Ok(writer.into_bytes())
}

/// The digest of a value's RFC 8785 form.
pub fn digest_of<T: Serialize>(value: &T) -> Result<Digest, serde_json::Error> {
    canonical_json(value).map(|bytes| Digest::of(&bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{Path, Value};

    fn text(value: &Value) -> String {
        String::from_utf8(canonical_json(value).unwrap()).unwrap()
    }

    #[test]
    fn keys_are_sorted_by_utf_16() {
        // The example of RFC 8785, section 3.2.3, and keys that need escapes.
        let value = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet",
            "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control",
            "\u{f6}": "Latin Small Letter O With Diaeresis",
        });
        assert_eq!(
            text(&value),
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{f6}\":\
             \"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\
             \"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet\"}"
        );
    }

    proptest! {
        /// A plan that was written down is the same when it is read, to the last bit of each number.
        #[test]
        fn numbers_are_read_as_they_were_written(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let read: Value = serde_json::from_slice(&canonical_json(&number).unwrap()).unwrap();
            prop_assert_eq!(read.as_f64().map(f64::to_bits), Some((number + 0.0).to_bits()));
        }
    }

    #[test]
    fn fields_of_structs_are_sorted_too() {
        #[derive(Serialize)]
        struct Outer {
            b: Vec<Inner>,
            a: Option<f64>,
        }
        #[derive(Serialize)]
        struct Inner {
            ab: i64,
            a: u64,
        }
        let value = Outer { b: vec![Inner { ab: -1, a: u64::MAX }], a: Some(1e30) };
        let bytes = canonical_json(&value).unwrap();
        let expected = r#"{"a":1e+30,"b":[{"a":18446744073709552000,"ab":-1}]}"#;
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn every_shape_is_written_as_its_value_is() {
        #[derive(Serialize)]
        enum Shape {
            Unit,
            Newtype(Option<char>),
            Tuple(i8, f32),
            Struct { z: u16, a: () },
        }
        let shapes = [
            Shape::Unit,
            Shape::Newtype(Some('\u{1}')),
            Shape::Newtype(None),
            Shape::Tuple(-1, 0.5),
            Shape::Struct { z: 2, a: () },
        ];
        let by_number = BTreeMap::from([(10, "ten"), (9, "\"\\\u{8}\t\n\u{c}\r\u{1f}\u{7f}é")]);
        let by_truth = BTreeMap::from([(true, f64::NAN), (false, -0.0)]);
        let value = (shapes, by_number, by_truth, Path::field("a.b"));
        let expected = text(&serde_json::to_value(&value).unwrap());
        assert_eq!(String::from_utf8(canonical_json(&value).unwrap()).unwrap(), expected);
    }

    #[test]
    fn keys_are_text() {
        let keyed = BTreeMap::from([(vec![1], 1)]);
        let error = canonical_json(&keyed).unwrap_err();
        assert_eq!(error.to_string(), "a key that is not a string");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_the_form_that_another_implementation_writes(value in any_value()) {
            let expected = serde_json_canonicalizer::to_string(&value).unwrap();
            prop_assert_eq!(text(&value), expected);
        }
    }
}
