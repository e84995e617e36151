//! Bodies: JSON, plain or compressed. Both are read, whatever is sent.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::core::error::{Code, Error, Fate};
use crate::core::limits::Limits;
use crate::python::errors::raise;
use crate::python::json;

/// Shorter bodies are compressed without letting other threads run meanwhile.
const SHORT: usize = 8 << 10;
/// What a gzip stream begins with, and no JSON does.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Plain JSON.
    Json,
    /// JSON, compressed.
    Gzip,
}

/// What becomes of a value that JSON does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// The whole is refused.
    Refuse,
    /// Its `repr` is sent in its place, as the originals do.
    Repr,
}

impl Codec {
    /// The codec that users call so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "gzip" => Some(Self::Gzip),
            _ => None,
        }
    }

    /// The codec that a message was written with: it is answered in the same.
    pub(crate) fn of(content_type: Option<&str>, body: &[u8]) -> Self {
        if body.starts_with(&GZIP) || content_type == Some(Self::Gzip.content_type()) {
            Self::Gzip
        } else {
            Self::Json
        }
    }

    /// What a message says of its body.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Gzip => "application/octet-stream",
        }
    }

    /// A value as a body. `at` names it in a refusal, such as `arguments`.
    ///
    /// # Errors
    /// `PayloadError` with the path to what JSON does not have, or is over a limit.
    pub(crate) fn encode(
        self,
        value: &Bound<'_, PyAny>,
        at: &str,
        limits: &Limits,
        fallback: Fallback,
    ) -> PyResult<Vec<u8>> {
        let py = value.py();
        let mut out = Vec::with_capacity(128);
        match json::encode_within(py, value, &mut out, limits, "max_message", at) {
            Err(refusal) if fallback == Fallback::Repr && refusal.is_instance_of::<PyException>(py) => {
                out = with_repr(value, limits, refusal)?;
            }
            written => written?,
        }
        match self {
            Self::Json => Ok(out),
            Self::Gzip => Ok(apart(py, out.len(), || compress(&out))),
        }
    }
}

/// The value of a body, whichever codec wrote it: its first bytes tell.
///
/// # Errors
/// `PayloadError` (rejected) says what is wrong.
pub(crate) fn decode<'py>(
    py: Python<'py>,
    body: &[u8],
    content_type: Option<&str>,
    limits: &Limits,
) -> PyResult<Bound<'py, PyAny>> {
    let read = if body.starts_with(&GZIP) {
        let plain = apart(py, body.len(), || decompress(body, limits.max_frame));
        plain.map_err(|error| raise(py, &error)).and_then(|plain| json::decode(py, &plain, limits))
    } else {
        json::decode(py, body, limits)
    };
    read.map_err(|error| match content_type {
        // Pickled values, for example: where they cease to be JSON helps nobody.
        Some(other) if is_foreign(other) && error.is_instance_of::<PyException>(py) => {
            raise(py, &rejected(format!("a body of {other} is not read here; send JSON")))
        }
        _ => error,
    })
}

fn is_foreign(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    !kind.is_empty()
        && ![Codec::Json, Codec::Gzip].iter().any(|own| own.content_type().eq_ignore_ascii_case(kind))
}

fn rejected(message: impl Into<String>) -> Error {
    Error::new(Code::Payload, message).with_fate(Fate::Rejected)
}

/// Does what takes long without the GIL.
fn apart<R: Send>(py: Python<'_>, length: usize, work: impl FnOnce() -> R + Send) -> R {
    if length <= SHORT { work() } else { py.detach(work) }
}

fn compress(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 2 + 64), Compression::default());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}

/// Never makes more than `most` bytes, whatever the few that came promise.
fn decompress(body: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let read = MultiGzDecoder::new(body).take(bound).read_to_end(&mut plain);
    read.map_err(|error| rejected(format!("a compressed body that cannot be read: {error}")))?;
    if plain.len() > most {
        return Err(rejected(format!("a compressed body of more than {most} bytes (max_message)")));
    }
    Ok(plain)
}

/// As the library writes it, with `repr` for what JSON does not have. Where even that fails, `refusal` tells why.
#[cold]
fn with_repr(value: &Bound<'_, PyAny>, limits: &Limits, refusal: PyErr) -> PyResult<Vec<u8>> {
    let py = value.py();
    let dumps = || -> PyResult<String> {
        let options = PyDict::new(py);
        options.set_item(intern!(py, "default"), py.import("builtins")?.getattr(intern!(py, "repr"))?)?;
        options.set_item(intern!(py, "separators"), (",", ":"))?;
        py.import("json")?.call_method(intern!(py, "dumps"), (value,), Some(&options))?.extract()
    };
    match dumps() {
        Ok(text) if text.len() <= limits.max_frame => Ok(text.into_bytes()),
        Err(error) if !error.is_instance_of::<PyException>(py) => Err(error),
        _ => Err(refusal),
    }
}
