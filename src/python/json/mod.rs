//! Python values ⇄ JSON bytes, with no tree in between and with the meaning of the standard library's `json`: what it
//! writes, this reads as an equal value, and the other way round.
//!
//! What is written is UTF-8 with compact separators. What is read is one value of UTF-8, without a byte order mark;
//! here the library's `loads` is laxer with `bytes`: it takes marks, UTF-16, UTF-32 and encoded surrogates, too.
//! [`encode`] and [`decode`] walk values, `scan` finds what in a text needs a second look, and texts and numbers have
//! a file for each direction.

mod decode;
mod derived;
mod encode;
mod keys;
mod read_number;
mod read_text;
mod scan;
mod tools;
mod unwritten;
mod write_number;
mod write_text;

use super::refusal;
pub(crate) use decode::decode;
#[cfg(feature = "mesh")]
pub(crate) use encode::encode_for_javascript;
pub(crate) use encode::{encode, encode_within};
pub(crate) use tools::register;
