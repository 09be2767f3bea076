//! Canonical JSON (RFC 8785) and digests over it.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::io::{self, Write};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter};
use sha2::{Digest as _, Sha256};

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
    let out = Shared::default();
    let formatter = Sorting { out: out.clone(), first_entries: Vec::new(), entries: Vec::new() };
    value.serialize(&mut serde_json::Serializer::with_formatter(out.clone(), formatter))?;
    Ok(out.0.take())
}

/// The digest of a value's RFC 8785 form.
pub fn digest_of<T: Serialize>(value: &T) -> Result<Digest, serde_json::Error> {
    canonical_json(value).map(|bytes| Digest::of(&bytes))
}

/// The text so far: the serializer appends to it, the formatter puts it in order.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes JSON as `serde_json` does, with each object's entries sorted where it ends, and numbers
/// as ECMAScript writes doubles. An object is sorted in the place where it was written: nothing is
/// allocated for each, since a plan of a large release has hundreds of thousands.
struct Sorting {
    out: Shared,
    /// For each open object, the index of its first entry in `entries`.
    first_entries: Vec<usize>,
    entries: Vec<Entry>,
}

/// Where an entry of an open object stands, without the comma before it.
#[derive(Clone, Copy, Default)]
struct Entry {
    start: usize,
    key_end: usize,
    end: usize,
}

impl Sorting {
    fn here(&self) -> usize {
        self.out.0.borrow().len()
    }

    fn last(&mut self) -> Option<&mut Entry> {
        self.entries.last_mut()
    }
}

/// Up to here every integer is a double, and is written in the same way.
const EXACT: u64 = 1 << 53;

impl Formatter for Sorting {
    fn write_i64<W: ?Sized + Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        if value.unsigned_abs() <= EXACT {
            return CompactFormatter.write_i64(writer, value);
        }
        #[expect(clippy::cast_precision_loss, reason = "RFC 8785: numbers are doubles")]
        self.write_f64(writer, value as f64)
    }

    fn write_u64<W: ?Sized + Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        if value <= EXACT {
            return CompactFormatter.write_u64(writer, value);
        }
        #[expect(clippy::cast_precision_loss, reason = "RFC 8785: numbers are doubles")]
        self.write_f64(writer, value as f64)
    }

    fn write_f32<W: ?Sized + Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        self.write_f64(writer, value.into())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(ryu_js::Buffer::new().format(value).as_bytes())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.first_entries.push(self.entries.len());
        writer.write_all(b"{")
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.entries.push(Entry { start: self.here(), ..Entry::default() });
        Ok(())
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        let here = self.here();
        if let Some(entry) = self.last() {
            entry.key_end = here;
        }
        Ok(())
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        let here = self.here();
        if let Some(entry) = self.last() {
            entry.end = here;
        }
        Ok(())
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let first = self.first_entries.pop().unwrap_or_default();
        sort(&mut self.out.0.borrow_mut(), self.entries.get_mut(first..).unwrap_or_default());
        self.entries.truncate(first);
        writer.write_all(b"}")
    }
}

/// Puts the entries at the end of `out` in order.
fn sort(out: &mut Vec<u8>, entries: &mut [Entry]) {
    let Some(start) = entries.first().map(|entry| entry.start) else { return };
    let key = |entry: &Entry| out.get(entry.start..entry.key_end).unwrap_or_default();
    let compare = if entries.iter().all(|entry| is_plain(key(entry))) { bytes } else { code_units };
    let compare = |a: &Entry, b: &Entry| compare(key(a), key(b));
    if entries.is_sorted_by(|a, b| compare(a, b).is_le()) {
        return;
    }
    entries.sort_by(compare);
    let written = out.split_off(start);
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(
            written.get(entry.start - start..entry.end - start).unwrap_or_default(),
        );
    }
}

/// Compares two keys, written as JSON strings, by their UTF-16 code units.
fn code_units(a: &[u8], b: &[u8]) -> Ordering {
    let units = |key: &[u8]| -> Vec<u16> {
        serde_json::from_slice::<String>(key).unwrap_or_default().encode_utf16().collect()
    };
    units(a).cmp(&units(b))
}

/// As [`code_units`], of keys that are [plain](is_plain).
fn bytes(a: &[u8], b: &[u8]) -> Ordering {
    inner(a).cmp(inner(b))
}

/// What stands between the quotes.
fn inner(key: &[u8]) -> &[u8] {
    key.get(1..key.len().saturating_sub(1)).unwrap_or_default()
}

/// Whether the bytes of a key, written as a JSON string, compare as its code units do.
fn is_plain(key: &[u8]) -> bool {
    key.iter().all(|byte| byte.is_ascii() && *byte != b'\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::Value;

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
