//! The codec of frames: bytes in, frames out, no I/O. The format is told in `docs/protocol.md`.
//!
//! ```text
//! frame  = prefix head buffers          all integers little-endian
//! prefix = head length u32 | kind u8 | flags u8 | envelope length u16
//! head   = envelope payload [table]     the table when flag BUFFERS is set:
//! table  = length u32 × count | count u16     bit 31 of a length: wanted as a mutable buffer
//! ```

mod reader;

use bytes::{Buf, BufMut, Bytes};

use crate::core::error::{Code, Error, Fate, Result};

pub use reader::{Allocate, Reader, Vectors};

/// What a connection begins with, before its first frame.
pub const MAGIC: [u8; 8] = *b"ironbrdg";
/// Bytes of a prefix.
pub const PREFIX: usize = 8;
/// Bytes of the fixed part of a request's or a reply's envelope.
pub const ENVELOPE: usize = 24;
/// The most out-of-band buffers of one frame.
pub const MAX_BUFFERS: usize = 1024;
const MUTABLE: u32 = 1 << 31;

/// A frame's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "docs/protocol.md tells each")]
pub enum Kind {
    Hello = 1,
    Challenge = 2,
    Proof = 3,
    Welcome = 4,
    Refuse = 5,
    Bind = 6,
    Request = 7,
    Reply = 8,
    Cancel = 9,
    Drain = 10,
}

impl Kind {
    fn from_wire(byte: u8) -> Option<Self> {
        use Kind::*;
        const ALL: [Kind; 10] =
            [Hello, Challenge, Proof, Welcome, Refuse, Bind, Request, Reply, Cancel, Drain];
        ALL.get(usize::from(byte).wrapping_sub(1)).copied()
    }
}

/// A frame's flags.
pub mod flag {
    /// Request: no reply is wanted.
    pub const ONE_WAY: u8 = 1;
    /// Request: running it twice does no harm.
    pub const IDEMPOTENT: u8 = 2;
    /// Reply: the caller may try again.
    pub const RETRY: u8 = 4;
    /// The head ends with a table of out-of-band buffers.
    pub const BUFFERS: u8 = 0x80;
}

/// Endpoints that every service has. Their numbers are above those of the service's own.
pub mod builtin {
    /// The service's schema document, as a string.
    pub const DESCRIBE: u16 = 0xFFFF;
    /// The service's statistics, as JSON in a string.
    pub const STATS: u16 = 0xFFFE;
    /// The canonical key of the bound instance: equal arguments have equal keys.
    pub const KEY: u16 = 0xFFFD;
    /// Drain and stop. Only on the owner's own lane.
    pub const STOP: u16 = 0xFFFC;
    /// The least of them.
    pub const FIRST: u16 = 0xFF00;
}

/// One frame, whole. `B` is what received buffers are held in.
#[derive(Debug)]
pub struct Frame<B> {
    /// What it is.
    pub kind: Kind,
    /// See [`flag`].
    pub flags: u8,
    head: Bytes,
    envelope: usize,
    /// Out-of-band buffers, filled.
    pub buffers: Vec<B>,
}

impl<B> Frame<B> {
    /// The envelope.
    #[must_use]
    pub fn envelope(&self) -> &[u8] {
        &self.head[..self.envelope]
    }

    /// The payload, opaque to the engine.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.head[self.envelope..]
    }

    /// The payload as a handle of its own.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.head.slice(self.envelope..)
    }

    /// The 4-byte envelope of a `Bind`.
    ///
    /// # Errors
    /// `Protocol` when it is short.
    pub fn instance_id(&self) -> Result<u32> {
        let mut envelope = self.envelope();
        envelope.try_get_u32_le().map_err(|_| Error::protocol("a bind frame without its instance id"))
    }

    /// The 8-byte envelope of a `Cancel`.
    ///
    /// # Errors
    /// `Protocol` when it is short.
    pub fn call_id(&self) -> Result<u64> {
        let mut envelope = self.envelope();
        envelope.try_get_u64_le().map_err(|_| Error::protocol("a frame without its call id"))
    }
}

/// One frame where it was read to, until the next is asked for.
#[derive(Debug)]
pub struct Message<'a, B> {
    /// What it is.
    pub kind: Kind,
    /// See [`flag`].
    pub flags: u8,
    /// The envelope.
    pub envelope: &'a [u8],
    /// The payload, opaque to the engine.
    pub payload: &'a [u8],
    /// Out-of-band buffers, filled.
    pub buffers: Vec<B>,
}

/// The envelope of a request. Optional fields after its fixed part are skipped by who does not know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestEnvelope {
    /// Chosen by the caller, unique among its calls in flight on the connection.
    pub call: u64,
    /// Remaining time in µs; 0 names none.
    pub remaining: u64,
    /// What the caller bound its constructor's arguments to; 0 for none.
    pub instance: u32,
    /// The endpoint's number in the schema.
    pub endpoint: u16,
}

impl RequestEnvelope {
    /// Reads one.
    ///
    /// # Errors
    /// `Protocol` when it is short.
    pub fn read(mut bytes: &[u8]) -> Result<Self> {
        if bytes.len() < ENVELOPE {
            return Err(Error::protocol(format!("a request's envelope of {} bytes", bytes.len())));
        }
        Ok(Self {
            call: bytes.get_u64_le(),
            remaining: bytes.get_u64_le(),
            instance: bytes.get_u32_le(),
            endpoint: bytes.get_u16_le(),
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.call);
        out.put_u64_le(self.remaining);
        out.put_u32_le(self.instance);
        out.put_u16_le(self.endpoint);
        out.put_u16_le(0);
    }
}

/// The envelope of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyEnvelope {
    /// The call that it answers.
    pub call: u64,
    /// How it went.
    pub code: Code,
    /// What became of the call.
    pub fate: Fate,
    /// Time spent in the service, in µs.
    pub server_micros: u32,
    /// Calls that waited in the service when this one ended.
    pub queue_depth: u32,
}

