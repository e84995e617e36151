//! What a hub knows: its connections, who wants what, what waits for whom. Messages go from one connection's
//! decoder straight into the others' outboxes, which are sent once everything that had arrived has been looked at.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::outbox::{Bounds, Outbox, Sent};
use super::registrations::{Registrations, concerned};
use super::stats::{Counts, ServerStats, SubscriberStats};
use super::subscriptions::{Place, Subscriptions};
use crate::core::error::Code;
use crate::hub::limits::HubLimits;
use crate::hub::socket::Socket;
use crate::hub::zmtp::{self, Event, Frames, Role};

/// A longer prefix is no topic.
const LONGEST_PREFIX: usize = 4096;
/// All prefixes of one connection together.
const PREFIX_BYTES: usize = 256 << 10;
/// A peer that does not read gets no more pongs.
const UNREAD_PONGS: usize = 4096;
/// The buffer that all connections read into, one after the other.
const ROOM: usize = 128 << 10;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its peer has closed it, or it broke.
    Closed,
    /// The peer breaks the protocol.
    Malformed,
    /// A message over the bound.
    Oversized,
    /// It took nothing for too long.
    Stalled,
    /// Too many subscriptions.
    Limits,
}

/// The state of a hub.
pub(super) struct Switch {
    pub(super) limits: HubLimits,
    seats: Vec<Option<Seat>>,
    free: Vec<Place>,
    subscriptions: Subscriptions,
    /// Who has something to be sent.
    touched: Vec<Place>,
    /// Whoever sends it.
    pub(super) sender: Option<Waker>,
    /// Numbers messages, so that each subscriber gets each once.
    number: u64,
    /// What connections read into.
    pub(super) room: Vec<u8>,
    pub(super) counts: Counts,
    /// Connections that have not shaken hands yet.
    pub(super) greetings: usize,
}

/// A connection.
struct Seat {
    socket: Arc<Socket>,
    peer: String,
    outbox: Outbox,
    kind: Kind,
    touched: bool,
    /// The last message that it was given.
    last: u64,
    /// To be ended by its own task.
    end: Option<End>,
    /// Its task.
    waker: Option<Waker>,
    sent: u64,
    dropped: u64,
}

enum Kind {
    Publisher(Registrations),
    Subscriber(Wishes),
}

/// What a subscriber wants.
#[derive(Default)]
struct Wishes {
    prefixes: HashSet<Box<[u8]>>,
    bytes: usize,
}

impl Switch {
    pub(super) fn new(limits: HubLimits) -> Self {
        Self {
            limits,
            seats: Vec::new(),
            free: Vec::new(),
            subscriptions: Subscriptions::new(),
            touched: Vec::new(),
            sender: None,
            number: 0,
            room: Vec::new(),
            counts: Counts::default(),
            greetings: 0,
        }
    }

    /// Lends the shared buffer to a decoder.
    #[inline]
    pub(super) fn lend_room(&mut self, frames: &mut Frames) {
        if self.room.is_empty() {
            self.room = vec![0; ROOM];
        }
        frames.lend(&mut self.room);
    }

    // ---- connections ---------------------------------------------------------------------------------------

    /// Whether one more would be too many.
    pub(super) fn is_full(&self) -> bool {
        self.seats.len() - self.free.len() + self.greetings >= self.limits.max_connections
    }

    /// Gives a connection that has shaken hands its place; `role` is the peer's.
    pub(super) fn enter(&mut self, socket: Arc<Socket>, peer: String, role: Role) -> Place {
        let kind = match role {
            Role::Sub => Kind::Subscriber(Wishes::default()),
            _ => Kind::Publisher(Registrations::default()),
        };
        self.counts.connections += 1;
        let outbox = Outbox::default();
        let seat = Seat {
            socket,
            peer,
            outbox,
            kind,
            touched: false,
            last: 0,
            end: None,
            waker: None,
            sent: 0,
            dropped: 0,
        };
        if let Some(place) = self.free.pop()
            && let Some(free) = self.seats.get_mut(place as usize)
        {
            *free = Some(seat);
            return place;
        }
        self.seats.push(Some(seat));
        u32::try_from(self.seats.len() - 1).unwrap_or(u32::MAX)
    }

    /// Takes a connection's place away, and says which services have gone with it.
    pub(super) fn leave(&mut self, place: Place, end: End) {
        let refused = &mut self.counts.refused;
        match end {
            End::Closed => {}
            End::Malformed => refused.malformed += 1,
            End::Oversized => refused.oversized += 1,
            End::Stalled => refused.stalled += 1,
            End::Limits => refused.limits += 1,
        }
        let Some(seat) = self.seats.get_mut(place as usize).and_then(Option::take) else { return };
        self.touched.retain(|other| *other != place);
        self.free.push(place);
        match seat.kind {
            Kind::Subscriber(wishes) => {
                for prefix in &wishes.prefixes {
                    self.subscriptions.remove(prefix, place, true);
                }
            }
            Kind::Publisher(registrations) => {
                for who in registrations.services() {
                    let elsewhere =
                        |seat: &Seat| matches!(&seat.kind, Kind::Publisher(others) if others.has(who));
                    if !self.seats.iter().flatten().any(elsewhere) {
                        self.forward(&who.gone());
                    }
                }
            }
        }
    }

