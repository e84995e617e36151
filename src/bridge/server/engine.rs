//! What every thread of a service shares: the connections, the calls that wait, the pool of workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;

use crate::bridge::frame::Kind;
use crate::bridge::hello::Lane;
use crate::core::error::{Code, Error, Result};
use crate::core::instances::InstanceCache;
use crate::core::limits::Limits;
use crate::core::observe::{ConnectionEvent, Observer, Observers};
use crate::core::platform::readiness::{Bell, Events, Poller};

use super::call::Call;
use super::connection::{Connection, Sent};
use super::host::{Answer, Host};
use super::pool::Pool;

/// The poller's token of the bell; connections' tokens begin above.
pub(super) const BELL: u64 = 0;

/// The shared state of a service in one process.
pub struct Engine<H: Host> {
    pub(super) host: Arc<H>,
    pub(super) limits: Limits,
    /// The service's name.
    pub service: String,
    /// Its schema document.
    pub schema: String,
    /// Who looks on: the statistics first.
    pub observers: Observers,
    /// The instances.
    pub instances: InstanceCache<H::Instance, Call<H>>,
    pub(super) poller: Poller,
    pub(super) bell: Bell,
    pub(super) keeper_bell: Bell,
    /// Connections whose callers do not read: the keeper sends the rest when there is room.
    pub(super) blocked: Mutex<Vec<Arc<Connection<H>>>>,
    pub(super) connections: DashMap<u64, Arc<Connection<H>>>,
    pub(super) next_token: AtomicU64,
    pub(super) pool: Pool<H>,
    pub(super) active: AtomicUsize,
    pub(super) attending: AtomicBool,
    pub(super) draining: AtomicBool,
    pub(super) stopped: AtomicBool,
}

impl<H: Host> std::fmt::Debug for Engine<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("service", &self.service).finish_non_exhaustive()
    }
}

impl<H: Host> Engine<H> {
    pub(super) fn new(
        host: Arc<H>,
        limits: Limits,
        service: String,
        schema: String,
        observers: Observers,
        instances: InstanceCache<H::Instance, Call<H>>,
        most_workers: usize,
    ) -> Result<Arc<Self>> {
        let failed = |error: std::io::Error| Error::io(Code::Configuration, "opening descriptors", &error);
        let poller = Poller::new().map_err(failed)?;
        let bell = Bell::new().map_err(failed)?;
        poller.add(&bell, BELL, Events::IN | Events::ET).map_err(failed)?;
        Ok(Arc::new(Self {
            host,
            limits,
            service,
            schema,
            observers,
            instances,
            poller,
            bell,
            keeper_bell: Bell::new().map_err(failed)?,
            blocked: Mutex::default(),
            connections: DashMap::new(),
            next_token: AtomicU64::new(BELL + 1),
            pool: Pool::new(most_workers),
            active: AtomicUsize::new(0),
            attending: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }))
    }

    pub(super) fn new_token(&self) -> u64 {
        self.next_token.fetch_add(1, Ordering::Relaxed)
    }

    /// Whoever runs the user's code.
    #[must_use]
    pub fn host(&self) -> &H {
        &self.host
    }

    /// Calls that were accepted and are not answered.
    #[must_use]
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// Calls that wait for a worker.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pool.waiting()
    }

    pub(super) fn connection(&self, token: u64) -> Option<Arc<Connection<H>>> {
        self.connections.get(&token).map(|connection| Arc::clone(&connection))
    }

    /// Takes a connection whose handshake is done.
    pub(super) fn admit(self: &Arc<Self>, connection: Arc<Connection<H>>) {
        self.connections.insert(connection.token, Arc::clone(&connection));
        self.observers.connection(connection.token, ConnectionEvent::Opened);
        if connection.lane == Lane::Coroutine {
            self.host.adopt(connection);
            return;
        }
        let events = Events::IN | Events::RDHUP | Events::ET;
        let added = connection.with_stream(|stream| self.poller.add(stream.fd(), connection.token, events));
        if added.is_err() {
            self.end_connection(&connection);
        }
    }

    /// The caller has gone, or must go: nobody works for it any more.
    pub(super) fn end_connection(&self, connection: &Arc<Connection<H>>) {
        self.end_as(connection, ConnectionEvent::Closed);
    }

    /// The caller does not keep to the protocol or its bounds, and must go.
    pub(super) fn drop_connection(&self, connection: &Arc<Connection<H>>) {
        self.end_as(connection, ConnectionEvent::Dropped);
    }

    fn end_as(&self, connection: &Arc<Connection<H>>, event: ConnectionEvent) {
        if !connection.end() {
            return;
        }
        self.connections.remove(&connection.token);
        self.observers.connection(connection.token, event);
        connection.with_stream(|stream| self.poller.remove(stream.fd()));
        self.give_up(connection.token, None);
    }

    /// Tells whoever runs the call (`None`: every call of the connection) that nobody waits for it. Nobody waits
    /// for a one-way call anyway: it outlives its connection.
    pub(super) fn give_up(&self, connection: u64, call: Option<u64>) {
        for seat in &self.pool.seats() {
            seat.cancel(connection, call);
        }
        self.host.cancel(connection, call);
    }

    /// Ends the connection of a caller that breaks the protocol, and says why.
    pub(super) fn refuse(&self, connection: &Arc<Connection<H>>, error: &Error) {
        let mut bytes = Vec::new();
        let refuse = crate::bridge::hello::Refuse { code: error.code as u16, message: error.message.clone() };
        if crate::bridge::hello::write(&mut bytes, Kind::Refuse, &refuse).is_ok() {
            connection.queue_bytes(&bytes);
            connection.flush(Duration::ZERO);
        }
        self.drop_connection(connection);
    }

    /// Sends an answer that is sealed, at once or with the next flush.
    pub(super) fn send_answer(
        &self,
        connection: &Arc<Connection<H>>,
        answer: &mut Answer<H::Out>,
        queued: bool,
    ) {
        let sent = match queued {
            false => connection.send(answer),
            true => {
                let waiting = connection.queue(answer);
                if waiting < FLUSH_AT { Sent::All } else { connection.flush(Duration::ZERO) }
            }
        };
        self.after_send(connection, sent);
    }

    pub(super) fn after_send(&self, connection: &Arc<Connection<H>>, sent: Sent) {
        match sent {
            Sent::All => {}
            Sent::Closed => self.end_connection(connection),
            Sent::Blocked if connection.queued() > self.limits.max_frame + MOST_UNREAD => {
                self.drop_connection(connection);
            }
            Sent::Blocked => {
                let mut blocked = self.blocked.lock();
                if !blocked.iter().any(|known| known.token == connection.token) {
                    blocked.push(Arc::clone(connection));
                }
                drop(blocked);
                self.attend();
            }
        }
    }

    /// Asks the service to drain and stop.
    pub fn begin_drain(&self) {
        if !self.draining.swap(true, Ordering::AcqRel) {
            self.keeper_bell.ring();
        }
    }
}

/// Queued replies leave when there are this many bytes of them.
const FLUSH_AT: usize = 32 << 10;
/// What a caller may leave unread beyond one frame, in bytes.
const MOST_UNREAD: usize = 4 << 20;
