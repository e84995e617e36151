//! A service at a hub, without a hub: its messages, what they mean, what waits to be sent, who is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod calls;
mod envelopes;
mod fake_hub;
mod joining;
mod messages;
mod outbox;
mod views;
