//! The hub itself: what is pushed at one door is sent to those who subscribed to it at the other.
//!
//! One thread with a runtime of its own does everything. A connection is a task that reads, and puts each message
//! into the outboxes of those who want it; one more task sends what was put there, after all that had something to
//! say. So a message costs one read and one write for each receiver, and less when many come at once.

mod connection;
mod door;
mod outbox;
mod registrations;
mod stats;
mod subscriptions;
mod switch;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::io::Interest;
use tokio::sync::Notify;

use self::connection::Greeting;
use self::door::Door;
use self::switch::Switch;
use super::endpoint::Endpoint;
use super::limits::HubLimits;
use super::zmtp::Role;
use crate::core::error::{Code, Error, Result};
use crate::core::platform::fork::generation;
use crate::core::platform::process::raise_descriptor_limit;
use crate::core::platform::watched::watch;
use crate::core::secret::Secret;

pub use self::stats::{Counts, Refusals, ServerStats, SubscriberStats};

/// How long others may take to put their socket in the same place.
const LOCK_TIME: Duration = Duration::from_secs(5);
/// When no descriptor is left, nobody is let in for so long.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two rounds of housekeeping, at most.
const ROUND: Duration = Duration::from_secs(1);
/// Between two looks at what waits, when the hub ends.
const LOOK: Duration = Duration::from_millis(2);
/// For a thread to end that has been told to.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// What a hub is started with.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where services subscribe.
    pub sender: Endpoint,
    /// Where services push.
    pub receiver: Endpoint,
    /// Bounds.
    pub limits: HubLimits,
    /// What peers must know.
    pub secret: Option<Secret>,
}

/// A hub that runs in this process. Dropping it stops it at once.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    sender: Endpoint,
    receiver: Endpoint,
    warnings: Vec<String>,
    made_in: u64,
}

