//! Writes one object, field by field, in either serializer.

use std::borrow::Cow;

use super::Serializer;
use crate::core::json;

/// The most bytes of a map's header: it is written once the fields have been counted.
const MAP: [u8; 3] = [0xde, 0, 0];

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
    pub(super) fn name(&mut self, name: &'static str) -> &mut Vec<u8> {
        match self.serializer {
            Serializer::Json => {
                self.out.extend_from_slice(if self.fields > 0 { b",\"" } else { b"\"" });
                self.out.extend_from_slice(name.as_bytes());
                self.out.extend_from_slice(b"\":");
            }
            Serializer::MsgPack => put_text(self.out, name),
        }
        self.fields += 1;
        self.out
    }

    #[inline]
    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        let serializer = self.serializer;
        write_text(serializer, self.name(name), text);
    }

    /// A text, or null.
    #[inline]
    pub(super) fn text_or_null(&mut self, name: &'static str, text: Option<&Cow<'_, str>>) {
        match text {
            Some(text) => self.text(name, text),
            None => self.null(name),
        }
    }

    pub(super) fn texts(&mut self, name: &'static str, texts: &[Cow<'_, str>]) {
        let serializer = self.serializer;
        let out = self.name(name);
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
    pub(super) fn null(&mut self, name: &'static str) {
        let serializer = self.serializer;
        match serializer {
            Serializer::Json => self.name(name).extend_from_slice(b"null"),
            Serializer::MsgPack => self.name(name).push(0xc0),
        }
    }

    #[inline]
    pub(super) fn truth(&mut self, name: &'static str, truth: bool) {
        let serializer = self.serializer;
        match serializer {
            Serializer::Json => self.name(name).extend_from_slice(if truth { b"true" } else { b"false" }),
            Serializer::MsgPack => self.name(name).push(if truth { 0xc3 } else { 0xc2 }),
        }
    }

    /// A number as JavaScript writes it; what is none is null.
    #[inline]
    pub(super) fn number(&mut self, name: &'static str, number: f64) {
        let serializer = self.serializer;
        match serializer {
            Serializer::Json => put_json_number(self.name(name), number),
            Serializer::MsgPack => put_number(self.name(name), number),
        }
    }

    /// A number, or null.
    pub(super) fn number_or_null(&mut self, name: &'static str, number: Option<f64>) {
        match number {
            Some(number) => self.number(name, number),
            None => self.null(name),
        }
    }

    /// A whole number.
    #[inline]
    pub(super) fn count(&mut self, name: &'static str, count: u64) {
        let serializer = self.serializer;
        let out = self.name(name);
        match serializer {
            Serializer::Json => out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes()),
            // Writing to a vector cannot fail.
            Serializer::MsgPack => drop(rmp::encode::write_uint(out, count)),
        }
    }

    /// A value that is written already.
    #[inline]
    pub(super) fn raw(&mut self, name: &'static str, raw: &[u8]) {
        self.name(name).extend_from_slice(raw);
    }

    /// The same, or nothing of it.
    pub(super) fn raw_if(&mut self, name: &'static str, raw: Option<&[u8]>) {
        if let Some(raw) = raw {
            self.raw(name, raw);
        }
    }

    /// A value that is an object, `{}` unless given.
    pub(super) fn object(&mut self, name: &'static str, raw: Option<&[u8]>) {
        let empty: &[u8] = match self.serializer {
            Serializer::Json => b"{}",
            Serializer::MsgPack => &[0x80],
        };
        self.raw(name, raw.unwrap_or(empty));
    }
}

/// Appends a text.
pub(super) fn write_text(serializer: Serializer, out: &mut Vec<u8>, text: &str) {
    match serializer {
        Serializer::Json => json::write_text(out, text),
        Serializer::MsgPack => put_text(out, text),
    }
}

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
