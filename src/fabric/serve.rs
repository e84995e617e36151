//! Calls from other services: taken from the methods' queues, handed to whoever runs them, answered, and only then
//! acknowledged. So a call whose server dies is taken by the next.

mod request;
mod setup;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions};
use lapin::{Channel, Consumer};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::acks::{Ack, Ledger};
use super::context::Context;
use super::error::{Cause, classify};
use super::link::Link;
use super::publishing::Message;
use super::wire;
use crate::core::done::Done;
use crate::core::error::{Code, Error, Fate};

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
        Server {
            context: Arc::clone(&self.context),
            link: self.link.clone(),
            registration,
            begun: Some(begun),
            commands,
            arriving,
            session: 0,
            stopped: served.stopped,
            stats: Arc::clone(&self.stats),
            open: 0,
            late: Vec::new(),
        }
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

/// What stands while a channel does.
struct Up {
    channel: Channel,
    arrivals: Arrivals,
    ledger: Ledger,
    /// Answers that are not written yet; then their calls are acknowledged.
    answers: VecDeque<(u64, Answering)>,
    /// Why the channel takes no answers any more.
    failed: Option<lapin::Error>,
    /// Says that this server leaves, and still answers.
    leaving: Option<Consumer>,
}

/// An answer on its way, and whether it was written.
type Answering = Pin<Box<dyn Future<Output = lapin::Result<()>> + Send>>;

/// So long after an answer it is looked whether it was written, unless something else happens before. Being woken for
/// each would cost more than the rest of an answer.
const WRITTEN: Duration = Duration::from_millis(2);

type Opening = Pin<Box<dyn Future<Output = Option<lapin::Result<Up>>> + Send>>;

/// Serves one object's methods, on the engine's thread and on a channel of its own: what the broker refuses of one
/// object ends no call of another.
pub(crate) struct Server {
    context: Arc<Context>,
    link: Link,
    registration: Registration,
    /// Told once whether it has begun.
    begun: Option<Done<()>>,
    commands: mpsc::UnboundedSender<Command>,
    arriving: mpsc::UnboundedReceiver<Command>,
    session: u64,
    stopped: bool,
    stats: Arc<Mutex<ServeStats>>,
    /// What it has put into the statistics.
    open: usize,
    /// Answers that wait for a channel.
    late: Vec<Message>,
}

/// So many answers wait for a connection.
const MOST_LATE: usize = 10_000;

const BATCH: usize = 256;

impl Server {
    /// Until it is stopped and all is answered, or the link is closed.
    pub(crate) async fn run(mut self) {
        let mut commands = Vec::with_capacity(BATCH);
        let mut opening: Option<Opening> = None;
        let mut up: Option<Up> = None;
        let mut look = tokio::time::interval(self.context.config.limits.stall / 2);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut closing = self.link.clone();
        while !(self.stopped && self.open == 0) {
            if up.is_none() && opening.is_none() {
                opening = Some(self.opening());
            }
            let failed = tokio::select! {
                biased;
                () = closing.closed() => break,
                _ = self.arriving.recv_many(&mut commands, BATCH) => {
                    for command in commands.drain(..) {
                        self.take(command, &mut up).await;
                    }
                    None
                }
                item = next(&mut up) => match &mut up {
                    Some(up) => self.arrived(item, up).await,
                    None => None,
                },
                () = tokio::time::sleep(WRITTEN), if up.as_ref().is_some_and(|up| !up.answers.is_empty()) => None,
                opened = next_opened(&mut opening) => {
                    opening = None;
                    match opened {
                        Some(Ok(mut opened)) => {
                            self.late.drain(..).for_each(|message| opened.send(message));
                            up = Some(opened);
                            if let Some(begun) = self.begun.take() {
                                begun.end(Ok(()));
                            }
                            None
                        }
                        Some(Err(error)) => Some(error),
                        None => break,
                    }
                }
                _ = look.tick(), if self.open > 0 => {
                    self.registration.handler.give_back_stalled();
                    None
                }
            };
            let failed = failed.or_else(|| up.as_mut().and_then(|up| up.look().err()));
            if let Some(error) = failed {
                up = None;
                if !self.will_try_again(&error) {
                    break;
                }
                self.context.pause().await;
            } else if let Some(up) = &mut up {
                up.flush();
            }
            self.count(up.as_ref().map_or(0, |up| up.ledger.outstanding()));
        }
        self.count(0);
    }

    /// Says how many calls are open.
    fn count(&mut self, open: usize) {
        if open != self.open {
            let mut stats = self.stats.lock();
            stats.open = stats.open + open - self.open;
            self.open = open;
        }
    }

    fn opening(&mut self) -> Opening {
        self.session += 1;
        Box::pin(setup::open(self.link.clone(), Arc::clone(&self.context), self.registration.clone()))
    }

