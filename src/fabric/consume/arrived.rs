//! A message as it came, and what is to become of it.

use lapin::message::Delivery;
use tokio::sync::mpsc;

use super::Command;

/// A message that came.
pub struct Arrived {
    /// With its envelope.
    pub delivery: Delivery,
    /// Says what is to become of it.
    pub settle: Settle,
}

/// What is to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is dealt with.
    Ack,
    /// It is not: it comes again, or is dead-lettered (dropped where there is no place for dead letters).
    Reject {
        /// It comes again.
        requeue: bool,
    },
}

pub(super) struct Settlement {
    pub(super) session: u64,
    pub(super) tag: u64,
    pub(super) verdict: Verdict,
}

/// Settles one message, once. Dropped unused, the message comes again.
pub struct Settle(Option<(u64, u64, mpsc::UnboundedSender<Command>)>);

impl Settle {
    pub(super) fn new(session: u64, tag: u64, commands: mpsc::UnboundedSender<Command>) -> Self {
        Self(Some((session, tag, commands)))
    }

    /// Of a message that the broker has forgotten already.
    pub(super) fn settled() -> Self {
        Self(None)
    }

    /// Whether it can be settled still.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Says what is to become of the message; `false` when that was said before.
    pub fn say(&mut self, verdict: Verdict) -> bool {
        let Some((session, tag, commands)) = self.0.take() else { return false };
        let _ = commands.send(Command::Settle(Settlement { session, tag, verdict }));
        true
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        self.say(Verdict::Reject { requeue: true });
    }
}
