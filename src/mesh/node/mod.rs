//! A node of the mesh: it makes a connection and keeps it, hears and tells who is there, sends calls and events, and
//! gives those that come to whoever drives it.
//!
//! Its driver waits for [`Node::fd`] and calls [`Node::pump`], which reads what has come and never blocks: so an
//! event loop reads, runs its handlers and writes their answers without another thread. A thread of the node's own,
//! its keeper, connects, sends signs of life, ends calls whose time is over, and reads in the driver's place when that
//! stands still.

mod calls;
mod config;
mod counts;
mod delivery;
mod envelope;
mod events;
mod ids;
mod incoming;
mod keeper;
mod kept;
mod presence;
mod streams;

use std::borrow::Cow;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

pub use calls::{Key, Outgoing, Reply, Route, Unsent};
pub use config::{Config, MeshLimits, Told, Transform};
pub use counts::{Counted, Counts};
pub use delivery::{Answer, Chunk, Delivery, Echo, Failure, FailureKind, Happened, Incoming, Outcome, State};
pub use envelope::Envelope;
pub use events::OutgoingEvent;
pub use kept::Kept;

use self::calls::Waiting;
use self::ids::Ids;
use self::incoming::Answers;
use self::keeper::Keeper;
use self::streams::Streams;
use super::balance::Dice;
use super::catalog::{Catalog, Change};
use super::link::{Arrival, Wire};
use super::packet::{Command, Packet, Writer};
use super::topic::Topics;
use crate::core::error::{Code, Error, Result};
use crate::core::pending::Pending;
use crate::core::platform::fork::Private;
use crate::core::platform::readiness::{Events as Interests, Poller};

/// Where the node leaves what its keeper has to tell.
type Tell<W> = Box<dyn Fn(Vec<Delivery<W>>) + Send + Sync>;

/// A node. `W` is whoever waits for the answer to a call.
pub struct Node<W> {
    config: Config,
    topics: Topics,
    writer: Writer,
    core: Mutex<Core<W>>,
    link: Mutex<Link>,
    poller: Private<Poller>,
    keeper: Keeper,
    tell: Tell<W>,
    counts: Counts,
    /// It takes no calls any more.
    stopping: AtomicBool,
    /// When it last read, in milliseconds of its own.
    pumped: AtomicU64,
    epoch: Instant,
}

/// What it knows.
struct Core<W> {
    catalog: Catalog,
    pending: Pending<Waiting<W>>,
    /// Calls whose ids their callers have chosen.
    named: std::collections::HashMap<Box<str>, u64>,
    streams: Streams,
    ids: Ids,
    dice: Dice,
    told: counts::Told,
}

/// The connection, while there is one.
#[derive(Default)]
struct Link {
    wire: Option<Box<dyn Wire>>,
    /// When something was last heard on it.
    heard: Option<Instant>,
    /// When it was asked whether it is there.
    asked: Option<Instant>,
    /// Nothing is taken for now.
    blocked: bool,
}

/// Reads at most this often before it lets its driver run.
const ROUNDS: usize = 4;

