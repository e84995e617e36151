//! Every bound of the engine, with its default and its name in the environment.
//!
//! Precedence: what code sets, then `IRONBRIDGE_<NAME>` in the environment, then the default.

use std::time::Duration;

use super::error::{Code, Error, Result};

/// The bounds. Times are in seconds in the environment, sizes in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The largest frame accepted or sent, out-of-band buffers included (`MAX_FRAME`, 64 MiB).
    pub max_frame: usize,
    /// The deepest nesting of a value (`MAX_DEPTH`, 64).
    pub max_depth: usize,
    /// The largest number of items in one value, all levels together (`MAX_ITEMS`, 10,000,000).
    pub max_items: usize,
    /// Connections of one daemon (`MAX_CONNECTIONS`, 10,000).
    pub max_connections: usize,
    /// Calls that wait for a worker in one daemon (`MAX_QUEUE`, 4,096).
    pub max_queue: usize,
    /// Calls in flight on one multiplexed connection (`MAX_IN_FLIGHT`, 10,000).
    pub max_in_flight: usize,
    /// Calls of one daemon that wait for calls that they have made; each keeps a thread (`MAX_NESTED`, 256).
    pub max_nested: usize,
    /// Different constructor arguments bound on one connection (`MAX_BINDINGS`, 1,024).
    pub max_bindings: usize,
    /// Time for a peer to say hello, and to answer ours (`HANDSHAKE_TIMEOUT`, 5 s).
    pub handshake_timeout: Duration,
    /// A peer that leaves a frame half sent, or a reply unread, is dropped after this (`STALL_TIMEOUT`, 30 s).
    pub stall_timeout: Duration,
    /// The deadline of a call that names none (`CALL_TIMEOUT`, 300 s).
    pub call_timeout: Duration,
    /// Time for running calls to finish at shutdown (`GRACE`, 10 s).
    pub grace: Duration,
    /// How long to poll for the other side before sleeping (`POLL_BUDGET`, 50 µs; 0 never polls).
    pub poll_budget: Duration,
    /// Buffers at least this large travel out of band (`OUT_OF_BAND`, 64 KiB).
    pub out_of_band: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: 64 << 20,
            max_depth: 64,
            max_items: 10_000_000,
            max_connections: 10_000,
            max_queue: 4_096,
            max_in_flight: 10_000,
            max_nested: 256,
            max_bindings: 1_024,
            handshake_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(300),
            grace: Duration::from_secs(10),
            poll_budget: Duration::from_micros(50),
            out_of_band: 64 << 10,
        }
    }
}

impl Limits {
    /// The defaults, changed by what the environment says.
    ///
    /// # Errors
    /// `Configuration` when a variable is not a number in range; the message names it.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// The same with the environment injected.
    ///
    /// # Errors
    /// As [`Limits::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut limits = Self::default();
        let number = |name: &str| -> Result<Option<f64>> {
            let variable = format!("IRONBRIDGE_{name}");
            let Some(text) = lookup(&variable) else { return Ok(None) };
            match text.trim().parse::<f64>() {
                Ok(value) if value.is_finite() && (0.0..=1e15).contains(&value) => Ok(Some(value)),
                _ => Err(Error::new(
                    Code::Configuration,
                    format!("{variable}={text:?} is not a number of zero or more"),
                )),
            }
        };
        let size = |name: &str, least: usize, target: &mut usize| -> Result<()> {
            if let Some(value) = number(name)? {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
                let value = value as usize;
                if value < least {
                    return Err(Error::new(
                        Code::Configuration,
                        format!("IRONBRIDGE_{name}={value} is below its least value {least}"),
                    ));
                }
                *target = value;
            }
            Ok(())
        };
        let time = |name: &str, target: &mut Duration| -> Result<()> {
            if let Some(value) = number(name)? {
                *target = Duration::from_secs_f64(value.min(1e9));
            }
            Ok(())
        };
        size("MAX_FRAME", 4 << 10, &mut limits.max_frame)?;
        limits.max_frame = limits.max_frame.min(MAX_FRAME_CEILING);
        size("MAX_DEPTH", 1, &mut limits.max_depth)?;
        limits.max_depth = limits.max_depth.min(MAX_DEPTH_CEILING);
        size("MAX_ITEMS", 1, &mut limits.max_items)?;
        size("MAX_CONNECTIONS", 1, &mut limits.max_connections)?;
        size("MAX_QUEUE", 1, &mut limits.max_queue)?;
        size("MAX_IN_FLIGHT", 1, &mut limits.max_in_flight)?;
        size("MAX_NESTED", 1, &mut limits.max_nested)?;
        size("MAX_BINDINGS", 1, &mut limits.max_bindings)?;
        size("OUT_OF_BAND", 1 << 10, &mut limits.out_of_band)?;
        time("HANDSHAKE_TIMEOUT", &mut limits.handshake_timeout)?;
        time("STALL_TIMEOUT", &mut limits.stall_timeout)?;
        time("CALL_TIMEOUT", &mut limits.call_timeout)?;
        time("GRACE", &mut limits.grace)?;
        time("POLL_BUDGET", &mut limits.poll_budget)?;
        Ok(limits)
    }
}

/// A frame's length field leaves one bit of a buffer's length for its kind (see `bridge::frame`).
pub const MAX_FRAME_CEILING: usize = (1 << 31) - 1;
/// Values are encoded and decoded by recursion: this depth fits any thread's stack.
pub const MAX_DEPTH_CEILING: usize = 512;
