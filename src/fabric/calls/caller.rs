//! Runs calls: sent on one channel, answered on the same, ended by their deadlines.

mod fate;
mod targets;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::BasicConsumeOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::{Call, Command, Reply, Target};
use crate::core::deadline::Deadline;
use crate::core::done::Done;
use crate::core::error::{Code, Error, Fate, Result};
use crate::fabric::context::Context;
use crate::fabric::error::classify;
use crate::fabric::link::{Link, answered};
use crate::fabric::presence::Roster;
use crate::fabric::publishing::Message;
use crate::fabric::wire;
pub(super) use targets::Prepared;
use targets::{Next, Targets};

/// A call that waits.
struct Waiting {
    target: Target,
    message: Arc<Message>,
    deadline: Deadline,
    idempotent: bool,
    done: Done<Reply>,
    progress: Progress,
    sent: Option<Instant>,
    /// It was sent before, and may have run.
    is_repeat: bool,
    begun: Instant,
    /// As long as it may not have been written.
    sending: Option<Sending>,
}

type Sending = Pin<Box<dyn Future<Output = lapin::Result<()>> + Send>>;

/// After a call was sent, so long until it is looked whether it came back; and then so often, for a moment.
const FIRST_RETURNS: Duration = Duration::from_millis(3);
const LATER_RETURNS: Duration = Duration::from_millis(20);
const RETURNS_FOR: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It waits for the connection.
    Unsent,
    /// It was handed to the connection, which may not have written it yet.
    Given,
}

/// What stands while a channel does.
struct Up {
    channel: Channel,
    replies: Consumer,
}

type Opening = Pin<Box<dyn Future<Output = Option<lapin::Result<Up>>> + Send>>;

/// Runs the calls, on the engine's thread.
pub(crate) struct Caller {
    context: Arc<Context>,
    roster: Arc<Roster>,
    targets: Targets,
    /// Who calls, as its calls say.
    caller: String,
    link: Link,
    /// To be told of what is found out beside. It does not keep the channel open.
    commands: mpsc::WeakUnboundedSender<Command>,
    arriving: mpsc::UnboundedReceiver<Command>,
    open: Arc<AtomicUsize>,
    waiting: HashMap<u64, Waiting>,
    deadlines: BTreeSet<(Instant, u64)>,
    unsent: VecDeque<u64>,
    /// When it was last asked whether those that are slow to answer are there at all.
    looked: Instant,
    /// How soon that is asked again.
    look: Duration,
    /// When it is looked for calls that came back.
    asks: Option<Instant>,
    /// What is asked on, unless it is being asked.
    asking: Arc<tokio::sync::Mutex<Option<Channel>>>,
    /// When the channel was opened last.
    back: Instant,
    /// Calls that came back, and are sent once more at the next look.
    later: Vec<u64>,
    /// Methods that nobody served, and since when.
    unserved: HashMap<Target, Instant>,
}

/// Commands taken at once.
const BATCH: usize = 256;

