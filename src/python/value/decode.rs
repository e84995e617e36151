//! msgpack → Python values. The bytes may come from anyone: nothing is allocated by a length that the bytes at
//! hand cannot justify, nothing is entered deeper than the limit, and nothing is imported or run by their names.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::buffers::InBuffer;
use super::classes::Classes;
use super::extensions;
use super::keys::{self, Keys};
use super::refusal::{Outcome, Refusal, Step, key_step};
use super::wire::{Broken, Reader, ext};
use crate::core::error::Fate;
use crate::core::limits::Limits;

/// What a payload is read with.
pub(super) struct Decoder<'a, 'py> {
    pub(super) py: Python<'py>,
    pub(super) classes: &'a Classes,
    limits: &'a Limits,
    buffers: Vec<Option<InBuffer>>,
    keys: Keys<'py>,
    items: usize,
    /// Extension types are refused; see [`super::stock`].
    stock: bool,
}

/// What the keys of a map are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// Anything that a dict can have.
    Any,
    /// Text, as the names of keyword arguments.
    Names,
    /// Text, as the names of an object's attributes.
    Attributes,
}

/// Reads the one value that `bytes` hold.
///
/// # Errors
/// `PayloadError` (the call was executed) with the path to what cannot be read, is over a limit, or has no class here.
pub(crate) fn decode<'py>(
    py: Python<'py>,
    bytes: &[u8],
    buffers: Vec<InBuffer>,
    classes: &Classes,
    limits: &Limits,
) -> PyResult<Bound<'py, PyAny>> {
    let mut decoder = Decoder::new(py, buffers, classes, limits);
    let mut reader = Reader::new(bytes);
    decoder
        .value(&mut reader, 0)
        .and_then(|value| decoder.finish(&reader).map(|()| value))
        .map_err(|refusal| refusal.under(Step::Root("result".into())).into_error_with(py, Fate::Executed))
}

/// Reads the one value that plain msgpack holds: extension types are refused.
///
/// # Errors
/// As [`decode`].
pub(super) fn decode_stock<'py>(
    py: Python<'py>,
    bytes: &[u8],
    classes: &Classes,
    limits: &Limits,
) -> PyResult<Bound<'py, PyAny>> {
    let mut decoder = Decoder::new(py, Vec::new(), classes, limits);
    decoder.stock = true;
    let mut reader = Reader::new(bytes);
    decoder
        .value(&mut reader, 0)
        .and_then(|value| decoder.finish(&reader).map(|()| value))
        .map_err(|refusal| refusal.under(Step::Root("message".into())).into_error_with(py, Fate::Executed))
}

/// Reads the arguments of a request. `leading` are put before the first of them.
///
/// # Errors
/// As [`decode`] (the call was rejected).
pub(crate) fn decode_arguments<'py>(
    py: Python<'py>,
    bytes: &[u8],
    buffers: Vec<InBuffer>,
    classes: &Classes,
    limits: &Limits,
    leading: &[&Bound<'py, PyAny>],
) -> PyResult<(Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>)> {
    let mut decoder = Decoder::new(py, buffers, classes, limits);
    let mut reader = Reader::new(bytes);
    decoder
        .arguments(&mut reader, leading)
        .and_then(|arguments| decoder.finish(&reader).map(|()| arguments))
        .map_err(|refusal| refusal.into_error_with(py, Fate::Rejected))
}

impl<'a, 'py> Decoder<'a, 'py> {
    fn new(py: Python<'py>, buffers: Vec<InBuffer>, classes: &'a Classes, limits: &'a Limits) -> Self {
        let buffers = if buffers.is_empty() { Vec::new() } else { buffers.into_iter().map(Some).collect() };
        Self { py, classes, limits, buffers, keys: Keys::default(), items: 0, stock: false }
    }

