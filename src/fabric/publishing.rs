//! Publishing on one channel without waiting for each message: what was sent, and what the broker said of it.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};

/// A message as it leaves.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where to; empty for the exchange that leads to every queue by its name.
    pub exchange: ShortString,
    /// For whom.
    pub routing_key: ShortString,
    /// It comes back when it leads to no queue. Then it needs an id, to be told apart.
    pub mandatory: bool,
    /// The rest of its envelope.
    pub properties: BasicProperties,
    /// What it says.
    pub body: Vec<u8>,
}

impl Message {
    /// About how many bytes it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        // An envelope with a few headers.
        self.body.len() + 256
    }
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The broker has it.
    Confirmed,
    /// It led to no queue.
    Returned,
    /// The broker did not take it.
    Refused,
    /// The channel has failed.
    Failed {
        error: lapin::Error,
        /// Whether it had left: then the broker may have it.
        was_written: bool,
    },
}

type Sending = Pin<Box<dyn Future<Output = (u64, Sent)> + Send>>;

enum Sent {
    Confirmed {
        /// Whichever message the broker gave back before it said this.
        returned: Option<Box<BasicReturnMessage>>,
        is_taken: bool,
    },
    Failed {
        error: lapin::Error,
        was_written: bool,
    },
}

/// Messages without a confirmation, by the number that their sender gave them.
#[derive(Default)]
pub(crate) struct InFlight {
    sending: FuturesUnordered<Sending>,
    /// Came back; their confirmation follows.
    returned: HashSet<u64>,
}

/// What a failed channel did not tell in this time, it never will.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl InFlight {
    pub(crate) fn is_empty(&self) -> bool {
        self.sending.is_empty()
    }

    /// Sends a message after all that were sent on this channel before.
    pub(crate) async fn publish(&mut self, channel: &Channel, number: u64, message: &Arc<Message>) {
        let mut sending: Sending = Box::pin(send(channel.clone(), number, Arc::clone(message)));
        // The first step hands its frames over: now, so that messages keep their order.
        match futures_util::poll!(&mut sending) {
            std::task::Poll::Ready(sent) => self.sending.push(Box::pin(std::future::ready(sent))),
            std::task::Poll::Pending => self.sending.push(sending),
        }
    }

    /// What became of the next one; `None` when none is in flight. `whose` tells the number of a message that came
    /// back, by its envelope.
    pub(crate) async fn next(
        &mut self,
        whose: impl Fn(&BasicProperties) -> Option<u64>,
    ) -> Option<(u64, Outcome)> {
        let (number, sent) = self.sending.next().await?;
        Some((number, self.outcome(number, sent, whose)))
    }

    /// The same on a channel that has failed, on which not much more is to come.
    pub(crate) async fn settled(
        &mut self,
        whose: impl Fn(&BasicProperties) -> Option<u64>,
    ) -> Option<(u64, Outcome)> {
        tokio::time::timeout(LAST_WORDS, self.next(whose)).await.ok().flatten()
    }

    fn outcome(
        &mut self,
        number: u64,
        sent: Sent,
        whose: impl Fn(&BasicProperties) -> Option<u64>,
    ) -> Outcome {
        let (returned, is_taken) = match sent {
            Sent::Failed { error, was_written } => return Outcome::Failed { error, was_written },
            Sent::Confirmed { returned, is_taken } => (returned, is_taken),
        };
        // A message that comes back does so with whichever confirmation comes next.
        if let Some(returned) = returned {
            self.returned.extend(whose(&returned.delivery.properties));
        }
        if self.returned.remove(&number) {
            Outcome::Returned
        } else if is_taken {
            Outcome::Confirmed
        } else {
            Outcome::Refused
        }
    }
}

async fn send(channel: Channel, number: u64, message: Arc<Message>) -> (u64, Sent) {
    let options = BasicPublishOptions { mandatory: message.mandatory, immediate: false };
    let written = channel
        .basic_publish(
            message.exchange.clone(),
            message.routing_key.clone(),
            options,
            &message.body,
            message.properties.clone(),
        )
        .await;
    let sent = match written {
        Err(error) => Sent::Failed { error, was_written: false },
        Ok(confirm) => match confirm.await {
            Ok(confirmation) => confirmed(confirmation),
            Err(error) => Sent::Failed { error, was_written: true },
        },
    };
    (number, sent)
}

fn confirmed(confirmation: Confirmation) -> Sent {
    let (returned, is_taken) = match confirmation {
        Confirmation::Ack(returned) => (returned, true),
        Confirmation::Nack(returned) => (returned, false),
        Confirmation::NotRequested => (None, true),
    };
    Sent::Confirmed { returned: returned.map(Box::new), is_taken }
}
