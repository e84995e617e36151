//! A service's place at a hub.
//!
//! What is heard is read by whoever runs the service, on its own thread ([`Inbound`]), and means what [`View`]
//! says. What is said goes through the [`Outbox`], from any thread. A keeper thread joins, beats and joins again.

mod calls;
mod inbound;
mod keeper;
mod limits;
mod outbox;
mod roster;
mod session;
mod view;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::core::error::{Code, Error, Result};
use crate::core::platform::fork::generation;
use crate::core::platform::readiness::Bell;
use crate::core::platform::signals::mask_signals;
use crate::core::secret::Secret;

use super::election::Election;
use super::endpoint::Endpoint;
use super::limits::HubLimits;
use super::message::{Heads, Instance, Writer};
use super::server::{ServerOptions, ServerStats};

pub use calls::{Awaited, Call, Calls, Taken};
pub use inbound::{Inbound, Read};
pub use limits::MemberLimits;
pub use outbox::Outbox;
pub use roster::{Change, Roster, Seen};
pub use view::{Event, View};

/// How a service joins.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name.
    pub name: String,
    /// Its actions' names.
    pub actions: Vec<String>,
    /// Which one it is.
    pub instance: Instance,
    /// Its registration and its beat, whole, where they are not JSON.
    pub presence: Option<(Vec<u8>, Vec<u8>)>,
    /// Where the hub publishes.
    pub sender: Endpoint,
    /// Where the hub is pushed to.
    pub receiver: Endpoint,
    /// What its members share.
    pub secret: Option<Secret>,
    /// Time between two beats.
    pub beat: Duration,
    /// The largest message heard or said, in bytes.
    pub max_message: usize,
    /// The most bytes that wait to be sent.
    pub outbox_bytes: usize,
    /// The most messages that wait to be sent.
    pub outbox_messages: usize,
    /// Time for a hub to prove that it is one.
    pub handshake_timeout: Duration,
    /// The bounds of a hub of its own, when it may run one where there is none.
    pub host: Option<HubLimits>,
}

/// What the keeper tells whoever runs the service.
#[derive(Debug)]
pub enum Notice {
    /// There is a hub, and the registration is on its way there.
    Joined {
        /// To be read from now on.
        inbound: Inbound,
        /// Messages that had left before.
        sent: u64,
    },
    /// There is no hub, for this reason. When it is fatal, no other attempt is made.
    NotJoined {
        /// The reason.
        error: Error,
        /// Whether it lasts.
        fatal: bool,
    },
    /// The hub is lost; the keeper looks for another.
    Lost {
        /// How it was noticed.
        error: Error,
        /// Messages that had left for it.
        sent: u64,
    },
    /// There is room in the outbox.
    Room,
    /// This service runs the hub now.
    Hosts,
}

/// While so many notices have not been taken, nothing more happens that would make another.
const MOST_NOTICES: usize = 64;
/// A keeper that was told to end is waited for so long: it looks up at least each 50 ms, unless it connects to a
/// distant machine, or looks up its name. Then it ends by itself.
const LAST_MOMENT: Duration = Duration::from_millis(250);

/// A service at a hub. Dropping it stops its thread.
#[derive(Debug)]
pub struct Member {
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    /// The process that its thread lives in.
    made_in: u64,
}

#[derive(Debug)]
pub(super) struct Shared {
    config: Config,
    writer: Writer,
    subscriptions: Vec<Vec<u8>>,
    outbox: Mutex<Outbox>,
    /// Runs the hub where nobody else does.
    election: Mutex<Option<Election>>,
    notices: Mutex<VecDeque<Notice>>,
    /// Rung for whoever runs the service.
    bell: Bell,
    keeper_bell: Bell,
    stopped: AtomicBool,
    /// The connection that lasts; 0 when none does.
    session: AtomicU64,
    /// Someone waits for room in the outbox.
    room_wanted: AtomicBool,
    /// Someone new is to hear a beat.
    beat_soon: AtomicBool,
    /// Whether the keeper has ended, and where it rests.
    resting: (Mutex<bool>, Condvar),
}

impl Member {
    /// A service that is not at any hub yet.
    ///
    /// # Errors
    /// `Configuration` when a name cannot be used, or the process has no descriptor left.
    pub fn new(config: Config) -> Result<Self> {
        let heads = Heads::new(&config.name, &config.actions, config.instance)?;
        let bell =
            || Bell::new().map_err(|error| Error::io(Code::Configuration, "opening a descriptor", &error));
        let mut writer = Writer::new(&config.name, &config.actions, config.instance, config.beat);
        if let Some((register, beat)) = &config.presence {
            writer = writer.with_presence(register.clone(), beat.clone());
        }
        let shared = Shared {
            writer,
            subscriptions: heads.subscriptions(),
            outbox: Mutex::new(Outbox::new(config.outbox_bytes, config.outbox_messages)),
            election: Mutex::new(config.host.clone().and_then(|limits| {
                let Config { sender, receiver, secret, .. } = config.clone();
                Election::new(ServerOptions { sender, receiver, limits, secret })
            })),
            notices: Mutex::new(VecDeque::new()),
            bell: bell()?,
            keeper_bell: bell()?,
            stopped: AtomicBool::new(false),
            session: AtomicU64::new(0),
            room_wanted: AtomicBool::new(false),
            beat_soon: AtomicBool::new(false),
            resting: (Mutex::new(false), Condvar::new()),
            config,
        };
        Ok(Self { shared: Arc::new(shared), keeper: Mutex::new(None), made_in: generation() })
    }

