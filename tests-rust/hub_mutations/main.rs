//! ZMTP that is almost right, by the thousand: against the handshake, the decoder of frames, and a hub that runs.
//! `MUTATIONS=1000000` sets how many; `make soak` does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod live;
mod mutate;
mod reading;
#[path = "../mutations/trials.rs"]
mod trials;
