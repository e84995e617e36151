//! Paths, and text that UTF-8 cannot hold (which is mostly found in file names).

use pyo3::Borrowed;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::encode::Encoder;
use super::known::PATHS;
use super::refusal::{Outcome, Refusal};
use super::wire::{self, ext};

impl Encoder<'_> {
    /// A str with lone surrogates, as UTF-8 has no place for them: each as its three bytes.
    #[cold]
    pub(super) fn surrogates(&mut self, value: Borrowed<'_, '_, PyAny>) -> Outcome<()> {
        let py = value.py();
        // Held: what is made here may wake the collector, and that any code.
        let value = value.to_owned();
        // The failed look-up has set an exception; a new one tells what is wrong, if anything is.
        drop(PyErr::take(py));
        if self.stock {
            return Err(Refusal::new("text with lone surrogates is no UTF-8, which msgpack's text is"));
        }
        let arguments = (intern!(py, "utf-8"), intern!(py, "surrogatepass"));
        let encode = || Ok(value.call_method1(intern!(py, "encode"), arguments)?.cast_into::<PyBytes>()?);
        let bytes = encode().map_err(Refusal::while_doing(py, "text that cannot be encoded"))?;
        self.room(bytes.as_bytes().len())?;
        wire::put_ext(self.out, ext::SURROGATES, bytes.as_bytes());
        Ok(())
    }
}

pub(super) fn decode_surrogates<'py>(py: Python<'py>, content: &[u8]) -> Outcome<Bound<'py, PyAny>> {
    // SAFETY: `content` is that long, and the name of the error handler ends with a zero.
    unsafe {
        let (data, len) = (content.as_ptr().cast(), content.len().cast_signed());
        Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_DecodeUTF8(data, len, c"surrogatepass".as_ptr()))
    }
    .map_err(Refusal::while_doing(py, "text that is not UTF-8"))
}

/// Whether it was a path: `[kind, text]`.
pub(super) fn encode(encoder: &mut Encoder<'_>, value: &Bound<'_, PyAny>) -> Outcome<bool> {
    let py = value.py();
    let Some(kind) =
        PATHS.loaded(py).and_then(|paths| paths.0.iter().position(|class| class.is_type_of(value)))
    else {
        return Ok(false);
    };
    let text = value.str().map_err(Refusal::while_doing(py, "a path that cannot be read"))?;
    let open = wire::open_ext(encoder.out, ext::PATH, 0);
    wire::put_array(encoder.out, 2);
    wire::put_int(encoder.out, kind.cast_signed() as i64);
    encoder.text(text.as_any().as_borrowed())?;
    wire::close_ext(encoder.out, open);
    Ok(true)
}

pub(super) fn decode<'py>(
    py: Python<'py>,
    kind: u64,
    text: &Bound<'py, PyAny>,
) -> Outcome<Bound<'py, PyAny>> {
    let paths = PATHS.imported(py)?;
    let class = usize::try_from(kind).ok().and_then(|kind| paths.0.get(kind));
    let class = class.ok_or_else(|| Refusal::new(format!("a path of unknown kind {kind}")))?;
    class
        .bind(py)
        .call1((text,))
        .map_err(Refusal::while_doing(py, "a path that does not exist on this system"))
}
