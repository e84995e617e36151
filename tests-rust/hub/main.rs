//! The hub: its wire, its doors, what it forwards, and who runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod crate_peers;
mod endpoints;
mod frames;
mod handshakes;
mod wire;
