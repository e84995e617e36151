//! Values that are memory: bytearray, memoryview, `array.array`, and whatever else exports a buffer.

use std::ffi::{CStr, c_char};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList, PyMemoryView};

use super::buffers::Export;
use super::decode::Decoder;
use super::encode::Encoder;
use super::known::{ARRAY, NUMPY};
use super::refusal::{Outcome, Refusal, type_name};
use super::wire::{self, Broken, Reader, ext};

/// The most dimensions of a view.
const MAX_DIMENSIONS: usize = 64;

pub(super) fn encode_bytearray(encoder: &mut Encoder<'_>, value: &Bound<'_, PyAny>) -> Outcome<()> {
    let export = Export::bytes(value).map_err(Refusal::while_doing(value.py(), "a bytearray"))?;
    if encoder.goes_beside(export.len()) {
        return encoder.exported(export, true);
    }
    encoder.room(export.len())?;
    wire::put_ext(encoder.out, ext::BYTEARRAY, export.contiguous());
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "one shape for all that are one piece")]
pub(super) fn decode_bytearray<'py>(py: Python<'py>, content: &[u8]) -> Outcome<Bound<'py, PyAny>> {
    Ok(PyByteArray::new(py, content).into_any())
}

/// `[format, shape, writable, data]`
pub(super) fn encode_memoryview(encoder: &mut Encoder<'_>, value: &Bound<'_, PyAny>) -> Outcome<()> {
    let export = Export::full(value).map_err(Refusal::while_doing(value.py(), "a memoryview"))?;
    let Some(format) = native_format(&export) else {
        return Err(Refusal::new(
            "a memoryview of structured items, or in another byte order, cannot cross the bridge",
        ));
    };
    let shape = shape(&export);
    if shape.len() > 1 && shape.contains(&0) {
        return Err(Refusal::new("an empty memoryview of several dimensions cannot cross the bridge"));
    }
    put_view(encoder, value, export, format, &shape)
}

/// Any other object that exports a buffer arrives as a memoryview of it; one with items that a memoryview cannot
/// read, as one of its bytes. Whether it was one.
pub(super) fn encode_other(encoder: &mut Encoder<'_>, value: &Bound<'_, PyAny>) -> Outcome<bool> {
    let py = value.py();
    if ARRAY.loaded(py).is_some_and(|class| class.is_type_of(value)) {
        encode_array(encoder, value)?;
        return Ok(true);
    }
    // SAFETY: a live object.
    if unsafe { ffi::PyObject_CheckBuffer(value.as_ptr()) } == 0 {
        return Ok(false);
    }
    // A class derived from one that crosses as itself would arrive as something else.
    let derived = value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
        || ARRAY.loaded(py).is_some_and(|class| value.is_instance(class.bind(py)).unwrap_or(true))
        || NUMPY.loaded(py).is_some_and(|known| {
            value.is_instance(known.ndarray.bind(py)).unwrap_or(true)
                || value.is_instance(known.generic.bind(py)).unwrap_or(true)
        });
    if derived {
        return Ok(false);
    }
    let doing = format!("the buffer of {}", type_name(value));
    let export = Export::full(value).map_err(Refusal::while_doing(py, &doing))?;
    let mut shape = shape(&export);
    let empty = shape.len() > 1 && shape.contains(&0);
    let format = match native_format(&export) {
        Some(format) if !empty => format,
        _ => {
            shape = vec![export.len()];
            b'B'
        }
    };
    put_view(encoder, value, export, format, &shape)?;
    Ok(true)
}

fn put_view(
    encoder: &mut Encoder<'_>,
    value: &Bound<'_, PyAny>,
    export: Export,
    format: u8,
    shape: &[usize],
) -> Outcome<()> {
    let mutable = export.view().readonly == 0;
    let inline = if export.is_contiguous() && encoder.goes_beside(export.len()) { 0 } else { export.len() };
    encoder.room(inline)?;
    let open = wire::open_ext(encoder.out, ext::MEMORYVIEW, inline);
    wire::put_array(encoder.out, 4);
    wire::put_str(encoder.out, &[format]);
    put_shape(encoder.out, shape);
    encoder.out.push(if mutable { wire::TRUE } else { wire::FALSE });
    if export.is_contiguous() {
        encoder.exported(export, mutable)?;
    } else {
        let mut gathered = Vec::new();
        export.gather(value.py(), &mut gathered).map_err(Refusal::while_doing(value.py(), "a memoryview"))?;
        wire::put_bytes(encoder.out, &gathered);
    }
    wire::close_ext(encoder.out, open);
    Ok(())
}

