//! The channel on which calls come and their answers leave.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions};
use lapin::{Channel, Consumer};

use super::setup::{self, Arrivals};
use crate::fabric::acks::{Ack, Ledger};
use crate::fabric::publishing::Message;
use crate::fabric::wire;

/// What stands while a channel does.
pub(super) struct Up {
    pub(super) channel: Channel,
    pub(super) arrivals: Arrivals,
    pub(super) ledger: Ledger,
    /// Answers that are not written yet; then their calls are acknowledged.
    pub(super) answers: VecDeque<(u64, Answering)>,
    /// Why the channel takes no answers any more.
    pub(super) failed: Option<lapin::Error>,
    /// Says that this server leaves, and still answers.
    pub(super) leaving: Option<Consumer>,
}

/// An answer on its way, and whether it was written.
type Answering = Pin<Box<dyn Future<Output = lapin::Result<()>> + Send>>;

/// So long after an answer it is looked whether it was written, unless something else happens before. Being woken for
/// each would cost more than the rest of an answer.
pub(super) const WRITTEN: Duration = Duration::from_millis(2);

impl Up {
    /// Takes no call any more. While calls run, callers can see that somebody is about to answer, although the last
    /// server's queues go with it.
    pub(super) async fn stop(&mut self, exchange: &str) {
        if self.ledger.outstanding() > 0 {
            self.leaving = setup::say_leaving(&self.channel, exchange).await.ok();
        }
        for tag in self.arrivals.tags() {
            let _ = self.channel.basic_cancel(tag, BasicCancelOptions::default()).await;
        }
    }

    /// Sends an answer of a call that is none of this channel's.
    pub(super) fn send(&mut self, message: Message) {
        // No delivery has this number.
        self.answer(0, message);
    }

    pub(super) fn answer(&mut self, tag: u64, message: Message) {
        let mut answer: Answering = Box::pin(wire::send(self.channel.clone(), Arc::new(message)));
        // The first step hands its frames over.
        match answer.as_mut().now_or_never() {
            Some(Ok(())) => {
                self.ledger.done(tag);
            }
            Some(Err(error)) => self.failed = Some(error),
            None => self.answers.push_back((tag, answer)),
        }
    }

    /// Looks which answers have been written: in the order in which they were sent.
    ///
    /// # Errors
    /// Why the channel has failed.
    pub(super) fn look(&mut self) -> lapin::Result<()> {
        while let Some((tag, answer)) = self.answers.front_mut() {
            let Some(written) = answer.as_mut().now_or_never() else { break };
            if written.is_ok() {
                self.ledger.done(*tag);
            }
            self.answers.pop_front();
            written?;
        }
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Hands a call back to the broker: for the next server, or as a dead letter. Whether it was open.
    pub(super) fn give_back(&mut self, tag: u64, requeue: bool) -> bool {
        let is_open = self.ledger.forget(tag);
        if is_open {
            let options = BasicNackOptions { multiple: false, requeue };
            let _ = self.channel.basic_nack(tag, options).now_or_never();
        }
        is_open
    }

    /// Acknowledges what is answered.
    pub(super) fn flush(&mut self) {
        let channel = &self.channel;
        self.ledger.flush(|Ack { tag, multiple }| {
            let _ = channel.basic_ack(tag, BasicAckOptions { multiple }).now_or_never();
        });
    }
}
