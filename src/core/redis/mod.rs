//! Redis, as far as messages need it: where one is, its protocol, and a connection to it.

mod address;
mod connection;
pub mod resp;

pub use address::Redis;
pub(crate) use connection::{Answer, Connection, Opening};
