//! What is kept from one reading to the next: messages name the same keys each time, and share one str for each,
//! hash and all; and the space in which items wait for their list.

use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::prelude::*;

/// Keys kept, each in the slot that its bytes choose: with the longest keys, 80 KB.
const SLOTS: usize = 1 << 9;
/// The longest key that is kept, in bytes.
const LONGEST: usize = 32;
/// Space that is kept, in items and in bytes.
const SPACE: usize = 1 << 12;

/// Taken by one reader at a time; one that finds it taken, by a thread or by code that ran within a reading, makes its
/// own, and the last to finish leaves theirs. So there is no lock, and nothing that a forked child could find locked.
static KEPT: AtomicPtr<Kept> = AtomicPtr::new(std::ptr::null_mut());

/// A str, beside the words that its bytes are: no look into the str is needed to tell it from another.
struct Key {
    words: [u64; 4],
    len: usize,
    text: Py<PyAny>,
}

#[derive(Default)]
pub(super) struct Kept {
    keys: Vec<Option<Key>>,
    /// Items of the lists that are being read.
    pub(super) items: Vec<Py<PyAny>>,
    /// A text without its escapes.
    pub(super) text: Vec<u8>,
}

impl Kept {
    /// What the last reader left.
    pub(super) fn take(_py: Python<'_>) -> Box<Self> {
        let left = KEPT.swap(std::ptr::null_mut(), Ordering::Acquire);
        if left.is_null() {
            let mut new = Self::default();
            new.keys.resize_with(SLOTS, || None);
            return Box::new(new);
        }
        // SAFETY: only `leave` stores pointers here, each out of a box, and each is swapped out by one reader.
        unsafe { Box::from_raw(left) }
    }

    /// For the next reader.
    pub(super) fn leave(mut self: Box<Self>, _py: Python<'_>) {
        self.items.clear();
        self.items.shrink_to(SPACE);
        self.text.clear();
        self.text.shrink_to(SPACE);
        let left = KEPT.swap(Box::into_raw(self), Ordering::AcqRel);
        if !left.is_null() {
            // SAFETY: as in `take`.
            drop(unsafe { Box::from_raw(left) });
        }
    }

    /// The str of a key of these bytes: a kept one, or what `make` makes, which is kept.
    #[inline]
    pub(super) fn key<'py, E>(
        &mut self,
        py: Python<'py>,
        bytes: &[u8],
        make: impl FnOnce() -> Result<Bound<'py, PyAny>, E>,
    ) -> Result<Bound<'py, PyAny>, E> {
        if bytes.len() > LONGEST {
            return make();
        }
        let words = words(bytes);
        let Some(slot) = self.keys.get_mut(place(&words, bytes.len())) else { return make() };
        if let Some(key) = slot
            && key.words == words
            && key.len == bytes.len()
        {
            return Ok(key.text.bind(py).clone());
        }
        let text = make()?;
        *slot = Some(Key { words, len: bytes.len(), text: text.clone().unbind() });
        Ok(text)
    }
}

/// Up to 32 bytes as words, which overlap where there are fewer: with the length they tell all bytes.
#[inline]
fn words(bytes: &[u8]) -> [u64; 4] {
    let word = |at: usize| {
        bytes.get(at..).and_then(<[u8]>::first_chunk::<8>).map_or(0, |word| u64::from_le_bytes(*word))
    };
    let half = |at: usize| {
        bytes.get(at..).and_then(<[u8]>::first_chunk::<4>).map_or(0, |half| u32::from_le_bytes(*half))
    };
    let len = bytes.len();
    match len {
        17.. => [word(0), word(8), word(len - 16), word(len - 8)],
        8..=16 => [word(0), word(len - 8), 0, 0],
        4..=7 => [u64::from(half(0)) << 32 | u64::from(half(len - 4)), 0, 0, 0],
        _ => [bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0, 0, 0],
    }
}

/// The slot of a key.
#[inline]
fn place(words: &[u64; 4], len: usize) -> usize {
    let [a, b, c, d] = *words;
    let mixed = (a ^ c.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (b ^ d.rotate_left(31)).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
        ^ (len as u64) << 40;
    (mixed >> 40) as usize % SLOTS
}
