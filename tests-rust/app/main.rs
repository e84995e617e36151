//! The app's part of the engine, without a network beyond this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod relay;
mod server;
