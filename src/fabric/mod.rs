//! The fabric face: services that meet at an AMQP broker.

pub mod address;
pub mod dial;
pub mod error;
pub mod identity;
pub mod limits;
pub mod names;
pub mod version;
