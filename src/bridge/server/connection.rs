//! One caller's connection, as the service sees it: who reads it, what waits to be sent, what it has bound.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::bridge::frame::{Allocate, Frame, Reader};
use crate::bridge::hello::{Lane, Mode};
use crate::bridge::output::Output;
use crate::bridge::stream::Stream;
use crate::core::error::Result;
use crate::core::instances::Slot;
use crate::core::platform::socket::{Interest, wait};
use crate::core::polling::Gate;

pub(super) use crate::bridge::output::Sent;

use super::call::Call;
use super::host::{Answer, Host};

/// The constructor's arguments that a caller bound, and the instance they stand for.
pub struct Binding<H: Host> {
    /// Encoded, as they came.
    pub arguments: Bytes,
    /// Found at the first call: the canonical key takes the host to know.
    pub(super) slot: OnceLock<Slot<H::Instance, Call<H>>>,
}

impl<H: Host> std::fmt::Debug for Binding<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Binding").field("arguments", &self.arguments.len()).finish_non_exhaustive()
    }
}

/// A connection.
pub struct Connection<H: Host> {
    /// Its number, never used again in this process.
    pub token: u64,
    /// How it is used.
    pub mode: Mode,
    /// Who reads it.
    pub lane: Lane,
    /// Where the caller is, for people.
    pub peer: String,
    /// Whether the caller is the same user on this machine.
    pub local: bool,
    /// The largest frame that the caller accepts.
    pub max_frame: usize,
    /// When its caller met this service, as `core::instances` counts.
    pub(super) met: u64,
    stream: Mutex<Stream>,
    input: Mutex<Input<H>>,
    turn: Turn,
    output: Mutex<Output<H::Out>>,
    bindings: Mutex<HashMap<u32, Arc<Binding<H>>, BuildHasherDefault<Spread>>>,
    gone: AtomicBool,
    calls: AtomicUsize,
}

struct Input<H: Host> {
    reader: Reader<<H as Allocate>::Buffer>,
    gate: Gate,
    /// Since when a frame is half here.
    partial: Option<Instant>,
}

/// What came of reading.
#[derive(Debug)]
pub(super) enum Arrival<B> {
    /// A whole frame.
    Frame(Frame<B>),
    /// Nothing (more) yet.
    Nothing,
    /// The caller has gone.
    Closed,
}

impl<H: Host> Connection<H> {
    pub(super) fn new(
        token: u64,
        stream: Stream,
        reader: Reader<H::Buffer>,
        (mode, lane): (Mode, Lane),
        max_frame: usize,
        met: u64,
    ) -> Self {
        let (peer, local) = (stream.peer(), matches!(stream, Stream::Unix(_)));
        Self {
            token,
            mode,
            lane,
            peer,
            local,
            max_frame,
            met,
            stream: Mutex::new(stream),
            input: Mutex::new(Input { reader, gate: Gate::default(), partial: None }),
            turn: Turn::default(),
            output: Mutex::default(),
            bindings: Mutex::default(),
            gone: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
        }
    }

