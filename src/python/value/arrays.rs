//! NumPy arrays and scalars. An array arrives over the very buffer that its bytes were read into: writable over a
//! bytearray, read-only over bytes.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyString, PyTuple};

use super::buffers::Export;
use super::decode::Decoder;
use super::dtypes::{put_dtype, read_dtype};
use super::encode::Encoder;
use super::known::{NUMPY, Numpy};
use super::refusal::{Outcome, Refusal};
use super::views::{data, put_shape, read_shape};
use super::wire::{self, Broken, Reader, ext};

/// Whether it was an array: `[dtype, shape, Fortran order, writable, data]`, or a scalar: `[dtype, data]`.
pub(super) fn encode(encoder: &mut Encoder<'_>, value: &Bound<'_, PyAny>) -> Outcome<bool> {
    let py = value.py();
    let Some(known) = NUMPY.loaded(py) else { return Ok(false) };
    if known.ndarray.is_type_of(value) {
        encode_array(encoder, known, value)?;
        return Ok(true);
    }
    if !value.is_instance(known.generic.bind(py)).unwrap_or(false) {
        return Ok(false);
    }
    let wrong = Refusal::while_doing(py, "a NumPy scalar that cannot be read");
    if known.str.is_type_of(value) || known.bytes.is_type_of(value) {
        // Through an array they would lose the zeros at their end.
        let text = known.str.is_type_of(value);
        let open = wire::open_ext(encoder.out, ext::SCALAR, 0);
        wire::put_array(encoder.out, 2);
        wire::put_str(encoder.out, if text { b"U" } else { b"S" });
        if text {
            // SAFETY: a str of a derived class; what is made is a plain one.
            let plain =
                unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_FromObject(value.as_ptr())) };
            encoder.text(plain.map_err(&wrong)?.as_borrowed())?;
        } else {
            let bytes = value.cast::<PyBytes>().map_err(|_| Refusal::new("a NumPy scalar without bytes"))?;
            encoder.room(bytes.as_bytes().len())?;
            wire::put_bytes(encoder.out, bytes.as_bytes());
        }
        wire::close_ext(encoder.out, open);
        return Ok(true);
    }
    let dtype = value.getattr(intern!(py, "dtype")).map_err(&wrong)?;
    // A class derived from a scalar's would arrive as its base.
    let own = dtype.getattr(intern!(py, "type")).map_err(&wrong)?;
    if !value.get_type().is(&own) {
        return Ok(false);
    }
    let bytes = value.call_method0(intern!(py, "tobytes")).map_err(&wrong)?;
    let bytes = bytes.cast::<PyBytes>().map_err(|_| Refusal::new("a NumPy scalar without bytes"))?.as_bytes();
    encoder.room(bytes.len())?;
    let open = wire::open_ext(encoder.out, ext::SCALAR, bytes.len());
    wire::put_array(encoder.out, 2);
    put_dtype(encoder, known, &dtype, 0)?;
    wire::put_bytes(encoder.out, bytes);
    wire::close_ext(encoder.out, open);
    Ok(true)
}

fn encode_array(encoder: &mut Encoder<'_>, known: &Numpy, array: &Bound<'_, PyAny>) -> Outcome<()> {
    let py = array.py();
    let wrong = Refusal::while_doing(py, "a NumPy array that cannot be read");
    let dtype = array.getattr(intern!(py, "dtype")).map_err(&wrong)?;
    let read = || -> PyResult<_> {
        let flags = array.getattr(intern!(py, "flags"))?;
        let flag = |name: &Bound<'_, PyString>| flags.getattr(name)?.extract::<bool>();
        let shape: Vec<usize> = array.getattr(intern!(py, "shape"))?.extract()?;
        let writable = flag(intern!(py, "writeable"))?;
        let fortran = !flag(intern!(py, "c_contiguous"))? && flag(intern!(py, "f_contiguous"))?;
        let rows = if fortran {
            array.getattr(intern!(py, "T"))?
        } else if flag(intern!(py, "c_contiguous"))? {
            array.clone()
        } else {
            known.contiguous.bind(py).call1((array,))?
        };
        Ok((shape, writable, fortran, rows))
    };
    let (shape, writable, fortran, rows) = read().map_err(&wrong)?;
    // The head is written first, since it is there that what cannot cross is found.
    let start = encoder.out.len();
    put_dtype(encoder, known, &dtype, 0)?;
    let head = encoder.out.split_off(start);
    let export = export(py, &rows, &dtype).map_err(&wrong)?;
    let beside = encoder.goes_beside(export.len());
    let open = wire::open_ext(encoder.out, ext::NDARRAY, if beside { 0 } else { export.len() });
    wire::put_array(encoder.out, 5);
    encoder.out.extend_from_slice(&head);
    put_shape(encoder.out, &shape);
    encoder.out.push(if fortran { wire::TRUE } else { wire::FALSE });
    encoder.out.push(if writable { wire::TRUE } else { wire::FALSE });
    encoder.exported(export, writable)?;
    wire::close_ext(encoder.out, open);
    Ok(())
}