impl Caller {
    /// Takes what [`super::Calls`] sends it.
    pub(super) fn new(
        context: &Arc<Context>,
        roster: &Arc<Roster>,
        link: Link,
        (commands, arriving): (mpsc::WeakUnboundedSender<Command>, mpsc::UnboundedReceiver<Command>),
        open: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            context: Arc::clone(context),
            roster: Arc::clone(roster),
            targets: Targets::new(Arc::clone(context)),
            caller: context.config.identity.fqn(),
            link,
            commands,
            arriving,
            open,
            waiting: HashMap::new(),
            deadlines: BTreeSet::new(),
            unsent: VecDeque::new(),
            looked: Instant::now(),
            look: fate::LOOK,
            asks: None,
            asking: Arc::default(),
            back: Instant::now(),
            later: Vec::new(),
            unserved: HashMap::new(),
        }
    }

    /// Until the link is closed, or nobody can call any more.
    pub(crate) async fn run(mut self) {
        let mut commands = Vec::with_capacity(BATCH);
        let mut closing = self.link.clone();
        let mut opening: Opening = Box::pin(open(self.link.clone()));
        let mut up: Option<Up> = None;
        let mut timer = Box::pin(tokio::time::sleep(Duration::from_secs(3600)));
        loop {
            let is_awaited = self.set(&mut timer);
            let failed = tokio::select! {
                biased;
                () = closing.closed() => break,
                event = next(&mut up) => match event {
                    Event::Reply(delivery) => {
                        self.replied(*delivery);
                        self.replied_too(&mut up)
                    }
                    Event::Failed(error) => Some(error),
                },
                taken = self.arriving.recv_many(&mut commands, BATCH) => {
                    if taken == 0 {
                        break;
                    }
                    for command in commands.drain(..) {
                        self.take(command);
                    }
                    None
                }
                opened = &mut opening, if up.is_none() => match opened {
                    Some(Ok(opened)) => {
                        for exchange in self.targets.begin() {
                            self.prepare(&exchange);
                        }
                        self.back = Instant::now();
                        up = Some(opened);
                        None
                    }
                    Some(Err(_)) => {
                        opening = Box::pin(open_again(Arc::clone(&self.context), self.link.clone()));
                        None
                    }
                    None => break,
                },
                () = &mut timer, if is_awaited => {
                    if let Some(up) = &up
                        && self.asks.is_some_and(|asks| asks <= Instant::now())
                    {
                        self.take_returned(up);
                    }
                    self.expire();
                    self.look_after();
                    None
                }
            };
            let failed = match (failed, &up) {
                (None, Some(up)) => self.send_waiting(up).await,
                (failed, _) => failed,
            };
            if let Some(error) = failed {
                if let Some(old) = up.take() {
                    self.lost(&old, &error).await;
                }
                opening = Box::pin(open_again(Arc::clone(&self.context), self.link.clone()));
            }
        }
        self.end();
    }

    /// What wakes the loop next: a deadline, or the look after those that are slow. Whether there is any: a timer that
    /// has run out stays so, and would wake it for ever.
    fn set(&self, timer: &mut Pin<Box<Sleep>>) -> bool {
        let look = (!self.waiting.is_empty()).then(|| self.looked + self.look);
        let first = self.deadlines.first().map(|(deadline, _)| *deadline);
        let asks = self.asks.filter(|_| !self.waiting.is_empty());
        let Some(due) = [look, first, asks].into_iter().flatten().min() else { return false };
        let due = tokio::time::Instant::from_std(due);
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        true
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Call(number, call) => self.begin(number, call),
            Command::Cancel(number) => drop(self.remove(number)),
            Command::Prepare(exchange, done) => {
                if self.targets.await_ready(&exchange, &self.link, done) {
                    self.prepare(&exchange);
                }
            }
            Command::Prepared(prepared) => match self.targets.prepared(prepared) {
                Next::Send(calls) => self.unsent.extend(calls),
                Next::Fail(calls, error) => {
                    for number in calls {
                        self.finish(number, Err(error.clone()));
                    }
                }
            },
            Command::Unroutable(number, error) => self.finish(number, Err(error)),
            Command::Served(target, servers, since) => self.served(target, servers, since),
        }
    }

    fn begin(&mut self, number: u64, mut call: Call) {
        let message = wire::call(number, &mut call, &self.caller);
        self.deadlines.insert((call.deadline.instant(), number));
        let Call { target, deadline, idempotent, done, .. } = call;
        let progress = Progress::Unsent;
        let message = Arc::new(message);
        self.waiting.insert(
            number,
            Waiting {
                target,
                message,
                deadline,
                idempotent,
                done,
                progress,
                sent: None,
                is_repeat: false,
                begun: Instant::now(),
                sending: None,
            },
        );
        self.unsent.push_back(number);
    }

    /// Sends those that wait, in their order.
    ///
    /// # Errors
    /// Why the channel has failed.
    async fn send_waiting(&mut self, up: &Up) -> Option<lapin::Error> {
        while let Some(number) = self.unsent.pop_front() {
            let Some(exchange) = self.waiting.get(&number).map(|waiting| &waiting.target.exchange) else {
                continue;
            };
            if !self.targets.is_ready(exchange) {
                let exchange = exchange.clone();
                if self.targets.await_call(&exchange, number) {
                    self.prepare(&exchange);
                }
                continue;
            }
            let Some(waiting) = self.waiting.get_mut(&number) else { continue };
            if waiting.progress == Progress::Given {
                continue;
            }
            let mut sending: Sending = Box::pin(wire::send(up.channel.clone(), Arc::clone(&waiting.message)));
            // The first step hands its frames over; that it was written is looked at only if the channel fails.
            match futures_util::poll!(&mut sending) {
                Poll::Ready(Err(error)) => {
                    self.unsent.push_front(number);
                    return Some(error);
                }
                Poll::Ready(Ok(())) => {}
                Poll::Pending => waiting.sending = Some(sending),
            }
            waiting.progress = Progress::Given;
            waiting.sent = Some(Instant::now());
            self.asks.get_or_insert_with(|| Instant::now() + FIRST_RETURNS);
        }
        None
    }

    /// Has an exchange made ready, beside the calls.
    fn prepare(&self, exchange: &str) {
        let prepare = self.targets.prepare(exchange, self.link.clone());
        let commands = self.commands.clone();
        tokio::spawn(async move {
            let prepared = prepare.await;
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(Command::Prepared(prepared));
            }
        });
    }

    /// Calls that came back, since nobody serves them. lapin keeps them until it is asked, and wakes nobody.
    fn take_returned(&mut self, up: &Up) {
        if let Some(Ok(messages)) = up.channel.wait_for_confirms().now_or_never() {
            for message in messages {
                let id = message.delivery.properties.correlation_id().as_ref();
                if let Some(number) = id.and_then(wire::number) {
                    self.returned(number);
                }
            }
        }
        let recent = |waiting: &Waiting| waiting.sent.is_some_and(|sent| sent.elapsed() < RETURNS_FOR);
        self.asks = self.waiting.values().any(recent).then(|| Instant::now() + LATER_RETURNS);
    }

    /// Further replies that are here already.
    fn replied_too(&mut self, up: &mut Option<Up>) -> Option<lapin::Error> {
        let up = up.as_mut()?;
        while let Some(Some(reply)) = up.replies.next().now_or_never() {
            match reply {
                Ok(delivery) => self.replied(delivery),
                Err(error) => return Some(error),
            }
        }
        None
    }

    fn replied(&mut self, delivery: Delivery) {
        let Some(number) = delivery.properties.correlation_id().as_ref().and_then(wire::number) else {
            return;
        };
        // One that nobody waits for any more came too late, or a second time.
        let Some(waiting) = self.remove(number) else { return };
        let (size, most) = (delivery.data.len(), self.context.config.limits.max_message);
        let reply = if size > most {
            let text = format!("it has {size} bytes, and a message at most {most} (max_message)");
            Err(Error::new(Code::Payload, text))
        } else {
            wire::reply(delivery)
        };
        waiting.done.end(reply.map_err(|error| fate::of_reply(error, &waiting.target)));
    }

    fn remove(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        self.deadlines.remove(&(waiting.deadline.instant(), number));
        self.open.fetch_sub(1, Ordering::Relaxed);
        Some(waiting)
    }

    fn finish(&mut self, number: u64, outcome: Result<Reply>) {
        if let Some(waiting) = self.remove(number) {
            waiting.done.end(outcome);
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some((due, number)) = self.deadlines.first().copied()
            && due <= now
        {
            if let Some(waiting) = self.remove(number) {
                let was_sent = waiting.is_repeat || waiting.progress == Progress::Given;
                let error = fate::late(&waiting.target, was_sent, &self.context);
                waiting.done.end(Err(error));
            }
        }
    }

    /// The channel has failed.
    async fn lost(&mut self, up: &Up, error: &lapin::Error) {
        self.take_returned(up);
        // lapin says now which of them were never written.
        self.context.pause().await;
        for waiting in self.waiting.values_mut() {
            if let Some(sending) = waiting.sending.take()
                && let Some(Err(_)) = sending.now_or_never()
            {
                waiting.progress = Progress::Unsent;
            }
        }
        let (told, _) = classify(error, "a call", &self.context.config.address);
        self.later.clear();
        let mut again: Vec<u64> = Vec::new();
        let given: Vec<u64> = self.of_progress(Progress::Given).collect();
        for number in given {
            let Some(waiting) = self.waiting.get_mut(&number) else { continue };
            if waiting.idempotent {
                waiting.progress = Progress::Unsent;
                waiting.is_repeat = true;
                again.push(number);
            } else if let Some(waiting) = self.remove(number) {
                waiting.done.end(Err(fate::lost(&waiting.target, &told)));
            }
        }
        again.extend(self.of_progress(Progress::Unsent));
        again.sort_unstable();
        again.dedup();
        self.unsent = again.into();
    }

    fn of_progress(&self, progress: Progress) -> impl Iterator<Item = u64> {
        self.waiting
            .iter()
            .filter(move |(_, waiting)| waiting.progress == progress)
            .map(|(number, _)| *number)
    }

    /// The link is closed.
    fn end(mut self) {
        self.arriving.close();
        while let Ok(command) = self.arriving.try_recv() {
            if let Command::Call(number, call) = command {
                self.begin(number, call);
            }
        }
        for (_, waiting) in self.waiting.drain() {
            self.open.fetch_sub(1, Ordering::Relaxed);
            let was_sent = waiting.is_repeat || waiting.progress == Progress::Given;
            let fate = if was_sent { Fate::Unknown } else { Fate::NotSent };
            let text = format!("the connector was closed before {} answered", waiting.target);
            waiting.done.end(Err(Error::new(Code::ConnectionLost, text).with_fate(fate)));
        }
    }
}

/// What a channel brings.
enum Event {
    Reply(Box<Delivery>),
    Failed(lapin::Error),
}

async fn next(up: &mut Option<Up>) -> Event {
    let Some(up) = up else { return std::future::pending().await };
    match up.replies.next().await {
        Some(Ok(delivery)) => Event::Reply(Box::new(delivery)),
        Some(Err(error)) => Event::Failed(error),
        None => Event::Failed(wire::ended()),
    }
}

/// The channel for calls, once there is a connection.
async fn open(mut link: Link) -> Option<lapin::Result<Up>> {
    match link.channel().await? {
        Ok(channel) => Some(answered(consume(channel)).await),
        Err(error) => Some(Err(error)),
    }
}

async fn open_again(context: Arc<Context>, link: Link) -> Option<lapin::Result<Up>> {
    context.pause().await;
    open(link).await
}

async fn consume(channel: Channel) -> lapin::Result<Up> {
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let tag = ShortString::from("replies");
    let replies =
        channel.basic_consume(wire::REPLY_QUEUE.into(), tag, options, FieldTable::default()).await?;
    Ok(Up { channel, replies })
}