impl ReplyEnvelope {
    /// Reads one.
    ///
    /// # Errors
    /// `Protocol` when it is short.
    pub fn read(mut bytes: &[u8]) -> Result<Self> {
        if bytes.len() < ENVELOPE {
            return Err(Error::protocol(format!("a reply's envelope of {} bytes", bytes.len())));
        }
        let (call, code, fate) = (bytes.get_u64_le(), bytes.get_u16_le(), bytes.get_u8());
        bytes.advance(1);
        Ok(Self {
            call,
            code: Code::from_wire(code),
            fate: Fate::from_wire(fate),
            server_micros: bytes.get_u32_le(),
            queue_depth: bytes.get_u32_le(),
        })
    }

    fn write(&self, mut out: impl BufMut) {
        out.put_u64_le(self.call);
        out.put_u16_le(self.code as u16);
        out.put_u8(self.fate as u8);
        out.put_u8(0);
        out.put_u32_le(self.server_micros);
        out.put_u32_le(self.queue_depth);
        out.put_u32_le(0);
    }
}

/// A frame being written: [`begin`] it, append its payload to the same vector, [`finish`](Open::finish) it.
#[derive(Debug)]
#[must_use = "an open frame has no length yet"]
pub struct Open {
    start: usize,
}

/// Begins a frame of this kind with this envelope.
pub fn begin(out: &mut Vec<u8>, kind: Kind, flags: u8, envelope: &[u8]) -> Open {
    let open = begin_prefix(out, kind, flags, envelope.len());
    out.extend_from_slice(envelope);
    open
}

/// Begins a request.
pub fn begin_request(out: &mut Vec<u8>, flags: u8, envelope: &RequestEnvelope) -> Open {
    let open = begin_prefix(out, Kind::Request, flags, ENVELOPE);
    envelope.write(out);
    open
}

/// Writes the beginning of a reply in place: `start` is where its prefix and envelope have their room.
pub fn begin_reply(start: &mut [u8; PREFIX + ENVELOPE], envelope: &ReplyEnvelope) -> Open {
    let retry = matches!(envelope.fate, Fate::Rejected | Fate::NotSent);
    start[..4].fill(0);
    start[4] = Kind::Reply as u8;
    start[5] = if retry { flag::RETRY } else { 0 };
    start[6..PREFIX].copy_from_slice(&(ENVELOPE as u16).to_le_bytes());
    envelope.write(&mut start[PREFIX..]);
    Open { start: 0 }
}

fn begin_prefix(out: &mut Vec<u8>, kind: Kind, flags: u8, envelope: usize) -> Open {
    let start = out.len();
    out.put_u32_le(0);
    out.put_u8(kind as u8);
    out.put_u8(flags);
    #[expect(clippy::cast_possible_truncation, reason = "envelopes are at most 24 bytes here")]
    out.put_u16_le(envelope as u16);
    Open { start }
}

impl Open {
    /// Ends the frame: appends the table of buffers (length, wanted mutable) and fills in the length.
    ///
    /// # Errors
    /// `Payload` when the frame is over `max_frame` or has too many buffers; what was written is taken back.
    pub fn finish(
        self,
        out: &mut Vec<u8>,
        buffers: impl ExactSizeIterator<Item = (usize, bool)>,
        max_frame: usize,
    ) -> Result<()> {
        let count = buffers.len();
        let mut total = out.len() - self.start - PREFIX;
        if count > MAX_BUFFERS {
            out.truncate(self.start);
            return Err(Error::new(
                Code::Payload,
                format!("{count} large buffers in one call: at most {MAX_BUFFERS} can cross at once"),
            ));
        }
        if count > 0 {
            for (length, mutable) in buffers {
                total = total.saturating_add(length);
                let length = u32::try_from(length).unwrap_or(u32::MAX) & !MUTABLE;
                out.put_u32_le(if mutable { length | MUTABLE } else { length });
            }
            #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
            out.put_u16_le(count as u16);
            out[self.start + 5] |= flag::BUFFERS;
        }
        let head = out.len() - self.start - PREFIX;
        if total.max(head) > max_frame {
            out.truncate(self.start);
            return Err(Error::new(
                Code::Payload,
                format!(
                    "a message of {total} bytes is over the limit of {max_frame} bytes; \
                     send it in parts, or raise IRONBRIDGE_MAX_FRAME on both sides"
                ),
            ));
        }
        #[expect(clippy::cast_possible_truncation, reason = "max_frame is below 2^31")]
        out[self.start..self.start + 4].copy_from_slice(&(head as u32).to_le_bytes());
        Ok(())
    }

    /// Ends a frame that has no buffers and is small by construction.
    pub fn finish_small(self, out: &mut [u8]) {
        let head = u32::try_from(out.len() - self.start - PREFIX).unwrap_or(u32::MAX);
        out[self.start..self.start + 4].copy_from_slice(&head.to_le_bytes());
    }
}

fn over_limit(length: usize, limit: usize) -> Error {
    Error::new(Code::Payload, format!("a message of {length} bytes is over the limit of {limit} bytes"))
}

/// A buffer that leaves out of band.
pub trait Outbound: AsRef<[u8]> + Send {
    /// Whether its receiver will want to write to it.
    fn mutable(&self) -> bool;
}

impl Outbound for Vec<u8> {
    fn mutable(&self) -> bool {
        false
    }
}