/// What its thread and its owner share.
struct Shared {
    switch: Mutex<Switch>,
    secret: Option<Secret>,
    stop: Notify,
    grace: Mutex<Duration>,
    ended: Mutex<bool>,
    end: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Server {
    /// Listens at both endpoints and begins to forward.
    ///
    /// # Errors
    /// `ServiceAlreadyExists` when somebody listens at one of them; `Configuration` when one cannot be listened at.
    pub fn start(options: ServerOptions) -> Result<Self> {
        let ServerOptions { sender, receiver, limits, secret } = options;
        if sender == receiver && !matches!(sender, Endpoint::Tcp { port: 0, .. }) {
            return Err(Error::new(
                Code::Configuration,
                format!("the hub's sender and receiver are both {sender}: they must differ"),
            ));
        }
        raise_descriptor_limit();
        let (sender, receiver) = (Door::open(&sender, LOCK_TIME)?, Door::open(&receiver, LOCK_TIME)?);
        let at = [sender.endpoint.clone(), receiver.endpoint.clone()];
        let warnings = match &secret {
            Some(_) => Vec::new(),
            None => at.iter().filter(|endpoint| endpoint.is_open_to_others()).map(warning).collect(),
        };
        let shared = Arc::new(Shared {
            switch: Mutex::new(Switch::new(limits)),
            secret,
            stop: Notify::new(),
            grace: Mutex::new(Duration::ZERO),
            ended: Mutex::new(false),
            end: Condvar::new(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|error| Error::io(Code::Configuration, "starting the hub", &error))?;
        let own = Arc::clone(&shared);
        let body = move || {
            runtime.block_on(run(&own, sender, receiver));
            drop(runtime);
            own.switch.lock().close();
            *own.ended.lock() = true;
            own.end.notify_all();
        };
        std::thread::Builder::new()
            .name("ironbridge-hub".into())
            .spawn(body)
            .map_err(|error| Error::io(Code::Configuration, "starting the hub's thread", &error))?;
        let [sender, receiver] = at;
        Ok(Self { shared, sender, receiver, warnings, made_in: generation() })
    }

    /// Where services subscribe: with the port that the system chose.
    #[must_use]
    pub fn sender(&self) -> &Endpoint {
        &self.sender
    }

    /// Where services push.
    #[must_use]
    pub fn receiver(&self) -> &Endpoint {
        &self.receiver
    }

    /// What the user should be told about how it listens.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What it has counted so far; nothing in a forked child, where it does not run.
    #[must_use]
    pub fn stats(&self) -> ServerStats {
        if self.is_here() { self.shared.switch.lock().stats() } else { ServerStats::default() }
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.is_here() && !*self.shared.ended.lock()
    }

    /// Lets nobody in any more, sends what waits within the grace period, then ends all connections. Returns when
    /// that is done.
    pub fn stop(&mut self, grace: Duration) {
        if !self.is_here() {
            return;
        }
        *self.shared.grace.lock() = grace;
        self.shared.stop.notify_one();
        let until = Instant::now() + grace + LAST_MOMENT;
        let mut ended = self.shared.ended.lock();
        while !*ended && !self.shared.end.wait_until(&mut ended, until).timed_out() {}
    }

    /// A forked child has no thread of it, and locks as they were at the fork.
    fn is_here(&self) -> bool {
        self.made_in == generation()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

fn warning(endpoint: &Endpoint) -> String {
    format!(
        "the hub listens at {endpoint} for other machines, and asks nobody for a secret: anyone who reaches that port \
         can read and send everything. Give hub and services the same secret, or listen at 127.0.0.1. (Services that \
         run aiofase cannot know a secret.)"
    )
}

/// Runs a hub until it is told to stop.
async fn run(shared: &Arc<Shared>, sender: Door, receiver: Door) {
    let doors = [(sender, Role::Pub), (receiver, Role::Pull)]
        .map(|(door, local)| tokio::spawn(let_in(Arc::clone(shared), door, local)));
    tokio::spawn(send(Arc::clone(shared)));
    tokio::spawn(keep_house(Arc::clone(shared)));
    shared.stop.notified().await;
    for door in doors {
        door.abort();
        // It has ended, or was ended now: either way its socket's file is gone.
        let _ = door.await;
    }
    let until = Instant::now() + *shared.grace.lock();
    while Instant::now() < until && !shared.switch.lock().is_quiet() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Lets callers in. A socket whose file has vanished is put in place again; if another one is in its place by now, the
/// hub is theirs, and this one ends.
async fn let_in(shared: Arc<Shared>, door: Door, local: Role) {
    let tcp = door.is_tcp();
    let Ok(mut door) = watch(door, Interest::READABLE) else { return };
    loop {
        let Ok(ready) = tokio::time::timeout(ROUND, door.readable()).await else {
            if !door.get_ref().0.is_in_place() {
                match Door::open(&door.get_ref().0.endpoint, Duration::ZERO)
                    .map(|new| watch(new, Interest::READABLE))
                {
                    Ok(Ok(new)) => door = new,
                    Err(error) if error.code == Code::ServiceAlreadyExists => shared.stop.notify_one(),
                    // The directory has gone too, or no descriptor is left: again at the next round.
                    Ok(Err(_)) | Err(_) => {}
                }
            }
            continue;
        };
        let Ok(mut ready) = ready else { return };
        match door.get_ref().0.accept() {
            Ok(accepted) => {
                if let Some(greeting) = Greeting::begin(&shared) {
                    tokio::spawn(connection::serve(greeting, accepted, local, tcp));
                }
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => ready.clear_ready(),
                Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS) => {
                    tokio::time::sleep(PAUSE).await
                }
                // Somebody went away while waiting.
                _ => {}
            },
        }
    }
}

/// Sends what was put into outboxes, after everyone who had something to put there.
async fn send(shared: Arc<Shared>) {
    poll_fn(|context| {
        let mut switch = shared.switch.lock();
        if !switch.sender.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            switch.sender = Some(context.waker().clone());
        }
        switch.send_all();
        Poll::<()>::Pending
    })
    .await;
}

async fn keep_house(shared: Arc<Shared>) {
    let round = (shared.switch.lock().limits.stall_timeout / 4).clamp(Duration::from_millis(10), ROUND);
    loop {
        tokio::time::sleep(round).await;
        shared.switch.lock().keep_house(Instant::now());
    }
}
