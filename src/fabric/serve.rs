//! Calls from other services: taken from the methods' queues, handed to whoever runs them, answered, and only then
//! acknowledged. So a call whose server dies is taken by the next.

mod channel;
mod request;
mod server;
mod setup;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::context::Context;
use super::link::Link;
use super::publishing::Message;
use crate::core::done::Done;
pub use request::{Answer, Request};
pub(crate) use server::Server;

/// Whoever runs calls. Called on the engine's thread: it hands them on at once.
pub trait Handle: Send + Sync + 'static {
    /// A call has come. Dropping it unanswered gives it back to the broker, and to the next server.
    fn handle(&self, request: Request);
    /// Calls that wait here although nobody takes them, since the event loop stands still, are dropped, and so given
    /// back. Called now and then while calls are open.
    fn give_back_stalled(&self);
}

/// Methods to serve, of one object.
#[derive(Clone)]
pub struct Registration {
    /// The service's exchange.
    pub exchange: String,
    /// What can be called.
    pub methods: Vec<Method>,
    /// Who runs them.
    pub handler: Arc<dyn Handle>,
}

/// One method.
#[derive(Clone, Debug)]
pub struct Method {
    /// Its routing key.
    pub name: String,
    /// A call that another server may have begun is run again here.
    pub redeliver: bool,
}

enum Command {
    Settle(Settlement),
    Stop,
}

/// What became of a call.
pub(super) struct Settlement {
    /// The channel it came on. A later one does not know it.
    session: u64,
    tag: u64,
    how: How,
}

enum How {
    Answered(Box<Message>),
    GivenBack,
    /// Nobody wants an answer.
    Dropped,
    /// Its caller waits no longer. Callers of other make are told so by the dead letter.
    Expired,
}

/// Where methods are offered. Any thread may.
pub(crate) struct Serving {
    context: Arc<Context>,
    link: Link,
    served: Mutex<Served>,
    stats: Arc<Mutex<ServeStats>>,
}

#[derive(Default)]
struct Served {
    servers: Vec<mpsc::UnboundedSender<Command>>,
    stopped: bool,
}

/// What was served.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServeStats {
    /// Calls taken.
    pub taken: u64,
    /// Calls answered.
    pub answered: u64,
    /// Calls given back, for others to take.
    pub given_back: u64,
    /// Messages that are no calls.
    pub malformed: u64,
    /// Calls that are open now.
    pub open: usize,
}

impl Serving {
    pub(crate) fn new(context: &Arc<Context>, link: Link) -> Self {
        Self { context: Arc::clone(context), link, served: Mutex::default(), stats: Arc::default() }
    }

    /// What serves methods. `begun` is told when the broker sends calls.
    pub(crate) fn register(&self, registration: Registration, begun: Done<()>) -> Server {
        let (commands, arriving) = mpsc::unbounded_channel();
        let mut served = self.served.lock();
        if !served.stopped {
            served.servers.push(commands.clone());
        }
        let stopped = served.stopped;
        let stats = Arc::clone(&self.stats);
        Server::new((&self.context, &self.link), registration, begun, (commands, arriving), stopped, stats)
    }

    /// Takes no call any more. Those that are open are still answered.
    pub(crate) fn stop(&self) {
        let mut served = self.served.lock();
        served.stopped = true;
        for server in served.servers.drain(..) {
            let _ = server.send(Command::Stop);
        }
    }

    pub(crate) fn stats(&self) -> ServeStats {
        *self.stats.lock()
    }
}
