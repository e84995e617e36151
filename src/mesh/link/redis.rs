//! Through Redis: one connection to subscribe on, one to publish on, as its protocol wants it.

use std::os::fd::{AsFd, BorrowedFd};

use super::{Arrival, Dial, Wire};
use crate::core::error::{Code, Error, Result};
use crate::core::redis::resp::{self, Event};
use crate::core::redis::{Answer, Connection, Opening, Redis};

/// The longest answer to what is published.
const LONGEST_ANSWER: usize = 64 << 10;
const CHANNELS: &str = "MOL*";

struct Link {
    subscribed: Connection,
    publishing: Connection,
    counted: Option<usize>,
}

pub(super) fn connect(redis: &Redis, dial: &Dial<'_>) -> Result<impl Wire + use<>> {
    let opening = Opening { tls: dial.tls, name: dial.name, deadline: dial.deadline, channels: CHANNELS };
    let mut subscribed = Connection::open(redis, &opening, dial.max_message)?;
    let mut publishing = Connection::open(redis, &opening, LONGEST_ANSWER)?;
    subscribed.subscribe(dial.topics, &opening)?;
    let counted = greet(&mut publishing, dial.hello)?;
    // Its answers say nothing that would be heard elsewhere: without them, Redis and this node have half the work.
    // A server that does not know the command, or forbids it, answers on; the answers are read and dropped.
    let mut out = Vec::new();
    resp::command(&mut out, &[b"CLIENT", b"REPLY", b"OFF"]);
    publishing.say(&out)?;
    subscribed.stop_blocking()?;
    publishing.stop_blocking()?;
    Ok(Link { subscribed, publishing, counted })
}

/// Publishes a message; tells how many got it.
fn greet(publishing: &mut Connection, (channel, message): (&str, &[u8])) -> Result<Option<usize>> {
    let mut out = Vec::new();
    resp::publish(&mut out, channel, message);
    publishing.say(&out)?;
    Ok(match publishing.expect_answer(CHANNELS)? {
        Answer::Integer(count) => usize::try_from(count).ok(),
        _ => None,
    })
}

impl Wire for Link {
    #[inline]
    fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        resp::publish(self.publishing.out(), topic, payload);
        Ok(())
    }

    fn flush(&mut self) -> Result<bool> {
        let published = self.publishing.flush()?;
        Ok(self.subscribed.flush()? && published)
    }

    fn read(&mut self, take: &mut dyn FnMut(Arrival<'_>)) -> Result<bool> {
        let mut anything = false;
        let more = self.subscribed.read(&mut |event| {
            anything = true;
            match event {
                Event::Message { channel, payload } => {
                    if let Ok(topic) = std::str::from_utf8(channel) {
                        take(Arrival::Message { topic, payload });
                    }
                }
                Event::Oversized { channel, length } => {
                    let topic = std::str::from_utf8(channel).unwrap_or_default();
                    take(Arrival::Oversized { topic, length });
                }
                Event::Error(why) => take(Arrival::Refused(&String::from_utf8_lossy(why))),
                _ => {}
            }
        })?;
        if !anything && !more {
            self.drop_answers(take)?;
        }
        Ok(more)
    }

    fn ping(&mut self) {
        resp::ping(self.subscribed.out());
    }

    fn balance(&mut self, _: &[(String, String)]) -> Result<()> {
        Err(Error::new(
            Code::Configuration,
            "Redis does not balance: leave disable_balancer off, or use NATS",
        ))
    }

    fn watched(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.subscribed.as_fd(), self.publishing.as_fd()]
    }

    fn unsent(&self) -> usize {
        self.publishing.unsent() + self.subscribed.unsent()
    }

    fn counted(&self) -> Option<usize> {
        self.counted
    }
}

impl Link {
    /// What comes on the connection that publishes: its end, or answers where they could not be turned off.
    fn drop_answers(&mut self, take: &mut dyn FnMut(Arrival<'_>)) -> Result<()> {
        while self.publishing.read(&mut |event| {
            if let Event::Error(why) = event {
                take(Arrival::Refused(&String::from_utf8_lossy(why)));
            }
        })? {}
        Ok(())
    }
}
