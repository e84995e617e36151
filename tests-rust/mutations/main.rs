//! Frames that are almost right, by the thousand: against the reader, the handshake, and a service that runs.
//! `MUTATIONS=1000000` sets how many; `make soak` does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod captures;
#[path = "../bridge/host.rs"]
#[allow(dead_code, reason = "shared with the bridge's own tests")]
mod host;
mod live;
mod mutate;
#[path = "../bridge/place.rs"]
#[allow(dead_code, reason = "shared with the bridge's own tests")]
mod place;
#[path = "../bridge/raw.rs"]
#[allow(dead_code, reason = "shared with the bridge's own tests")]
mod raw;
mod reading;
mod trials;
