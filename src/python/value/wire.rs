//! The bytes: msgpack markers written and read, with no Python in sight.

/// Extension types. Their contents are told in `docs/values.md`; the numbers never change.
pub(super) mod ext {
    pub(crate) const BIG_INT: u8 = 1;
    pub(crate) const COMPLEX: u8 = 2;
    pub(crate) const BYTEARRAY: u8 = 3;
    pub(crate) const TUPLE: u8 = 4;
    pub(crate) const SET: u8 = 5;
    pub(crate) const FROZENSET: u8 = 6;
    pub(crate) const DATETIME: u8 = 7;
    pub(crate) const DATE: u8 = 8;
    pub(crate) const TIME: u8 = 9;
    pub(crate) const TIMEDELTA: u8 = 10;
    pub(crate) const DECIMAL: u8 = 11;
    pub(crate) const UUID: u8 = 12;
    pub(crate) const ENUM: u8 = 13;
    pub(crate) const PATH: u8 = 14;
    pub(crate) const DATACLASS: u8 = 15;
    pub(crate) const MODEL: u8 = 16;
    pub(crate) const NDARRAY: u8 = 17;
    pub(crate) const MEMORYVIEW: u8 = 18;
    pub(crate) const OUT_OF_BAND: u8 = 19;
    pub(crate) const SURROGATES: u8 = 20;
    pub(crate) const SCALAR: u8 = 21;
    pub(crate) const ARRAY: u8 = 22;
}

pub(super) const NIL: u8 = 0xc0;
pub(super) const FALSE: u8 = 0xc2;
pub(super) const TRUE: u8 = 0xc3;

/// Bytes of an extension's header before its length is known: the short form, and the long one.
const SHORT_HEADER: usize = 3;
const LONG_HEADER: usize = 6;

#[inline]
pub(super) fn put_int(out: &mut Vec<u8>, value: i64) {
    if (-32..=127).contains(&value) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in one byte's range")]
        out.push(value as u8);
    } else {
        put_wide_int(out, value);
    }
}

fn put_wide_int(out: &mut Vec<u8>, value: i64) {
    let bytes = value.to_be_bytes();
    let (marker, width) = match value {
        0..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -0x80..0 => (0xd0, 1),
        -0x8000..-0x80 => (0xd1, 2),
        -0x8000_0000..-0x8000 => (0xd2, 4),
        ..-0x8000_0000 => (0xd3, 8),
    };
    out.push(marker);
    out.extend_from_slice(&bytes[8 - width..]);
}

pub(super) fn put_unsigned(out: &mut Vec<u8>, value: u64) {
    out.push(0xcf);
    out.extend_from_slice(&value.to_be_bytes());
}

#[inline]
pub(super) fn put_float(out: &mut Vec<u8>, value: f64) {
    let mut bytes = [0xcb; 9];
    bytes[1..].copy_from_slice(&value.to_be_bytes());
    out.extend_from_slice(&bytes);
}

