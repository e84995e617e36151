//! The fabric: services that call, tell and find each other over an AMQP broker, as those of `amqp-fabric` do.
//!
//! A [`connector::Connector`] has one connection and one thread. On it run, each on channels of its own: the calls to
//! others ([`calls`]), the calls from others ([`serve`]), what is published ([`outbox`]), what is consumed
//! ([`consume`]) and who is there ([`presence`]). [`link`] makes the connection again whenever it ends.

pub mod acks;
pub mod address;
pub mod calls;
pub mod config;
pub mod connector;
pub mod consume;
mod context;
pub mod data;
pub mod dial;
pub mod error;
pub mod headers;
pub mod identity;
pub mod limits;
pub mod link;
pub mod logs;
pub mod names;
pub mod outbox;
pub mod presence;
pub mod publishing;
pub mod serve;
mod stream;
mod topology;
pub mod version;
pub mod wire;
