//! Messages from one queue, on a channel of its own: handed to their receiver in order, settled as it says, and
//! consumed again after a lost connection or a deleted queue.

mod arrived;
mod queue;

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions};
use lapin::{Channel, Consumer};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::acks::{Ack, Ledger};
use super::context::Context;
use super::error::{Cause, classify};
use super::link::{Link, answered};
use crate::core::done::Done;
use crate::core::error::{Code, Error};

pub use arrived::{Arrived, Settle, Verdict};
pub use queue::{Binding, Offset, QueueSpec};

/// Whoever takes messages. Called on the engine's thread: it hands them on at once.
pub trait Receive: Send + Sync + 'static {
    /// A message has come.
    fn receive(&self, arrived: Arrived);
    /// Messages come from now on; again after each lost connection.
    fn ready(&self) {}
    /// How many messages it has not come to an end with.
    fn busy(&self) -> usize {
        0
    }
}

enum Command {
    Settle(arrived::Settlement),
    Stop(Done<()>),
}

/// What a subscription has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsumeStats {
    /// Messages handed to the receiver.
    pub received: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Messages rejected, or given back.
    pub rejected: u64,
    /// Messages of a stream that did not match, and were passed over.
    pub filtered: u64,
    /// Messages that are open now.
    pub open: usize,
}

/// A queue that is consumed. Dropping it does not end that; [`Consuming::stop`] does.
#[derive(Clone)]
pub struct Consuming {
    commands: mpsc::UnboundedSender<Command>,
    stats: Arc<Mutex<ConsumeStats>>,
    /// What consumes owns it.
    receiver: Weak<dyn Receive>,
}

impl Consuming {
    /// Takes no message any more. Those that are open can still be settled, until the connector is closed.
    pub fn stop(&self, done: Done<()>) {
        if let Err(mpsc::error::SendError(Command::Stop(done))) = self.commands.send(Command::Stop(done)) {
            done.end(Ok(()));
        }
    }

    /// Whether its receiver is still at work.
    pub(crate) fn is_busy(&self) -> bool {
        self.receiver.upgrade().is_some_and(|receiver| receiver.busy() > 0)
    }

    /// Whether messages come no more.
    pub(crate) fn has_ended(&self) -> bool {
        self.commands.is_closed()
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> ConsumeStats {
        *self.stats.lock()
    }
}

/// What stands while a channel does.
struct Up {
    channel: Channel,
    consumer: Consumer,
    ledger: Ledger,
}

type Opening = Pin<Box<dyn Future<Output = Option<lapin::Result<Up>>> + Send>>;

/// Consumes, on the engine's thread.
pub(crate) struct Consume {
    context: Arc<Context>,
    link: Link,
    spec: Arc<Mutex<QueueSpec>>,
    receiver: Arc<dyn Receive>,
    commands: mpsc::UnboundedSender<Command>,
    arriving: mpsc::UnboundedReceiver<Command>,
    /// Told once whether it has begun.
    begun: Option<Done<()>>,
    session: u64,
    stopped: bool,
    stats: Arc<Mutex<ConsumeStats>>,
}

const BATCH: usize = 256;

/// While more messages than this are open, their receiver has work to do:
const BUSY: usize = 32;
/// what it settles within this time is settled together, and wakes this thread once.
const TOGETHER: Duration = Duration::from_millis(1);

impl Consume {
    /// `begun` is told when the broker sends messages, or why it never will.
    pub(crate) fn new(
        context: &Arc<Context>,
        link: Link,
        spec: QueueSpec,
        receiver: Arc<dyn Receive>,
        begun: Done<()>,
    ) -> (Consuming, Self) {
        let (commands, arriving) = mpsc::unbounded_channel();
        let stats = Arc::new(Mutex::default());
        let consume = Self {
            context: Arc::clone(context),
            link,
            spec: Arc::new(Mutex::new(spec)),
            receiver: Arc::clone(&receiver),
            commands: commands.clone(),
            arriving,
            begun: Some(begun),
            session: 0,
            stopped: false,
            stats: Arc::clone(&stats),
        };
        (Consuming { commands, stats, receiver: Arc::downgrade(&receiver) }, consume)
    }

    /// Until it is stopped and all is settled, or the link is closed.
    pub(crate) async fn run(mut self) {
        let mut commands = Vec::with_capacity(BATCH);
        let mut closing = self.link.clone();
        let mut opening = Some(self.opening());
        let mut up: Option<Up> = None;
        loop {
            let failed = tokio::select! {
                biased;
                () = closing.closed() => break,
                taken = self.arriving.recv_many(&mut commands, BATCH) => {
                    debug_assert!(taken > 0, "its own sender keeps it open");
                    for command in commands.drain(..) {
                        self.take(command, &mut up).await;
                    }
                    None
                }
                delivery = next_delivery(&mut up), if !self.stopped => match (delivery, &mut up) {
                    (Some(Ok(delivery)), Some(up)) => {
                        self.received(delivery, up);
                        self.received_too(up)
                    }
                    (Some(Err(error)), _) => Some(error),
                    (None, _) => Some(super::wire::ended()),
                    (Some(_), None) => None,
                },
                opened = next_opened(&mut opening) => {
                    opening = None;
                    match opened {
                        Some(Ok(opened)) => {
                            up = Some(opened);
                            self.receiver.ready();
                            if let Some(begun) = self.begun.take() {
                                begun.end(Ok(()));
                            }
                            None
                        }
                        Some(Err(error)) => Some(error),
                        None => break,
                    }
                }
            };
            if let Some(error) = failed {
                up = None;
                if self.stopped || !self.will_try_again(&error) {
                    break;
                }
                self.context.pause().await;
                opening = Some(self.opening());
            } else if let Some(up) = &mut up {
                up.flush();
                let open = up.ledger.outstanding();
                self.stats.lock().open = open;
                if self.stopped && open == 0 {
                    break;
                }
                if open > BUSY {
                    tokio::time::sleep(TOGETHER).await;
                }
            } else if self.stopped {
                break;
            }
        }
        self.arriving.close();
        while let Ok(command) = self.arriving.try_recv() {
            if let Command::Stop(done) = command {
                done.end(Ok(()));
            }
        }
    }

