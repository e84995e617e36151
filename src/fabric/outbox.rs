//! Messages on their way to the broker: bounded, in order, each confirmed, and sent again after a lost connection.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use lapin::{BasicProperties, Channel};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::context::Context;
use super::error::{Cause, classify};
use super::link::{Link, answered};
use super::publishing::{InFlight, Message, Outcome};
use super::{headers, topology, wire};
use crate::core::done::Done;
use crate::core::error::{Code, Error, Fate, Result};

/// What becomes of a message for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// It is refused.
    Refuse,
    /// It takes the place of the oldest, which is lost and counted.
    DropOldest,
}

/// The bounds of an outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    /// How many may be on their way without a confirmation.
    pub(crate) window: usize,
    pub(crate) when_full: WhenFull,
}

/// What an outbox has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutboxStats {
    /// Messages that wait, or are on their way.
    pub waiting: usize,
    /// Messages that the broker has confirmed.
    pub confirmed: u64,
    /// Messages that were sent again after a lost connection.
    pub resent: u64,
    /// Messages that were refused, returned or dropped.
    pub failed: u64,
    /// Messages that gave way to newer ones.
    pub dropped: u64,
}

/// Where messages are put. Any thread may.
pub(crate) struct Outbox {
    name: &'static str,
    /// What it does, for messages.
    doing: &'static str,
    bounds: Bounds,
    /// What is said of so many messages that gave way, in the place where they stood.
    epitaph: Option<Box<dyn Fn(u64) -> Message + Send + Sync>>,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    /// Of all that wait or are on their way.
    messages: usize,
    bytes: usize,
    closed: bool,
    /// How many gave way since that was last said.
    untold: u64,
    stats: OutboxStats,
    flushed: Vec<Done<usize>>,
}

struct Entry {
    message: Arc<Message>,
    done: Option<Done<()>>,
    /// How often the broker has closed the channel when this was the oldest on it.
    blamed: u8,
    was_sent: bool,
}

/// A message for which the broker closes its channel so often is at fault itself.
const MOST_BLAMED: u8 = 3;

impl Outbox {
    pub(crate) fn new(name: &'static str, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            name,
            doing: "publishing data",
            bounds,
            epitaph: None,
            state: Mutex::default(),
            news: Notify::new(),
        })
    }

    /// The same; what `epitaph` makes is sent in the place of messages that gave way.
    pub(crate) fn with_epitaph(
        name: &'static str,
        bounds: Bounds,
        epitaph: impl Fn(u64) -> Message + Send + Sync + 'static,
    ) -> Arc<Self> {
        let epitaph: Option<Box<dyn Fn(u64) -> Message + Send + Sync>> = Some(Box::new(epitaph));
        Arc::new(Self {
            name,
            doing: "publishing log records",
            bounds,
            epitaph,
            state: Mutex::default(),
            news: Notify::new(),
        })
    }

    /// Puts a message behind all others. `done` is told when the broker has it, or why it never will.
    ///
    /// # Errors
    /// `Overloaded` when there is no room, `ServiceUnavailable` after the end; then `done` is not called.
    pub(crate) fn push(&self, message: Message, done: Option<Done<()>>) -> Result<()> {
        let bytes = message.size();
        let mut evicted = Vec::new();
        {
            let mut state = self.state.lock();
            if state.closed {
                return Err(Error::new(
                    Code::ServiceUnavailable,
                    "the connector is closed: nothing is sent any more",
                ));
            }
            while state.messages >= self.bounds.messages
                || (state.bytes + bytes > self.bounds.bytes && state.messages > 0)
            {
                let oldest = match self.bounds.when_full {
                    WhenFull::DropOldest => state.queue.pop_front(),
                    WhenFull::Refuse => None,
                };
                let Some(oldest) = oldest else {
                    // All that is here is on its way already.
                    if self.bounds.when_full == WhenFull::DropOldest {
                        state.stats.dropped += 1;
                        state.untold += 1;
                    } else {
                        state.stats.failed += 1;
                    }
                    return Err(self.full(&state));
                };
                state.messages -= 1;
                state.bytes -= oldest.message.size();
                state.stats.dropped += 1;
                state.untold += 1;
                evicted.push(oldest);
            }
            state.messages += 1;
            state.bytes += bytes;
            state.queue.push_back(Entry { message: Arc::new(message), done, blamed: 0, was_sent: false });
        }
        self.news.notify_one();
        drop(evicted);
        Ok(())
    }

    fn full(&self, state: &State) -> Error {
        let text = format!(
            "the {} is full: {} messages of {} bytes wait for the broker ({}_messages, {}_bytes); await what is \
             published, or publish less",
            self.name, state.messages, state.bytes, self.name, self.name
        );
        Error::new(Code::Overloaded, text)
    }

    /// Has `done` called when nothing waits any more, with how many messages were given up before.
    pub(crate) fn flush(&self, done: Done<usize>) {
        let mut state = self.state.lock();
        if state.messages > 0 {
            return state.flushed.push(done);
        }
        drop(state);
        done.end(Ok(0));
    }

    /// Takes nothing any more; what waits is still sent.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.news.notify_one();
    }

    pub(crate) fn stats(&self) -> OutboxStats {
        let state = self.state.lock();
        OutboxStats { waiting: state.messages, ..state.stats }
    }

    /// Sends what is put in, until the link is closed. What is left then is told as lost.
    pub(crate) async fn run(self: Arc<Self>, mut link: Link, context: Arc<Context>) {
        let mut opening = link.clone();
        loop {
            self.tell_flushed(0);
            let opened = tokio::select! {
                opened = prepared(&mut opening, &context) => opened,
                () = link.closed() => break,
            };
            let mut sender = Sender::new(&self, &context);
            let error = match opened {
                Ok(channel) => sender.send_on(&channel, &mut link).await,
                Err(error) => Some(error),
            };
            let Some(error) = error else {
                sender.sent.values_mut().for_each(|entry| entry.was_sent = true);
                sender.give_back();
                break;
            };
            sender.take_back(&error, link.is_up()).await;
            context.pause().await;
        }
        self.give_up();
    }

    fn tell_flushed(&self, given_up: usize) {
        let waiting = {
            let mut state = self.state.lock();
            if state.messages > 0 { Vec::new() } else { std::mem::take(&mut state.flushed) }
        };
        for done in waiting {
            done.end(Ok(given_up));
        }
    }

    /// The link is closed: nothing leaves any more.
    pub(crate) fn give_up(&self) {
        let left = {
            let mut state = self.state.lock();
            state.closed = true;
            state.stats.failed += state.queue.len() as u64;
            state.messages = 0;
            state.bytes = 0;
            std::mem::take(&mut state.queue)
        };
        let count = left.len();
        for entry in left {
            let fate = if entry.was_sent { Fate::Unknown } else { Fate::NotSent };
            let text = "the connector was closed before the broker confirmed this message";
            entry.end(Err(Error::new(Code::ConnectionLost, text).with_fate(fate)));
        }
        self.tell_flushed(count);
    }
}

