//! Ironbridge's native engine: transports, registry, instance cache and call machinery.
//!
//! Arrows point down only: `python` (bindings) → `bridge` (one protocol) → `core` (what every
//! face shares). Everything below `python` builds and is tested with no Python at all.

#[cfg(feature = "app")]
pub mod app;
pub mod bridge;
pub mod core;
#[cfg(feature = "amqp")]
pub mod fabric;
#[cfg(feature = "zmq")]
pub mod hub;
#[cfg(feature = "mesh")]
pub mod mesh;

#[cfg(feature = "python")]
mod python;
