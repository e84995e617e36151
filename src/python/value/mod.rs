//! Python values ⇄ msgpack bytes, with extension types so that what arrives equals what was sent and is of the
//! same type. `docs/values.md` tells the bytes.
//!
//! A file for each idea: [`encode`] and [`decode`] walk values, `wire` writes and reads the bytes, and each kind of
//! rarer value has a file with both its directions. What cannot cross is told by [`refusal`], which other formats
//! share.

mod arrays;
mod buffers;
mod canonical;
mod classes;
mod decode;
mod dtypes;
mod encode;
mod extensions;
mod keys;
mod known;
mod numbers;
mod objects;
mod paths;
mod rare;
mod stock;
mod times;
mod tools;
mod views;
mod wire;

use super::refusal;
pub(crate) use buffers::{InBuffer, OutBuffer};
pub(crate) use canonical::canonical;
pub(crate) use classes::Classes;
use decode::decode_stock;
pub(crate) use decode::{decode, decode_arguments};
pub(crate) use encode::{Encoder, encode, encode_arguments};
pub(crate) use tools::limits;

/// Adds the codecs by themselves to the module.
pub(crate) fn register(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
    stock::register(module)?;
    tools::register(module)
}
