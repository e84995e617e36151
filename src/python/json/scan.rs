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
    let start = words.len() * 8;
    rest.iter().position(|&byte| is_special(byte)).map_or(bytes.len(), |found| start + found)
}

#[inline]
pub(super) fn is_special(byte: u8) -> bool {
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
