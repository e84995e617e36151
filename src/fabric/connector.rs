//! A connector: one connection to the broker, and all that goes over it, on one thread of the engine.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;

use super::calls::{Call, Calls};
use super::config::Config;
use super::consume::{Consume, Consuming, QueueSpec, Receive};
use super::context::Context;
use super::link::{Link, Observer, State, Supervisor};
use super::outbox::{Bounds, Outbox, OutboxStats, WhenFull};
use super::presence::{Beat, Filter, Listener, Own, Roster, Seen};
use super::publishing::Message;
use super::serve::{Registration, ServeStats, Serving};
use super::{logs, stream};
use crate::core::deadline::Deadline;
use crate::core::done::Done;
use crate::core::error::{Code, Error, Result};
use crate::core::platform::fork::generation;
use crate::core::platform::signals::mask_signals;
use crate::fabric::identity::Identity;
use crate::fabric::version::VersionRange;

/// A connector that was opened. Dropping it ends it at once.
pub struct Connector {
    context: Arc<Context>,
    own: Arc<Own>,
    roster: Arc<Roster>,
    calls: Calls,
    serving: Serving,
    consuming: Mutex<Vec<Consuming>>,
    data: Arc<Outbox>,
    logs: Arc<Outbox>,
    link: Link,
    runtime: Handle,
    stop: watch::Sender<bool>,
    leaving: Arc<Notify>,
    left: Arc<Notify>,
    closing: Arc<Mutex<Closing>>,
    tasks: Tasks,
    thread: Mutex<Option<JoinHandle<()>>>,
    made_in: u64,
}

/// What a connector has done.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// Calls that wait for an answer.
    pub calls_open: usize,
    /// Calls from others.
    pub served: ServeStats,
    /// Published data.
    pub data: OutboxStats,
    /// Log records.
    pub logs: OutboxStats,
}

/// What runs on the engine's thread; none any more at the end.
type Tasks = Arc<Mutex<Option<JoinSet<()>>>>;

/// How far the end has come.
#[derive(Default)]
struct Closing {
    begun: bool,
    ended: bool,
    waiting: Vec<Done<Leftover>>,
    leftover: Leftover,
}

/// What was not done when a connector closed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leftover {
    /// Published messages without a confirmation.
    pub data: usize,
    /// Log records without one.
    pub logs: usize,
    /// Calls from others that still ran.
    pub calls: usize,
}

