//! The client of a blocking caller: keeps idle connections, calls, reconnects. How it finds the service: `find`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use rustls::ClientConfig;

use crate::bridge::auth::Token;
use crate::bridge::frame::{
    self, Allocate, Frame, Kind, PREFIX, ReplyEnvelope, RequestEnvelope, builtin, flag,
};
use crate::bridge::hello::Lane;
use crate::bridge::registry::Registry;
use crate::bridge::schema::Endpoint;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Fate, Result};
use crate::core::limits::Limits;
use crate::core::platform::fork::{ForkLocal, generation};

use super::Interrupt;
use super::channel::{Channel, Outgoing};
use super::dial;
use super::home::{Home, Worker};
use super::target::Target;

/// The instance id that a client binds its constructor's arguments to, on each of its connections.
pub const INSTANCE: u32 = 1;
/// The least time between two looks for processes that are missing.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often an idempotent call is tried in all.
const TRIES: u32 = 4;

/// How a client finds and reaches its service.
#[derive(Debug)]
pub struct Options {
    /// Where.
    pub target: Target,
    /// Among whose services a name is looked for.
    pub registry: Registry,
    /// The encoded constructor's arguments.
    pub arguments: Vec<u8>,
    /// For a service off this machine.
    pub token: Option<Token>,
    /// For a service behind TLS.
    pub tls: Option<Arc<ClientConfig>>,
    /// Bounds.
    pub limits: Limits,
    /// Between two looks for a service that is not there yet.
    pub poll_interval: Duration,
}

/// A thread-safe client. It has no thread: each caller does its own I/O.
#[derive(Debug)]
pub struct Client<A: Allocate> {
    pub(super) options: Options,
    pub(super) bind: Vec<u8>,
    pub(super) allocator: A,
    home: ForkLocal<Slot<A::Buffer>>,
}

/// Where the service was found, if it was.
pub(super) type Slot<B> = RwLock<Option<Arc<Home<B>>>>;

/// How one call is made.
#[derive(Clone, Copy, Debug)]
pub struct CallOptions {
    /// When it was made.
    pub begun: Instant,
    /// When it must have ended.
    pub deadline: Deadline,
    /// No answer is wanted.
    pub one_way: bool,
    /// It may be tried again when its outcome is unknown.
    pub idempotent: bool,
}

impl CallOptions {
    fn flags(self) -> u8 {
        let one_way = if self.one_way { flag::ONE_WAY } else { 0 };
        one_way | if self.idempotent { flag::IDEMPOTENT } else { 0 }
    }
}

/// A call ready to be sent, and the home whose numbers it uses.
#[derive(Debug)]
pub struct Prepared<'a, B> {
    name: &'a str,
    endpoint: Endpoint,
    home: Arc<Home<B>>,
}

impl<B> Prepared<'_, B> {
    /// Which way it goes.
    #[must_use]
    pub fn route(&self) -> Endpoint {
        self.endpoint
    }
}