/// The bytes of an array in C order. NumPy exports no times, and few structures: those are seen as raw memory.
fn export(py: Python<'_>, rows: &Bound<'_, PyAny>, dtype: &Bound<'_, PyAny>) -> PyResult<Export> {
    let kind = dtype.getattr(intern!(py, "kind"))?;
    if !"mMV".contains(kind.extract::<&str>()?) {
        return Export::bytes(rows);
    }
    let item: usize = dtype.getattr(intern!(py, "itemsize"))?.extract()?;
    let raw = rows.call_method1(intern!(py, "view"), (format!("V{item}"),))?;
    Export::bytes(&raw)
}

pub(super) fn decode_array<'py>(
    decoder: &mut Decoder<'_, 'py>,
    reader: &mut Reader<'_>,
) -> Outcome<Bound<'py, PyAny>> {
    let py = decoder.py;
    let known = NUMPY.imported(py)?;
    if reader.array()? != 5 {
        return Err(Broken::Unexpected.into());
    }
    let dtype = read_dtype(decoder, known, reader, 0)?;
    let shape = read_shape(reader)?;
    let fortran = reader.byte()? == wire::TRUE;
    let data = data(decoder, reader)?;
    over(py, known, &dtype, &shape, fortran, &data)
}

/// An array over `data`, which it must fill.
fn over<'py>(
    py: Python<'py>,
    known: &Numpy,
    dtype: &Bound<'py, PyAny>,
    shape: &[usize],
    fortran: bool,
    data: &Bound<'py, PyAny>,
) -> Outcome<Bound<'py, PyAny>> {
    let wrong = Refusal::while_doing(py, "a NumPy array that cannot be rebuilt");
    let item: usize =
        dtype.getattr(intern!(py, "itemsize")).and_then(|size| size.extract()).map_err(&wrong)?;
    let size = shape.iter().try_fold(item, |size, &dimension| size.checked_mul(dimension));
    if item == 0 || size != Some(data.len().map_err(&wrong)?) {
        return Err(Refusal::new("a NumPy array whose bytes do not fit its shape"));
    }
    let build = || {
        let named = PyDict::new(py);
        named.set_item(intern!(py, "shape"), PyTuple::new(py, shape)?)?;
        named.set_item(intern!(py, "dtype"), dtype)?;
        named.set_item(intern!(py, "buffer"), data)?;
        named.set_item(intern!(py, "order"), if fortran { "F" } else { "C" })?;
        known.ndarray.bind(py).call((), Some(&named))
    };
    build().map_err(wrong)
}

pub(super) fn decode_scalar<'py>(
    decoder: &mut Decoder<'_, 'py>,
    reader: &mut Reader<'_>,
) -> Outcome<Bound<'py, PyAny>> {
    let py = decoder.py;
    let known = NUMPY.imported(py)?;
    if reader.array()? != 2 {
        return Err(Broken::Unexpected.into());
    }
    let wrong = Refusal::while_doing(py, "a NumPy scalar that cannot be rebuilt");
    match reader.remaining_bytes() {
        [0xa1, b'U', ..] => {
            reader.take(2)?;
            return known.str.bind(py).call1((decoder.string(reader)?,)).map_err(wrong);
        }
        [0xa1, b'S', ..] => {
            reader.take(2)?;
            return known.bytes.bind(py).call1((PyBytes::new(py, reader.bytes()?),)).map_err(wrong);
        }
        _ => {}
    }
    let dtype = read_dtype(decoder, known, reader, 0)?;
    // A structure is a view of its bytes, which are its own to change.
    let data = PyByteArray::new(py, reader.bytes()?);
    let array = over(py, known, &dtype, &[], false, data.as_any())?;
    array.get_item(PyTuple::empty(py)).map_err(wrong)
}
