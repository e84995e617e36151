//! Where a service lives right now: its processes, the idle connections to each, its schema.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

use dashmap::DashMap;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::bridge::hello::{Lane, Welcome};
use crate::bridge::lease::{LeaseRecord, Nonce};
use crate::bridge::schema::Schema;
use crate::core::platform::fork::ForkLocal;

use super::channel::Channel;

/// Idle connections kept for each process and lane.
const MOST_IDLE: usize = 64;

/// How often, for each process at a shared port, a certain one of them is knocked for: all in vain once in 10⁷.
const KNOCKS: u32 = 16;

/// A service's processes as they were found.
#[derive(Debug)]
pub struct Home<B> {
    /// What it offers.
    pub schema: Arc<Schema>,
    /// The largest message it takes.
    pub max_frame: usize,
    /// Its processes, at least one.
    pub workers: Vec<Worker<B>>,
    /// The one that has the instance of this client's arguments.
    pub sticky: usize,
    /// Processes that should be there.
    pub expected: usize,
    /// How many of them, from the first, take turns at the calls that need no instance.
    rotating: usize,
    /// When it was found.
    pub found: Instant,
    next: AtomicUsize,
}

/// One process of a service.
#[derive(Debug)]
pub struct Worker<B> {
    /// Its lease; none over TCP.
    pub lease: Option<LeaseRecord>,
    /// Over TCP, where several listen on one port: its number, and how many there are. None for whichever answers.
    seat: Option<(u16, u16)>,
    /// The hash of the schema it was met with: another one has other numbers.
    schema: OnceLock<String>,
    /// The daemon that was met here, and when, as it counts.
    since: Mutex<Option<(Nonce, u64)>>,
    idle: [Mutex<Vec<Channel<B>>>; 2],
}

impl<B> Worker<B> {
    /// The process of this number among several that listen on one TCP port.
    #[must_use]
    pub(super) fn seated(number: u16, workers: u16) -> Self {
        Self { seat: Some((number, workers)), ..Self::new(None) }
    }

    /// Its number, where the one that answers may be another.
    pub(super) fn number(&self) -> Option<u16> {
        self.seat.map(|(number, _)| number)
    }

    /// How often to knock: the system chooses who answers at a port that is shared.
    pub(super) fn knocks(&self) -> u32 {
        self.seat.map_or(1, |(_, workers)| KNOCKS * u32::from(workers))
    }

    /// Tells it from the others of its service, whichever way it was found.
    #[must_use]
    pub fn mark(&self) -> Nonce {
        match (&self.lease, self.seat) {
            (Some(lease), _) => lease.nonce,
            (None, Some((number, _))) => (u128::from(number) + 1).to_le_bytes(),
            (None, None) => Nonce::default(),
        }
    }

    /// A process with no connection yet.
    #[must_use]
    pub fn new(lease: Option<LeaseRecord>) -> Self {
        Self {
            lease,
            seat: None,
            schema: OnceLock::new(),
            since: Mutex::default(),
            idle: [Mutex::default(), Mutex::default()],
        }
    }

    /// Whether it is still what was met here first. Over TCP no nonce says so.
    pub(super) fn is_still(&self, welcome: &Welcome) -> bool {
        *self.schema.get_or_init(|| welcome.schema.clone()) == welcome.schema
    }

    /// What to say of earlier meetings.
    pub(super) fn since(&self) -> Option<(Nonce, u64)> {
        *self.since.lock()
    }

    /// Remembers when a daemon was met first.
    pub(super) fn meet(&self, welcome: &Welcome) {
        let mut since = self.since.lock();
        if since.is_none_or(|(nonce, _)| welcome.nonce != nonce) {
            *since = Nonce::try_from(welcome.nonce.as_slice()).ok().map(|nonce| (nonce, welcome.moment));
        }
    }

    /// Takes over what an earlier look at the same process has learnt.
    fn remember(&self, earlier: &Self) {
        *self.since.lock() = earlier.since();
    }

