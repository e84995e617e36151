//! The canonical form: equal arguments have equal bytes, whatever the order of their dicts and sets.
//!
//! Two values have the same form when they are equal, of the same types all the way down, and written alike:
//! `1`, `1.0` and `True` differ, and so do `0.0` and `-0.0`, `Decimal("1.0")` and `Decimal("1.00")`.

use pyo3::Borrowed;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::encode::{Encoder, changed};
use super::refusal::Outcome;
use super::wire;
use crate::core::limits::Limits;

/// The canonical form of a call's arguments. It can be decoded like any payload.
///
/// # Errors
/// As [`super::encode`].
pub(crate) fn canonical(
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
    limits: &Limits,
) -> PyResult<Vec<u8>> {
    let (mut out, mut buffers) = (Vec::new(), Vec::new());
    let mut encoder = Encoder::new(&mut out, &mut buffers, limits);
    encoder.canonical = true;
    encoder.arguments(args, kwargs).map_err(|refusal| refusal.into_error(args.py()))?;
    Ok(out)
}

impl Encoder<'_> {
    /// A dict as a map whose pairs are sorted by the bytes of their keys.
    pub(super) fn sorted_pairs(&mut self, dict: Borrowed<'_, '_, PyAny>, depth: usize) -> Outcome<()> {
        // SAFETY: a dict.
        let len = unsafe { ffi::PyDict_Size(dict.as_ptr()) }.cast_unsigned();
        self.count(2 * len)?;
        wire::put_map(self.out, len);
        let mut starts = Vec::with_capacity(len);
        self.each_pair(dict, |encoder, key, value| {
            starts.push(encoder.out.len());
            encoder.pair(key, value, depth)
        })?;
        if starts.len() != len {
            return Err(changed(dict.py()));
        }
        sort(self.out, &starts);
        Ok(())
    }
}

/// Sorts the pieces that begin at `starts`, the last of which ends with `out`. No piece is the beginning of
/// another, and pairs with different keys differ in their keys.
pub(super) fn sort(out: &mut Vec<u8>, starts: &[usize]) {
    let Some(&first) = starts.first() else { return };
    let old = out.split_off(first);
    let ends = starts.iter().skip(1).copied().chain([first + old.len()]);
    let mut pieces: Vec<&[u8]> =
        starts.iter().zip(ends).map(|(&start, end)| &old[start - first..end - first]).collect();
    pieces.sort_unstable();
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}
