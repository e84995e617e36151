//! Messages between the instances of an application, through a Redis: to all, or to those in rooms.
//!
//! A [`Relay`] is one connection to subscribe on and one to publish on, for as long as both stand. It never blocks:
//! whoever drives it reads when something has come, flushes when there is room, and has it watch now and then.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Fate, Result};
use crate::core::net::TlsFiles;
use crate::core::redis::resp::{self, Event};
use crate::core::redis::{Connection, Opening, Redis};

/// The longest answer to what is published.
const LONGEST_ANSWER: usize = 64 << 10;
/// What a command that waits for its answer takes beside its message, in bytes.
const EACH: usize = 256;

/// How a relay is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it connects to.
    pub redis: Redis,
    /// For an encrypted connection.
    pub tls: TlsFiles,
    /// The channel of messages to all.
    pub broadcasts: String,
    /// The channel of messages to rooms.
    pub sends: String,
    /// A message over it is not published, and passed over when it comes, in bytes.
    pub max_message: usize,
    /// What may wait for Redis's answers, in bytes. A single message may be longer.
    pub max_waiting: usize,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How often Redis is asked whether it is there.
    pub ping_interval: Duration,
}

/// What has come, from this instance or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival<'a> {
    /// A message to those in rooms (see [`names`]), or to all.
    Message {
        /// The rooms' names.
        rooms: Option<&'a [u8]>,
        /// What it says.
        payload: &'a [u8],
    },
    /// A message to rooms, of so many bytes, that says none.
    Roomless(usize),
    /// A message over the bound has gone by, of so many bytes.
    Oversized(u64),
}

/// The connections to a Redis. `W` is whoever waits for an answer.
#[derive(Debug)]
pub struct Relay<W> {
    config: Config,
    subscribed: Connection,
    publishing: Connection,
    /// In the order of the answers.
    asked: VecDeque<Asked<W>>,
    /// What those take, in bytes.
    waiting: usize,
    /// Pings on the connection that is subscribed.
    pings: usize,
    next_ping: Instant,
    silences: [Silence; 2],
}

#[derive(Debug)]
struct Asked<W> {
    /// None: its time is over, or nobody waits.
    waiter: Option<W>,
    since: Instant,
    size: usize,
}

/// Since when a connection that owes an answer was seen to say nothing. A driver that stood still has seen nothing, and
/// does not blame Redis for it.
#[derive(Clone, Copy, Debug, Default)]
struct Silence(Option<(u64, Instant)>);

impl Silence {
    fn lasts(&mut self, owes: bool, received: u64, now: Instant) -> Duration {
        let seen = self.0.filter(|(before, _)| *before == received).unwrap_or((received, now));
        self.0 = owes.then_some(seen);
        if owes { now.saturating_duration_since(seen.1) } else { Duration::ZERO }
    }
}

impl<W> Relay<W> {
    /// Connects and subscribes; blocks until the deadline at most.
    ///
    /// # Errors
    /// `ServiceUnavailable` when Redis cannot be reached, `Authentication` when it does not let us in, `Configuration`
    /// when trying again would not help.
    pub fn connect(config: Config, deadline: Deadline) -> Result<Self> {
        let channels = [config.broadcasts.clone(), config.sends.clone()];
        let opening = Opening { tls: &config.tls, name: "app", deadline, channels: &channels.join(" ") };
        let publishing = Connection::open(&config.redis, &opening, LONGEST_ANSWER)?;
        let mut subscribed = Connection::open(&config.redis, &opening, config.max_message)?;
        subscribed.subscribe(&channels, &opening)?;
        publishing.stop_blocking()?;
        subscribed.stop_blocking()?;
        Ok(Self {
            next_ping: Instant::now() + config.ping_interval,
            config,
            subscribed,
            publishing,
            asked: VecDeque::new(),
            waiting: 0,
            pings: 0,
            silences: [Silence::default(); 2],
        })
    }

    /// Appends a message to all.
    ///
    /// # Errors
    /// `Payload` when it is over the bound, `Overloaded` when too much waits for answers.
    pub fn broadcast(&mut self, payload: &[u8], waiter: W) -> Result<()> {
        let size = self.checked(payload.len())?;
        resp::publish(self.publishing.out(), &self.config.broadcasts, payload);
        self.ask(Some(waiter), size);
        Ok(())
    }

    /// Appends a message to those in rooms, whose names hold no comma and no NUL.
    ///
    /// # Errors
    /// As [`Relay::broadcast`].
    pub fn send(&mut self, rooms: &[impl AsRef<str>], payload: &[u8], waiter: W) -> Result<()> {
        let mut head = String::new();
        for room in rooms {
            if !head.is_empty() {
                head.push(',');
            }
            head.push_str(room.as_ref());
        }
        head.push('\0');
        let size = self.checked(head.len() + payload.len())?;
        resp::publish_parts(self.publishing.out(), &self.config.sends, &[head.as_bytes(), payload]);
        self.ask(Some(waiter), size);
        Ok(())
    }

    /// Appends a question whether Redis is there, behind all that was published.
    pub fn ping(&mut self, waiter: Option<W>) {
        resp::ping(self.publishing.out());
        self.ask(waiter, EACH);
    }

