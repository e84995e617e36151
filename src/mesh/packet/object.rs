//! Writes one object, field by field, in either serializer.

use std::borrow::Cow;

use super::Serializer;
use crate::core::json;

/// The most bytes of a map's header: it is written once the fields have been counted.
const MAP: [u8; 3] = [0xde, 0, 0];

/// A field's name as JSON has it behind another field: `,"name":`.
pub(super) struct Key(pub(super) &'static str);

/// The key of a name.
macro_rules! key {
    ($name:literal) => {
        $crate::mesh::packet::object::Key(concat!(",\"", $name, "\":"))
    };
}
pub(super) use key;

impl Key {
    /// The name alone.
    fn name(&self) -> &'static str {
        self.0.get(2..self.0.len() - 2).unwrap_or_default()
    }
}

/// An object that is being written.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    serializer: Serializer,
    begin: usize,
    fields: u16,
}

impl<'o> Object<'o> {
    /// Begins one.
    pub(super) fn begin(serializer: Serializer, out: &'o mut Vec<u8>) -> Self {
        let begin = out.len();
        match serializer {
            Serializer::Json => out.push(b'{'),
            Serializer::MsgPack => out.extend_from_slice(&MAP),
        }
        Self { out, serializer, begin, fields: 0 }
    }

    /// Appends what is written already: that many fields, ended by the object's end.
    pub(super) fn end_with(mut self, tail: &[u8], fields: u16) {
        match self.serializer {
            Serializer::Json if self.fields > 0 => self.out.push(b','),
            Serializer::Json => {}
            Serializer::MsgPack => {
                self.fields += fields;
                let count = self.fields.to_be_bytes();
                if let Some(header) = self.out.get_mut(self.begin + 1..self.begin + 3) {
                    header.copy_from_slice(&count);
                }
            }
        }
        self.out.extend_from_slice(tail);
    }

    /// A field's name; its value must follow.
    #[inline]
    pub(super) fn name(&mut self, key: &Key) -> &mut Vec<u8> {
        match self.serializer {
            Serializer::Json if self.fields > 0 => self.out.extend_from_slice(key.0.as_bytes()),
            Serializer::Json => self.out.extend_from_slice(key.0.as_bytes().get(1..).unwrap_or_default()),
            Serializer::MsgPack => put_text(self.out, key.name()),
        }
        self.fields += 1;
        self.out
    }

    #[inline]
    pub(super) fn text(&mut self, key: &Key, text: &str) {
        let serializer = self.serializer;
        write_text(serializer, self.name(key), text);
    }

    /// A text, or null.
    #[inline]
    pub(super) fn text_or_null(&mut self, key: &Key, text: Option<&Cow<'_, str>>) {
        match text {
            Some(text) => self.text(key, text),
            None => self.null(key),
        }
    }

    pub(super) fn texts(&mut self, key: &Key, texts: &[Cow<'_, str>]) {
        let serializer = self.serializer;
        let out = self.name(key);
        match serializer {
            Serializer::Json => json::write_texts(out, texts.iter().map(AsRef::as_ref)),
            Serializer::MsgPack => {
                // Writing to a vector cannot fail.
                let _ = rmp::encode::write_array_len(out, u32::try_from(texts.len()).unwrap_or(u32::MAX));
                for text in texts {
                    put_text(out, text);
                }
            }
        }
    }

    #[inline]
    pub(super) fn null(&mut self, key: &Key) {
        let serializer = self.serializer;
        match serializer {
            Serializer::Json => self.name(key).extend_from_slice(b"null"),
            Serializer::MsgPack => self.name(key).push(0xc0),
        }
    }

    #[inline]
    pub(super) fn truth(&mut self, key: &Key, truth: bool) {
        let serializer = self.serializer;
        match serializer {
            Serializer::Json => self.name(key).extend_from_slice(if truth { b"true" } else { b"false" }),
            Serializer::MsgPack => self.name(key).push(if truth { 0xc3 } else { 0xc2 }),
        }
    }

    /// A number as JavaScript writes it; what is none is null.
    #[inline]
    pub(super) fn number(&mut self, key: &Key, number: f64) {
        let serializer = self.serializer;
        match serializer {
            Serializer::Json => put_json_number(self.name(key), number),
            Serializer::MsgPack => put_number(self.name(key), number),
        }
    }

    /// A number, or null.
    pub(super) fn number_or_null(&mut self, key: &Key, number: Option<f64>) {
        match number {
            Some(number) => self.number(key, number),
            None => self.null(key),
        }
    }

    /// A whole number.
    #[inline]
    pub(super) fn count(&mut self, key: &Key, count: u64) {
        let serializer = self.serializer;
        let out = self.name(key);
        match serializer {
            Serializer::Json => out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes()),
            // Writing to a vector cannot fail.
            Serializer::MsgPack => drop(rmp::encode::write_uint(out, count)),
        }
    }

    /// A value that is written already.
    #[inline]
    pub(super) fn raw(&mut self, key: &Key, raw: &[u8]) {
        self.name(key).extend_from_slice(raw);
    }

    /// The same, or nothing of it.
    pub(super) fn raw_if(&mut self, key: &Key, raw: Option<&[u8]>) {
        if let Some(raw) = raw {
            self.raw(key, raw);
        }
    }

    /// A value that is an object, `{}` unless given.
    pub(super) fn object(&mut self, key: &Key, raw: Option<&[u8]>) {
        let empty: &[u8] = match self.serializer {
            Serializer::Json => b"{}",
            Serializer::MsgPack => &[0x80],
        };
        self.raw(key, raw.unwrap_or(empty));
    }
}

/// Appends a text.
pub(super) fn write_text(serializer: Serializer, out: &mut Vec<u8>, text: &str) {
    match serializer {
        Serializer::Json => json::write_text(out, text),
        Serializer::MsgPack => put_text(out, text),
    }
}

#[inline]
fn put_text(out: &mut Vec<u8>, text: &str) {
    // Writing to a vector cannot fail.
    let _ = rmp::encode::write_str(out, text);
}

/// The whole number that a number is, where it is exact.
fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "in range")]
    (number.abs() < 9e15 && number.fract() == 0.0).then_some(number as i64)
}

fn put_json_number(out: &mut Vec<u8>, number: f64) {
    use std::io::Write;
    match whole(number) {
        Some(whole) => out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes()),
        None if number.is_finite() => drop(write!(out, "{number}")),
        None => out.extend_from_slice(b"null"),
    }
}

fn put_number(out: &mut Vec<u8>, number: f64) {
    // Writing to a vector cannot fail.
    match whole(number) {
        Some(whole) => drop(rmp::encode::write_sint(out, whole)),
        None if number.is_finite() => drop(rmp::encode::write_f64(out, number)),
        None => out.push(0xc0),
    }
}
