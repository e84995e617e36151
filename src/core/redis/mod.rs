//! Redis, as far as messages need it: where one is, its protocol, and a connection to it.

mod address;
#[cfg_attr(not(all(feature = "app", feature = "mesh")), allow(dead_code, reason = "each face uses its part"))]
mod connection;
pub mod resp;

pub use address::Redis;
#[cfg(feature = "mesh")]
pub(crate) use connection::Answer;
pub(crate) use connection::{Connection, Opening};
