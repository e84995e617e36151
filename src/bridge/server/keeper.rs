//! The keeper: the one thread of a service that never runs user code. It lets callers in, keeps the time and
//! the lease, reads and answers when every worker is busy, and ends the service in good order.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use crate::bridge::auth::Token;
use crate::bridge::client::probe::probe;
use crate::bridge::frame::{self, Kind, Reader};
use crate::bridge::hello::{Hello, Mode, Welcome};
use crate::bridge::lease::{Lease, Renewal};
use crate::bridge::stream::Stream;
use crate::bridge::tls::TlsStream;
use crate::core::error::Code;
use crate::core::observe::{ConnectionEvent, Observer};
use crate::core::platform::fork::Private;
use crate::core::platform::process::ParentWatch;
use crate::core::platform::readiness::{Events, Poller};

use super::connection::{Arrival, Connection};
use super::engine::Engine;
use super::greeting::{Greeting, Host as GreetingHost, Progress};
use super::host::{Answer, Host};

const BELL: u64 = 0;
const PARENT: u64 = 1;
const TCP: u64 = 2;
const FIRST_UNIX: u64 = 16;
/// Tokens of greetings begin here, those of listeners end here.
const FIRST_GREETING: u64 = 1 << 32;

/// Between two looks at what workers do, while calls wait for them.
const TICK: Duration = Duration::from_millis(1);
/// The same while none waits, but no worker watches for new callers either.
const SLOW_TICK: Duration = Duration::from_millis(2);
/// Ticks without need after which the keeper sleeps again.
const QUIET_TICKS: u32 = 20;
/// A call that runs longer than this must not keep others' replies or turns waiting.
const LONG: Duration = Duration::from_micros(500);
/// Between two rounds of housekeeping.
const ROUND: Duration = Duration::from_secs(1);
/// What a wrong token costs.
const INTRUDER_DELAY: Duration = Duration::from_secs(1);
/// Callers in their handshake at once.
const MOST_GREETINGS: usize = 1024;
/// What may be read for busy workers at one tick.
const READ_AT_ONCE: usize = 512;
/// After the grace period, what is cancelled has this long to end.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// What the keeper keeps.
pub(super) struct Keeper<H: Host> {
    pub(super) engine: Arc<Engine<H>>,
    pub(super) welcome: Welcome,
    pub(super) lease: Option<Lease>,
    pub(super) tcp: Option<TcpDoor>,
    pub(super) parent: Option<ParentWatch>,
    pub(super) grace: Arc<parking_lot::Mutex<Duration>>,
}

/// The way in from other machines.
pub(super) struct TcpDoor {
    pub(super) listener: TcpListener,
    pub(super) token: Token,
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// Keeps until the service has ended.
pub(super) fn keep<H: Host>(keeper: Keeper<H>) -> io::Result<()> {
    let poller = Poller::new()?;
    poller.add(&keeper.engine.keeper_bell, BELL, Events::IN)?;
    if let Some(parent) = &keeper.parent {
        poller.add(parent, PARENT, Events::IN)?;
    }
    if let Some(door) = &keeper.tcp {
        poller.add(&door.listener, TCP, Events::IN)?;
    }
    let mut listeners = HashMap::new();
    if let Some(lease) = &keeper.lease {
        let listener = Private::new(lease.listener().try_clone()?);
        poller.add(&listener, FIRST_UNIX, Events::IN)?;
        listeners.insert(FIRST_UNIX, listener);
    }
    let round = Instant::now() + ROUND;
    let mut keeping = Keeping {
        keeper,
        poller,
        listeners,
        greetings: HashMap::new(),
        next: 0,
        round,
        quiet: 0,
        pause: None,
    };
    keeping.run();
    keeping.end();
    Ok(())
}

struct Keeping<H: Host> {
    keeper: Keeper<H>,
    poller: Poller,
    listeners: HashMap<u64, Private<UnixListener>>,
    greetings: HashMap<u64, Greeting>,
    next: u64,
    round: Instant,
    quiet: u32,
    /// No descriptor was left: nobody is let in until then.
    pause: Option<Instant>,
}

impl<H: Host> Keeping<H> {
    fn run(&mut self) {
        while !self.keeper.engine.draining.load(Ordering::Acquire) {
            self.wait(None);
        }
    }

