//! The fabric: what it reads and checks before it comes to a broker, and what it makes of one's answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod acks;
mod addresses;
mod backoffs;
mod config;
mod data;
mod dialling;
mod errors;
mod filters;
mod identities;
mod limits;
mod logs;
mod names;
mod rosters;
mod versions;
mod wire;
