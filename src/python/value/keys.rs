//! Keys that come again: rows of a table name the same columns each time, and share one str for each.

use pyo3::ffi;
use pyo3::prelude::*;

/// Keys kept of one payload, each in the slot that its bytes choose.
const SLOTS: usize = 64;
/// Payloads with fewer items than this are read without.
const WORTHWHILE: usize = 32;

#[derive(Default)]
pub(super) struct Keys<'py> {
    slots: Vec<Option<Bound<'py, PyAny>>>,
}

impl<'py> Keys<'py> {
    /// Where a key of these bytes is kept, if it is to be: in a payload of so many items until here.
    #[inline]
    pub(super) fn slot(&mut self, bytes: &[u8], items: usize) -> Option<&mut Option<Bound<'py, PyAny>>> {
        if items < WORTHWHILE || !bytes.is_ascii() {
            return None;
        }
        let (&first, &last) = (bytes.first()?, bytes.last()?);
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        let mixed = usize::from(first) ^ (usize::from(last) << 3) ^ (bytes.len() << 1);
        self.slots.get_mut(mixed % SLOTS)
    }
}

/// Whether the kept key is the one of these (ASCII) bytes.
#[inline]
pub(super) fn is_same(kept: &Bound<'_, PyAny>, bytes: &[u8]) -> bool {
    let mut size = 0;
    // SAFETY: a str made of ASCII bytes, which it holds as they are: they are pointed at, not copied.
    unsafe {
        let data = ffi::PyUnicode_AsUTF8AndSize(kept.as_ptr(), &raw mut size);
        !data.is_null() && std::slice::from_raw_parts(data.cast::<u8>(), size.cast_unsigned()) == bytes
    }
}