impl<A> Client<A>
where
    A: Allocate,
    A::Buffer: Send + AsMut<[u8]>,
{
    /// Finds the service, waiting for it until the deadline, and asks what it offers.
    ///
    /// # Errors
    /// `ServiceNotFound` when nobody serves the name in time; `ServiceUnavailable`, `AuthenticationError`,
    /// `Protocol`, `Cancelled`.
    pub fn connect(
        options: Options,
        allocator: A,
        deadline: Deadline,
        interrupt: Interrupt<'_>,
    ) -> Result<Self> {
        let mut bind = Vec::with_capacity(options.arguments.len() + 16);
        let open = frame::begin(&mut bind, Kind::Bind, 0, &INSTANCE.to_le_bytes());
        bind.extend_from_slice(&options.arguments);
        open.finish(&mut bind, std::iter::empty(), options.limits.max_frame)?;
        let client = Self { options, bind, allocator, home: ForkLocal::new(RwLock::new(None)) };
        let mut earlier = None;
        loop {
            match client.refresh(deadline, interrupt) {
                Ok(_) => return Ok(client),
                Err(error)
                    if error.code != Code::ServiceNotFound && error.code != Code::ServiceUnavailable =>
                {
                    return Err(error);
                }
                // The last look ends for want of time: the one before says what is wrong.
                Err(error) if deadline.passed() => return Err(earlier.unwrap_or(error)),
                Err(error) => {
                    earlier = Some(error);
                    let again = client.options.poll_interval;
                    dial::pause(deadline, again, interrupt, "waiting for the service")
                        .or_else(|error| if error.code == Code::Cancelled { Err(error) } else { Ok(()) })?;
                }
            }
        }
    }

    /// Its bounds.
    pub fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        self.options.target.service()
    }

    /// Closes the idle connections; the next call opens its own.
    pub fn close(&self) {
        let home = self.slot().write().take();
        if let Some(home) = home {
            home.workers.iter().for_each(Worker::clear);
        }
    }

    /// Begins a call of this number: the frame is opened in `outgoing`, to which the arguments are then appended.
    ///
    /// # Errors
    /// `EndpointNotFound`, with the nearest name.
    pub fn prepare<'a, O>(
        &self,
        name: &'a str,
        home: Arc<Home<A::Buffer>>,
        outgoing: &mut Outgoing<O>,
        (call_number, options): (u64, CallOptions),
    ) -> Result<(Prepared<'a, A::Buffer>, frame::Open)> {
        let endpoint = self.route(name, &home)?;
        let open = self.begin(endpoint, &mut outgoing.head, (call_number, options));
        Ok((Prepared { name, endpoint, home }, open))
    }

    /// Which way the calls of this name go.
    ///
    /// # Errors
    /// `EndpointNotFound`, with the nearest name.
    pub fn route(&self, name: &str, home: &Home<A::Buffer>) -> Result<Endpoint> {
        match name {
            "$describe" => Ok(builtin_endpoint(builtin::DESCRIBE)),
            "$stats" => Ok(builtin_endpoint(builtin::STATS)),
            "$stop" => Ok(builtin_endpoint(builtin::STOP)),
            _ => home.schema.endpoint(self.service(), name),
        }
    }

    /// Begins a request of this number; the arguments are then appended.
    #[inline]
    pub fn begin(
        &self,
        endpoint: Endpoint,
        head: &mut Vec<u8>,
        (call_number, options): (u64, CallOptions),
    ) -> frame::Open {
        let envelope = RequestEnvelope {
            call: call_number,
            remaining: options.deadline.to_wire_at(options.begun),
            instance: instance(endpoint),
            endpoint: endpoint.id,
        };
        frame::begin_request(head, options.flags(), &envelope)
    }

    /// Sends a prepared call and waits for its reply; `None` for a one-way call.
    ///
    /// # Errors
    /// `ConnectionLost` (its fate says whether the call may have run), `DeadlineExceeded`, `Cancelled`,
    /// `ServiceNotFound` or `ServiceUnavailable` when the service has gone. A reply that tells of a failure is
    /// no error here.
    pub fn exchange<O: AsRef<[u8]>>(
        &self,
        mut prepared: Prepared<'_, A::Buffer>,
        outgoing: &mut Outgoing<O>,
        options: CallOptions,
        interrupt: Interrupt<'_>,
    ) -> Result<Option<Frame<A::Buffer>>> {
        let mut tries = 0;
        let mut may_have_run = false;
        let told = |error: Error, may_have_run: bool| {
            // An earlier try may have run, whatever became of the last one.
            let error = if may_have_run { error.with_fate(Fate::Unknown) } else { error };
            out_of_time(error, options.deadline)
        };
        loop {
            tries += 1;
            let error = match self.attempt(&prepared, outgoing, options, interrupt) {
                Ok(reply) => match reply.as_ref().and_then(turned_away) {
                    Some(error) if tries < TRIES => error,
                    _ => return Ok(reply),
                },
                Err(error) => error,
            };
            let lost = matches!(error.code, Code::ConnectionLost | Code::ServiceUnavailable);
            let again = matches!(error.fate, Fate::NotSent | Fate::Rejected)
                || (options.idempotent && error.fate == Fate::Unknown);
            may_have_run |= error.fate == Fate::Unknown;
            if !lost || !again || tries >= TRIES || options.deadline.passed() {
                return Err(told(error, may_have_run));
            }
            // The process we knew is gone: look who serves the name now, and by which numbers.
            let home =
                self.refresh(options.deadline, interrupt).map_err(|error| told(error, may_have_run))?;
            if !prepared.name.starts_with('$') {
                prepared.endpoint = home.schema.endpoint(self.service(), prepared.name)?;
            }
            prepared.home = home;
            let at = PREFIX + 16;
            outgoing.head[at..at + 4].copy_from_slice(&instance(prepared.endpoint).to_le_bytes());
            outgoing.head[at + 4..at + 6].copy_from_slice(&prepared.endpoint.id.to_le_bytes());
        }
    }

    fn attempt<O: AsRef<[u8]>>(
        &self,
        prepared: &Prepared<'_, A::Buffer>,
        outgoing: &Outgoing<O>,
        options: CallOptions,
        interrupt: Interrupt<'_>,
    ) -> Result<Option<Frame<A::Buffer>>> {
        let lane = if prepared.endpoint.coroutine { Lane::Coroutine } else { Lane::Plain };
        let worker = prepared.home.worker(prepared.endpoint.instance);
        let mut channel = match self.take(worker, lane) {
            Some(channel) => channel,
            None => self.open(worker, lane, options.deadline, interrupt)?,
        };
        if let Err(error) = channel.admits(outgoing.length()) {
            worker.give_back(lane, channel);
            return Err(error);
        }
        channel.send(outgoing, options.deadline, interrupt).inspect_err(|_| worker.clear())?;
        let reply = match options.one_way {
            true => None,
            false => Some(channel.receive_reply(&self.allocator, options.deadline, interrupt)?),
        };
        worker.give_back(lane, channel);
        Ok(reply)
    }

    /// Sends many calls in one go and hands each reply to `taken`, in the order of the calls.
    ///
    /// `frames` are whole requests without out-of-band buffers; all go the way of the first, `route`.
    ///
    /// # Errors
    /// As [`Client::exchange`]; `taken` was called for the replies that came before.
    pub fn exchange_all(
        &self,
        home: &Arc<Home<A::Buffer>>,
        route: Endpoint,
        frames: &[Vec<u8>],
        options: CallOptions,
        interrupt: Interrupt<'_>,
        mut taken: impl FnMut(Frame<A::Buffer>),
    ) -> Result<()> {
        let mut home = Arc::clone(home);
        let mut tries = 0;
        loop {
            tries += 1;
            let mut begun = false;
            let mut take = |frame| {
                begun = true;
                taken(frame);
            };
            let Err(error) = self.exchange_windows(&home, route, frames, options, interrupt, &mut take)
            else {
                return Ok(());
            };
            let lost = matches!(error.code, Code::ConnectionLost | Code::ServiceUnavailable);
            let again = lost && error.fate == Fate::NotSent && !begun;
            if !again || tries >= TRIES || options.deadline.passed() {
                return Err(out_of_time(error, options.deadline));
            }
            let next = self.refresh(options.deadline, interrupt)?;
            // Another release numbers its endpoints in its own way: these frames are not for it.
            if next.schema.hash != home.schema.hash {
                return Err(error);
            }
            home = next;
        }
    }

    fn exchange_windows(
        &self,
        home: &Home<A::Buffer>,
        route: Endpoint,
        frames: &[Vec<u8>],
        options: CallOptions,
        interrupt: Interrupt<'_>,
        taken: &mut dyn FnMut(Frame<A::Buffer>),
    ) -> Result<()> {
        let lane = if route.coroutine { Lane::Coroutine } else { Lane::Plain };
        let worker = home.worker(route.instance);
        let mut channel = match self.take(worker, lane) {
            Some(channel) => channel,
            None => self.open(worker, lane, options.deadline, interrupt)?,
        };
        if let Err(error) = channel.admits(frames.iter().map(Vec::len).max().unwrap_or(0)) {
            worker.give_back(lane, channel);
            return Err(error);
        }
        // A window of requests at a time, so that neither side waits for the other to read.
        let mut rest = frames;
        while !rest.is_empty() {
            let mut outgoing = Outgoing::<Vec<u8>>::default();
            let mut count = 0;
            for frame in rest {
                if count > 0 && outgoing.head.len() + frame.len() > WINDOW {
                    break;
                }
                outgoing.head.extend_from_slice(frame);
                count += 1;
            }
            channel.send(&outgoing, options.deadline, interrupt).inspect_err(|_| worker.clear())?;
            for _ in 0..count {
                taken(channel.receive_reply(&self.allocator, options.deadline, interrupt)?);
            }
            rest = &rest[count..];
        }
        worker.give_back(lane, channel);
        Ok(())
    }

    fn take(&self, worker: &Worker<A::Buffer>, lane: Lane) -> Option<Channel<A::Buffer>> {
        loop {
            let mut channel = worker.take(lane)?;
            // Over TCP a write to a closed peer succeeds, so look first; a Unix socket tells at the write.
            if channel.generation == generation() && (worker.lease.is_some() || !channel.is_stale()) {
                return Some(channel);
            }
        }
    }

    pub(super) fn slot(&self) -> &Slot<A::Buffer> {
        self.home.get(|| RwLock::new(None))
    }

    /// Where the service lives, as far as is known: no I/O. `None` when it takes a look, [`Client::refresh`].
    #[inline]
    pub fn known_home(&self) -> Option<Arc<Home<A::Buffer>>> {
        let home = self.slot().read();
        let home = home.as_ref()?;
        let complete = home.workers.len() == home.expected || home.found.elapsed() < LOOK_AGAIN;
        complete.then(|| Arc::clone(home))
    }

    /// Where the service was found last, if it was: it may have moved.
    #[inline]
    pub fn last_home(&self) -> Option<Arc<Home<A::Buffer>>> {
        self.slot().read().clone()
    }

    /// Whether this is where the service was found last.
    #[inline]
    pub fn is_last_home(&self, home: &Arc<Home<A::Buffer>>) -> bool {
        self.slot().read().as_ref().is_some_and(|last| Arc::ptr_eq(last, home))
    }

    /// The frame that binds this client's constructor's arguments, due first on each connection.
    pub fn bind_frame(&self) -> &[u8] {
        &self.bind
    }
}

