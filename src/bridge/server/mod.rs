//! The serving side. [`engine`] is what all its threads share, [`dispatch`] the way of a call through it. A
//! [`worker`] of the [`pool`] runs calls, the [`keeper`] does everything else without ever running user code, and
//! [`host`] is what the engine asks of the language above.

mod builtins;
pub mod call;
pub mod connection;
mod dispatch;
pub mod engine;
mod greeting;
pub mod host;
mod keeper;
mod on_loop;
pub mod pool;
pub mod seat;
mod service;
mod worker;

pub use service::{Opened, Service, ServiceOptions, TcpOptions};
