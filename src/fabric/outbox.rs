//! Messages on their way to the broker: bounded, in order, each confirmed, and sent again after a lost connection.

mod sender;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::context::Context;
use super::link::Link;
use super::publishing::Message;
use crate::core::done::Done;
use crate::core::error::{Code, Error, Fate, Result};
use sender::Sender;

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
                opened = sender::prepared(&mut opening, &context) => opened,
                () = link.closed() => break,
            };
            let mut sender = Sender::new(&self, &context);
            let error = match opened {
                Ok(channel) => sender.send_on(&channel, &mut link).await,
                Err(error) => Some(error),
            };
            let Some(error) = error else {
                sender.give_all_back();
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