/// A service that could not be reached before the call's deadline: the caller hears of the deadline.
fn out_of_time(error: Error, deadline: Deadline) -> Error {
    if error.code == Code::ServiceUnavailable && deadline.passed() {
        return Error { code: Code::DeadlineExceeded, ..error };
    }
    error
}

/// A process that is stopping runs nothing more, but another may have taken its place.
fn turned_away<B>(reply: &Frame<B>) -> Option<Error> {
    let envelope = ReplyEnvelope::read(reply.envelope()).ok()?;
    let stopping = envelope.code == Code::ServiceUnavailable && envelope.fate == Fate::Rejected;
    stopping.then(|| Error::new(envelope.code, failure_message(reply.payload())).with_fate(envelope.fate))
}

/// Requests sent ahead of their replies, in bytes.
const WINDOW: usize = 128 << 10;

/// What an endpoint's calls say of the instance.
fn instance(endpoint: Endpoint) -> u32 {
    if endpoint.instance { INSTANCE } else { 0 }
}

fn builtin_endpoint(id: u16) -> Endpoint {
    Endpoint { id, coroutine: false, instance: false }
}

/// The text of a failure that carries no more than that: a msgpack string, or a map's `message`.
pub(super) fn failure_message(payload: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Failure {
        message: String,
    }
    rmp_serde::from_slice::<Failure>(payload)
        .map_or_else(|_| "the service refused".to_owned(), |failure| failure.message)
}
