//! A Moleculer node without a network: its packets, topics, transporters' codecs and registry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod addresses;
mod balances;
mod catalogs;
mod choices;
mod nats;
mod nodes;
mod packets;
mod packets_of_any_kind;
mod patterns;
mod redis;
mod topics;
mod transcoding;
