//! Service and client of the bridge in one process, without Python.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bounds;
mod calls;
mod drain;
mod host;
mod instances;
mod multiplexed;
mod network;
mod peers;
mod place;
mod raw;
mod restarts;