    fn pool(&self, lane: Lane) -> &Mutex<Vec<Channel<B>>> {
        match lane {
            Lane::Plain => &self.idle[0],
            Lane::Coroutine => &self.idle[1],
        }
    }

    /// The idle connection used last: its memory is the warmest.
    pub fn take(&self, lane: Lane) -> Option<Channel<B>> {
        self.pool(lane).lock().pop()
    }

    /// Keeps a connection for the next call.
    pub fn give_back(&self, lane: Lane, channel: Channel<B>) {
        let mut idle = self.pool(lane).lock();
        if idle.len() < MOST_IDLE {
            idle.push(channel);
        }
    }

    /// Closes the idle connections.
    pub fn clear(&self) {
        for pool in &self.idle {
            let closed = std::mem::take(&mut *pool.lock());
            drop(closed);
        }
    }
}

impl<B> Home<B> {
    /// A home of these processes, which take messages of at most `max_frame` bytes.
    #[must_use]
    pub fn new(schema: Arc<Schema>, max_frame: usize, workers: Vec<Worker<B>>, expected: usize) -> Self {
        let expected = expected.max(workers.len());
        let rotating = workers.len();
        Self {
            schema,
            max_frame,
            workers,
            sticky: 0,
            expected,
            rotating,
            found: Instant::now(),
            next: AtomicUsize::new(0),
        }
    }

    /// Tells these what is known here of the same processes.
    pub(super) fn acquaint(&self, workers: &[Worker<B>]) {
        for worker in workers {
            if let Some(known) = self.workers.iter().find(|known| known.mark() == worker.mark()) {
                worker.remember(known);
            }
        }
    }

    /// The process for a call: the instance's own, or the next one in turn.
    #[must_use]
    pub fn worker(&self, instance: bool) -> &Worker<B> {
        let at = match (self.rotating, instance) {
            (_, true) => self.sticky,
            (1, false) => 0,
            (count, false) => self.next.fetch_add(1, Ordering::Relaxed) % count,
        };
        &self.workers[at]
    }

    /// Settles which process has the instance of this canonical key.
    pub fn settle(&mut self, key: &[u8]) {
        let number = |at: &usize| self.workers[*at].lease.as_ref().map_or(0, |lease| lease.worker);
        self.sticky = (0..self.workers.len()).max_by_key(|at| rank(key, number(at))).unwrap_or(0);
    }

    /// Adds the process that has the instance, where the others cannot be told apart.
    pub(super) fn add_owner(&mut self, owner: Worker<B>) {
        self.sticky = self.workers.len();
        self.workers.push(owner);
        self.expected += 1;
    }
}

/// A process's rank for an instance, by its number: the one of the highest rank has it (rendezvous hashing), and who
/// is started in its place has it again.
fn rank(key: &[u8], number: u16) -> impl Ord + use<> {
    <[u8; 32]>::from(Sha256::new().chain_update(key).chain_update(number.to_le_bytes()).finalize())
}

/// The numbers of a service's processes, the highest rank for this key first.
pub(super) fn ranked(key: &[u8], workers: u16) -> Vec<u16> {
    let mut numbers: Vec<u16> = (0..workers).collect();
    numbers.sort_by_cached_key(|number| Reverse(rank(key, *number)));
    numbers
}

type Schemas = DashMap<String, Arc<Schema>>;

fn schemas() -> &'static Schemas {
    SCHEMAS.get(DashMap::new)
}

/// Schemas by hash: a process asks for each once.
static SCHEMAS: LazyLock<ForkLocal<Schemas>> = LazyLock::new(|| ForkLocal::new(DashMap::new()));
/// The most schemas remembered.
const MOST_SCHEMAS: usize = 256;

/// The schema of this hash, if this process has seen it.
#[must_use]
pub fn known_schema(hash: &str) -> Option<Arc<Schema>> {
    schemas().get(hash).map(|schema| Arc::clone(&schema))
}

/// Remembers a schema.
pub fn remember_schema(schema: &Arc<Schema>) {
    if schemas().len() >= MOST_SCHEMAS {
        schemas().clear();
    }
    schemas().insert(schema.hash.clone(), Arc::clone(schema));
}
