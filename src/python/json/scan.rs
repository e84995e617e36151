//! Finding what cannot stay as it is inside a JSON text: quotes, backslashes and control characters.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

/// How many bytes at the start need no second look.
#[inline]
pub(super) fn plain(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return index * 8 + (found.trailing_zeros() >> 3) as usize;
        }
    }
    // The rest as one word more, of which the first bytes have been seen, or are none.
    let found = match bytes.last_chunk::<8>() {
        Some(last) => marks(u64::from_le_bytes(*last)),
        None => marks(short(rest)),
    };
    if found == 0 {
        return bytes.len();
    }
    words.len() * 8 + rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len())
}

/// Up to seven bytes in a word of which the other bytes are not special; some may be there twice.
#[inline]
fn short(bytes: &[u8]) -> u64 {
    const NOTHING: u64 = ONES << 5;
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    match *bytes {
        [a] => NOTHING << 8 | u64::from(a),
        [a, b] => NOTHING << 16 | u64::from(b) << 8 | u64::from(a),
        [a, b, c] => NOTHING << 24 | u64::from(c) << 16 | u64::from(b) << 8 | u64::from(a),
        _ => NOTHING,
    }
}

#[inline]
fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// The high bit of each byte that is special. Above the first of them a bit may be wrong: a borrow reached it.
#[inline]
fn marks(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let quote = quote.wrapping_sub(ONES) & !quote;
    let slash = slash.wrapping_sub(ONES) & !slash;
    let control = word.wrapping_sub(ONES * b' ' as u64) & !word;
    (quote | slash | control) & HIGH
}
