//! The serving side. [`engine`] is what all its threads share; a [`worker`] runs calls, the [`keeper`] does
//! everything else without ever running user code, and [`host`] is what the engine asks of the language above.

pub mod call;
pub mod connection;
pub mod engine;
mod greeting;
pub mod host;
mod keeper;
pub mod pool;
pub mod seat;
mod service;
mod worker;

pub use service::{Opened, Service, ServiceOptions, TcpOptions};
