//! Leases: exclusive names, found by every process of the user, free when their daemon is gone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "leases/claims.rs"]
mod claims;
#[path = "leases/directories.rs"]
mod directories;
#[path = "leases/forks.rs"]
mod forks;
#[path = "leases/processes.rs"]
mod processes;
#[path = "leases/records.rs"]
mod records;
#[path = "leases/renewal.rs"]
mod renewal;
#[path = "leases/support.rs"]
mod support;
#[path = "leases/system.rs"]
mod system;
