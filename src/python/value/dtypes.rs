//! NumPy's dtypes, told exactly: byte order, units of time, and the layout of structures.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use super::decode::Decoder;
use super::encode::Encoder;
use super::known::Numpy;
use super::refusal::{Outcome, Refusal, Step};
use super::views::{put_shape, read_shape};
use super::wire::{self, Broken, Reader};

/// The kinds of items that are nothing but bytes: bool, numbers, times, fixed text and raw memory.
const KINDS: &str = "biufcmMSUV";
/// The longest text of a dtype.
const MAX_DTYPE: usize = 64;
/// The deepest nesting of structured dtypes.
const MAX_NESTING: usize = 16;

/// A dtype: its text; a structure as `[names, dtypes, offsets, size, aligned]`, a name with a title being `[name,
/// title]`; a field that is an array itself as `[dtype, shape]`.
pub(super) fn put_dtype<'py>(
    encoder: &mut Encoder<'_>,
    known: &Numpy,
    dtype: &Bound<'py, PyAny>,
    nesting: usize,
) -> Outcome<()> {
    let py = dtype.py();
    let wrong = Refusal::while_doing(py, "a dtype that cannot be read");
    let get = |name: &Bound<'py, PyString>| dtype.getattr(name).map_err(&wrong);
    let is = |name: &Bound<'py, PyString>| get(name)?.extract::<bool>().map_err(&wrong);
    let shown = || dtype.str().map_or_else(|_| "?".into(), |text| text.to_string());
    let kind = get(intern!(py, "kind"))?;
    let size: usize = get(intern!(py, "itemsize"))?.extract().map_err(&wrong)?;
    let plain = kind.extract::<&str>().is_ok_and(|kind| KINDS.contains(kind));
    if is(intern!(py, "hasobject"))? || !plain || size == 0 || nesting > MAX_NESTING {
        return Err(Refusal::new(format!("a NumPy array of dtype {} cannot cross the bridge", shown())));
    }
    let inner = get(intern!(py, "subdtype"))?;
    if let Ok(inner) = inner.cast::<PyTuple>() {
        let read = || Ok((inner.get_item(0)?, inner.get_item(1)?.extract::<Vec<usize>>()?));
        let (base, shape) = read().map_err(&wrong)?;
        wire::put_array(encoder.out, 2);
        put_dtype(encoder, known, &base, nesting + 1)?;
        put_shape(encoder.out, &shape);
        return Ok(());
    }
    let names = get(intern!(py, "names"))?;
    let Ok(names) = names.cast::<PyTuple>() else {
        let text = dtype_text(known, dtype).map_err(&wrong)?;
        let text = text.ok_or_else(|| {
            Refusal::new(format!("a NumPy array of dtype {} cannot cross the bridge", shown()))
        })?;
        wire::put_str(encoder.out, text.as_bytes());
        return Ok(());
    };
    let fields = get(intern!(py, "fields"))?;
    let (mut types, mut offsets, mut titles) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let field =
            fields.get_item(&name).and_then(|field| Ok(field.cast_into::<PyTuple>()?)).map_err(&wrong)?;
        types.push(field.get_item(0).map_err(&wrong)?);
        offsets.push(field.get_item(1).and_then(|offset| offset.extract::<usize>()).map_err(&wrong)?);
        titles.push(field.get_item(2).ok());
    }
    encoder.count(2 * names.len())?;
    wire::put_array(encoder.out, 5);
    wire::put_array(encoder.out, names.len());
    for (name, title) in names.iter().zip(&titles) {
        if let Some(title) = title {
            if !title.is_exact_instance_of::<PyString>() {
                return Err(Refusal::new(
                    "a structured dtype with titles that are not text cannot cross the bridge",
                ));
            }
            wire::put_array(encoder.out, 2);
            encoder.text(name.as_borrowed())?;
            encoder.text(title.as_borrowed())?;
        } else {
            encoder.text(name.as_borrowed())?;
        }
    }
    wire::put_array(encoder.out, types.len());
    for (name, dtype) in names.iter().zip(&types) {
        put_dtype(encoder, known, dtype, nesting + 1)
            .map_err(|refusal| refusal.under(super::refusal::key_step(&name)))?;
    }
    put_shape(encoder.out, &offsets);
    wire::put_int(encoder.out, size.cast_signed() as i64);
    encoder.out.push(if is(intern!(py, "isalignedstruct"))? { wire::TRUE } else { wire::FALSE });
    Ok(())
}

