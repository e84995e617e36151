//! Calls from other services: taken from the methods' queues, handed to whoever runs them, answered, and only then
//! acknowledged. So a call whose server dies is taken by the next.

mod request;
mod setup;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::acks::{Ack, Ledger};
use super::context::Context;
use super::link::Link;
use super::publishing::Message;
use super::wire;
use crate::core::done::Done;

pub use request::{Answer, Request};
use setup::{Arrivals, Item};

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
    Register(Registration, Done<()>),
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
    Dropped,
}

/// Where methods are offered. Any thread may.
pub(crate) struct Serving {
    commands: mpsc::UnboundedSender<Command>,
    stats: Arc<Mutex<ServeStats>>,
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
    /// Also gives what serves.
    pub(crate) fn new(context: &Arc<Context>, link: Link) -> (Self, Server) {
        let (commands, arriving) = mpsc::unbounded_channel();
        let stats = Arc::new(Mutex::default());
        let server = Server {
            context: Arc::clone(context),
            link,
            commands: commands.clone(),
            arriving,
            registrations: Vec::new(),
            session: 0,
            stopped: false,
            stats: Arc::clone(&stats),
        };
        (Self { commands, stats }, server)
    }

    /// Offers methods. `done` is told when the broker sends calls.
    pub(crate) fn register(&self, registration: Registration, done: Done<()>) {
        let _ = self.commands.send(Command::Register(registration, done));
    }

    /// Takes no call any more. Those that are open are still answered.
    pub(crate) fn stop(&self) {
        let _ = self.commands.send(Command::Stop);
    }

    pub(crate) fn stats(&self) -> ServeStats {
        *self.stats.lock()
    }
}

/// What stands while a channel does.
struct Up {
    channel: Channel,
    arrivals: Arrivals,
    ledger: Ledger,
    /// Answers that are not written yet; then their calls are acknowledged.
    answers: FuturesUnordered<Leaving>,
}

/// An answer on its way; its call, and whether it was written.
type Leaving = Pin<Box<dyn Future<Output = (u64, lapin::Result<()>)> + Send>>;

type Opening = Pin<Box<dyn Future<Output = Option<lapin::Result<Up>>> + Send>>;

/// Serves, on the engine's thread.
pub(crate) struct Server {
    context: Arc<Context>,
    link: Link,
    commands: mpsc::UnboundedSender<Command>,
    arriving: mpsc::UnboundedReceiver<Command>,
    registrations: Vec<Registration>,
    session: u64,
    stopped: bool,
    stats: Arc<Mutex<ServeStats>>,
}

const BATCH: usize = 256;

impl Server {
    /// Until the link is closed.
    pub(crate) async fn run(mut self) {
        let mut commands = Vec::with_capacity(BATCH);
        let mut opening: Option<Opening> = None;
        let mut up: Option<Up> = None;
        let mut look = tokio::time::interval(self.context.config.limits.stall / 2);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut closing = self.link.clone();
        loop {
            if up.is_none() && opening.is_none() && !self.registrations.is_empty() && !self.stopped {
                opening = Some(self.opening());
            }
            let failed = tokio::select! {
                biased;
                () = closing.closed() => break,
                taken = self.arriving.recv_many(&mut commands, BATCH) => {
                    let mut failed = taken == 0;
                    for command in commands.drain(..) {
                        failed |= !self.take(command, &mut up).await;
                    }
                    failed
                }
                event = next(&mut up) => match (event, &mut up) {
                    (Event::Written(tag), Some(up)) => {
                        up.written(tag);
                        false
                    }
                    (Event::Arrived(item), Some(up)) => !self.arrived(item, up).await,
                    _ => true,
                },
                opened = next_opened(&mut opening) => {
                    opening = None;
                    match opened {
                        Some(Ok(opened)) => {
                            up = Some(opened);
                            false
                        }
                        Some(Err(_)) => true,
                        None => break,
                    }
                }
                _ = look.tick(), if up.as_ref().is_some_and(|up| up.ledger.outstanding() > 0) => {
                    for registration in &self.registrations {
                        registration.handler.give_back_stalled();
                    }
                    false
                }
            };
            if failed {
                up = None;
                opening = None;
                self.context.pause().await;
            } else if let Some(up) = &mut up {
                up.flush();
            }
            self.stats.lock().open = up.as_ref().map_or(0, |up| up.ledger.outstanding());
        }
    }

    fn opening(&mut self) -> Opening {
        self.session += 1;
        let (link, context) = (self.link.clone(), Arc::clone(&self.context));
        let registrations = self.registrations.clone();
        Box::pin(setup::open(link, context, registrations))
    }

