//! The keeper: the one thread of a service that never runs user code. It lets callers in, keeps the time and
//! the lease, reads and answers when every worker is busy, and ends the service in good order.

mod attending;
mod doors;

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
use crate::bridge::frame::{self, Kind};
use crate::bridge::hello::{Mode, Welcome};
use crate::bridge::lease::{Lease, Renewal};
use crate::core::error::Code;
use crate::core::platform::fork::Private;
use crate::core::platform::process::ParentWatch;
use crate::core::platform::readiness::{Events, Poller};

use super::engine::Engine;
use super::greeting::Greeting;
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
/// Between two rounds of housekeeping.
const ROUND: Duration = Duration::from_secs(1);
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