impl Connector {
    /// Begins to connect. `opened` is told when the connection stands for the first time, or why it never will.
    ///
    /// # Errors
    /// `Configuration` when no thread can be started.
    pub fn open(config: Config, observer: Arc<dyn Observer>, opened: Done<()>) -> Result<Arc<Self>> {
        let limits = config.limits.clone();
        let instance = instance()?;
        let own = Own::new(config.identity.clone(), instance);
        let roster = Arc::new(Roster::new(config.time_to_live, limits.max_services));
        let context = Context::new(config, Arc::clone(&observer));
        let (supervisor, link) = Supervisor::new(Arc::clone(&context));
        let (calls, caller) = Calls::new(&context, &roster, link.clone());
        let serving = Serving::new(&context, link.clone());
        let data = Outbox::new(
            "outbox",
            Bounds {
                messages: limits.outbox_messages,
                bytes: limits.outbox_bytes,
                window: limits.publish_window,
                when_full: WhenFull::Refuse,
            },
        );
        let told = Arc::clone(&context);
        let logs = Outbox::with_epitaph(
            "log",
            Bounds {
                messages: limits.log_records,
                bytes: limits.log_bytes,
                window: limits.publish_window,
                when_full: WhenFull::DropOldest,
            },
            move |count| logs::dropped(&told.config, count),
        );
        let (leaving, left) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let beat = Beat {
            context: Arc::clone(&context),
            own: Arc::clone(&own),
            link: link.clone(),
            leaving: Arc::clone(&leaving),
            left: Arc::clone(&left),
        };
        let listener =
            Listener { context: Arc::clone(&context), roster: Arc::clone(&roster), own: Arc::clone(&own) };
        let queue = Listener::queue(&context);
        let (heard, hears) = oneshot::channel();
        let heard = Done::new(move |begun| drop(heard.send(begun)));
        let (listening, listen) = Consume::new(&context, link.clone(), queue, Arc::new(listener), heard);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::io(Code::Configuration, "starting the engine of a connector", &error))?;
        let (stop, stopped) = watch::channel(false);
        let handle = runtime.handle().clone();
        let mut begun = JoinSet::new();
        let is_service = context.config.is_service();
        if is_service {
            begun.spawn_on(caller.run(), &handle);
            begun.spawn_on(listen.run(), &handle);
            begun.spawn_on(beat.run(), &handle);
        }
        for outbox in [&data, &logs] {
            begun.spawn_on(Arc::clone(outbox).run(link.clone(), Arc::clone(&context)), &handle);
        }
        let tasks: Tasks = Arc::new(Mutex::new(Some(begun)));
        let closing: Arc<Mutex<Closing>> = Arc::default();
        let ending = (Arc::clone(&tasks), Arc::clone(&closing), [Arc::clone(&data), Arc::clone(&logs)]);
        let work = async move {
            let (first, connected) = oneshot::channel();
            tokio::spawn(async move {
                let ended = || {
                    Err(Error::new(Code::ConnectionLost, "the connector was closed before it was connected"))
                };
                let connected = connected.await.unwrap_or_else(|_| ended());
                if connected.is_ok() && is_service {
                    // Who is heard from now on is to be known.
                    let _ = tokio::time::timeout(LAST, hears).await;
                }
                opened.end(connected);
            });
            let farewell = supervisor.run(first, stopped).await;
            end_tasks(&ending.0, &ending.2).await;
            if let Some(farewell) = farewell {
                farewell.say().await;
            }
            observer.state(State::Closed, None);
            tell_ended(&ending.1);
            drop(listening);
        };
        let thread = std::thread::Builder::new()
            .name("ironbridge-fabric".to_owned())
            .spawn(move || {
                mask_signals();
                runtime.block_on(work);
                runtime.shutdown_timeout(LAST);
            })
            .map_err(|error| Error::io(Code::Configuration, "starting a thread", &error))?;
        Ok(Arc::new(Self {
            context,
            own,
            roster,
            calls,
            serving,
            consuming: Mutex::default(),
            data,
            logs,
            link,
            runtime: handle,
            stop,
            leaving,
            left,
            closing,
            tasks,
            thread: Mutex::new(Some(thread)),
            made_in: generation(),
        }))
    }

    /// How it was set up.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.context.config
    }

    /// Whether the connection stands now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.link.is_up()
    }

    /// Begins a call; the number can cancel it.
    ///
    /// # Errors
    /// `Overloaded`, `ServiceUnavailable`; then `done` is not called.
    pub fn call(&self, call: Call) -> Result<u64> {
        self.calls.call(call)
    }

    /// Nobody waits for this call any more.
    pub fn cancel(&self, number: u64) {
        self.calls.cancel(number);
    }

    /// Has a service's exchange ready before it is called first.
    pub fn prepare(&self, exchange: String, done: Done<()>) {
        self.calls.prepare(exchange, done);
    }

    /// The highest version of a service that is there and in this range.
    ///
    /// # Errors
    /// `ServiceUnavailable`, naming the versions that are there.
    pub fn version(&self, service: &Identity, range: &VersionRange) -> Result<String> {
        self.roster.version(service, range)
    }

    /// Serves methods. `api` says each with its parameters, for siblings to compare.
    pub fn serve(&self, registration: Registration, api: Vec<String>, done: Done<()>) {
        self.own.offers(api);
        let server = self.serving.register(registration, done);
        self.spawn(server.run());
    }

    /// Publishes data, behind all that was published before.
    ///
    /// # Errors
    /// `Overloaded`, `ServiceUnavailable`; then `done` is not called.
    pub fn publish(&self, message: Message, done: Option<Done<()>>) -> Result<()> {
        self.data.push(message, done)
    }

    /// Sends a log record. The oldest gives way when there is no room.
    ///
    /// # Errors
    /// `ServiceUnavailable` after the end.
    pub fn log(&self, message: Message) -> Result<()> {
        self.logs.push(message, None)
    }

    /// Consumes a queue. `begun` is told when messages come, or why they never will.
    pub fn consume(&self, queue: QueueSpec, receiver: Arc<dyn Receive>, begun: Done<()>) -> Consuming {
        let (consuming, consume) = Consume::new(&self.context, self.link.clone(), queue, receiver, begun);
        let mut all = self.consuming.lock();
        all.retain(|consuming| !consuming.has_ended());
        all.push(consuming.clone());
        drop(all);
        self.spawn(consume.run());
        consuming
    }

    /// Declares a queue and what leads to it, and consumes nothing.
    pub fn declare(&self, queue: QueueSpec, done: Done<()>) {
        let (link, context) = (self.link.clone(), Arc::clone(&self.context));
        self.spawn(async move { done.end(stream::declare(link, &context, &queue).await) });
    }

    /// How many messages wait in a queue, and how many consume it.
    pub fn inspect(&self, queue: String, done: Done<(u32, u32)>) {
        let (link, context) = (self.link.clone(), Arc::clone(&self.context));
        self.spawn(async move { done.end(stream::inspect(link, &context, &queue).await) });
    }

    /// Drops all messages that wait in a queue; tells how many.
    pub fn purge(&self, queue: String, done: Done<u32>) {
        let (link, context) = (self.link.clone(), Arc::clone(&self.context));
        self.spawn(async move { done.end(stream::purge(link, &context, &queue).await) });
    }

    /// Who is there.
    #[must_use]
    pub fn services(&self, filter: &Filter) -> Vec<Seen> {
        self.roster.list(filter)
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            calls_open: self.calls.open(),
            served: self.serving.stats(),
            data: self.data.stats(),
            logs: self.logs.stats(),
        }
    }

    /// Takes no call any more, lets those that run finish, sends what waits, says goodbye, and ends: all within
    /// `grace`, but for a moment. `done` is told what was left over, when nothing else is told any more.
    pub fn close(self: &Arc<Self>, grace: Duration, done: Done<Leftover>) {
        let begins = {
            let mut closing = self.closing.lock();
            if closing.ended {
                drop(closing);
                return done.end(Ok(Leftover::default()));
            }
            closing.waiting.push(done);
            !std::mem::replace(&mut closing.begun, true)
        };
        if begins {
            let connector = Arc::clone(self);
            self.spawn(async move {
                let leftover = connector.wind_down(Deadline::after(grace)).await;
                connector.closing.lock().leftover = leftover;
                connector.stop.send_replace(true);
            });
        }
    }

    /// Has something done on the engine's thread. After the end it is dropped.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        let Some(tasks) = tasks.as_mut() else { return };
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &self.runtime);
    }

    async fn wind_down(&self, deadline: Deadline) -> Leftover {
        let until = tokio::time::Instant::from_std(deadline.instant());
        self.serving.stop();
        let consuming = std::mem::take(&mut *self.consuming.lock());
        consuming.iter().for_each(|consuming| consuming.stop(Done::nobody()));
        let running = async {
            while self.serving.stats().open > 0 || consuming.iter().any(Consuming::is_busy) {
                tokio::time::sleep(TICK).await;
            }
            // What their callbacks acknowledged at last leaves now.
            tokio::time::sleep(TICK).await;
        };
        let _ = tokio::time::timeout_at(until, running).await;
        let calls = self.serving.stats().open;
        let mut left = [0, 0];
        for (outbox, left) in [&self.data, &self.logs].into_iter().zip(&mut left) {
            outbox.close();
            let (flushed, told) = oneshot::channel();
            outbox.flush(Done::new(move |count| drop(flushed.send(count))));
            if tokio::time::timeout_at(until, told).await.is_err() {
                *left = outbox.stats().waiting;
            }
        }
        if self.context.config.is_service() {
            self.leaving.notify_one();
            let _ = tokio::time::timeout(LAST, self.left.notified()).await;
        }
        let [data, logs] = left;
        Leftover { data, logs, calls }
    }

    /// Waits for the engine's thread, after [`Connector::close`].
    pub fn join(&self) {
        if self.made_in == generation()
            && let Some(thread) = self.thread.lock().take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// The link is closed, and everything ends by itself, or is ended.
async fn end_tasks(tasks: &Tasks, outboxes: &[Arc<Outbox>]) {
    let left = tasks.lock().take();
    if let Some(mut left) = left {
        let all = async { while left.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST, all).await;
        left.shutdown().await;
    }
    for outbox in outboxes {
        outbox.give_up();
    }
}

/// Nothing is told any more, but to those who wait for the end.
fn tell_ended(closing: &Mutex<Closing>) {
    let (waiting, leftover) = {
        let mut closing = closing.lock();
        closing.ended = true;
        (std::mem::take(&mut closing.waiting), closing.leftover)
    };
    for done in waiting {
        done.end(Ok(leftover));
    }
}

/// For what is said last, such as goodbye.
const LAST: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(2);

impl Drop for Connector {
    fn drop(&mut self) {
        if self.made_in == generation() {
            self.stop.send_replace(true);
        }
    }
}

/// Tells this running service from others of its identity.
fn instance() -> Result<String> {
    let random = getrandom::u64().map_err(|error| {
        Error::new(Code::Configuration, format!("the system gives no random numbers: {error}"))
    })?;
    Ok(format!("{random:016x}"))
}