impl<W: Send + 'static> Node<W> {
    /// A node that is not connected yet. `tell` is called on its keeper's thread.
    ///
    /// # Errors
    /// As [`Config::check`], and when the process has no descriptor left.
    pub fn new(config: Config, tell: impl Fn(Vec<Delivery<W>>) + Send + Sync + 'static) -> Result<Arc<Self>> {
        config.check()?;
        let poller = Poller::new();
        let poller =
            poller.map_err(|error| Error::io(Code::Configuration, "making a node's poller", &error))?;
        let now = Instant::now();
        let mut catalog = Catalog::new(&config.node_id, config.registry.clone(), now);
        catalog.set_local(|node| {
            node.instance_id = Some(config.instance_id.as_str().into());
            node.hostname = Some(config.told.hostname.as_str().into());
            node.ip_list = Some(config.told.ip_list.clone().into());
            node.client = Some(config.told.client.clone().into());
            node.metadata = Some(config.told.metadata.clone().into());
        });
        let core = Core {
            catalog,
            pending: Pending::default(),
            named: std::collections::HashMap::default(),
            streams: Streams::new(config.limits.max_early, config.limits.max_packet),
            ids: Ids::new(),
            dice: Dice::default(),
            told: counts::Told::default(),
        };
        Ok(Arc::new(Self {
            topics: Topics::new(&config.namespace),
            writer: Writer::new(config.serializer, config.version, &config.node_id),
            core: Mutex::new(core),
            link: Mutex::default(),
            poller: Private::new(poller),
            keeper: Keeper::default(),
            tell: Box::new(tell),
            counts: Counts::default(),
            stopping: AtomicBool::new(false),
            pumped: AtomicU64::new(0),
            epoch: now,
            config,
        }))
    }

    /// How it was made.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The names of its topics.
    #[must_use]
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// What it has counted.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether the connection stands now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.link.lock().wire.is_some()
    }

    /// How many calls wait for their answers.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.core.lock().pending.len()
    }

    /// Looks at the registry.
    pub fn registry<R>(&self, look: impl FnOnce(&Catalog) -> R) -> R {
        look(&self.core.lock().catalog)
    }

    /// Another id each time.
    #[must_use]
    pub fn fresh_id(&self) -> String {
        ids::text(&self.core.lock().ids.fresh()).to_owned()
    }

    /// An endpoint may be called, or not.
    pub fn set_usable(&self, action: &str, node: &str, usable: bool) {
        self.core.lock().catalog.set_usable(action, node, usable);
    }

    /// What is readable when there is something to pump.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }

    /// Reads what has come, without blocking, and answers what the node answers by itself.
    pub fn pump(&self, out: &mut Vec<Delivery<W>>) {
        self.pumped.store(self.millis(), Ordering::Relaxed);
        let (mut answers, mut raw) = (Vec::new(), Vec::new());
        let mut link = self.link.lock();
        if let Err(error) = self.read(&mut link, out, &mut answers, &mut raw) {
            self.lose(&mut link, error, out);
        }
        drop(link);
        // A transform is the user's own code, which may wait for whoever waits for a lock.
        self.take_raw(raw, out, &mut answers);
        self.answer(answers, out);
    }

    /// Sends what the node answers by itself.
    fn answer(&self, answers: Answers, out: &mut Vec<Delivery<W>>) {
        if answers.is_empty() {
            return;
        }
        for (topic, packet) in answers {
            let put = self
                .outgoing(&topic, &packet)
                .and_then(|packet| self.put(&mut self.link.lock(), &topic, &packet));
            match put {
                // It is lost with its connection.
                Err(error) if error.code == Code::ServiceUnavailable => {}
                Err(error) => out.push(Delivery::Trouble(error)),
                Ok(()) => {}
            }
        }
        let mut link = self.link.lock();
        if let Err(error) = self.flush_link(&mut link) {
            self.lose(&mut link, error, out);
        }
    }

    /// A packet as it leaves. No lock is held meanwhile.
    fn outgoing<'a>(&self, topic: &str, packet: &'a [u8]) -> Result<Cow<'a, [u8]>> {
        match &self.config.transform {
            None => Ok(Cow::Borrowed(packet)),
            Some(transform) => transform.outgoing(topic, packet).map(Cow::Owned),
        }
    }

    /// Sends what waits, as far as there is room.
    pub fn flush(&self) {
        let mut link = self.link.lock();
        if let Err(error) = self.flush_link(&mut link) {
            let mut out = Vec::new();
            self.lose(&mut link, error, &mut out);
            drop(link);
            (self.tell)(out);
        }
    }

    fn read(
        &self,
        link: &mut Link,
        out: &mut Vec<Delivery<W>>,
        answers: &mut Answers,
        raw: &mut Vec<(String, Vec<u8>)>,
    ) -> Result<()> {
        let Some(wire) = &mut link.wire else { return Ok(()) };
        let before = out.len();
        let mut came = false;
        {
            let mut core = self.core.lock();
            for _ in 0..ROUNDS {
                let more = wire.read(&mut |arrival| {
                    came = true;
                    match arrival {
                        Arrival::Message { topic, payload } if self.config.transform.is_some() => {
                            raw.push((topic.to_owned(), payload.to_vec()));
                        }
                        arrival => self.take(&mut core, arrival, out, answers),
                    }
                })?;
                if !more {
                    break;
                }
            }
        }
        if came || out.len() > before {
            link.heard = Some(Instant::now());
        }
        // An answer to the question whether it is there hands out nothing.
        if link.asked.is_some() {
            (link.heard, link.asked) = (Some(Instant::now()), None);
        }
        self.flush_link(link)
    }

    fn flush_link(&self, link: &mut Link) -> Result<()> {
        let Some(wire) = &mut link.wire else { return Ok(()) };
        let all = wire.flush()?;
        if link.blocked == all {
            link.blocked = !all;
            if !all {
                self.keeper.wake();
            }
        }
        Ok(())
    }

    /// Appends a packet, which is as it leaves.
    fn put(&self, link: &mut Link, topic: &str, packet: &[u8]) -> Result<()> {
        let Some(wire) = &mut link.wire else {
            return Err(Error::new(Code::ServiceUnavailable, "the transporter is not connected"));
        };
        let limits = &self.config.limits;
        if packet.len() > limits.max_packet {
            let text = format!(
                "a packet of {} bytes to {topic} is over the bound of {} (max_packet)",
                packet.len(),
                limits.max_packet
            );
            return Err(Error::new(Code::Payload, text));
        }
        if wire.unsent() > limits.max_unsent {
            let text = format!(
                "{} bytes wait until {} takes them: nothing more is sent until then (max_unsent)",
                wire.unsent(),
                self.config.transporter.place()
            );
            return Err(Error::new(Code::Overloaded, text));
        }
        wire.publish(topic, packet)?;
        self.counts.sent(packet.len());
        Ok(())
    }

    /// Publishes a packet and sends it, if that can be done at once.
    fn publish(&self, command: Command, to: Option<&str>, packet: &Packet<'_>) -> Result<()> {
        let mut bytes = Vec::with_capacity(256);
        self.writer.write(&mut bytes, packet);
        let topic = self.topics.topic(command, to);
        let bytes = self.outgoing(&topic, &bytes)?;
        let mut link = self.link.lock();
        self.put(&mut link, &topic, &bytes)?;
        self.flush_link(&mut link)
    }

    /// The connection has ended.
    fn lose(&self, link: &mut Link, error: Error, out: &mut Vec<Delivery<W>>) {
        let Some(wire) = link.wire.take() else { return };
        for fd in wire.watched() {
            self.poller.remove(fd);
        }
        *link = Link::default();
        drop(wire);
        out.push(Delivery::State(State::Lost, Some(error)));
        self.keeper.wake();
    }

    /// A connection stands.
    fn stand(&self, wire: Box<dyn Wire>) -> Result<()> {
        let mut link = self.link.lock();
        for fd in wire.watched() {
            let added = self.poller.add(fd, 0, Interests::IN);
            added.map_err(|error| Error::io(Code::Configuration, "watching a connection", &error))?;
        }
        *link = Link { wire: Some(wire), heard: Some(Instant::now()), ..Link::default() };
        Ok(())
    }

    /// Tells what has changed; calls that wait for a node that has gone end.
    fn changed(&self, core: &mut Core<W>, changes: Vec<Change>, out: &mut Vec<Delivery<W>>) {
        for change in changes {
            if let Change::Disconnected { node, .. } = &change {
                self.reject(core, node, out);
            }
            out.push(Delivery::Change(change));
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock_core(&self) -> MutexGuard<'_, Core<W>> {
        self.core.lock()
    }
}

impl<W> std::fmt::Debug for Node<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("node_id", &self.config.node_id).finish_non_exhaustive()
    }
}