    /// Remembers a connection's task; what it is to end for, if anything.
    #[inline]
    pub(super) fn watch(&mut self, place: Place, waker: &Waker) -> Option<End> {
        let seat = self.seats.get_mut(place as usize)?.as_mut()?;
        if !seat.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            seat.waker = Some(waker.clone());
        }
        seat.end
    }

    /// Whether a connection waits for room to send.
    #[inline]
    pub(super) fn is_blocked(&self, place: Place) -> bool {
        self.seats
            .get(place as usize)
            .and_then(Option::as_ref)
            .is_some_and(|seat| seat.outbox.blocked.is_some())
    }

    // ---- what arrives --------------------------------------------------------------------------------------

    /// Does what a connection's new bytes say.
    pub(super) fn take(&mut self, place: Place, frames: &mut Frames) -> Result<(), End> {
        loop {
            match frames.next() {
                Ok(None) => return Ok(()),
                Ok(Some(Event::Message(message))) => self.message(place, message),
                Ok(Some(Event::Subscribe(prefix))) => self.subscribe(place, prefix)?,
                Ok(Some(Event::Cancel(prefix))) => self.cancel(place, prefix),
                Ok(Some(Event::Ping { context })) => self.pong(place, context),
                Ok(Some(Event::Multipart)) => self.counts.dropped_multipart += 1,
                Ok(Some(Event::Pong | Event::Other)) => {}
                Err(error) if error.code == Code::Payload => return Err(End::Oversized),
                Err(_) => return Err(End::Malformed),
            }
        }
    }

    #[inline]
    fn message(&mut self, place: Place, message: &[u8]) {
        self.counts.messages_in += 1;
        self.counts.bytes_in += message.len() as u64;
        if message.first() == Some(&b'<')
            && let Some(Some(Seat { kind: Kind::Publisher(registrations), .. })) =
                self.seats.get_mut(place as usize)
        {
            registrations.note(message, self.limits.max_registrations);
        }
        self.forward(message);
    }

    /// Puts a message into the outbox of everyone who wants it.
    #[inline]
    fn forward(&mut self, message: &[u8]) {
        let Self { seats, subscriptions, touched, counts, limits, .. } = self;
        self.number += 1;
        let (number, bounds) = (self.number, bounds(limits));
        let mut shared = None;
        let mut wanted = false;
        subscriptions.matching(message, |place| {
            let Some(Some(seat)) = seats.get_mut(place as usize) else { return };
            wanted = true;
            if seat.last == number {
                return;
            }
            seat.last = number;
            if !seat.outbox.push(message, &mut shared, bounds) {
                seat.dropped += 1;
                counts.dropped_slow += 1;
            } else if !seat.touched {
                seat.touched = true;
                touched.push(place);
            }
        });
        counts.unwanted += u64::from(!wanted);
    }

    fn subscribe(&mut self, place: Place, prefix: &[u8]) -> Result<(), End> {
        let most = self.limits.max_subscriptions;
        let Some(Some(Seat { kind: Kind::Subscriber(wishes), .. })) = self.seats.get_mut(place as usize)
        else {
            return Ok(());
        };
        if !wishes.prefixes.contains(prefix) {
            let bytes = wishes.bytes + prefix.len();
            if wishes.prefixes.len() >= most || prefix.len() > LONGEST_PREFIX || bytes > PREFIX_BYTES {
                return Err(End::Limits);
            }
            wishes.prefixes.insert(prefix.into());
            wishes.bytes = bytes;
        }
        let new = self.subscriptions.add(prefix, place);
        if new && concerned(prefix) {
            self.tell_registrations(place, prefix);
        }
        Ok(())
    }

    /// Tells one subscriber of the services that registered before it came.
    fn tell_registrations(&mut self, place: Place, prefix: &[u8]) {
        let of = |seat: &Seat| match &seat.kind {
            Kind::Publisher(registrations) => registrations.messages().map(<[u8]>::to_vec).collect(),
            Kind::Subscriber(_) => Vec::new(),
        };
        let messages: Vec<_> = self.seats.iter().flatten().flat_map(of).collect();
        let bounds = bounds(&self.limits);
        let Some(Some(seat)) = self.seats.get_mut(place as usize) else { return };
        let Kind::Subscriber(wishes) = &seat.kind else { return };
        // What another wish covers was told when that was said.
        let covered = |message: &[u8]| {
            wishes.prefixes.iter().any(|other| **other != *prefix && message.starts_with(other))
        };
        for message in messages.iter().filter(|message| message.starts_with(prefix) && !covered(message)) {
            if !seat.outbox.push(message, &mut None, bounds) {
                seat.dropped += 1;
                self.counts.dropped_slow += 1;
            }
        }
        self.touch(place);
    }

    fn cancel(&mut self, place: Place, prefix: &[u8]) {
        if self.subscriptions.remove(prefix, place, false)
            && let Some(Some(Seat { kind: Kind::Subscriber(wishes), .. })) =
                self.seats.get_mut(place as usize)
            && wishes.prefixes.remove(prefix)
        {
            wishes.bytes -= prefix.len();
        }
    }

    fn pong(&mut self, place: Place, context: &[u8]) {
        if let Some(Some(seat)) = self.seats.get_mut(place as usize)
            && (matches!(seat.kind, Kind::Subscriber(_)) || seat.outbox.bytes() < UNREAD_PONGS)
            && seat.outbox.bytes() < self.limits.subscriber_buffer
        {
            seat.outbox.push_raw(|out| zmtp::pong(out, context));
            self.touch(place);
        }
    }

    // ---- what leaves ---------------------------------------------------------------------------------------

    fn touch(&mut self, place: Place) {
        if let Some(Some(seat)) = self.seats.get_mut(place as usize)
            && !seat.touched
        {
            seat.touched = true;
            self.touched.push(place);
        }
    }

    /// Sees to it that what was put into outboxes leaves, after whoever else has something to put there now.
    #[inline]
    pub(super) fn call_sender(&self) {
        if !self.touched.is_empty()
            && let Some(sender) = &self.sender
        {
            sender.wake_by_ref();
        }
    }

    /// Sends what can be sent to those who were given something.
    pub(super) fn send_all(&mut self) {
        while let Some(place) = self.touched.pop() {
            let Some(Some(seat)) = self.seats.get_mut(place as usize) else { continue };
            seat.touched = false;
            // One that is blocked is sent to by its own task, once there is room.
            if seat.outbox.blocked.is_none() && send(seat, &mut self.counts) != Sent::All {
                seat.wake();
            }
        }
    }

    /// Sends what waits for one connection, for which there may be room now.
    pub(super) fn send_one(&mut self, place: Place) -> Sent {
        match self.seats.get_mut(place as usize) {
            Some(Some(seat)) => send(seat, &mut self.counts),
            _ => Sent::Closed,
        }
    }

    /// Ends all connections, whose tasks have ended.
    pub(super) fn close(&mut self) {
        self.seats.clear();
        self.free.clear();
        self.touched.clear();
        self.subscriptions = Subscriptions::new();
    }

    /// Whether nothing waits for anyone.
    pub(super) fn is_quiet(&self) -> bool {
        self.seats.iter().flatten().all(|seat| seat.outbox.is_empty())
    }

    /// Ends those who take nothing for too long, and gives back memory that is not in use.
    pub(super) fn keep_house(&mut self, now: Instant) {
        for seat in self.seats.iter_mut().flatten() {
            match seat.outbox.blocked {
                Some(since) if now.saturating_duration_since(since) >= self.limits.stall_timeout => {
                    seat.end = Some(End::Stalled);
                    seat.wake();
                }
                Some(_) => {}
                None => seat.outbox.rest(),
            }
        }
    }

    pub(super) fn stats(&self) -> ServerStats {
        let mut stats = ServerStats { counts: self.counts, ..ServerStats::default() };
        let now = Instant::now();
        for seat in self.seats.iter().flatten() {
            match &seat.kind {
                Kind::Publisher(registrations) => {
                    stats.publishers += 1;
                    stats.registrations += registrations.count();
                }
                Kind::Subscriber(wishes) => stats.subscribers.push(SubscriberStats {
                    peer: seat.peer.clone(),
                    subscriptions: wishes.prefixes.len(),
                    queued_messages: seat.outbox.messages(),
                    queued_bytes: seat.outbox.bytes(),
                    sent: seat.sent,
                    dropped: seat.dropped,
                    blocked_for: seat.outbox.blocked.map(|since| now.saturating_duration_since(since)),
                }),
            }
        }
        stats
    }
}

impl Seat {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

#[inline]
fn send(seat: &mut Seat, counts: &mut Counts) -> Sent {
    let (left, sent) = seat.outbox.send(&seat.socket);
    seat.sent += left as u64;
    counts.messages_out += left as u64;
    if sent == Sent::Closed {
        seat.end.get_or_insert(End::Closed);
    }
    sent
}

fn bounds(limits: &HubLimits) -> Bounds {
    Bounds { bytes: limits.subscriber_buffer, messages: limits.subscriber_messages }
}
