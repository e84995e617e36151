//! One field's value, in either serializer, read only when it is asked for.

use std::borrow::Cow;

use super::msgpack;
use crate::core::json;

/// How packets are written. All nodes of a mesh share one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Serializer {
    /// JSON text.
    #[default]
    Json,
    /// MessagePack.
    MsgPack,
}

/// A value as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// How it is written.
    pub serializer: Serializer,
    /// Its bytes.
    pub raw: &'a [u8],
}

impl<'a> Value<'a> {
    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        match self.serializer {
            Serializer::Json => self.raw == b"null",
            Serializer::MsgPack => self.raw == [0xc0],
        }
    }

    /// Its bytes, unless it is null.
    #[must_use]
    pub fn present(&self) -> Option<&'a [u8]> {
        (!self.is_null()).then_some(self.raw)
    }

    /// The text that it is.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self.serializer {
            Serializer::Json => json::text(self.raw),
            Serializer::MsgPack => msgpack::text(self.raw).map(Cow::Borrowed),
        }
    }

    /// The number that it is.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self.serializer {
            Serializer::Json => small(self.raw).map(f64::from).or_else(|| json::number(self.raw)),
            Serializer::MsgPack => msgpack::number(self.raw),
        }
    }

    /// The whole number from 0 up that it is; a fraction is cut off.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        let number = self.number()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        (0.0..9e15).contains(&number).then_some(number as u64)
    }

    /// Whether JavaScript takes it for true.
    #[must_use]
    pub fn truth(&self) -> bool {
        match self.serializer {
            Serializer::Json => match self.raw {
                b"true" => true,
                b"false" | b"null" | b"\"\"" => false,
                raw => json::number(raw) != Some(0.0),
            },
            Serializer::MsgPack => match self.raw {
                [0xc3] => true,
                [0xc2 | 0xc0 | 0xa0] => false,
                raw => msgpack::number(raw) != Some(0.0),
            },
        }
    }

    /// The texts of the array that it is; `None` when it is none, holds anything else, or more than `most`.
    #[must_use]
    pub fn texts(&self, most: usize) -> Option<Vec<Cow<'a, str>>> {
        let mut texts = Vec::new();
        for item in self.items()? {
            if texts.len() == most {
                return None;
            }
            texts.push(item?.text()?);
        }
        Some(texts)
    }

    /// The elements of the array that it is; one that cannot be read is `None`, and the last.
    #[must_use]
    pub fn items(&self) -> Option<Items<'a>> {
        match self.serializer {
            Serializer::Json => self.raw.starts_with(b"[").then(|| Items::Json(json::items(self.raw))),
            Serializer::MsgPack => msgpack::Items::array(self.raw).map(Items::MsgPack),
        }
    }
}

/// A JSON number of few digits, as most are.
fn small(raw: &[u8]) -> Option<u32> {
    if raw.is_empty() || raw.len() > 9 {
        return None;
    }
    raw.iter().try_fold(0_u32, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then_some(number * 10 + u32::from(digit))
    })
}

/// The elements of an array.
#[derive(Debug)]
pub enum Items<'a> {
    /// Of JSON.
    Json(json::Items<'a>),
    /// Of MessagePack.
    MsgPack(msgpack::Items<'a>),
}

impl<'a> Iterator for Items<'a> {
    type Item = Option<Value<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Json(items) => {
                items.next().map(|item| item.ok().map(|raw| Value { serializer: Serializer::Json, raw }))
            }
            Self::MsgPack(items) => {
                items.next().map(|item| item.map(|raw| Value { serializer: Serializer::MsgPack, raw }))
            }
        }
    }
}

/// The fields of an object, in order; one that cannot be read is `None`, and the last.
#[derive(Debug)]
pub enum Fields<'a> {
    /// Of JSON.
    Json(json::Fields<'a>),
    /// Of MessagePack.
    MsgPack(Option<msgpack::Items<'a>>),
}

/// The fields of the object that `body` is.
#[must_use]
pub fn fields(serializer: Serializer, body: &[u8]) -> Fields<'_> {
    match serializer {
        Serializer::Json => Fields::Json(json::fields(body)),
        Serializer::MsgPack => Fields::MsgPack(msgpack::Items::map(body)),
    }
}

impl<'a> Iterator for Fields<'a> {
    /// The name, and the value.
    type Item = Option<(Cow<'a, [u8]>, Value<'a>)>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Json(fields) => {
                let field = fields.next_raw()?.ok();
                Some(field.and_then(|json::Raw { name, escaped, value }| {
                    let name = if escaped {
                        Cow::Owned(json::text(name)?.into_owned().into_bytes())
                    } else {
                        Cow::Borrowed(name.get(1..name.len() - 1)?)
                    };
                    Some((name, Value { serializer: Serializer::Json, raw: value }))
                }))
            }
            Self::MsgPack(None) => {
                *self = Self::MsgPack(Some(msgpack::Items::ended()));
                Some(None)
            }
            Self::MsgPack(Some(items)) => {
                let (name, raw) = (items.next()?, items.next());
                let field = name.zip(raw.flatten()).and_then(|(name, raw)| {
                    let name = msgpack::bytes_of_text(name)?;
                    Some((Cow::Borrowed(name), Value { serializer: Serializer::MsgPack, raw }))
                });
                if field.is_none() {
                    *items = msgpack::Items::ended();
                }
                Some(field)
            }
        }
    }
}
