//! The bridge: calls between processes of one machine, and over TCP between a few.

pub mod auth;
pub mod client;
pub mod frame;
pub mod hello;
pub mod lease;
pub(crate) mod output;
pub mod record;
pub mod registry;
pub mod schema;
pub mod server;
pub mod stream;
pub mod tls;
