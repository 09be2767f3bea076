//! Writes RFC 8785 as it serialises: one pass, one buffer.
//!
//! Each object is sorted where it ends, in the place where it was written: no tree of values is made,
//! since a plan of a large release has hundreds of thousands of objects.

use std::fmt::{self, Display, Write as _};

use serde::ser::{self, Error as _, Serialize};
use serde_json::Error;

/// The text so far, and the entries of the objects that are open.
#[derive(Default)]
pub(super) struct Writer {
    out: Vec<u8>,
    entries: Vec<Entry>,
    /// Whether the bytes of the string that was written last compare as its UTF-16 code units do.
    is_plain: bool,
}

/// Where an entry of an open object stands, without the comma before it.
#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    key_end: usize,
    end: usize,
    is_plain: bool,
    /// The key's first eight bytes: most keys of one object differ there.
    begins: u64,
}

/// Up to here every integer is a double, and is written in the same way.
const EXACT: u64 = 1 << 53;

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// As it is shown, escaped, without quotes.
    fn shown(&mut self, value: impl Display) -> Result<(), Error> {
        self.is_plain = true;
        write!(Escaping(self), "{value}").map_err(Error::custom)
    }

    /// As ECMAScript writes it; JSON has no infinities.
    fn double(&mut self, value: f64) {
        if value.is_finite() {
            self.raw(ryu_js::Buffer::new().format_finite(value));
        } else {
            self.raw("null");
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push(b'"');
        self.is_plain = escape(&mut self.out, text);
        self.out.push(b'"');
    }

    /// Begins an entry: its key, and the colon.
    fn entry(&mut self, first: usize, key: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        if self.entries.len() > first {
            self.out.push(b',');
        }
        let start = self.out.len();
        key.serialize(&mut *self)?;
        self.quote(start)?;
        let written = self.out.get(start..).unwrap_or_default();
        self.entries.push(Entry {
            start,
            key_end: self.out.len(),
            end: 0,
            is_plain: self.is_plain,
            begins: first_eight(inner(written)),
        });
        self.out.push(b':');
        Ok(())
    }

    /// Makes text of a key that is a number or a boolean.
    fn quote(&mut self, start: usize) -> Result<(), Error> {
        match self.out.get(start) {
            Some(b'"') => Ok(()),
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                self.out.insert(start, b'"');
                self.out.push(b'"');
                Ok(())
            }
            _ => Err(Error::custom("a key that is not a string")),
        }
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        value.serialize(&mut *self)?;
        let end = self.out.len();
        if let Some(entry) = self.entries.last_mut() {
            entry.end = end;
        }
        Ok(())
    }

    fn begin_object(&mut self) -> Object<'_> {
        self.out.push(b'{');
        Object { first: self.entries.len(), writer: self }
    }

    fn end_object(&mut self, first: usize) {
        sort(&mut self.out, self.entries.get_mut(first..).unwrap_or_default());
        self.entries.truncate(first);
        self.out.push(b'}');
    }

    /// An enum's variant that holds something is an object with one entry.
    fn begin_variant(&mut self, variant: &str) {
        self.out.push(b'{');
        self.string(variant);
        self.out.push(b':');
    }
}

/// Puts the entries at the end of `out` in order.
fn sort(out: &mut Vec<u8>, entries: &mut [Entry]) {
    let Some(start) = entries.first().map(|entry| entry.start) else { return };
    let key = |entry: &Entry| out.get(entry.start..entry.key_end).unwrap_or_default();
    let all_plain = entries.iter().all(|entry| entry.is_plain);
    let compare = |a: &Entry, b: &Entry| {
        if all_plain {
            a.begins.cmp(&b.begins).then_with(|| inner(key(a)).cmp(inner(key(b))))
        } else {
            code_units(key(a)).cmp(&code_units(key(b)))
        }
    };
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

/// A key, written as a JSON string, as its UTF-16 code units.
fn code_units(key: &[u8]) -> Vec<u16> {
    serde_json::from_slice::<String>(key).unwrap_or_default().encode_utf16().collect()
}

/// What stands between the quotes.
fn inner(key: &[u8]) -> &[u8] {
    key.get(1..key.len().saturating_sub(1)).unwrap_or_default()
}

/// The first eight bytes, as a number that compares as they do; zero stands for what is not there.
fn first_eight(bytes: &[u8]) -> u64 {
    let first = bytes.first_chunk().copied().unwrap_or_else(|| {
        let mut first = [0; 8];
        first.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        first
    });
    u64::from_be_bytes(first)
}

/// Whether a byte of a string is written as it is, and compares as its character does.
fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..0x80) && !must_escape(byte)
}

