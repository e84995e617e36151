//! The node's own thread: it connects, sends signs of life, ends what takes too long, and reads when nobody else does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::delivery::{Delivery, State};
use super::{Link, Node};
use crate::core::backoff::Backoff;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Result};
use crate::core::platform::signals::mask_signals;
use crate::mesh::balance::Strategy;
use crate::mesh::link::Dial;
use crate::mesh::packet::{Command, Packet};

/// The thread, and how it is woken.
#[derive(Default)]
pub(super) struct Keeper {
    state: Mutex<Wanted>,
    woken: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Wanted {
    woken: bool,
    /// It ends, and says goodbye until then.
    closing: Option<Instant>,
}

/// It wakes at least this often.
const TICK: Duration = Duration::from_millis(500);
/// And so often while something is awaited: the first answers, room to write.
const SOON: Duration = Duration::from_millis(5);
/// A driver that has left something unread for so long stands still.
const STALLED: Duration = Duration::from_secs(1);
/// A connection that stood for less is lost for a reason of its own: the next attempts wait longer.
const STEADY: Duration = Duration::from_secs(5);

impl Keeper {
    /// Has it look at once.
    pub(super) fn wake(&self) {
        self.state.lock().woken = true;
        self.woken.notify_one();
    }

    /// Has it wake by then.
    pub(super) fn by(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left < TICK {
            self.wake();
        }
    }

    /// Waits until then, or until it is woken; tells when it is to end.
    fn wait(&self, until: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        while !state.woken && state.closing.is_none() {
            if self.woken.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.woken = false;
        state.closing
    }

    fn closing(&self) -> Option<Instant> {
        self.state.lock().closing
    }
}

impl<W: Send + 'static> Node<W> {
    /// Connects, and keeps the connection. `first` is told when it stands for the first time, or why it never will.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self: &Arc<Self>, first: impl FnOnce(Result<()>) + Send + 'static) -> Result<()> {
        let node = Arc::clone(self);
        let mut thread = self.keeper.thread.lock();
        if thread.is_some() {
            return Err(Error::new(Code::Configuration, "the node has been started already"));
        }
        let builder = std::thread::Builder::new().name("ironbridge-mesh".into());
        let spawned = builder.spawn(move || {
            mask_signals();
            node.keep(Box::new(first));
        });
        *thread = Some(
            spawned.map_err(|error| Error::io(Code::Configuration, "starting a node's thread", &error))?,
        );
        Ok(())
    }

    /// Says goodbye, sends what waits, at most for so long, and ends. Its calls end.
    pub fn close(&self, grace: Duration) {
        self.stop_serving();
        let mut state = self.keeper.state.lock();
        state.closing.get_or_insert(Instant::now() + grace);
        self.keeper.woken.notify_one();
    }

    /// Waits until its thread has ended, after [`Node::close`].
    pub fn join(&self) {
        if let Some(thread) = self.keeper.thread.lock().take() {
            // A panic of its has been told where it happened.
            let _ = thread.join();
        }
    }

    fn keep(&self, first: Box<dyn FnOnce(Result<()>) + Send>) {
        let mut first = Some(first);
        let limits = &self.config.limits;
        let mut backoff = Backoff::new(limits.backoff_first, limits.backoff_most);
        while self.keeper.closing().is_none() {
            let error = match self.connect() {
                Ok(expected) => {
                    let since = Instant::now();
                    if let Some(first) = first.take() {
                        first(Ok(()));
                    }
                    (self.tell)(vec![Delivery::State(State::Connected, None)]);
                    self.attend(expected);
                    if since.elapsed() > STEADY {
                        backoff.reset();
                    }
                    None
                }
                Err(error) => Some(error),
            };
            if self.keeper.closing().is_some() {
                break;
            }
            if let Some(error) = error {
                // What the user must change is told to whoever starts the node; later, it may be right again.
                let is_final = matches!(error.code, Code::Configuration | Code::Authentication);
                if is_final && let Some(first) = first.take() {
                    first(Err(error));
                    break;
                }
                (self.tell)(vec![Delivery::State(State::Lost, Some(error))]);
            }
            self.pause(backoff.next_wait());
        }
        self.end();
        if let Some(first) = first.take() {
            first(Err(Error::new(Code::ServiceUnavailable, "the node was closed before it was connected")));
        }
    }