    /// One wait and what follows from it.
    fn wait(&mut self, until: Option<Instant>) {
        let now = Instant::now();
        let attending = self.keeper.engine.attending.load(Ordering::Acquire);
        let mut timeout = self.round.saturating_duration_since(now);
        for deadline in self.greetings.values().map(|greeting| greeting.until).chain(until).chain(self.pause)
        {
            timeout = timeout.min(deadline.saturating_duration_since(now));
        }
        if attending {
            timeout = timeout.min(if self.keeper.engine.waiting() > 0 { TICK } else { SLOW_TICK });
        }
        match self.poller.wait(Some(timeout)) {
            Ok(Some(ready)) => match ready.token {
                BELL => self.keeper.engine.keeper_bell.hush(),
                PARENT => {
                    // It stays readable for ever.
                    if let Some(parent) = self.keeper.parent.take() {
                        self.poller.remove(&parent);
                    }
                    self.keeper.engine.host.log("the process that started this service has ended; stopping");
                    self.keeper.engine.begin_drain();
                }
                TCP => self.accept_tcp(),
                token if token < FIRST_GREETING => self.accept_unix(token),
                token => self.greet(token),
            },
            Ok(None) => {}
            Err(error) => {
                self.keeper.engine.host.log(&format!("the keeper cannot wait: {error}; stopping"));
                self.keeper.engine.begin_drain();
            }
        }
        if attending {
            self.attend();
        }
        let now = Instant::now();
        self.expire_greetings(now);
        if self.pause.is_some_and(|until| until <= now) {
            self.pause = None;
            self.watch_doors(Events::IN);
        }
        if self.round <= now {
            self.round = now + ROUND;
            self.keep_house();
        }
    }

    // ---- letting callers in --------------------------------------------------------------------------------

    fn accept_unix(&mut self, token: u64) {
        while let Some(listener) = self.listeners.get(&token) {
            match listener.accept() {
                Ok((socket, _)) => self.receive(Stream::unix(socket)),
                Err(error) => return self.accept_failed(&error),
            }
        }
    }