impl Entry {
    fn end(self, outcome: Result<()>) {
        if let Some(done) = self.done {
            done.end(outcome);
        }
    }
}

/// The channel, confirming, with the exchanges there: one that was deleted under a publisher is made again.
async fn prepared(link: &mut Link, context: &Context) -> lapin::Result<Channel> {
    let Some(opened) = link.channel().await else { return Err(wire::ended()) };
    let channel = opened?;
    answered(topology::declare(&channel, &context.config)).await?;
    answered(channel.confirm_select(lapin::options::ConfirmSelectOptions::default())).await?;
    Ok(channel)
}

/// Sends on one channel.
struct Sender<'a> {
    outbox: &'a Outbox,
    context: &'a Context,
    /// By the order they were sent in.
    sent: BTreeMap<u64, Entry>,
    /// Those that may come back, by their ids.
    mandatory: HashMap<String, u64>,
    in_flight: InFlight,
    next: u64,
}

impl<'a> Sender<'a> {
    fn new(outbox: &'a Outbox, context: &'a Context) -> Self {
        Self {
            outbox,
            context,
            sent: BTreeMap::new(),
            mandatory: HashMap::new(),
            in_flight: InFlight::default(),
            next: 0,
        }
    }

    /// Until the channel fails; `None` when the link was closed.
    async fn send_on(&mut self, channel: &Channel, link: &mut Link) -> Option<lapin::Error> {
        let frame = link.frame_max();
        loop {
            while self.sent.len() < self.outbox.bounds.window
                && let Some(entry) = self.pop()
            {
                if let Some(error) = self.misfit(&entry, frame) {
                    self.count(&entry, false);
                    entry.end(Err(error));
                    continue;
                }
                let number = self.next;
                self.next += 1;
                if entry.message.mandatory
                    && let Some(id) = entry.message.properties.message_id()
                {
                    self.mandatory.insert(id.to_string(), number);
                }
                self.in_flight.publish(channel, number, &entry.message).await;
                self.sent.insert(number, entry);
            }
            tokio::select! {
                biased;
                outcome = self.in_flight.next(|envelope| number_of(&self.mandatory, envelope)), if !self.in_flight.is_empty() => {
                    let Some((number, outcome)) = outcome else { continue };
                    if let Some(error) = self.settle(number, outcome) {
                        return Some(error);
                    }
                }
                () = self.outbox.news.notified() => {}
                () = link.closed() => return None,
            }
            if self.sent.is_empty() {
                self.outbox.tell_flushed(0);
            }
        }
    }

