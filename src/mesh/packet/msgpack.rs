//! MessagePack by its extents: where a value ends, without building it. What a header claims is never believed
//! further than what has come.

use rmp::Marker;

/// How many bytes the value takes that `bytes` begin with; `None` when it is not whole.
#[inline]
pub(super) fn extent(bytes: &[u8]) -> Option<usize> {
    // Most are short, and known by their first byte.
    let short = match *bytes.first()? {
        0..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0.. => 1,
        text @ 0xa0..=0xbf => 1 + usize::from(text & 0x1f),
        _ => return extent_of_any(bytes),
    };
    (short <= bytes.len()).then_some(short)
}

fn extent_of_any(bytes: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    // Values still to pass over: each takes a byte at least.
    let mut left = 1_u64;
    while left > 0 {
        left -= 1;
        let Header { start, length, values } = header(bytes.get(at..)?)?;
        left = left.checked_add(values)?;
        at = at.checked_add(start)?.checked_add(length)?;
        let missing = bytes.len().checked_sub(at)?;
        if left > missing as u64 {
            return None;
        }
    }
    Some(at)
}

/// What a value's first bytes say of it.
pub(super) struct Header {
    /// Their number.
    pub(super) start: usize,
    /// Bytes that belong to it beside them.
    pub(super) length: usize,
    /// Values within it.
    pub(super) values: u64,
}

pub(super) fn header(bytes: &[u8]) -> Option<Header> {
    let sized = |width: usize| -> Option<usize> {
        let digits = bytes.get(1..=width)?;
        Some(digits.iter().fold(0, |number, digit| number << 8 | usize::from(*digit)))
    };
    let plain = |length| Header { start: 1, length, values: 0 };
    let text = |width, extra| Some(Header { start: 1 + width, length: sized(width)? + extra, values: 0 });
    let nest =
        |width, times| Some(Header { start: 1 + width, length: 0, values: sized(width)? as u64 * times });
    Some(match Marker::from_u8(*bytes.first()?) {
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => plain(0),
        Marker::U8 | Marker::I8 => plain(1),
        Marker::U16 | Marker::I16 | Marker::FixExt1 => plain(2),
        Marker::FixExt2 => plain(3),
        Marker::U32 | Marker::I32 | Marker::F32 => plain(4),
        Marker::FixExt4 => plain(5),
        Marker::U64 | Marker::I64 | Marker::F64 => plain(8),
        Marker::FixExt8 => plain(9),
        Marker::FixExt16 => plain(17),
        Marker::FixStr(length) => plain(usize::from(length)),
        Marker::Str8 | Marker::Bin8 => text(1, 0)?,
        Marker::Str16 | Marker::Bin16 => text(2, 0)?,
        Marker::Str32 | Marker::Bin32 => text(4, 0)?,
        Marker::Ext8 => text(1, 1)?,
        Marker::Ext16 => text(2, 1)?,
        Marker::Ext32 => text(4, 1)?,
        Marker::FixArray(count) => Header { start: 1, length: 0, values: count.into() },
        Marker::FixMap(count) => Header { start: 1, length: 0, values: 2 * u64::from(count) },
        Marker::Array16 => nest(2, 1)?,
        Marker::Array32 => nest(4, 1)?,
        Marker::Map16 => nest(2, 2)?,
        Marker::Map32 => nest(4, 2)?,
        Marker::Reserved => return None,
    })
}

/// The text that a value is.
#[inline]
pub(super) fn text(raw: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes_of_text(raw)?).ok()
}

/// The bytes of the text that a value is, whatever they are.
#[inline]
pub(super) fn bytes_of_text(raw: &[u8]) -> Option<&[u8]> {
    match Marker::from_u8(*raw.first()?) {
        Marker::FixStr(_) => raw.get(1..),
        Marker::Str8 | Marker::Str16 | Marker::Str32 => raw.get(header(raw)?.start..),
        _ => None,
    }
}

/// The finite number that a value is.
pub(super) fn number(raw: &[u8]) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "as JavaScript's numbers do")]
    let number = match (Marker::from_u8(*raw.first()?), raw.get(1..)?) {
        (Marker::FixPos(number), []) => number.into(),
        (Marker::FixNeg(number), []) => number.into(),
        (Marker::U8, [number]) => (*number).into(),
        (Marker::U16, rest) => u16::from_be_bytes(rest.try_into().ok()?).into(),
        (Marker::U32, rest) => u32::from_be_bytes(rest.try_into().ok()?).into(),
        (Marker::U64, rest) => u64::from_be_bytes(rest.try_into().ok()?) as f64,
        (Marker::I8, rest) => i8::from_be_bytes(rest.try_into().ok()?).into(),
        (Marker::I16, rest) => i16::from_be_bytes(rest.try_into().ok()?).into(),
        (Marker::I32, rest) => i32::from_be_bytes(rest.try_into().ok()?).into(),
        (Marker::I64, rest) => i64::from_be_bytes(rest.try_into().ok()?) as f64,
        (Marker::F32, rest) => f32::from_be_bytes(rest.try_into().ok()?).into(),
        (Marker::F64, rest) => f64::from_be_bytes(rest.try_into().ok()?),
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// Values one after another: those of an array, or a map's names and values in turn.
#[derive(Debug)]
pub struct Items<'a> {
    rest: &'a [u8],
    left: u64,
}

impl<'a> Items<'a> {
    /// The elements of the array that is all of `raw`.
    pub(super) fn array(raw: &'a [u8]) -> Option<Self> {
        let array =
            matches!(Marker::from_u8(*raw.first()?), Marker::FixArray(_) | Marker::Array16 | Marker::Array32);
        Self::within(raw).filter(|_| array)
    }

    /// The names and values of the map that is all of `raw`.
    pub(super) fn map(raw: &'a [u8]) -> Option<Self> {
        let map = matches!(Marker::from_u8(*raw.first()?), Marker::FixMap(_) | Marker::Map16 | Marker::Map32);
        Self::within(raw).filter(|_| map)
    }

    /// None at all.
    pub(super) fn ended() -> Self {
        Self { rest: &[], left: 0 }
    }

    fn within(raw: &'a [u8]) -> Option<Self> {
        let Header { start, values, .. } = header(raw)?;
        let rest = raw.get(start..)?;
        // An empty one with something behind it is not all of `raw`; others show it at their end.
        (values > 0 || rest.is_empty()).then_some(Self { rest, left: values })
    }
}

impl<'a> Iterator for Items<'a> {
    /// `None`, and the last, when it is not whole, or something follows the last.
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let item = extent(self.rest).and_then(|length| {
            let (item, rest) = self.rest.split_at_checked(length)?;
            self.rest = rest;
            (self.left > 0 || rest.is_empty()).then_some(item)
        });
        if item.is_none() {
            self.left = 0;
        }
        Some(item)
    }
}
