//! The hub: services around ZeroMQ. A hub forwards what its members push to it to those who subscribed to it.

mod dial;
pub mod election;
pub mod endpoint;
pub mod limits;
pub mod member;
pub mod message;
mod place;
pub mod server;
pub mod socket;
pub mod zmtp;
