//! Matching headers here, as the broker's headers exchange does.

use lapin::types::{AMQPValue, FieldTable, ShortString};

/// What headers must say.
#[derive(Clone, Debug)]
pub struct Filter {
    wanted: FieldTable,
    any: bool,
}

impl Filter {
    /// All of these, or any. What begins with `x-` is not looked at.
    #[must_use]
    pub fn new(wanted: FieldTable, any: bool) -> Self {
        Self { wanted, any }
    }

    /// Whether they say so.
    #[must_use]
    pub fn matches(&self, headers: Option<&FieldTable>) -> bool {
        let says = |(name, wanted): (&ShortString, &AMQPValue)| {
            headers.and_then(|headers| headers.inner().get(name)).is_some_and(|found| says(wanted, found))
        };
        let mut wanted = self.wanted.inner().iter().filter(|(name, _)| !name.as_str().starts_with("x-"));
        if self.any { wanted.any(says) } else { wanted.all(says) }
    }
}

/// Whether a value is the one that is wanted, however either was written; none wanted is any.
fn says(wanted: &AMQPValue, found: &AMQPValue) -> bool {
    if matches!(wanted, AMQPValue::Void) {
        return true;
    }
    match (Plain::of(wanted), Plain::of(found)) {
        (Some(wanted), Some(found)) => wanted == found,
        _ => wanted == found,
    }
}

/// A value without the type that it was written as.
#[derive(PartialEq)]
enum Plain<'a> {
    Integer(i128),
    Float(f64),
    Bytes(&'a [u8]),
}

impl<'a> Plain<'a> {
    fn of(value: &'a AMQPValue) -> Option<Self> {
        Some(match value {
            AMQPValue::ShortShortInt(number) => Self::Integer((*number).into()),
            AMQPValue::ShortShortUInt(number) => Self::Integer((*number).into()),
            AMQPValue::ShortInt(number) => Self::Integer((*number).into()),
            AMQPValue::ShortUInt(number) => Self::Integer((*number).into()),
            AMQPValue::LongInt(number) => Self::Integer((*number).into()),
            AMQPValue::LongUInt(number) => Self::Integer((*number).into()),
            AMQPValue::LongLongInt(number) => Self::Integer((*number).into()),
            AMQPValue::Timestamp(seconds) => Self::Integer((*seconds).into()),
            AMQPValue::Float(number) => Self::float((*number).into()),
            AMQPValue::Double(number) => Self::float(*number),
            AMQPValue::ShortString(text) => Self::Bytes(text.as_str().as_bytes()),
            AMQPValue::LongString(text) => Self::Bytes(text.as_bytes()),
            AMQPValue::ByteArray(bytes) => Self::Bytes(bytes.as_slice()),
            _ => return None,
        })
    }

    /// A float that is a whole number equals that number.
    fn float(number: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is whole, and no larger than the largest integer"
        )]
        if number.fract() == 0.0 && number.abs() < 1e19 {
            Self::Integer(number as i128)
        } else {
            Self::Float(number)
        }
    }
}

/// How many bytes a table takes on the wire.
pub(crate) fn size(table: &FieldTable) -> usize {
    4 + table.inner().iter().map(|(name, value)| 1 + name.as_str().len() + value_size(value)).sum::<usize>()
}

/// With the byte that says its type.
fn value_size(value: &AMQPValue) -> usize {
    1 + match value {
        AMQPValue::Void => 0,
        AMQPValue::Boolean(_) | AMQPValue::ShortShortInt(_) | AMQPValue::ShortShortUInt(_) => 1,
        AMQPValue::ShortInt(_) | AMQPValue::ShortUInt(_) => 2,
        AMQPValue::LongInt(_) | AMQPValue::LongUInt(_) | AMQPValue::Float(_) => 4,
        AMQPValue::DecimalValue(_) => 5,
        AMQPValue::LongLongInt(_) | AMQPValue::Double(_) | AMQPValue::Timestamp(_) => 8,
        AMQPValue::ShortString(text) => 1 + text.as_str().len(),
        AMQPValue::LongString(text) => 4 + text.as_bytes().len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.as_slice().len(),
        AMQPValue::FieldTable(table) => size(table),
        AMQPValue::FieldArray(items) => 4 + items.as_slice().iter().map(value_size).sum::<usize>(),
    }
}