/// A length after the marker for 8, 16 or 32 bits of it; a family with no 8-bit form has 0 there.
#[inline]
fn put_length(out: &mut Vec<u8>, len: usize, markers: [u8; 3]) {
    // Nothing longer than `max_frame` (31 bits) reaches this place.
    #[expect(clippy::cast_possible_truncation, reason = "bounded by max_frame")]
    let bytes = (len as u32).to_be_bytes();
    if len <= 0xff && markers[0] != 0 {
        out.extend_from_slice(&[markers[0], bytes[3]]);
    } else if len <= 0xffff {
        out.extend_from_slice(&[markers[1], bytes[2], bytes[3]]);
    } else {
        out.extend_from_slice(&[markers[2], bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
}

#[inline]
pub(super) fn put_str(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() < 32 {
        #[expect(clippy::cast_possible_truncation, reason = "under 32")]
        out.push(0xa0 | text.len() as u8);
    } else {
        put_length(out, text.len(), [0xd9, 0xda, 0xdb]);
    }
    out.extend_from_slice(text);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len(), [0xc4, 0xc5, 0xc6]);
    out.extend_from_slice(bytes);
}

#[inline]
pub(super) fn put_array(out: &mut Vec<u8>, len: usize) {
    if len < 16 {
        #[expect(clippy::cast_possible_truncation, reason = "under 16")]
        out.push(0x90 | len as u8);
    } else {
        put_length(out, len, [0, 0xdc, 0xdd]);
    }
}

#[inline]
pub(super) fn put_map(out: &mut Vec<u8>, len: usize) {
    if len < 16 {
        #[expect(clippy::cast_possible_truncation, reason = "under 16")]
        out.push(0x80 | len as u8);
    } else {
        put_length(out, len, [0, 0xde, 0xdf]);
    }
}

/// An extension whose contents are known.
pub(super) fn put_ext(out: &mut Vec<u8>, code: u8, content: &[u8]) {
    put_length(out, content.len(), [0xc7, 0xc8, 0xc9]);
    // The code stands between the length and the contents.
    out.push(code);
    out.extend_from_slice(content);
}

/// An extension whose length is told afterwards: where it began.
#[derive(Clone, Copy)]
pub(super) struct OpenExt {
    start: usize,
    long: bool,
}

/// How long the extension of a container at `depth` will at least be taken to be: making a header long moves what
/// follows it, and in deep values that would be moved again by each container around it.
#[inline]
pub(super) fn expected(items: usize, depth: usize) -> usize {
    if depth > 4 { usize::MAX } else { items }
}

/// Begins an extension that will hold about `expected` bytes or more.
#[inline]
pub(super) fn open_ext(out: &mut Vec<u8>, code: u8, expected: usize) -> OpenExt {
    let start = out.len();
    let long = expected > 0xff;
    if long {
        out.extend_from_slice(&[0xc9, 0, 0, 0, 0, code]);
    } else {
        out.extend_from_slice(&[0xc7, 0, code]);
    }
    OpenExt { start, long }
}

/// Ends it: its length is written where it belongs, and a short header that is too short is made long.
#[inline]
pub(super) fn close_ext(out: &mut Vec<u8>, open: OpenExt) {
    let OpenExt { start, long } = open;
    if !long {
        let len = out.len() - start - SHORT_HEADER;
        if let Ok(len) = u8::try_from(len) {
            out[start + 1] = len;
            return;
        }
        widen_ext(out, start);
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded by max_frame")]
    let len = (out.len() - start - LONG_HEADER) as u32;
    out[start + 1..start + 5].copy_from_slice(&len.to_be_bytes());
}

#[cold]
fn widen_ext(out: &mut Vec<u8>, start: usize) {
    let code = out[start + 2];
    let old = out.len();
    out.resize(old + LONG_HEADER - SHORT_HEADER, 0);
    out.copy_within(start + SHORT_HEADER..old, start + LONG_HEADER);
    out[start] = 0xc9;
    out[start + 5] = code;
}

/// Why bytes cannot be read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Broken {
    /// They end inside a value.
    Short,
    /// Something else stands here than what belongs here.
    Unexpected,
}

/// A cursor over received bytes. It never reads past them.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

type Read<T> = Result<T, Broken>;

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Read<u8> {
        let (&first, rest) = self.rest.split_first().ok_or(Broken::Short)?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn remaining_bytes(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Broken::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn fixed<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Broken::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn length8(&mut self) -> Read<usize> {
        Ok(usize::from(self.byte()?))
    }

    pub(super) fn length16(&mut self) -> Read<usize> {
        Ok(usize::from(u16::from_be_bytes(self.fixed()?)))
    }

    pub(super) fn length32(&mut self) -> Read<usize> {
        usize::try_from(u32::from_be_bytes(self.fixed()?)).map_err(|_| Broken::Short)
    }

    /// The length of the array that stands here.
    #[inline]
    pub(super) fn array(&mut self) -> Read<usize> {
        match self.byte()? {
            marker @ 0x90..=0x9f => Ok(usize::from(marker & 0x0f)),
            0xdc => self.length16(),
            0xdd => self.length32(),
            _ => Err(Broken::Unexpected),
        }
    }

    /// The length of the map that stands here.
    #[inline]
    pub(super) fn map(&mut self) -> Read<usize> {
        match self.byte()? {
            marker @ 0x80..=0x8f => Ok(usize::from(marker & 0x0f)),
            0xde => self.length16(),
            0xdf => self.length32(),
            _ => Err(Broken::Unexpected),
        }
    }

    /// The text that stands here.
    pub(super) fn text(&mut self) -> Read<&'a str> {
        let len = match self.byte()? {
            marker @ 0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 => self.length8()?,
            0xda => self.length16()?,
            0xdb => self.length32()?,
            _ => return Err(Broken::Unexpected),
        };
        std::str::from_utf8(self.take(len)?).map_err(|_| Broken::Unexpected)
    }

    /// The bytes that stand here.
    pub(super) fn bytes(&mut self) -> Read<&'a [u8]> {
        let len = match self.byte()? {
            0xc4 => self.length8()?,
            0xc5 => self.length16()?,
            0xc6 => self.length32()?,
            _ => return Err(Broken::Unexpected),
        };
        self.take(len)
    }

    /// The integer of zero or more that stands here.
    pub(super) fn unsigned(&mut self) -> Read<u64> {
        Ok(match self.byte()? {
            marker @ 0..=0x7f => u64::from(marker),
            0xcc => u64::from(self.byte()?),
            0xcd => u64::from(u16::from_be_bytes(self.fixed()?)),
            0xce => u64::from(u32::from_be_bytes(self.fixed()?)),
            0xcf => u64::from_be_bytes(self.fixed()?),
            _ => return Err(Broken::Unexpected),
        })
    }

    /// The length of the extension whose marker was just read.
    pub(super) fn ext_length(&mut self, marker: u8) -> Read<usize> {
        match marker {
            0xd4..=0xd8 => Ok(1 << (marker - 0xd4)),
            0xc7 => self.length8(),
            0xc8 => self.length16(),
            0xc9 => self.length32(),
            _ => Err(Broken::Unexpected),
        }
    }
}