    /// Begins to join.
    ///
    /// # Errors
    /// `Configuration` when no thread can be started.
    pub fn start(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let keeper = std::thread::Builder::new()
            .name("ironbridge-member".into())
            .spawn(move || {
                mask_signals();
                keeper::keep(&shared);
                let (ended, resting) = &shared.resting;
                *ended.lock() = true;
                resting.notify_all();
            })
            .map_err(|error| Error::io(Code::Configuration, "starting a thread", &error))?;
        *self.keeper.lock() = Some(keeper);
        Ok(())
    }

    /// How it was made.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Writes its messages.
    #[must_use]
    pub fn writer(&self) -> &Writer {
        &self.shared.writer
    }

    /// Rings when there are notices.
    #[must_use]
    pub fn bell(&self) -> &Bell {
        &self.shared.bell
    }

    /// What the keeper has told since the last time.
    #[must_use]
    pub fn notices(&self) -> VecDeque<Notice> {
        self.shared.bell.hush();
        std::mem::take(&mut *self.shared.notices.lock())
    }

    /// What waits to be sent. Not to be held across anything that waits.
    pub fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.shared.outbox()
    }

    /// Asks for a [`Notice::Room`] once there is room in the outbox.
    pub fn want_room(&self) {
        self.shared.room_wanted.store(true, Ordering::Relaxed);
        self.shared.keeper_bell.ring();
    }

    /// Writes what waits, as far as there is room; the keeper writes the rest.
    pub fn flush(&self) {
        // An error is the keeper's to see: it watches the same connection.
        if !self.shared.outbox().flush().is_ok_and(|flushed| flushed) {
            self.shared.keeper_bell.ring();
        }
    }

    /// Beats before its time: someone has come who does not know this service.
    pub fn beat_soon(&self) {
        self.shared.beat_soon.store(true, Ordering::Release);
        self.shared.keeper_bell.ring();
    }

    /// The connection of this number was found to have ended.
    pub fn ended(&self, session: u64) {
        let _ = self.shared.session.compare_exchange(session, 0, Ordering::AcqRel, Ordering::Acquire);
        self.shared.keeper_bell.ring();
    }

    /// Leaves the hub. What still waits in the outbox stays there, to be counted.
    pub fn stop(&self) {
        if self.made_in != generation() {
            // A forked child has a copy of this, and no copy of the thread.
            return;
        }
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.keeper_bell.ring();
        let keeper = self.keeper.lock().take();
        let (ended, resting) = &self.shared.resting;
        let mut ended = ended.lock();
        resting.notify_all();
        let deadline = Instant::now() + LAST_MOMENT;
        while keeper.is_some() && !*ended && !resting.wait_until(&mut ended, deadline).timed_out() {}
        drop(ended);
        if let Some(mut election) = self.shared.election.lock().take() {
            let grace = self.shared.config.host.as_ref().map_or(Duration::ZERO, |limits| limits.grace);
            election.stop(grace);
        }
    }

    /// What the user should know of the hub that this service runs, if it runs it.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.shared.election.lock().as_ref().map(|election| election.warnings().to_vec()).unwrap_or_default()
    }

    /// Whether this service runs the hub, and what that has counted.
    #[must_use]
    pub fn hosted(&self) -> Option<ServerStats> {
        self.shared.election.lock().as_ref().and_then(Election::stats)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock()
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// # Errors
    /// `Cancelled` once the member is stopped.
    fn check(&self) -> Result<()> {
        if self.is_stopped() {
            return Err(Error::new(Code::Cancelled, "the service was stopped"));
        }
        Ok(())
    }

    fn begin(&self, session: u64) {
        self.session.store(session, Ordering::Release);
    }

    /// Whether the connection of this number is to be kept.
    fn stays(&self, session: u64) -> bool {
        !self.is_stopped() && self.session.load(Ordering::Acquire) == session
    }

    fn tell(&self, notice: Notice) {
        self.notices.lock().push_back(notice);
        self.bell.ring();
    }

    /// Whether whoever runs the service has not taken notices for long: there must not be ever more.
    fn is_behind(&self) -> bool {
        self.notices.lock().len() >= MOST_NOTICES
    }

    fn tell_of_room(&self) {
        if self.room_wanted.swap(false, Ordering::Relaxed) {
            self.tell(Notice::Room);
        }
    }

    /// Runs the hub, if nobody else does and this service may: `true` when it runs one now.
    fn stand(&self) -> Result<bool> {
        let mut election = self.election.lock();
        match election.as_mut() {
            Some(election) if !self.is_stopped() => election.stand(),
            _ => Ok(false),
        }
    }

    /// Waits, unless the member is stopped.
    fn rest(&self, time: Duration) {
        let (lock, rested) = &self.resting;
        let mut guard = lock.lock();
        if !self.is_stopped() {
            rested.wait_for(&mut guard, time);
        }
    }
}
