//! Calls to other services: begun from any thread, run by a [`Caller`] on the engine's.

mod caller;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::mpsc;

use super::context::Context;
use super::link::Link;
use super::presence::Roster;
use super::wire::Kind;
use crate::core::deadline::Deadline;
use crate::core::done::Done;
use crate::core::error::{Code, Error, Result};
pub(crate) use caller::Caller;
use caller::Prepared;

/// A call as it begins.
pub struct Call {
    /// Whom to ask, and for what.
    pub target: Target,
    /// The arguments, encoded.
    pub body: Vec<u8>,
    /// How.
    pub content_type: &'static str,
    /// When it must have ended.
    pub deadline: Deadline,
    /// It may run twice: after a lost connection it is sent again.
    pub idempotent: bool,
    /// Told once how it ended.
    pub done: Done<Reply>,
}

/// A method of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The service's exchange.
    pub exchange: String,
    /// The method's routing key there.
    pub method: String,
    /// `DOMAIN.TYPE.ID`, for messages.
    pub service: String,
}

/// How a call was answered.
#[derive(Debug)]
pub struct Reply {
    /// With a result, or with an error.
    pub kind: Kind,
    /// Encoded.
    pub body: Vec<u8>,
    /// How.
    pub content_type: Option<String>,
}

enum Command {
    Call(u64, Call),
    Cancel(u64),
    Prepare(String, Done<()>),
    Prepared(Prepared),
    Unroutable(u64, Error),
    Served(Target, Option<u32>, Instant),
}

/// Where calls are begun. Any thread may.
pub(crate) struct Calls {
    commands: mpsc::UnboundedSender<Command>,
    numbers: AtomicU64,
    open: Arc<AtomicUsize>,
    most: usize,
}

impl Calls {
    /// Also gives what runs them.
    pub(crate) fn new(context: &Arc<Context>, roster: &Arc<Roster>, link: Link) -> (Self, Caller) {
        let (commands, arriving) = mpsc::unbounded_channel();
        let open = Arc::new(AtomicUsize::new(0));
        let caller = Caller::new(context, roster, link, (commands.downgrade(), arriving), Arc::clone(&open));
        let most = context.config.limits.calls_in_flight;
        (Self { commands, numbers: AtomicU64::new(1), open, most }, caller)
    }

    /// Begins a call; the number can cancel it.
    ///
    /// # Errors
    /// `Overloaded` when too many are open, `ServiceUnavailable` after the end; then `done` is not called.
    pub(crate) fn call(&self, call: Call) -> Result<u64> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            let text = format!("{} calls wait for their answers already (calls_in_flight)", self.most);
            return Err(Error::new(Code::Overloaded, text));
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.commands.send(Command::Call(number, call)).map_err(|_| closed())?;
        Ok(number)
    }

    /// Nobody waits for it any more.
    pub(crate) fn cancel(&self, number: u64) {
        let _ = self.commands.send(Command::Cancel(number));
    }

    /// Has the service's exchange ready before the first call.
    pub(crate) fn prepare(&self, exchange: String, done: Done<()>) {
        let _ = self.commands.send(Command::Prepare(exchange, done));
    }

    /// How many wait for an answer.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

fn closed() -> Error {
    Error::new(Code::ServiceUnavailable, "the connector is closed: nothing is called any more")
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}()", self.service, self.method)
    }
}
