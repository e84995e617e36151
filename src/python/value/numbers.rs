//! Numbers beyond msgpack's: integers of any size, complex, Decimal; and UUID, which is one of 128 bits.

use pyo3::Borrowed;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyComplex, PyDict, PyInt, PyString};

use super::encode::Encoder;
use super::known::{DECIMAL, UUID};
use super::refusal::{Outcome, Refusal};
use super::wire::{self, ext};

impl Encoder<'_> {
    /// An int that does not fit 64 bits with a sign.
    #[cold]
    pub(super) fn wide_integer(&mut self, value: Borrowed<'_, '_, PyAny>, positive: bool) -> Outcome<()> {
        if positive && let Ok(number) = value.extract::<u64>() {
            wire::put_unsigned(self.out, number);
            return Ok(());
        }
        if self.stock {
            return Err(Refusal::new("an integer of more than 64 bits is more than msgpack has"));
        }
        let py = value.py();
        // Held: what is made here may wake the collector, and that any code.
        let value = value.to_owned();
        let read = || -> PyResult<Bound<'_, PyBytes>> {
            let bits: usize = value.call_method0(intern!(py, "bit_length"))?.extract()?;
            let signed = PyDict::new(py);
            signed.set_item(intern!(py, "signed"), true)?;
            let arguments = (bits / 8 + 1, intern!(py, "big"));
            let bytes = value.call_method(intern!(py, "to_bytes"), arguments, Some(&signed))?;
            Ok(bytes.cast_into()?)
        };
        let bytes = read().map_err(Refusal::while_doing(py, "an integer that cannot be read"))?;
        self.room(bytes.as_bytes().len())?;
        wire::put_ext(self.out, ext::BIG_INT, bytes.as_bytes());
        Ok(())
    }
}

pub(super) fn decode_big_int<'py>(py: Python<'py>, content: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let signed = PyDict::new(py);
    signed.set_item(intern!(py, "signed"), true)?;
    let arguments = (PyBytes::new(py, content), intern!(py, "big"));
    py.get_type::<PyInt>().call_method(intern!(py, "from_bytes"), arguments, Some(&signed))
}

pub(super) fn encode_complex(encoder: &mut Encoder<'_>, value: &Bound<'_, PyAny>) -> Outcome<()> {
    let Ok(number) = value.cast::<PyComplex>() else { return Err(Refusal::new("no complex number")) };
    let mut content = [0; 16];
    content[..8].copy_from_slice(&number.real().to_be_bytes());
    content[8..].copy_from_slice(&number.imag().to_be_bytes());
    wire::put_ext(encoder.out, ext::COMPLEX, &content);
    Ok(())
}

pub(super) fn decode_complex<'py>(py: Python<'py>, content: &[u8]) -> Outcome<Bound<'py, PyAny>> {
    let (real, rest) = content.split_first_chunk::<8>().ok_or_else(misfit)?;
    let imaginary: &[u8; 8] = rest.try_into().map_err(|_| misfit())?;
    let (real, imaginary) = (f64::from_be_bytes(*real), f64::from_be_bytes(*imaginary));
    Ok(PyComplex::from_doubles(py, real, imaginary).into_any())
}

#[cold]
fn misfit() -> Box<Refusal> {
    Refusal::new("a complex number is 16 bytes")
}

/// Decimal and UUID. Whether it was one.
pub(super) fn encode(encoder: &mut Encoder<'_>, value: &Bound<'_, PyAny>) -> Outcome<bool> {
    let py = value.py();
    if DECIMAL.loaded(py).is_some_and(|class| class.is_type_of(value)) {
        let text = value.str().map_err(Refusal::while_doing(py, "a Decimal that cannot be read"))?;
        // A context may ask for a small letter in the exponent.
        let text = text.to_string_lossy().replace('e', "E");
        encoder.room(text.len())?;
        wire::put_ext(encoder.out, ext::DECIMAL, text.as_bytes());
        return Ok(true);
    }
    if UUID.loaded(py).is_some_and(|class| class.is_type_of(value)) {
        let read = || Ok(value.getattr(intern!(py, "bytes"))?.cast_into::<PyBytes>()?);
        let bytes = read().map_err(Refusal::while_doing(py, "a UUID that cannot be read"))?;
        wire::put_ext(encoder.out, ext::UUID, bytes.as_bytes());
        return Ok(true);
    }
    Ok(false)
}

pub(super) fn decode_decimal<'py>(py: Python<'py>, content: &[u8]) -> Outcome<Bound<'py, PyAny>> {
    let plain = |byte: &u8| byte.is_ascii_digit() || b"+-.EINafinstyq".contains(byte);
    let text = std::str::from_utf8(content).ok().filter(|text| text.as_bytes().iter().all(plain));
    let text = text.ok_or_else(|| Refusal::new("not the text of a Decimal"))?;
    let class = DECIMAL.imported(py)?.bind(py);
    class.call1((PyString::new(py, text),)).map_err(Refusal::while_doing(py, "not the text of a Decimal"))
}

pub(super) fn decode_uuid<'py>(py: Python<'py>, content: &[u8]) -> Outcome<Bound<'py, PyAny>> {
    let build = |class: &Bound<'py, pyo3::types::PyType>| {
        let named = PyDict::new(py);
        named.set_item(intern!(py, "bytes"), PyBytes::new(py, content))?;
        class.call((), Some(&named))
    };
    build(UUID.imported(py)?.bind(py)).map_err(Refusal::while_doing(py, "not the bytes of a UUID"))
}
