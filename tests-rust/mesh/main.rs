//! A Moleculer node without a network: its packets, topics, transporters' codecs and registry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod packets;
mod packets_of_any_kind;
mod patterns;
mod topics;
mod transcoding;