    fn will_try_again(&mut self, error: &lapin::Error) -> bool {
        let queue = self.spec.lock().name.clone();
        let (told, cause) = match self.is_missing(error) {
            Some(missing) => (missing, Cause::Final),
            None => classify(error, &format!("consuming {queue}"), &self.context.config.address),
        };
        if cause == Cause::Retry {
            return true;
        }
        match self.begun.take() {
            Some(begun) => {
                begun.end(Err(told));
                false
            }
            // It went on before: somebody has changed the queue, and may change it back.
            None => {
                self.context.observer.trouble(&told, &format!("the subscription {queue}"));
                true
            }
        }
    }

    fn opening(&mut self) -> Opening {
        self.session += 1;
        Box::pin(open(self.link.clone(), Arc::clone(&self.spec)))
    }

    /// A stream that is to be read, and is not there, does not come by itself.
    fn is_missing(&self, error: &lapin::Error) -> Option<Error> {
        let spec = self.spec.lock();
        let missing = spec.offset.is_some() && error.is_amqp_soft_error() && self.begun.is_some();
        let told = classify(error, "reading the stream", &self.context.config.address).0;
        (missing && told.code == Code::ServiceUnavailable).then(|| {
            let text = format!("there is no stream {:?}: retain_data() makes one", spec.name);
            Error::new(Code::Configuration, text)
        })
    }

    async fn take(&mut self, command: Command, up: &mut Option<Up>) {
        match command {
            Command::Settle(settlement) => {
                if let Some(up) = up
                    && settlement.session == self.session
                {
                    self.settle(settlement.tag, settlement.verdict, up);
                }
            }
            Command::Stop(done) => {
                self.stopped = true;
                if let Some(up) = up {
                    let _ = up.channel.basic_cancel(up.consumer.tag(), BasicCancelOptions::default()).await;
                }
                done.end(Ok(()));
            }
        }
    }

    fn received(&self, delivery: lapin::message::Delivery, up: &mut Up) {
        let (no_ack, passes) = {
            let mut spec = self.spec.lock();
            spec.passed(&delivery);
            (spec.no_ack, spec.passes(&delivery))
        };
        if !no_ack {
            up.ledger.arrived(delivery.delivery_tag);
        }
        if !passes {
            up.ledger.done(delivery.delivery_tag);
            self.stats.lock().filtered += 1;
            return;
        }
        self.stats.lock().received += 1;
        let settle = if no_ack {
            Settle::settled()
        } else {
            Settle::new(self.session, delivery.delivery_tag, self.commands.clone())
        };
        self.receiver.receive(Arrived { delivery, settle });
    }

    /// Further messages that are here already.
    fn received_too(&self, up: &mut Up) -> Option<lapin::Error> {
        for _ in 1..BATCH {
            match up.consumer.next().now_or_never()? {
                Some(Ok(delivery)) => self.received(delivery, up),
                Some(Err(error)) => return Some(error),
                None => return Some(super::wire::ended()),
            }
        }
        None
    }

    fn settle(&self, tag: u64, verdict: Verdict, up: &mut Up) {
        let mut stats = self.stats.lock();
        // A stream keeps what it has: a message of it cannot be refused, only passed.
        if self.spec.lock().offset.is_some() {
            if up.ledger.done(tag) {
                match verdict {
                    Verdict::Ack => stats.acknowledged += 1,
                    Verdict::Reject { .. } => stats.rejected += 1,
                }
            }
            return;
        }
        match verdict {
            Verdict::Ack => {
                if up.ledger.done(tag) {
                    stats.acknowledged += 1;
                }
            }
            Verdict::Reject { requeue } => {
                if up.ledger.forget(tag) {
                    stats.rejected += 1;
                    let options = BasicNackOptions { multiple: false, requeue };
                    let _ = up.channel.basic_nack(tag, options).now_or_never();
                }
            }
        }
    }
}

impl Up {
    /// Acknowledges what is done.
    fn flush(&mut self) {
        let channel = &self.channel;
        self.ledger.flush(|Ack { tag, multiple }| {
            let _ = channel.basic_ack(tag, BasicAckOptions { multiple }).now_or_never();
        });
    }
}

async fn next_delivery(up: &mut Option<Up>) -> Option<lapin::Result<lapin::message::Delivery>> {
    match up {
        Some(up) => up.consumer.next().await,
        None => std::future::pending().await,
    }
}

async fn next_opened(opening: &mut Option<Opening>) -> Option<lapin::Result<Up>> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

async fn open(mut link: Link, spec: Arc<Mutex<QueueSpec>>) -> Option<lapin::Result<Up>> {
    match link.channel().await? {
        Ok(channel) => {
            let wanted = spec.lock().clone();
            Some(answered(begin(channel, wanted, &spec)).await)
        }
        Err(error) => Some(Err(error)),
    }
}

async fn begin(channel: Channel, wanted: QueueSpec, spec: &Mutex<QueueSpec>) -> lapin::Result<Up> {
    let (consumer, name) = wanted.consume(&channel).await?;
    // A queue that the broker named is bound again under the same name only as long as it lives: ask for a new one.
    if !wanted.name.is_empty() {
        spec.lock().name = name;
    }
    Ok(Up { channel, consumer, ledger: Ledger::default() })
}