    fn arguments(
        &mut self,
        reader: &mut Reader<'_>,
        leading: &[&Bound<'py, PyAny>],
    ) -> Outcome<(Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>)> {
        let root = |name: &str| Step::Root(name.to_owned());
        let args = reader
            .array()
            .map_err(Into::into)
            .and_then(|len| self.tuple(reader, len, leading, 0))
            .map_err(|refusal| refusal.under(root("args")))?;
        if reader.remaining() == 0 {
            return Ok((args, None));
        }
        let kwargs = reader
            .map()
            .map_err(Into::into)
            .and_then(|len| self.pairs(reader, len, 0, KeyKind::Names))
            .map_err(|refusal| refusal.under(root("kwargs")))?;
        Ok((args, Some(kwargs)))
    }

    /// Everything that was received must have been read.
    fn finish(&self, reader: &Reader<'_>) -> Outcome<()> {
        if reader.remaining() == 0 && self.buffers.iter().all(Option::is_none) {
            Ok(())
        } else {
            Err(Refusal::new("more was received than belongs to the value"))
        }
    }

    /// Reads any value. `depth` is how many containers it is in.
    pub(super) fn value(&mut self, reader: &mut Reader<'_>, depth: usize) -> Outcome<Bound<'py, PyAny>> {
        let py = self.py;
        let marker = reader.byte()?;
        match marker {
            0x00..=0x7f => self.number(i64::from(marker)),
            0xe0..=0xff => self.number(i64::from(marker.cast_signed())),
            0xa0..=0xbf => self.text(reader.take(usize::from(marker & 0x1f))?),
            0x90..=0x9f => self.list(reader, usize::from(marker & 0x0f), depth),
            0x80..=0x8f => self.dict(reader, usize::from(marker & 0x0f), depth),
            0xc0 => Ok(py.None().into_bound(py)),
            // SAFETY: both live as long as the interpreter.
            0xc2 => Ok(unsafe { Bound::from_borrowed_ptr(py, ffi::Py_False()) }),
            // SAFETY: as above.
            0xc3 => Ok(unsafe { Bound::from_borrowed_ptr(py, ffi::Py_True()) }),
            0xcb => self.float(f64::from_be_bytes(reader.fixed()?)),
            0xca => self.float(f64::from(f32::from_be_bytes(reader.fixed()?))),
            0xcc => self.number(i64::from(reader.byte()?)),
            0xcd => self.number(i64::from(u16::from_be_bytes(reader.fixed()?))),
            0xce => self.number(i64::from(u32::from_be_bytes(reader.fixed()?))),
            0xcf => self.unsigned(u64::from_be_bytes(reader.fixed()?)),
            0xd0 => self.number(i64::from(reader.byte()?.cast_signed())),
            0xd1 => self.number(i64::from(i16::from_be_bytes(reader.fixed()?))),
            0xd2 => self.number(i64::from(i32::from_be_bytes(reader.fixed()?))),
            0xd3 => self.number(i64::from_be_bytes(reader.fixed()?)),
            0xd9 => {
                let len = reader.length8()?;
                self.text(reader.take(len)?)
            }
            0xda => {
                let len = reader.length16()?;
                self.text(reader.take(len)?)
            }
            0xdb => {
                let len = reader.length32()?;
                self.text(reader.take(len)?)
            }
            0xc4..=0xc6 => {
                let len = match marker {
                    0xc4 => reader.length8()?,
                    0xc5 => reader.length16()?,
                    _ => reader.length32()?,
                };
                self.bytes(reader.take(len)?)
            }
            0xdc => {
                let len = reader.length16()?;
                self.list(reader, len, depth)
            }
            0xdd => {
                let len = reader.length32()?;
                self.list(reader, len, depth)
            }
            0xde => {
                let len = reader.length16()?;
                self.dict(reader, len, depth)
            }
            0xdf => {
                let len = reader.length32()?;
                self.dict(reader, len, depth)
            }
            0xc7..=0xc9 | 0xd4..=0xd8 => self.extension(reader, marker, depth),
            0xc1 => Err(Broken::Unexpected.into()),
        }
    }

    fn extension(&mut self, reader: &mut Reader<'_>, marker: u8, depth: usize) -> Outcome<Bound<'py, PyAny>> {
        let len = reader.ext_length(marker)?;
        let code = reader.byte()?;
        if self.stock {
            return Err(Refusal::new(format!(
                "an extension type of msgpack, {}, has no meaning here",
                code.cast_signed()
            )));
        }
        let mut content = Reader::new(reader.take(len)?);
        let value = if code == ext::TUPLE {
            self.descend(depth)?;
            let items = content.array()?;
            self.tuple(&mut content, items, &[], depth + 1)?.into_any()
        } else {
            extensions::decode(self, code, &mut content, depth)?
        };
        if content.remaining() == 0 { Ok(value) } else { Err(Broken::Unexpected.into()) }
    }

    #[inline]
    fn number(&self, number: i64) -> Outcome<Bound<'py, PyAny>> {
        // SAFETY: attached.
        made(self.py, unsafe { ffi::PyLong_FromLongLong(number) }, "an integer")
    }

    fn unsigned(&self, number: u64) -> Outcome<Bound<'py, PyAny>> {
        // SAFETY: attached.
        made(self.py, unsafe { ffi::PyLong_FromUnsignedLongLong(number) }, "an integer")
    }

    #[inline]
    fn float(&self, number: f64) -> Outcome<Bound<'py, PyAny>> {
        // SAFETY: attached.
        made(self.py, unsafe { ffi::PyFloat_FromDouble(number) }, "a float")
    }

