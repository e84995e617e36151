//! The hub: its wire, its doors, what it forwards, and who runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bounds;
mod crate_peers;
mod doors;
mod election;
mod endpoints;
mod forwarding;
mod frames;
mod handshakes;
mod place;
mod presence;
mod strangers;
mod wire;