    fn pop(&self) -> Option<Entry> {
        let mut state = self.outbox.state.lock();
        if let Some(epitaph) = &self.outbox.epitaph
            && state.untold > 0
        {
            let message = Arc::new(epitaph(std::mem::take(&mut state.untold)));
            state.messages += 1;
            state.bytes += message.size();
            return Some(Entry { message, done: None, blamed: 0, was_sent: false });
        }
        state.queue.pop_front()
    }

    /// The error of a message that fits no frame: sent, it would end the connection.
    fn misfit(&self, entry: &Entry, frame: usize) -> Option<Error> {
        let headers = entry.message.properties.headers().as_ref().map_or(0, headers::size);
        (headers + OTHER_PROPERTIES > frame).then(|| {
            let text = format!(
                "headers of {headers} bytes do not fit into the broker's frames of {frame} (frame_max)"
            );
            Error::new(Code::Payload, text)
        })
    }

    /// The error that ends the channel, if it is one.
    fn settle(&mut self, number: u64, outcome: Outcome) -> Option<lapin::Error> {
        let outcome = match outcome {
            Outcome::Failed { error, .. } => return Some(error),
            Outcome::Confirmed => Ok(()),
            Outcome::Returned => Err(Error::new(
                Code::ServiceUnavailable,
                "nobody subscribes to what these headers say: the message was returned",
            )
            .with_fate(Fate::Rejected)),
            Outcome::Refused => Err(Error::new(
                Code::Overloaded,
                "the broker did not take the message (basic.nack): a queue is full",
            )
            .with_fate(Fate::Rejected)),
        };
        let entry = self.sent.remove(&number)?;
        if let Some(id) = entry.message.properties.message_id().as_ref().filter(|_| entry.message.mandatory) {
            self.mandatory.remove(id.as_str());
        }
        self.count(&entry, outcome.is_ok());
        entry.end(outcome);
        None
    }

    fn count(&self, entry: &Entry, confirmed: bool) {
        let mut state = self.outbox.state.lock();
        state.messages -= 1;
        state.bytes -= entry.message.size();
        if confirmed {
            state.stats.confirmed += 1;
        } else {
            state.stats.failed += 1;
        }
    }

    /// The channel has failed: what it did not confirm goes back, before all that waits.
    async fn take_back(&mut self, error: &lapin::Error, link_is_up: bool) {
        while let Some((number, outcome)) =
            self.in_flight.settled(|envelope| number_of(&self.mandatory, envelope)).await
        {
            match outcome {
                Outcome::Failed { was_written, .. } => {
                    if let Some(entry) = self.sent.get_mut(&number) {
                        entry.was_sent |= was_written;
                    }
                }
                outcome => drop(self.settle(number, outcome)),
            }
        }
        let (told, cause) = classify(error, "publishing", &self.context.config.address);
        let mut left = std::mem::take(&mut self.sent);
        let mut at_fault = None;
        if (link_is_up || is_our_fault(error))
            && let Some(mut oldest) = left.first_entry()
        {
            oldest.get_mut().blamed += 1;
            if oldest.get().blamed >= MOST_BLAMED || (link_is_up && cause == Cause::Final) {
                at_fault = Some(oldest.remove());
            }
        }
        if let Some(entry) = at_fault {
            self.count(&entry, false);
            self.context.observer.trouble(&told, self.outbox.doing);
            entry.end(Err(told.with_fate(Fate::Rejected)));
        }
        self.outbox.state.lock().stats.resent += left.values().filter(|entry| entry.was_sent).count() as u64;
        self.sent = left;
        self.give_back();
    }

    /// What is on its way is in the queue again, before all that waits.
    fn give_back(&mut self) {
        let mut state = self.outbox.state.lock();
        for entry in std::mem::take(&mut self.sent).into_values().rev() {
            state.queue.push_front(entry);
        }
    }
}

/// What the other properties of a message take in its frame, at most.
const OTHER_PROPERTIES: usize = 2 << 10;

/// Whether the broker has ended the connection for what was sent on it, and not for reasons of its own.
fn is_our_fault(error: &lapin::Error) -> bool {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(told) => {
            error.is_amqp_hard_error() && told.get_id() != CONNECTION_FORCED
        }
        _ => false,
    }
}

const CONNECTION_FORCED: u16 = 320;

/// Whose envelope it is, of those that may come back.
fn number_of(mandatory: &HashMap<String, u64>, envelope: &BasicProperties) -> Option<u64> {
    mandatory.get(envelope.message_id().as_ref()?.as_str()).copied()
}