    fn will_try_again(&mut self, error: &lapin::Error) -> bool {
        let doing = format!("serving {}", self.registration.exchange);
        let (told, cause) = classify(error, &doing, &self.context.config.address);
        if cause == Cause::Retry {
            return true;
        }
        match self.begun.take() {
            Some(begun) => {
                begun.end(Err(told));
                false
            }
            // It was served before: somebody has changed a queue, and may change it back.
            None => {
                self.context.observer.trouble(&told, &doing);
                true
            }
        }
    }

    async fn take(&mut self, command: Command, up: &mut Option<Up>) {
        match command {
            Command::Settle(settlement) => match up {
                Some(up) if settlement.session == self.session => self.settle(settlement, up),
                up => self.settle_late(settlement, up.as_mut()),
            },
            Command::Stop => {
                self.stopped = true;
                if let Some(up) = up {
                    up.stop(&self.registration.exchange).await;
                }
            }
        }
    }

    /// Why the channel has failed, if it has.
    async fn arrived(&mut self, item: Item, up: &mut Up) -> Option<lapin::Error> {
        match item {
            Item::Delivery { method, delivery } => {
                let delivery = match *delivery {
                    Ok(delivery) => delivery,
                    Err(error) => return Some(error),
                };
                up.ledger.arrived(delivery.delivery_tag);
                self.called(delivery, &method);
                None
            }
            Item::Ended { .. } if self.stopped => None,
            Item::Ended { method } => {
                // The queue was deleted under its consumer.
                self.context.pause().await;
                up.arrivals.restore(&up.channel, &self.registration, &method).await.err()
            }
        }
    }

    fn called(&self, delivery: Delivery, method: &Arc<str>) {
        let known = self.registration.methods.iter().find(|known| *known.name == **method);
        let redeliver = known.is_none_or(|method| method.redeliver);
        let origin = request::Origin::new(self.session, &delivery, &self.commands);
        let (size, most) = (delivery.data.len(), self.context.config.limits.max_message);
        if size > most {
            let text = format!("a call of {size} bytes: a message has at most {most} (max_message)");
            return origin.refuse(&Error::new(Code::Payload, text).with_fate(Fate::Rejected));
        }
        match request::read(delivery, method, redeliver, origin) {
            Ok(request) => {
                self.stats.lock().taken += 1;
                self.registration.handler.handle(request);
            }
            Err(Some(error)) => {
                self.stats.lock().malformed += 1;
                self.context.observer.trouble(&error, &format!("a call of {method}"));
            }
            // It is answered already.
            Err(None) => {}
        }
    }

    /// A call of a channel that has ended. The broker hands it to the next server, if it did not die with its queue: so
    /// its answer is sent all the same, and its caller takes whichever comes first.
    fn settle_late(&mut self, settlement: Settlement, up: Option<&mut Up>) {
        let How::Answered(message) = settlement.how else { return };
        match up {
            Some(up) => up.send(*message),
            None if self.late.len() < MOST_LATE => self.late.push(*message),
            None => {}
        }
    }

    fn settle(&self, settlement: Settlement, up: &mut Up) {
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
            How::Expired => {
                if up.ledger.forget(tag) {
                    let options = BasicNackOptions { multiple: false, requeue: false };
                    let _ = up.channel.basic_nack(tag, options).now_or_never();
                }
            }
        }
    }
}

impl Up {
    /// Takes no call any more. While calls run, callers can see that somebody is about to answer, although the last
    /// server's queues go with it.
    async fn stop(&mut self, exchange: &str) {
        if self.ledger.outstanding() > 0 {
            self.leaving = setup::say_leaving(&self.channel, exchange).await.ok();
        }
        for tag in self.arrivals.tags() {
            let _ = self.channel.basic_cancel(tag, BasicCancelOptions::default()).await;
        }
    }

    /// Sends an answer of a call that is none of this channel's.
    fn send(&mut self, message: Message) {
        // No delivery has this number.
        self.answer(0, message);
    }

    fn answer(&mut self, tag: u64, message: Message) {
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
    fn look(&mut self) -> lapin::Result<()> {
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

    /// Acknowledges what is answered.
    fn flush(&mut self) {
        let channel = &self.channel;
        self.ledger.flush(|Ack { tag, multiple }| {
            let _ = channel.basic_ack(tag, BasicAckOptions { multiple }).now_or_never();
        });
    }
}

async fn next(up: &mut Option<Up>) -> Item {
    match up {
        Some(up) => up.arrivals.next().await,
        None => std::future::pending().await,
    }
}

async fn next_opened(opening: &mut Option<Opening>) -> Option<lapin::Result<Up>> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}