    /// Runs something with its descriptor.
    pub fn with_stream<R>(&self, body: impl FnOnce(&Stream) -> R) -> R {
        body(&self.stream.lock())
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Ends it; `true` the first time.
    pub(super) fn end(&self) -> bool {
        let first = !self.gone.swap(true, Ordering::AcqRel);
        if first {
            self.stream.lock().close();
            self.output.lock().clear();
            self.bindings.lock().clear();
        }
        first
    }

    /// A call has come; returns how many were here already.
    pub(super) fn begin_call(&self) -> usize {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// A call has been answered.
    pub(super) fn end_call(&self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn turn(&self) -> &Turn {
        &self.turn
    }

    pub(super) fn bind(&self, id: u32, arguments: Bytes, most: usize) -> bool {
        let mut bindings = self.bindings.lock();
        if bindings.len() >= most && !bindings.contains_key(&id) {
            return false;
        }
        bindings.insert(id, Arc::new(Binding { arguments, slot: OnceLock::new() }));
        true
    }

    pub(super) fn binding(&self, id: u32) -> Option<Arc<Binding<H>>> {
        self.bindings.lock().get(&id).cloned()
    }

    /// The next frame that is whole already, or can be read without waiting.
    pub(super) fn read(&self, host: &H) -> Result<Arrival<H::Buffer>> {
        let mut input = self.input.lock();
        loop {
            if let Some(frame) = input.reader.next_frame(host)? {
                return Ok(Arrival::Frame(frame));
            }
            let read = self.stream.lock().read(input.reader.space());
            match read {
                Ok(0) => return Ok(Arrival::Closed),
                Ok(count) => input.reader.filled(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The rest of a large frame is on its way: worth a short wait, not a trip around.
                    if !input.reader.is_empty() && self.await_rest() {
                        continue;
                    }
                    let whole = input.reader.is_empty();
                    input.partial = if whole { None } else { input.partial.or_else(|| Some(Instant::now())) };
                    return Ok(Arrival::Nothing);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(Arrival::Closed),
            }
        }
    }

    /// Looks for something to read, for a moment, by the rule of `core::polling`.
    pub(super) fn poll(&self, budget: Duration) -> bool {
        let mut input = self.input.lock();
        let Input { reader, gate, .. } = &mut *input;
        let polled = gate.poll(budget, || self.stream.lock().read(reader.space()));
        match polled {
            Ok(Some(count)) if count > 0 => {
                reader.filled(count);
                true
            }
            // The end, or an error: the next read says which.
            Ok(Some(_)) | Err(_) => true,
            Ok(None) => false,
        }
    }

    /// Whether looking for more has been worthwhile lately: then its caller runs on another core.
    pub(super) fn is_abreast(&self, now: Instant) -> bool {
        self.input.try_lock().is_some_and(|input| input.gate.is_open(now))
    }

    fn await_rest(&self) -> bool {
        let stream = self.stream.lock();
        wait(stream.fd(), Interest::Readable, A_MOMENT).unwrap_or(false)
    }

    /// Gives memory back while the caller is quiet.
    pub(super) fn rest(&self) {
        if let Some(mut input) = self.input.try_lock() {
            input.reader.shrink();
        }
    }

    /// Whether the caller has kept us waiting longer than `patience`: a frame half sent, or replies unread.
    pub(super) fn is_stalled(&self, patience: Duration) -> bool {
        let late = |since: Option<Instant>| since.is_some_and(|since| since.elapsed() > patience);
        let partial = self.input.try_lock().and_then(|input| input.partial);
        late(partial) || late(self.output.lock().blocked())
    }

    /// Sends a sealed answer, with what waits before it.
    pub(super) fn send(&self, answer: &mut Answer<H::Out>) -> Sent {
        let mut output = self.output.lock();
        if answer.buffers.is_empty() {
            return output.send(&mut self.stream.lock(), answer.sealed(), A_MOMENT);
        }
        let (head, buffers) = answer.take_sealed();
        output.push(head, buffers);
        output.flush(&mut self.stream.lock(), A_MOMENT)
    }

    /// Queues a sealed answer; [`Connection::flush`] sends it. Returns the bytes that wait.
    pub(super) fn queue(&self, answer: &mut Answer<H::Out>) -> usize {
        let mut output = self.output.lock();
        let (head, buffers) = answer.take_sealed();
        output.push(head, buffers);
        output.queued()
    }

    /// Queues bytes of the engine's own.
    pub(super) fn queue_bytes(&self, bytes: &[u8]) {
        self.output.lock().push(bytes, std::iter::empty());
    }

    /// Sends what waits, waiting for room at most for `patience`.
    pub(super) fn flush(&self, patience: Duration) -> Sent {
        self.output.lock().flush(&mut self.stream.lock(), patience)
    }

    /// Bytes that wait for the caller to read.
    pub(super) fn queued(&self) -> usize {
        self.output.lock().queued()
    }
}

/// Hashes the numbers of bindings, of which a caller can have only so many: whoever chose them to collide would only
/// slow their own calls.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// A wait this short is cheaper than giving the connection to somebody else.
pub(super) const A_MOMENT: Duration = Duration::from_millis(2);
/// Whose turn it is to read a connection. The descriptor is watched edge-triggered and never re-armed, so an
/// event that comes while somebody reads must not be lost: it makes the reader look once more.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicU8);

const FREE: u8 = 0;
const TAKEN: u8 = 1;
const CALLED: u8 = 2;

impl Turn {
    /// Takes the turn; when somebody has it, calls them to look again.
    pub(super) fn take(&self) -> bool {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let next = if seen == FREE { TAKEN } else { CALLED };
            match self.0.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return seen == FREE,
                Err(now) => seen = now,
            }
        }
    }

    /// Gives the turn back whatever has happened: who calls makes somebody look again.
    pub(super) fn force_free(&self) {
        self.0.store(FREE, Ordering::Release);
    }

    /// Gives the turn back; `false` keeps it: there is more to look at.
    pub(super) fn give_back(&self) -> bool {
        if self.0.compare_exchange(TAKEN, FREE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return true;
        }
        self.0.store(TAKEN, Ordering::Release);
        false
    }
}
