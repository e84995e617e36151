//! The mesh: a node among those of Moleculer. Its packets, topics, codecs and registry know no input and output: bytes
//! in, values out. Connections are in [`link`], and [`node`] brings all together.

pub mod address;
pub mod balance;
pub mod catalog;
pub mod link;
pub mod nats;
pub mod node;
pub mod packet;
pub mod pattern;
pub mod topic;