pub(super) fn decode_memoryview<'py>(
    decoder: &mut Decoder<'_, 'py>,
    reader: &mut Reader<'_>,
) -> Outcome<Bound<'py, PyAny>> {
    let py = decoder.py;
    if reader.array()? != 4 {
        return Err(Broken::Unexpected.into());
    }
    let format = reader.text()?;
    let shape = read_shape(reader)?;
    let data = data(decoder, reader)?;
    let wrong = Refusal::while_doing(py, "a memoryview that does not exist");
    let view = PyMemoryView::from(&data).map_err(&wrong)?;
    if native_size(format.as_bytes()).is_none() {
        return Err(Refusal::new("a memoryview of unknown items"));
    }
    let plain = match shape[..] {
        [len] => {
            let size = view.len().map_err(&wrong)?;
            let items = native_size(format.as_bytes()).and_then(|item| len.checked_mul(item));
            if items != Some(size) {
                return Err(Refusal::new("a memoryview whose bytes do not fit its shape"));
            }
            true
        }
        _ => false,
    };
    match (format, plain) {
        ("B", true) => Ok(view.into_any()),
        (_, true) => view.call_method1(intern!(py, "cast"), (format,)).map_err(wrong),
        _ => {
            // From items to several dimensions there is no way but through bytes.
            let shape = PyList::new(py, shape).map_err(&wrong)?;
            view.call_method1(intern!(py, "cast"), (format, shape)).map_err(wrong)
        }
    }
}

/// `[typecode, size of an item, data]`
fn encode_array(encoder: &mut Encoder<'_>, value: &Bound<'_, PyAny>) -> Outcome<()> {
    let py = value.py();
    let wrong = Refusal::while_doing(py, "an array that cannot be read");
    let typecode = value.getattr(intern!(py, "typecode")).map_err(&wrong)?;
    let export = Export::bytes(value).map_err(&wrong)?;
    let item: i64 = value.getattr(intern!(py, "itemsize")).and_then(|size| size.extract()).map_err(&wrong)?;
    let open = wire::open_ext(
        encoder.out,
        ext::ARRAY,
        if encoder.goes_beside(export.len()) { 0 } else { export.len() },
    );
    wire::put_array(encoder.out, 3);
    encoder.text(typecode.as_borrowed())?;
    wire::put_int(encoder.out, item);
    encoder.exported(export, false)?;
    wire::close_ext(encoder.out, open);
    Ok(())
}

pub(super) fn decode_array<'py>(
    decoder: &mut Decoder<'_, 'py>,
    reader: &mut Reader<'_>,
) -> Outcome<Bound<'py, PyAny>> {
    let py = decoder.py;
    if reader.array()? != 3 {
        return Err(Broken::Unexpected.into());
    }
    let typecode = reader.text()?;
    let item = reader.unsigned()?;
    let data = decoder.value(reader, usize::MAX)?;
    let wrong = Refusal::while_doing(py, "an array that does not exist here");
    let array = ARRAY.imported(py)?.bind(py).call1((typecode,)).map_err(&wrong)?;
    let here: u64 = array.getattr(intern!(py, "itemsize")).and_then(|size| size.extract()).map_err(&wrong)?;
    if here != item {
        return Err(Refusal::new(format!(
            "an array of {typecode:?} has items of {here} bytes here, not {item}"
        )));
    }
    array.call_method1(intern!(py, "frombytes"), (data,)).map_err(wrong)?;
    Ok(array)
}