/// The text from which NumPy makes this very dtype again.
fn dtype_text(known: &Numpy, dtype: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let py = dtype.py();
    let text: String = dtype.getattr(intern!(py, "str"))?.extract()?;
    let letter: String = dtype.getattr(intern!(py, "char"))?.extract()?;
    let same = |text: &str| -> PyResult<bool> {
        let made = known.dtype.bind(py).call1((text,))?;
        Ok(made.eq(dtype)? && made.getattr(intern!(py, "char"))?.eq(&letter)?)
    };
    if same(&text)? {
        return Ok(Some(text));
    }
    // Two integers of one size are two types to NumPy: the letter tells which.
    let by_letter = format!("{}{letter}", &text[..text.len().min(1)]);
    Ok(if same(&by_letter)? { Some(by_letter) } else { None })
}

pub(super) fn read_dtype<'py>(
    decoder: &mut Decoder<'_, 'py>,
    known: &Numpy,
    reader: &mut Reader<'_>,
    nesting: usize,
) -> Outcome<Bound<'py, PyAny>> {
    let py = decoder.py;
    let wrong = Refusal::while_doing(py, "a dtype that does not exist here");
    let class = known.dtype.bind(py);
    if nesting > MAX_NESTING {
        return Err(Refusal::new("a dtype that is nested too deep"));
    }
    let made = match reader.peek() {
        Some(0x92) => {
            reader.byte()?;
            let base = read_dtype(decoder, known, reader, nesting + 1)?;
            let shape = PyTuple::new(py, read_shape(reader)?).map_err(&wrong)?;
            class.call1(((base, shape),)).map_err(&wrong)?
        }
        Some(0x95) => {
            reader.byte()?;
            structure(decoder, known, reader, nesting)?
        }
        _ => {
            let text = reader.text()?;
            // Other texts mean structures, objects, or names to be looked up.
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"<>|=?[]/".contains(&byte);
            if text.len() > MAX_DTYPE || !text.bytes().all(plain) {
                return Err(Refusal::new("not the text of a dtype"));
            }
            class.call1((text,)).map_err(&wrong)?
        }
    };
    let kind = made.getattr(intern!(py, "kind")).map_err(&wrong)?;
    let objects =
        made.getattr(intern!(py, "hasobject")).and_then(|has| has.extract::<bool>()).map_err(&wrong)?;
    if objects || !kind.extract::<&str>().is_ok_and(|kind| KINDS.contains(kind)) {
        return Err(Refusal::new("a dtype that cannot cross the bridge"));
    }
    Ok(made)
}

fn structure<'py>(
    decoder: &mut Decoder<'_, 'py>,
    known: &Numpy,
    reader: &mut Reader<'_>,
    nesting: usize,
) -> Outcome<Bound<'py, PyAny>> {
    let py = decoder.py;
    let wrong = Refusal::while_doing(py, "a dtype that does not exist here");
    let count = reader.array()?;
    decoder.count(count, reader)?;
    let (names, titles) = (PyList::empty(py), PyList::empty(py));
    let mut titled = false;
    for _ in 0..count {
        let has_title = reader.peek() == Some(0x92);
        if has_title {
            reader.byte()?;
        }
        names.append(decoder.string(reader)?).map_err(&wrong)?;
        let title = if has_title { decoder.string(reader)? } else { py.None().into_bound(py) };
        titles.append(title).map_err(&wrong)?;
        titled |= has_title;
    }
    let types = PyList::empty(py);
    if reader.array()? != count {
        return Err(Broken::Unexpected.into());
    }
    for index in 0..count {
        let field = read_dtype(decoder, known, reader, nesting + 1);
        let field = field.map_err(|refusal| refusal.under(Step::Index(index)))?;
        types.append(field).map_err(&wrong)?;
    }
    let offsets = PyList::empty(py);
    if reader.array()? != count {
        return Err(Broken::Unexpected.into());
    }
    for _ in 0..count {
        offsets.append(reader.unsigned()?).map_err(&wrong)?;
    }
    let size = reader.unsigned()?;
    let aligned = reader.byte()? == wire::TRUE;
    let build = || {
        let parts = PyDict::new(py);
        parts.set_item(intern!(py, "names"), names)?;
        parts.set_item(intern!(py, "formats"), types)?;
        parts.set_item(intern!(py, "offsets"), offsets)?;
        parts.set_item(intern!(py, "itemsize"), size)?;
        if titled {
            parts.set_item(intern!(py, "titles"), titles)?;
        }
        known.dtype.bind(py).call1((parts, aligned))
    };
    build().map_err(wrong)
}