    #[inline]
    fn text(&self, bytes: &[u8]) -> Outcome<Bound<'py, PyAny>> {
        text(self.py, bytes)
    }

    fn bytes(&self, bytes: &[u8]) -> Outcome<Bound<'py, PyAny>> {
        // SAFETY: attached, and `bytes` are that many.
        let copy =
            unsafe { ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len().cast_signed()) };
        made(self.py, copy, "bytes")
    }

    /// Refuses to enter a container at `depth` that is one too deep.
    #[inline]
    pub(super) fn descend(&self, depth: usize) -> Outcome<()> {
        if depth < self.limits.max_depth {
            return Ok(());
        }
        Err(Refusal::new(format!("nested deeper than {} levels (max_depth)", self.limits.max_depth)))
    }

    /// Counts the items of a container, each of which takes a byte at least.
    #[inline]
    pub(super) fn count(&mut self, items: usize, reader: &Reader<'_>) -> Outcome<()> {
        if items > reader.remaining() {
            return Err(Broken::Short.into());
        }
        self.items += items;
        if self.items > self.limits.max_items {
            return Err(Refusal::new(format!("more than {} items (max_items)", self.limits.max_items)));
        }
        Ok(())
    }

    fn list(&mut self, reader: &mut Reader<'_>, len: usize, depth: usize) -> Outcome<Bound<'py, PyAny>> {
        self.descend(depth)?;
        self.count(len, reader)?;
        // SAFETY: attached.
        let list = made(self.py, unsafe { ffi::PyList_New(len.cast_signed()) }, "a list")?;
        // SAFETY: a list of `len` empty slots.
        unsafe { self.fill(reader, &list, 0, len, depth + 1, ffi::PyList_SetItem)? };
        Ok(list)
    }

    fn tuple(
        &mut self,
        reader: &mut Reader<'_>,
        len: usize,
        leading: &[&Bound<'py, PyAny>],
        depth: usize,
    ) -> Outcome<Bound<'py, PyTuple>> {
        self.count(len, reader)?;
        let offset = leading.len();
        // SAFETY: attached; the new tuple has a slot for each leading value.
        unsafe {
            let tuple = made(self.py, ffi::PyTuple_New((offset + len).cast_signed()), "a tuple")?;
            for (place, &value) in leading.iter().enumerate() {
                ffi::PyTuple_SetItem(tuple.as_ptr(), place.cast_signed(), value.clone().into_ptr());
            }
            // The empty tuple is one object for all.
            if len > 0 {
                self.fill(reader, &tuple, offset, len, depth, ffi::PyTuple_SetItem)?;
            }
            Ok(tuple.cast_into_unchecked())
        }
    }

    /// Fills the slots of a new list or tuple. The collector does not show it to anyone while some are empty.
    ///
    /// # Safety
    /// `set` belongs to the type of `container`, which is new and has empty slots from `offset` to `offset + len`.
    #[inline]
    unsafe fn fill(
        &mut self,
        reader: &mut Reader<'_>,
        container: &Bound<'py, PyAny>,
        offset: usize,
        len: usize,
        depth: usize,
        set: unsafe extern "C" fn(*mut ffi::PyObject, ffi::Py_ssize_t, *mut ffi::PyObject) -> std::ffi::c_int,
    ) -> Outcome<()> {
        let pointer = container.as_ptr();
        // SAFETY: told above; tracking is restored on every way out.
        unsafe {
            ffi::PyObject_GC_UnTrack(pointer.cast());
            let mut outcome = Ok(());
            for index in 0..len {
                match self.value(reader, depth) {
                    Ok(item) => {
                        set(pointer, (offset + index).cast_signed(), item.into_ptr());
                    }
                    Err(refusal) => {
                        outcome = Err(refusal.under(Step::Index(index)));
                        break;
                    }
                }
            }
            ffi::PyObject_GC_Track(pointer.cast());
            outcome
        }
    }

    fn dict(&mut self, reader: &mut Reader<'_>, len: usize, depth: usize) -> Outcome<Bound<'py, PyAny>> {
        self.descend(depth)?;
        Ok(self.pairs(reader, len, depth + 1, KeyKind::Any)?.into_any())
    }

    /// A map of `len` pairs.
    pub(super) fn pairs(
        &mut self,
        reader: &mut Reader<'_>,
        len: usize,
        depth: usize,
        kind: KeyKind,
    ) -> Outcome<Bound<'py, PyDict>> {
        self.count(2 * len, reader)?;
        let py = self.py;
        let dict = PyDict::new(py);
        for _ in 0..len {
            let key = self.key(reader, depth).map_err(|refusal| refusal.under(Step::Item))?;
            // SAFETY: a live object's type is read.
            if kind != KeyKind::Any && unsafe { ffi::PyUnicode_CheckExact(key.as_ptr()) } == 0 {
                return Err(Refusal::new("a name that is not text"));
            }
            let value = self.value(reader, depth).map_err(|refusal| {
                refusal.under(match kind {
                    KeyKind::Attributes => Step::Attribute(key.to_string()),
                    _ => key_step(&key),
                })
            })?;
            // SAFETY: a dict; it takes its own references.
            if unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) } != 0 {
                return Err(Refusal::fetched(py, "a key that a dict cannot have"));
            }
        }
        if dict.len() == len { Ok(dict) } else { Err(Refusal::new("a dict with the same key twice")) }
    }

    /// A key: a short text is looked for among those that came before.
    #[inline]
    fn key(&mut self, reader: &mut Reader<'_>, depth: usize) -> Outcome<Bound<'py, PyAny>> {
        let Some(marker @ 0xa0..=0xbf) = reader.peek() else { return self.value(reader, depth) };
        reader.byte()?;
        let bytes = reader.take(usize::from(marker & 0x1f))?;
        let Some(slot) = self.keys.slot(bytes, self.items) else { return self.text(bytes) };
        if let Some(kept) = slot
            && keys::is_same(kept, bytes)
        {
            return Ok(kept.clone());
        }
        let made = text(self.py, bytes)?;
        *slot = Some(made.clone());
        Ok(made)
    }

    /// The buffer beside the payload that this number names. Each is taken once.
    pub(super) fn beside(&mut self, number: u32) -> Outcome<InBuffer> {
        let place = usize::try_from(number).ok().and_then(|number| self.buffers.get_mut(number));
        place
            .and_then(Option::take)
            .ok_or_else(|| Refusal::new(format!("there is no buffer {number} beside the value")))
    }

    /// An int.
    pub(super) fn integer(&mut self, reader: &mut Reader<'_>) -> Outcome<Bound<'py, PyAny>> {
        let value = self.value(reader, self.limits.max_depth)?;
        // SAFETY: a live object's type is read.
        let fits = unsafe { ffi::PyLong_CheckExact(value.as_ptr()) } != 0;
        if fits { Ok(value) } else { Err(Broken::Unexpected.into()) }
    }

    /// A str.
    pub(super) fn string(&mut self, reader: &mut Reader<'_>) -> Outcome<Bound<'py, PyAny>> {
        let value = self.value(reader, self.limits.max_depth)?;
        // SAFETY: a live object's type is read.
        let fits = unsafe { ffi::PyUnicode_CheckExact(value.as_ptr()) } != 0;
        if fits { Ok(value) } else { Err(Broken::Unexpected.into()) }
    }
}

impl From<Broken> for Box<Refusal> {
    #[cold]
    fn from(broken: Broken) -> Self {
        Refusal::new(match broken {
            Broken::Short => "the received bytes end inside a value",
            Broken::Unexpected => "the received bytes are not what belongs here",
        })
    }
}

/// A new object from an ABI function, which sets an exception when there is none.
#[inline]
fn made<'py>(py: Python<'py>, pointer: *mut ffi::PyObject, doing: &str) -> Outcome<Bound<'py, PyAny>> {
    // SAFETY: every caller passes what an ABI function has just returned to own.
    unsafe { Bound::from_owned_ptr_or_opt(py, pointer) }.ok_or_else(|| Refusal::fetched(py, doing))
}

#[inline]
fn text<'py>(py: Python<'py>, bytes: &[u8]) -> Outcome<Bound<'py, PyAny>> {
    // SAFETY: attached, and `bytes` are that many.
    let text = unsafe { ffi::PyUnicode_FromStringAndSize(bytes.as_ptr().cast(), bytes.len().cast_signed()) };
    made(py, text, "text that is not UTF-8")
}
