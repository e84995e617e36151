//! Sends an outbox's messages on one channel, as long as that lasts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lapin::{BasicProperties, Channel};

use super::{Entry, Outbox};
use crate::core::error::{Code, Error, Fate};
use crate::fabric::context::Context;
use crate::fabric::error::{Cause, classify};
use crate::fabric::link::{Link, answered};
use crate::fabric::publishing::{InFlight, Outcome};
use crate::fabric::{headers, topology, wire};

/// The channel, confirming, with the exchanges there: one that was deleted under a publisher is made again.
pub(super) async fn prepared(link: &mut Link, context: &Context) -> lapin::Result<Channel> {
    let Some(opened) = link.channel().await else { return Err(wire::ended()) };
    let channel = opened?;
    answered(topology::declare(&channel, &context.config)).await?;
    answered(channel.confirm_select(lapin::options::ConfirmSelectOptions::default())).await?;
    Ok(channel)
}

/// A message for which the broker closes its channel so often is at fault itself.
const MOST_BLAMED: u8 = 3;

/// Sends on one channel.
pub(super) struct Sender<'a> {
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
    pub(super) fn new(outbox: &'a Outbox, context: &'a Context) -> Self {
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
    pub(super) async fn send_on(&mut self, channel: &Channel, link: &mut Link) -> Option<lapin::Error> {
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
    pub(super) async fn take_back(&mut self, error: &lapin::Error, link_is_up: bool) {
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

    /// The link is closed: the broker may have what is on its way.
    pub(super) fn give_all_back(&mut self) {
        self.sent.values_mut().for_each(|entry| entry.was_sent = true);
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
