//! The mesh: a node among those of Moleculer. Its packets, topics, transporters and registry, without any input or
//! output of their own: bytes in, values out.

pub mod address;
mod arrived;
pub mod balance;
pub mod catalog;
pub mod nats;
pub mod packet;
pub mod pattern;
pub mod resp;
pub mod topic;
