//! From bytes to frames: what came is held until a frame is whole.

use std::ops::Range;

use bytes::{Buf, Bytes};

use crate::core::error::{Error, Result};

use super::{Frame, Kind, MAGIC, MAX_BUFFERS, MUTABLE, Message, PREFIX, flag, over_limit};

/// Where received buffers come from: Python's own objects in the bindings, vectors in tests.
pub trait Allocate {
    /// Holds a buffer while it is filled.
    type Buffer: AsMut<[u8]>;

    /// A buffer of this length; `mutable` when its receiver will want to write to it.
    ///
    /// # Errors
    /// Whatever keeps it from being had; the connection ends.
    fn allocate(&self, length: usize, mutable: bool) -> Result<Self::Buffer>;
}

/// An allocator of plain vectors.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vectors;

impl Allocate for Vectors {
    type Buffer = Vec<u8>;

    fn allocate(&self, length: usize, _mutable: bool) -> Result<Vec<u8>> {
        Ok(vec![0; length])
    }
}

/// Turns bytes into frames. Ask where the next bytes should go ([`Reader::space`]), say how many came
/// ([`Reader::filled`]), then take the frames ([`Reader::next_frame`]).
#[derive(Debug)]
pub struct Reader<B> {
    /// Small frames are cut from here; all of it is initialised, `start..end` is held.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// What is larger than that is read straight to where it stays.
    large: Option<Large<B>>,
    /// The frame that was handed out last, if it is not in `bytes`.
    lent: Option<Frame<B>>,
    max_frame: usize,
    chunk: usize,
}

#[derive(Debug)]
enum Large<B> {
    Head { prefix: [u8; PREFIX], head: Vec<u8>, filled: usize },
    Buffers { frame: Frame<B>, lengths: Vec<u32>, filling: Option<B>, filled: usize },
}