    fn checked(&self, length: usize) -> Result<usize> {
        let (most, room) = (self.config.max_message, self.config.max_waiting);
        if length > most {
            let text = format!("a message to websockets of {length} bytes is over the bound of {most}");
            return Err(Error::new(Code::Payload, text));
        }
        let size = length + EACH;
        if self.waiting > 0 && self.waiting + size > room {
            let text = format!(
                "{} is too slow: {} bytes of messages to websockets wait for it already, of {room} at most",
                self.publishing.place(),
                self.waiting
            );
            return Err(Error::new(Code::Overloaded, text));
        }
        Ok(size)
    }

    fn ask(&mut self, waiter: Option<W>, size: usize) {
        self.waiting += size;
        self.asked.push_back(Asked { waiter, since: Instant::now(), size });
    }

    /// Sends what has been appended, as far as there is room; tells whether all of it went.
    ///
    /// # Errors
    /// `ConnectionLost`.
    pub fn flush(&mut self) -> Result<bool> {
        let subscribed = self.subscribed.flush()?;
        Ok(self.publishing.flush()? && subscribed)
    }

    /// Reads once, and hands out what is whole; tells whether there may be more.
    ///
    /// # Errors
    /// `ConnectionLost`, `Protocol` when this is no Redis.
    pub fn read(&mut self, mut take: impl FnMut(Arrival<'_>)) -> Result<bool> {
        let Self { subscribed, config, pings, .. } = self;
        subscribed.read(&mut |event| match event {
            Event::Message { channel, payload } if channel == config.broadcasts.as_bytes() => {
                take(Arrival::Message { rooms: None, payload });
            }
            Event::Message { payload, .. } => take(match memchr::memchr(0, payload) {
                Some(end) => {
                    let (rooms, rest) = payload.split_at(end);
                    Arrival::Message { rooms: Some(rooms), payload: rest.get(1..).unwrap_or_default() }
                }
                None => Arrival::Roomless(payload.len()),
            }),
            Event::Oversized { length, .. } => take(Arrival::Oversized(length)),
            Event::Pong => *pings = pings.saturating_sub(1),
            _ => {}
        })
    }

    /// Reads the answers that have come: who waited, and `ServiceUnavailable` where Redis refused. Tells whether there
    /// may be more.
    ///
    /// # Errors
    /// As [`Relay::read`].
    pub fn answers(&mut self, mut tell: impl FnMut(W, Result<()>)) -> Result<bool> {
        let Self { publishing, asked, waiting, config, .. } = self;
        publishing.read(&mut |event| {
            let Some(first) = asked.pop_front() else { return };
            *waiting -= first.size;
            let Some(waiter) = first.waiter else { return };
            tell(
                waiter,
                match event {
                    Event::Error(why) => {
                        let why = String::from_utf8_lossy(why);
                        let text = format!("{} refuses a message to websockets: {why}", config.redis.server);
                        Err(Error::new(Code::ServiceUnavailable, text).with_fate(Fate::Rejected))
                    }
                    _ => Ok(()),
                },
            );
        })
    }

    /// Asks whether Redis is there when it is time to. Tells of each answer that takes too long. To be called when all
    /// that has come is read.
    ///
    /// # Errors
    /// `ConnectionLost`, also when Redis has said nothing for longer than an answer may take.
    pub fn watch(&mut self, now: Instant, mut late: impl FnMut(W)) -> Result<()> {
        let timeout = self.config.timeout;
        for asked in &mut self.asked {
            if now.saturating_duration_since(asked.since) < timeout {
                break;
            }
            asked.waiter.take().into_iter().for_each(&mut late);
        }
        let owes = [!self.asked.is_empty(), self.pings > 0];
        let received = [self.publishing.received(), self.subscribed.received()];
        for ((silence, owes), received) in self.silences.iter_mut().zip(owes).zip(received) {
            if silence.lasts(owes, received, now) >= timeout {
                let text = format!(
                    "{} has said nothing for {} s, though it was asked",
                    self.publishing.place(),
                    timeout.as_secs_f64()
                );
                return Err(Error::new(Code::ConnectionLost, text));
            }
        }
        if now >= self.next_ping {
            self.next_ping = now + self.config.ping_interval;
            self.ping(None);
            resp::ping(self.subscribed.out());
            self.pings += 1;
        }
        self.flush().map(drop)
    }

    /// What is readable when something has come: messages, and answers.
    pub fn watched(&self) -> [BorrowedFd<'_>; 2] {
        [self.subscribed.as_fd(), self.publishing.as_fd()]
    }

    /// Everyone that waits.
    pub fn waiters(&self) -> impl Iterator<Item = &W> {
        self.asked.iter().filter_map(|asked| asked.waiter.as_ref())
    }

    /// Ends the connections; gives everyone that waits.
    pub fn end(self) -> impl Iterator<Item = W> {
        self.asked.into_iter().filter_map(|asked| asked.waiter)
    }
}

/// The names of rooms, as a message has them.
pub fn names(rooms: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    rooms.split(|sign| *sign == b',').map(String::from_utf8_lossy)
}
