//! Serves one object's methods, for as long as the connector is open.

use std::pin::Pin;
use std::sync::Arc;

use lapin::message::Delivery;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::channel::{Up, WRITTEN};
use super::setup::{self, Item};
use super::{Command, How, Registration, ServeStats, Settlement, request};
use crate::core::done::Done;
use crate::core::error::{Code, Error, Fate};
use crate::fabric::context::Context;
use crate::fabric::error::{Cause, classify};
use crate::fabric::link::Link;
use crate::fabric::publishing::Message;

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
    /// Takes what [`super::Serving`] and the answers send it.
    pub(super) fn new(
        (context, link): (&Arc<Context>, &Link),
        registration: Registration,
        begun: Done<()>,
        (commands, arriving): (mpsc::UnboundedSender<Command>, mpsc::UnboundedReceiver<Command>),
        stopped: bool,
        stats: Arc<Mutex<ServeStats>>,
    ) -> Self {
        Self {
            context: Arc::clone(context),
            link: link.clone(),
            registration,
            begun: Some(begun),
            commands,
            arriving,
            session: 0,
            stopped,
            stats,
            open: 0,
            late: Vec::new(),
        }
    }

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
                if up.give_back(tag, true) {
                    self.stats.lock().given_back += 1;
                }
            }
            How::Dropped => {
                up.ledger.done(tag);
            }
            How::Expired => {
                up.give_back(tag, false);
            }
        }
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