    fn accept_tcp(&mut self) {
        while let Some(door) = &self.keeper.tcp {
            let socket = match door.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) => return self.accept_failed(&error),
            };
            // What fails here has gone again already.
            let stream = match &door.tls {
                Some(tls) => {
                    TlsStream::accept(socket, Arc::clone(tls)).ok().map(|tls| Stream::Tls(Box::new(tls)))
                }
                None => Stream::tcp(socket).ok(),
            };
            if let Some(stream) = stream {
                self.receive(stream);
            }
        }
    }

    fn accept_failed(&mut self, error: &io::Error) {
        // Anything else means that nobody waits, or that somebody went away while waiting.
        if let Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS) = error.raw_os_error() {
            self.keeper.engine.host.log(&format!(
                "cannot accept another caller: {error}; raise the limit of open files (ulimit -n)"
            ));
            self.watch_doors(Events::empty());
            self.pause = Some(Instant::now() + Duration::from_millis(100));
        }
    }

    fn watch_doors(&self, events: Events) {
        for (token, listener) in &self.listeners {
            let _ = self.poller.change(listener, *token, events);
        }
        if let Some(door) = &self.keeper.tcp {
            let _ = self.poller.change(&door.listener, TCP, events);
        }
    }

    fn receive(&mut self, stream: Stream) {
        if self.greetings.len() >= MOST_GREETINGS {
            return;
        }
        let _ = rustix::io::ioctl_fionbio(stream.fd(), true);
        let token = FIRST_GREETING + self.next;
        self.next += 1;
        let greeting = Greeting::new(stream, Instant::now() + self.keeper.engine.limits.handshake_timeout);
        if self.poller.add(greeting.stream.fd(), token, Events::IN | Events::RDHUP).is_ok() {
            self.greetings.insert(token, greeting);
            self.greet(token);
        }
    }

    fn greet(&mut self, token: u64) {
        let Some(greeting) = self.greetings.get_mut(&token) else { return };
        let engine = &self.keeper.engine;
        let moment = engine.instances.moment();
        let host = GreetingHost {
            welcome: &self.keeper.welcome,
            token: self.keeper.tcp.as_ref().map(|door| &door.token),
            moment,
            full: engine.connections.len() >= engine.limits.max_connections,
        };
        match greeting.advance(&host) {
            Progress::Wait => {}
            Progress::Done(hello) => {
                if let Some(greeting) = self.take_greeting(token) {
                    self.admit(greeting.stream, &hello, moment);
                }
            }
            Progress::Refused if greeting.is_intruder() => {
                engine.observers.connection(token, ConnectionEvent::Refused);
                // Guessing must be slow; and what it sends meanwhile wakes nobody.
                greeting.until = Instant::now() + INTRUDER_DELAY;
                self.poller.remove(greeting.stream.fd());
            }
            Progress::Refused => {
                engine.observers.connection(token, ConnectionEvent::Refused);
                greeting.tell_refusal();
                self.take_greeting(token);
            }
            Progress::Gone => {
                self.take_greeting(token);
            }
        }
    }

    fn take_greeting(&mut self, token: u64) -> Option<Greeting> {
        let greeting = self.greetings.remove(&token)?;
        self.poller.remove(greeting.stream.fd());
        Some(greeting)
    }

    fn expire_greetings(&mut self, now: Instant) {
        if self.greetings.values().all(|greeting| greeting.until > now) {
            return;
        }
        let late: Vec<u64> = self
            .greetings
            .iter()
            .filter(|(_, greeting)| greeting.until <= now)
            .map(|(token, _)| *token)
            .collect();
        for token in late {
            if let Some(mut greeting) = self.take_greeting(token) {
                greeting.tell_refusal();
            }
        }
    }

    fn admit(&self, stream: Stream, hello: &Hello, moment: u64) {
        let engine = &self.keeper.engine;
        let ours = &self.keeper.welcome.nonce;
        let met = hello.since.as_ref().filter(|(nonce, _)| nonce == ours).map_or(moment, |met| met.1);
        let chunk = match hello.mode {
            Mode::OneCall => 4 << 10,
            Mode::Multiplexed => 64 << 10,
        };
        let max_frame = usize::try_from(hello.max_frame).unwrap_or(usize::MAX);
        engine.admit(Arc::new(Connection::new(
            engine.new_token(),
            stream,
            Reader::new(engine.limits.max_frame, chunk),
            (hello.mode, hello.lane),
            max_frame,
            met.min(moment),
        )));
    }

    // ---- while workers are busy ------------------------------------------------------------------------------

    fn attend(&mut self) {
        let engine = Arc::clone(&self.keeper.engine);
        let mut needed = false;
        let mut stuck = false;
        for seat in &engine.pool.seats() {
            if seat.call().is_some_and(|(call, _)| call.started.elapsed() > LONG) {
                stuck = true;
                for connection in seat.take_unsent() {
                    let sent = connection.flush(Duration::ZERO);
                    engine.after_send(&connection, sent);
                }
            }
        }
        if engine.waiting() > 0 {
            needed = true;
            if stuck {
                engine.wake_worker();
            }
        }
        if engine.pool.nobody_reads() {
            needed = true;
            if !(stuck && engine.pool.call_back()) {
                self.read_for_the_busy();
                // A worker that became idle meanwhile has looked for waiting calls already.
                if engine.waiting() > 0 {
                    engine.wake_worker();
                }
            }
        }
        let blocked = std::mem::take(&mut *engine.blocked.lock());
        for connection in blocked {
            needed = true;
            if connection.is_stalled(engine.limits.stall_timeout) {
                engine.drop_connection(&connection);
                continue;
            }
            let sent = connection.flush(Duration::ZERO);
            engine.after_send(&connection, sent);
        }
        self.quiet = if needed { 0 } else { self.quiet + 1 };
        if self.quiet > QUIET_TICKS {
            self.quiet = 0;
            engine.attending.store(false, Ordering::SeqCst);
            // Who needed it a moment ago saw that it was on, and rang no bell.
            if engine.pool.nobody_reads() || engine.waiting() > 0 {
                engine.attending.store(true, Ordering::SeqCst);
            }
        }
    }

    /// Every worker runs a call: reads what arrives, so that callers who go are noticed and what is too much is
    /// refused. What is read waits for a worker.
    fn read_for_the_busy(&self) {
        let engine = &self.keeper.engine;
        let mut answer = Answer::default();
        for _ in 0..READ_AT_ONCE {
            let Ok(Some(ready)) = engine.poller.wait(Some(Duration::ZERO)) else { return };
            let Some(connection) = engine.connection(ready.token) else { continue };
            if ready.hangup {
                engine.give_up(connection.token, None);
            }
            if connection.turn().take() {
                self.read_for_later(&connection, &mut answer);
            }
        }
    }

    fn read_for_later(&self, connection: &Arc<Connection<H>>, answer: &mut Answer<H::Out>) {
        let engine = &self.keeper.engine;
        loop {
            let accepted = match connection.read(&engine.host) {
                Ok(Arrival::Frame(frame)) => engine.accept(connection, frame, answer, Instant::now()),
                Ok(Arrival::Nothing) => {
                    if connection.turn().give_back() {
                        return;
                    }
                    continue;
                }
                Ok(Arrival::Closed) => return engine.end_connection(connection),
                Err(error) => Err(error),
            };
            match accepted {
                Ok(Some(call)) => {
                    let holds = call.holds_turn;
                    engine.take_in(call);
                    if holds {
                        return;
                    }
                }
                Ok(None) => {}
                Err(error) => return engine.refuse(connection, &error),
            }
        }
    }

    // ---- now and then ------------------------------------------------------------------------------------------

    fn keep_house(&mut self) {
        let engine = Arc::clone(&self.keeper.engine);
        engine.instances.sweep();
        let connections: Vec<_> = engine.connections.iter().map(|entry| Arc::clone(&entry)).collect();
        for connection in connections {
            if connection.is_stalled(engine.limits.stall_timeout) {
                engine.drop_connection(&connection);
            }
            connection.rest();
        }
        let Some(lease) = &mut self.keeper.lease else { return };
        match lease.refresh(&|holder| probe(holder, &|| false)) {
            Ok(Renewal::Intact | Renewal::Written) => {}
            Ok(Renewal::Bound { previous: _ }) => {
                // The old listener stays watched: who was connecting to it still gets in.
                let token = FIRST_UNIX + self.listeners.len() as u64;
                if let Ok(listener) = lease.listener().try_clone()
                    && self.poller.add(&listener, token, Events::IN).is_ok()
                {
                    self.listeners.insert(token, Private::new(listener));
                }
            }
            Err(error) if error.code == Code::ServiceAlreadyExists => {
                engine.host.log(&format!("the service's name was taken while its lease was gone: {error}"));
                engine.begin_drain();
            }
            Err(error) => engine.host.log(&format!("the service's lease cannot be written again: {error}")),
        }
    }

    // ---- the end -------------------------------------------------------------------------------------------------

    /// Stop accepting, say so, let running calls finish within the grace period, cancel the rest, close.
    fn end(&mut self) {
        let engine = Arc::clone(&self.keeper.engine);
        if let Some(lease) = &mut self.keeper.lease
            && let Err(error) = lease.set_draining()
        {
            engine.host.log(&format!("saying that the service drains: {error}"));
        }
        for listener in self.listeners.values() {
            self.poller.remove(listener);
        }
        if let Some(door) = &self.keeper.tcp {
            self.poller.remove(&door.listener);
        }
        self.greetings.clear();
        let mut drain = Vec::new();
        frame::begin(&mut drain, Kind::Drain, 0, &[]).finish_small(&mut drain);
        let connections: Vec<_> = engine.connections.iter().map(|entry| Arc::clone(&entry)).collect();
        for connection in &connections {
            if connection.mode == Mode::Multiplexed {
                connection.queue_bytes(&drain);
                let sent = connection.flush(Duration::ZERO);
                engine.after_send(connection, sent);
            }
        }
        let grace = Instant::now() + *self.keeper.grace.lock();
        self.wait_for_calls(grace);
        for seat in engine.pool.seats() {
            seat.cancel_any();
        }
        for connection in &connections {
            engine.give_up(connection.token, None);
        }
        let waiting = std::iter::from_fn(|| engine.pool.next()).collect::<Vec<_>>();
        for mut call in waiting.into_iter().chain(engine.instances.drain()) {
            let error = crate::core::error::Error::new(Code::ServiceUnavailable, "the service has stopped");
            let error = error.with_fate(crate::core::error::Fate::Rejected);
            engine.complete(&mut call, &mut Answer::failure(&error), false);
        }
        self.wait_for_calls(Instant::now() + LAST_MOMENT);
        engine.stopped.store(true, Ordering::Release);
        engine.bell.ring();
        while engine.pool.call_back() {}
        for connection in engine.connections.iter().map(|entry| Arc::clone(&entry)).collect::<Vec<_>>() {
            connection.flush(super::connection::A_MOMENT);
            engine.end_connection(&connection);
        }
        self.listeners.clear();
        self.keeper.lease = None;
    }

    fn wait_for_calls(&mut self, until: Instant) {
        self.keeper.engine.attending.store(true, Ordering::Release);
        while self.keeper.engine.active() > 0 && Instant::now() < until {
            self.wait(Some(until));
            self.keeper.engine.attending.store(true, Ordering::Release);
        }
    }
}
