//! The calling side. A blocking caller does its own I/O on its own thread ([`blocking`], over [`channel`]s);
//! an asyncio caller shares one connection that its loop watches ([`multiplex`]).

pub mod blocking;
pub mod channel;
pub mod control;
pub mod dial;
mod find;
pub mod home;
pub mod multiplex;
pub mod probe;
pub mod target;

pub use crate::core::deadline::Interrupt;

/// The longest time between two looks at [`Interrupt`].
pub const PATIENCE: std::time::Duration = crate::bridge::stream::RECEIVE_TIMEOUT;