pub(super) fn put_shape(out: &mut Vec<u8>, shape: &[usize]) {
    wire::put_array(out, shape.len());
    for dimension in shape {
        wire::put_int(out, dimension.cast_signed() as i64);
    }
}

pub(super) fn read_shape(reader: &mut Reader<'_>) -> Outcome<Vec<usize>> {
    let dimensions = reader.array()?;
    if dimensions > MAX_DIMENSIONS {
        return Err(Refusal::new("more dimensions than exist"));
    }
    let mut shape = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        shape.push(usize::try_from(reader.unsigned()?).map_err(|_| Broken::Unexpected)?);
    }
    Ok(shape)
}

/// Whether it is writable, and the bytes behind it: a bytearray when it is, else bytes.
pub(super) fn data<'py>(
    decoder: &mut Decoder<'_, 'py>,
    reader: &mut Reader<'_>,
) -> Outcome<Bound<'py, PyAny>> {
    let py = decoder.py;
    let mutable = match reader.byte()? {
        wire::TRUE => true,
        wire::FALSE => false,
        _ => return Err(Broken::Unexpected.into()),
    };
    match reader.peek() {
        Some(0xc4..=0xc6) if mutable => Ok(PyByteArray::new(py, reader.bytes()?).into_any()),
        Some(0xc4..=0xc6) => Ok(PyBytes::new(py, reader.bytes()?).into_any()),
        _ => {
            let data = decoder.value(reader, usize::MAX)?;
            let fits = if mutable {
                data.is_exact_instance_of::<PyByteArray>()
            } else {
                data.is_exact_instance_of::<PyBytes>()
            };
            if fits { Ok(data) } else { Err(Broken::Unexpected.into()) }
        }
    }
}

fn shape(export: &Export) -> Vec<usize> {
    let view = export.view();
    let dimensions = usize::try_from(view.ndim).unwrap_or(0);
    if dimensions == 0 || view.shape.is_null() {
        return Vec::new();
    }
    // SAFETY: the exporter gives one length for each dimension, while the view lasts.
    let shape = unsafe { std::slice::from_raw_parts(view.shape, dimensions) };
    shape.iter().map(|&len| usize::try_from(len).unwrap_or(0)).collect()
}

/// The one letter by which a memoryview of such items is made here, if there is one.
fn native_format(export: &Export) -> Option<u8> {
    let view = export.view();
    let item = usize::try_from(view.itemsize).ok()?;
    if view.format.is_null() {
        return (item == 1).then_some(b'B');
    }
    // SAFETY: the exporter's zero-terminated text, alive while the view lasts.
    let format = unsafe { CStr::from_ptr(view.format.cast::<c_char>()) }.to_bytes();
    let ours = if cfg!(target_endian = "little") { b'<' } else { b'>' };
    let (letter, native) = match *format {
        [letter] => (letter, true),
        [b'@', letter] => (letter, true),
        [order, letter] if order == ours || order == b'=' => (letter, false),
        _ => return None,
    };
    if native || native_size(&[letter]) == Some(item) {
        return (native_size(&[letter]) == Some(item)).then_some(letter);
    }
    // A standard size may be another letter's native one.
    let family: &[u8] = if letter.is_ascii_lowercase() { b"bhilq" } else { b"BHILQ" };
    family
        .contains(&letter)
        .then(|| family.iter().copied().find(|&other| native_size(&[other]) == Some(item)))
        .flatten()
}

/// The size of a native item.
fn native_size(format: &[u8]) -> Option<usize> {
    use std::ffi::{c_double, c_float, c_int, c_long, c_longlong, c_short};
    Some(match format {
        b"b" | b"B" | b"c" | b"?" => 1,
        b"h" | b"H" => size_of::<c_short>(),
        b"i" | b"I" => size_of::<c_int>(),
        b"l" | b"L" => size_of::<c_long>(),
        b"q" | b"Q" => size_of::<c_longlong>(),
        b"n" | b"N" | b"P" => size_of::<usize>(),
        b"e" => 2,
        b"f" => size_of::<c_float>(),
        b"d" => size_of::<c_double>(),
        _ => return None,
    })
}