    /// Waits between two attempts to connect; calls go on ending meanwhile.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && self.keeper.closing().is_none() {
            self.keeper.wait(until.min(self.next_look()));
            self.look();
        }
    }

    /// Makes a connection; tells how many nodes have heard that it is there.
    fn connect(&self) -> Result<Option<usize>> {
        let topics = self.topics.subscriptions(&self.config.node_id);
        let (topic, hello) = self.hello();
        let hello = match &self.config.transform {
            Some(transform) => transform.outgoing(&topic, &hello)?,
            None => hello,
        };
        let wire = self.config.transporter.connect(&Dial {
            tls: &self.config.tls,
            name: &self.config.node_id,
            max_message: self.config.limits.max_packet,
            topics: &topics,
            hello: (&topic, &hello),
            deadline: Deadline::after(self.config.limits.connect_timeout),
        })?;
        let expected = wire.counted().map(|count| count.saturating_sub(1));
        self.counts.connected();
        self.core.lock().catalog.resumed(Instant::now());
        self.stand(wire)?;
        self.announce()?;
        Ok(expected)
    }

    /// Looks after a connection until it has ended.
    fn attend(&self, mut expected: Option<usize>) {
        let began = Instant::now();
        let mut settling = true;
        let interval = self.config.heartbeat_interval;
        let mut heartbeat = began + self.jittered(interval);
        let pings = match &*self.config.registry.strategy {
            Strategy::Latency { options, .. } => Some(options.ping_interval),
            _ => None,
        };
        let mut ping = pings.map(|every| began + every);
        let mut load = Load::default();
        load.percent();
        loop {
            let (connected, blocked) = {
                let link = self.link.lock();
                (link.wire.is_some(), link.blocked)
            };
            if !connected {
                return;
            }
            let now = Instant::now();
            if settling {
                let known =
                    self.registry(|catalog| catalog.nodes().filter(|node| node.available).count() - 1);
                if expected.take_if(|expected| known >= *expected).is_some()
                    || now.duration_since(began) >= self.config.limits.discovery
                {
                    settling = false;
                    (self.tell)(vec![Delivery::Settled]);
                }
            }
            let soon = settling || blocked;
            let next = self.next_look().min(heartbeat).min(ping.unwrap_or(heartbeat));
            let next = if soon { next.min(now + SOON) } else { next };
            if self.keeper.wait(next).is_some() {
                return;
            }
            self.look();
            let now = Instant::now();
            let mut sent = Ok(());
            if now >= heartbeat {
                heartbeat = now + self.jittered(interval);
                sent = self.send_heartbeat(load.percent());
            }
            if let Some(due) = ping.filter(|due| now >= *due) {
                ping = Some(due.max(now) + pings.unwrap_or(interval));
                sent = sent.and_then(|()| self.ping_hosts());
            }
            if let Err(error) = sent.and_then(|()| self.watch_link(now)) {
                self.end_link(error);
            }
        }
    }

    /// When the keeper must look again.
    fn next_look(&self) -> Instant {
        let tick = Instant::now() + TICK;
        self.core.lock().pending.earliest().map_or(tick, |deadline| deadline.min(tick))
    }

    /// Ends what takes too long, and reads in the driver's place.
    fn look(&self) {
        let now = Instant::now();
        let mut out = Vec::new();
        {
            let mut core = self.core.lock();
            self.expire(&mut core, now, &mut out);
            // While nothing can be heard, silence says nothing.
            if self.link.try_lock().is_none_or(|link| link.wire.is_some()) {
                let changes = core.catalog.check(now);
                self.changed(&mut core, changes, &mut out);
            }
        }
        let idle = Duration::from_millis(self.millis().saturating_sub(self.pumped.load(Ordering::Relaxed)));
        if idle >= STALLED && self.is_readable() {
            self.pump(&mut out);
        }
        if !out.is_empty() {
            (self.tell)(out);
        }
    }

    fn is_readable(&self) -> bool {
        let mut fds = [PollFd::new(&*self.poller, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }

    /// Asks a silent transporter whether it is there, and leaves it when it does not answer.
    fn watch_link(&self, now: Instant) -> Result<()> {
        let silence = self.config.limits.silence;
        let mut link = self.link.lock();
        let Link { wire: Some(wire), heard, asked, .. } = &mut *link else { return Ok(()) };
        if let Some(asked) = *asked {
            if now.saturating_duration_since(asked) > silence {
                let text = format!(
                    "{} has said nothing for {} s, though it was asked",
                    self.config.transporter.place(),
                    silence.as_secs_f64()
                );
                return Err(Error::new(Code::ConnectionLost, text));
            }
        } else if heard.is_none_or(|heard| now.saturating_duration_since(heard) > silence / 2)
            && !matches!(self.config.transporter, crate::mesh::link::Transporter::Memory(_))
        {
            *asked = Some(now);
            wire.ping();
        }
        self.flush_link(&mut link)
    }

    fn end_link(&self, error: Error) {
        let mut out = Vec::new();
        let mut link = self.link.lock();
        self.lose(&mut link, error, &mut out);
        drop(link);
        (self.tell)(out);
    }

    /// Says goodbye, and ends all that waits.
    fn end(&self) {
        let until = self.keeper.closing().unwrap_or_else(Instant::now);
        let _ = self.publish(Command::Disconnect, None, &Packet::Disconnect);
        loop {
            let mut link = self.link.lock();
            let unsent = link.wire.as_ref().is_some_and(|wire| wire.unsent() > 0);
            let flushed = self.flush_link(&mut link);
            if !unsent || flushed.is_err() || Instant::now() >= until {
                if let Some(wire) = link.wire.take() {
                    for fd in wire.watched() {
                        self.poller.remove(fd);
                    }
                }
                break;
            }
            drop(link);
            std::thread::sleep(SOON);
        }
        let mut out = Vec::new();
        {
            let mut core = self.core.lock();
            self.abandon(&mut core, &mut out);
        }
        out.push(Delivery::State(State::Closed, None));
        (self.tell)(out);
    }

    /// Up to half a second sooner or later, so that nodes that came together do not speak together.
    fn jittered(&self, interval: Duration) -> Duration {
        use crate::mesh::balance::Random as _;
        let share = self.core.lock().dice.below(1001);
        let most = (interval / 20).min(Duration::from_millis(500));
        (interval + most.mul_f64(f64::from(u16::try_from(share).unwrap_or_default()) / 500.0))
            .saturating_sub(most)
    }
}

/// How busy the machine is.
#[derive(Default)]
struct Load {
    busy: u64,
    all: u64,
}

impl Load {
    /// Since it was last asked, in percent; `None` where the system does not tell.
    fn percent(&mut self) -> Option<f64> {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        let first = stat.lines().next()?;
        let times: Vec<u64> = first.split_whitespace().skip(1).filter_map(|time| time.parse().ok()).collect();
        let all: u64 = times.iter().take(8).sum();
        let idle: u64 = times.iter().skip(3).take(2).sum();
        let (before_busy, before_all) = (self.busy, self.all);
        (self.busy, self.all) = (all.saturating_sub(idle), all);
        let passed = self.all.checked_sub(before_all).filter(|passed| *passed > 0)?;
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = self.busy.saturating_sub(before_busy) as f64 / passed as f64;
        Some((share * 100.0).round().clamp(0.0, 100.0))
    }
}
