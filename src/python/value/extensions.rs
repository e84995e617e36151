//! The extension types, each given to the file of its kind.

use pyo3::ffi;
use pyo3::prelude::*;

use super::decode::Decoder;
use super::refusal::{Outcome, Refusal, Step};
use super::wire::{Broken, Reader, ext};
use super::{arrays, numbers, objects, paths, times, views};

/// Reads the contents of an extension.
#[cold]
#[inline(never)]
pub(super) fn decode<'py>(
    decoder: &mut Decoder<'_, 'py>,
    code: u8,
    content: &mut Reader<'_>,
    depth: usize,
) -> Outcome<Bound<'py, PyAny>> {
    let py = decoder.py;
    match code {
        ext::SET | ext::FROZENSET => set(decoder, code, content, depth),
        ext::DATETIME | ext::DATE | ext::TIME | ext::TIMEDELTA => times::decode(decoder, code, content),
        ext::ENUM => objects::decode_enum(decoder, content, depth),
        ext::DATACLASS => objects::decode_dataclass(decoder, content, depth),
        ext::MODEL => objects::decode_model(decoder, content, depth),
        ext::NDARRAY => arrays::decode_array(decoder, content),
        ext::SCALAR => arrays::decode_scalar(decoder, content),
        ext::MEMORYVIEW => views::decode_memoryview(decoder, content),
        ext::ARRAY => views::decode_array(decoder, content),
        ext::PATH => {
            if content.array()? != 2 {
                return Err(Broken::Unexpected.into());
            }
            let kind = content.unsigned()?;
            let text = decoder.string(content)?;
            paths::decode(py, kind, &text)
        }
        ext::OUT_OF_BAND => {
            let number = u32::from_be_bytes(content.fixed()?);
            Ok(decoder.beside(number)?.into_py(py))
        }
        _ => whole(py, code, content.take(content.remaining())?),
    }
}

/// Those whose contents are one piece.
fn whole<'py>(py: Python<'py>, code: u8, content: &[u8]) -> Outcome<Bound<'py, PyAny>> {
    match code {
        ext::BIG_INT => numbers::decode_big_int(py, content).map_err(Refusal::while_doing(py, "an integer")),
        ext::COMPLEX => numbers::decode_complex(py, content),
        ext::BYTEARRAY => views::decode_bytearray(py, content),
        ext::DECIMAL => numbers::decode_decimal(py, content),
        ext::UUID => numbers::decode_uuid(py, content),
        ext::SURROGATES => paths::decode_surrogates(py, content),
        _ => Err(Refusal::new(format!("a value of the unknown extension type {code}"))),
    }
}

fn set<'py>(
    decoder: &mut Decoder<'_, 'py>,
    code: u8,
    content: &mut Reader<'_>,
    depth: usize,
) -> Outcome<Bound<'py, PyAny>> {
    decoder.descend(depth)?;
    let py = decoder.py;
    let len = content.array()?;
    decoder.count(len, content)?;
    // SAFETY: attached; without a source both functions make a new empty set.
    let set = unsafe {
        let new = if code == ext::SET { ffi::PySet_New } else { ffi::PyFrozenSet_New };
        Bound::from_owned_ptr_or_err(py, new(std::ptr::null_mut()))
    }
    .map_err(Refusal::while_doing(py, "a set"))?;
    for _ in 0..len {
        let item = decoder.value(content, depth + 1).map_err(|refusal| refusal.under(Step::Item))?;
        // SAFETY: a set, or a frozenset that nobody else has seen.
        if unsafe { ffi::PySet_Add(set.as_ptr(), item.as_ptr()) } != 0 {
            return Err(Refusal::fetched(py, "an item that a set cannot have"));
        }
    }
    // SAFETY: a set or frozenset.
    let distinct = unsafe { ffi::PySet_Size(set.as_ptr()) }.cast_unsigned() == len;
    if distinct { Ok(set) } else { Err(Refusal::new("a set with the same item twice")) }
}