impl<B: AsMut<[u8]>> Reader<B> {
    /// A reader of frames up to `max_frame` bytes, that reads at most `chunk` bytes of small frames at a time.
    #[must_use]
    pub fn new(max_frame: usize, chunk: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            end: 0,
            large: None,
            lent: None,
            max_frame,
            chunk: chunk.max(256),
        }
    }

    /// Changes the bound, once the peer is known.
    pub fn set_max_frame(&mut self, max_frame: usize) {
        self.max_frame = max_frame;
    }

    /// Whether no part of a frame is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end && self.large.is_none()
    }

    /// Whether no large frame is being read.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.large.is_none()
    }

    /// Gives memory back while nothing is held.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
            (self.start, self.end) = (0, 0);
        }
    }

    fn held(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Where the next bytes should be read to; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        match &mut self.large {
            Some(Large::Head { head, filled, .. }) => &mut head[*filled..],
            Some(Large::Buffers { filling: Some(buffer), filled, .. }) => &mut buffer.as_mut()[*filled..],
            _ => {
                if self.bytes.is_empty() {
                    self.bytes = vec![0; self.chunk];
                }
                if self.start > 0 {
                    self.bytes.copy_within(self.start..self.end, 0);
                    (self.start, self.end) = (0, self.end - self.start);
                }
                &mut self.bytes[self.end..]
            }
        }
    }

    /// Says that `count` bytes were read to [`Reader::space`].
    pub fn filled(&mut self, count: usize) {
        match &mut self.large {
            Some(Large::Head { filled, .. } | Large::Buffers { filling: Some(_), filled, .. }) => {
                *filled += count;
            }
            _ => self.end += count,
        }
    }

    /// Takes the magic off the front of a connection; `false` while it is not all here.
    ///
    /// # Errors
    /// `Protocol` as soon as the bytes cannot be it.
    pub fn take_magic(&mut self) -> Result<bool> {
        let held = self.held().len().min(MAGIC.len());
        if self.held()[..held] != MAGIC[..held] {
            return Err(Error::protocol("what connected does not speak the bridge's protocol"));
        }
        if held == MAGIC.len() {
            self.start += held;
        }
        Ok(held == MAGIC.len())
    }

    /// The next whole frame, if it is here.
    ///
    /// # Errors
    /// `Protocol` or `Payload` for bytes that are no frame within the bounds: the connection cannot go on.
    pub fn next_frame<A: Allocate<Buffer = B>>(&mut self, allocator: &A) -> Result<Option<Frame<B>>> {
        if matches!(self.large, Some(Large::Buffers { .. })) {
            return self.fill_buffers(allocator);
        }
        let Some((prefix, head)) = self.next_head()? else { return Ok(None) };
        let (frame, lengths) = self.open_head(prefix, head)?;
        if lengths.is_empty() {
            return Ok(Some(frame));
        }
        self.large = Some(Large::Buffers { frame, lengths, filling: None, filled: 0 });
        self.fill_buffers(allocator)
    }

    /// The next whole frame, if it is here, without a copy of its own.
    ///
    /// # Errors
    /// As [`Reader::next_frame`].
    pub fn next_message<A: Allocate<Buffer = B>>(&mut self, allocator: &A) -> Result<Option<Message<'_, B>>> {
        self.lent = None;
        if self.large.is_none()
            && let Some(prefix) = self.held().first_chunk::<PREFIX>().copied()
            && prefix[5] & flag::BUFFERS == 0
        {
            let length = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
            let body = self.start + PREFIX;
            if length <= self.max_frame && self.end - body >= length {
                self.start = body + length;
                let (kind, envelope) = open_prefix(prefix, length)?;
                let (envelope, payload) = self.bytes[body..body + length].split_at(envelope);
                return Ok(Some(Message { kind, flags: prefix[5], envelope, payload, buffers: Vec::new() }));
            }
        }
        let Some(frame) = self.next_frame(allocator)? else { return Ok(None) };
        let frame = self.lent.insert(frame);
        let buffers = std::mem::take(&mut frame.buffers);
        let (kind, flags) = (frame.kind, frame.flags);
        Ok(Some(Message { kind, flags, envelope: frame.envelope(), payload: frame.payload(), buffers }))
    }

    fn next_head(&mut self) -> Result<Option<([u8; PREFIX], Bytes)>> {
        if let Some(Large::Head { head, filled, .. }) = &self.large {
            if *filled < head.len() {
                return Ok(None);
            }
            let Some(Large::Head { prefix, head, .. }) = self.large.take() else { return Ok(None) };
            return Ok(Some((prefix, Bytes::from(head))));
        }
        let Some(prefix) = self.held().first_chunk::<PREFIX>().copied() else { return Ok(None) };
        let length = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
        if length > self.max_frame {
            return Err(over_limit(length, self.max_frame));
        }
        let body = self.start + PREFIX;
        if self.end - body >= length {
            let head = Bytes::copy_from_slice(&self.bytes[body..body + length]);
            self.start = body + length;
            return Ok(Some((prefix, head)));
        }
        if PREFIX + length > self.bytes.len() {
            // Zeroed memory of this size is not touched, so not resident, until bytes really come.
            let mut head = vec![0; length];
            let filled = self.end - body;
            head[..filled].copy_from_slice(&self.bytes[body..self.end]);
            (self.start, self.end) = (0, 0);
            self.large = Some(Large::Head { prefix, head, filled });
        }
        Ok(None)
    }

    fn open_head(&self, prefix: [u8; PREFIX], mut head: Bytes) -> Result<(Frame<B>, Vec<u32>)> {
        let flags = prefix[5];
        let mut lengths = Vec::new();
        if flags & flag::BUFFERS != 0 {
            let table = table_range(&head)?;
            let mut entries = &head[table.start..table.end - 2];
            while let Ok(length) = entries.try_get_u32_le() {
                lengths.push(length);
            }
            head.truncate(table.start);
            let total = lengths
                .iter()
                .fold(head.len(), |total, length| total.saturating_add((length & !MUTABLE) as usize));
            if total > self.max_frame {
                return Err(over_limit(total, self.max_frame));
            }
        }
        let (kind, envelope) = open_prefix(prefix, head.len())?;
        Ok((Frame { kind, flags, head, envelope, buffers: Vec::new() }, lengths))
    }

    fn fill_buffers<A: Allocate<Buffer = B>>(&mut self, allocator: &A) -> Result<Option<Frame<B>>> {
        let Some(Large::Buffers { frame, lengths, filling, filled }) = &mut self.large else {
            return Ok(None);
        };
        loop {
            if let Some(mut buffer) = filling.take() {
                let room = buffer.as_mut();
                let count = (self.end - self.start).min(room.len() - *filled);
                room[*filled..*filled + count].copy_from_slice(&self.bytes[self.start..self.start + count]);
                self.start += count;
                *filled += count;
                if *filled < room.len() {
                    *filling = Some(buffer);
                    return Ok(None);
                }
                frame.buffers.push(buffer);
            }
            let Some(&length) = lengths.get(frame.buffers.len()) else { break };
            *filling = Some(allocator.allocate((length & !MUTABLE) as usize, length & MUTABLE != 0)?);
            *filled = 0;
        }
        match self.large.take() {
            Some(Large::Buffers { frame, .. }) => Ok(Some(frame)),
            _ => Ok(None),
        }
    }
}

/// The kind that a prefix names, and the length of the envelope, which must fit into its frame.
#[inline]
fn open_prefix(prefix: [u8; PREFIX], length: usize) -> Result<(Kind, usize)> {
    let envelope = usize::from(u16::from_le_bytes([prefix[6], prefix[7]]));
    let Some(kind) = Kind::from_wire(prefix[4]) else {
        return Err(Error::protocol(format!("a frame of unknown kind {}", prefix[4])));
    };
    if envelope > length {
        return Err(Error::protocol(format!("an envelope of {envelope} bytes in {length}")));
    }
    Ok((kind, envelope))
}

/// Where the table of buffers stands in a head that ends with one.
fn table_range(head: &[u8]) -> Result<Range<usize>> {
    let bad = || Error::protocol("a frame whose table of buffers does not fit it");
    let count_at = head.len().checked_sub(2).ok_or_else(bad)?;
    let count = usize::from(u16::from_le_bytes([head[count_at], head[count_at + 1]]));
    if count == 0 || count > MAX_BUFFERS {
        return Err(bad());
    }
    let start = count_at.checked_sub(count * 4).ok_or_else(bad)?;
    Ok(start..head.len())
}