fn must_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

/// RFC 8785, section 3.2.2.2: what has a short form gets it, other controls four digits. Says whether
/// all of it is plain.
fn escape(out: &mut Vec<u8>, text: &str) -> bool {
    let mut rest = text.as_bytes();
    if rest.iter().copied().all(is_plain) {
        out.extend_from_slice(rest);
        return true;
    }
    while let Some(at) = rest.iter().position(|byte| must_escape(*byte)) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else { break };
        rest = after;
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0C => b'f',
            b'\r' => b'r',
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(hex::encode([byte]).as_bytes());
                continue;
            }
        };
        out.extend([b'\\', short]);
    }
    out.extend_from_slice(rest);
    false
}

/// What writes an escaped string piece by piece.
struct Escaping<'a>(&'a mut Writer);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.is_plain &= escape(&mut self.0.out, text);
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "RFC 8785: numbers are doubles")]
impl<'a> ser::Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Object<'a>;
    type SerializeStruct = Object<'a>;
    type SerializeStructVariant = ObjectVariant<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.raw(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        if value.unsigned_abs() <= EXACT {
            self.shown(value)
        } else {
            self.serialize_f64(value as f64)
        }
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        if value <= EXACT { self.shown(value) } else { self.serialize_f64(value as f64) }
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.double(value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.string(value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.string(value);
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.out.push(b'"');
        self.shown(value)?;
        self.out.push(b'"');
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.raw("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.begin_variant(variant);
        value.serialize(&mut *self)?;
        self.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<List<'a>, Error> {
        self.out.push(b'[');
        Ok(List { writer: self, is_empty: true, end: "]" })
    }

    fn serialize_tuple(self, length: usize) -> Result<List<'a>, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _name: &'static str, length: usize) -> Result<List<'a>, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<List<'a>, Error> {
        self.begin_variant(variant);
        self.out.push(b'[');
        Ok(List { writer: self, is_empty: true, end: "]}" })
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Object<'a>, Error> {
        Ok(self.begin_object())
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Object<'a>, Error> {
        Ok(self.begin_object())
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<ObjectVariant<'a>, Error> {
        self.begin_variant(variant);
        Ok(ObjectVariant(self.begin_object()))
    }
}

/// A list that is being written.
pub(super) struct List<'a> {
    writer: &'a mut Writer,
    is_empty: bool,
    end: &'static str,
}

impl ser::SerializeSeq for List<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::take(&mut self.is_empty) {
            self.writer.out.push(b',');
        }
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Error> {
        self.writer.raw(self.end);
        Ok(())
    }
}

impl ser::SerializeTuple for List<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        ser::SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<(), Error> {
        ser::SerializeSeq::end(self)
    }
}

impl ser::SerializeTupleStruct for List<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        ser::SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<(), Error> {
        ser::SerializeSeq::end(self)
    }
}

impl ser::SerializeTupleVariant for List<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        ser::SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<(), Error> {
        ser::SerializeSeq::end(self)
    }
}

/// An object that is being written.
pub(super) struct Object<'a> {
    writer: &'a mut Writer,
    /// The index of its first entry among the writer's.
    first: usize,
}

impl ser::SerializeMap for Object<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.writer.entry(self.first, key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.writer.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.writer.end_object(self.first);
        Ok(())
    }
}

impl ser::SerializeStruct for Object<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.writer.entry(self.first, key)?;
        self.writer.value(value)
    }

    fn end(self) -> Result<(), Error> {
        ser::SerializeMap::end(self)
    }
}

/// The object in an enum's variant.
pub(super) struct ObjectVariant<'a>(Object<'a>);

impl ser::SerializeStructVariant for ObjectVariant<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        ser::SerializeStruct::serialize_field(&mut self.0, key, value)
    }

    fn end(self) -> Result<(), Error> {
        self.0.writer.end_object(self.0.first);
        self.0.writer.out.push(b'}');
        Ok(())
    }
}