    /// Whether the channel is still good.
    async fn take(&mut self, command: Command, up: &mut Option<Up>) -> bool {
        match command {
            Command::Register(registration, done) => return self.register(registration, done, up).await,
            Command::Settle(settlement) => {
                if let Some(up) = up
                    && settlement.session == self.session
                {
                    self.settle(settlement, up);
                }
            }
            Command::Stop => {
                self.stopped = true;
                if let Some(up) = up {
                    for tag in up.arrivals.tags() {
                        let _ = up.channel.basic_cancel(tag, BasicCancelOptions::default()).await;
                    }
                }
            }
        }
        true
    }

    async fn register(&mut self, registration: Registration, done: Done<()>, up: &mut Option<Up>) -> bool {
        // On a channel of its own first: a refusal closes it, and no call with it.
        let declared = setup::declare(&mut self.link, &self.context, &registration).await;
        if let Err(error) = declared {
            done.end(Err(error));
            return true;
        }
        let index = self.registrations.len();
        let begun = match up {
            Some(up) => up.arrivals.consume(&up.channel, index, &registration).await,
            None => Ok(()),
        };
        self.registrations.push(registration);
        done.end(Ok(()));
        begun.is_ok()
    }

    /// Whether the channel is still good.
    async fn arrived(&mut self, item: Item, up: &mut Up) -> bool {
        match item {
            Item::Delivery { registration, method, delivery } => {
                let delivery = match delivery {
                    Ok(delivery) => delivery,
                    Err(_) => return false,
                };
                up.ledger.arrived(delivery.delivery_tag);
                let Some(served) = self.registrations.get(registration) else { return true };
                let redeliver = served
                    .methods
                    .iter()
                    .find(|known| *known.name == *method)
                    .is_none_or(|method| method.redeliver);
                let reply_to = request::Origin::new(self.session, &delivery, &method, &self.commands);
                match request::read(*delivery, &method, redeliver, reply_to) {
                    Ok(request) => {
                        self.stats.lock().taken += 1;
                        served.handler.handle(request);
                    }
                    Err(Some(error)) => {
                        self.stats.lock().malformed += 1;
                        self.context.observer.trouble(&error, &format!("a call of {method}"));
                    }
                    // It is answered already, or nobody waits any more.
                    Err(None) => {}
                }
                true
            }
            Item::Ended { registration, method } => {
                if self.stopped {
                    return true;
                }
                // The queue was deleted under its consumer.
                self.context.pause().await;
                let Some(served) = self.registrations.get(registration) else { return true };
                up.arrivals.restore(&up.channel, registration, served, &method).await.is_ok()
            }
        }
    }

    fn settle(&mut self, settlement: Settlement, up: &mut Up) {
        let tag = settlement.tag;
        match settlement.how {
            How::Answered(message) => {
                self.stats.lock().answered += 1;
                up.answer(tag, *message);
            }
            How::GivenBack => {
                if up.ledger.forget(tag) {
                    self.stats.lock().given_back += 1;
                    let options = BasicNackOptions { multiple: false, requeue: true };
                    let _ = up.channel.basic_nack(tag, options).now_or_never();
                }
            }
            How::Dropped => {
                up.ledger.done(tag);
            }
        }
    }
}

impl Up {
    fn answer(&mut self, tag: u64, message: Message) {
        let channel = self.channel.clone();
        let mut answer = Box::pin(async move {
            let written = wire::publish(&channel, &message).await;
            (tag, written)
        });
        // The first step hands its frames over.
        if let Some((tag, Ok(()))) = answer.as_mut().now_or_never() {
            self.ledger.done(tag);
        } else {
            self.answers.push(answer);
        }
    }

    /// An answer is written, and further ones may be.
    fn written(&mut self, tag: u64) {
        self.ledger.done(tag);
        while let Some(Some((tag, Ok(())))) = self.answers.next().now_or_never() {
            self.ledger.done(tag);
        }
    }

    /// Acknowledges what is answered.
    fn flush(&mut self) {
        let channel = &self.channel;
        self.ledger.flush(|Ack { tag, multiple }| {
            let _ = channel.basic_ack(tag, BasicAckOptions { multiple }).now_or_never();
        });
    }
}

/// What a channel brings.
enum Event {
    /// The answer of this call has left.
    Written(u64),
    Arrived(Item),
    Failed,
}

async fn next(up: &mut Option<Up>) -> Event {
    let Some(up) = up else { return std::future::pending().await };
    let idle = up.answers.is_empty();
    tokio::select! {
        biased;
        Some((tag, written)) = up.answers.next(), if !idle => match written {
            Ok(()) => Event::Written(tag),
            Err(_) => Event::Failed,
        },
        item = up.arrivals.next() => item.map_or(Event::Failed, Event::Arrived),
    }
}

async fn next_opened(opening: &mut Option<Opening>) -> Option<lapin::Result<Up>> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}
