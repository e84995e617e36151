//! Python values ⇄ AMQP's field tables, which headers are.
//!
//! A value has the type on the wire that the originals' library gives it: a headers exchange compares types, too.

mod read;
mod write;

pub(crate) use read::read;
pub(crate) use write::{Floats, write};
