//! What every face shares.

pub mod backoff;
pub mod clock;
pub mod deadline;
pub mod done;
pub mod error;
pub mod instances;
pub mod json;
pub mod limits;
#[cfg(feature = "net")]
pub mod net;
pub mod observe;
pub mod pending;
pub mod platform;
pub mod polling;
#[cfg(feature = "net")]
pub mod redis;
pub mod secret;
#[cfg(any(feature = "amqp", feature = "zmq"))]
pub(crate) mod settings;
pub mod tls;
