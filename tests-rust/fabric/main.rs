//! The fabric: what it reads and checks before it comes to a broker, and what it makes of one's answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod addresses;
mod backoffs;
mod dialling;
mod errors;
mod identities;
mod limits;
mod names;
mod versions;
