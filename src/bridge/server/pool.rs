//! The pool of workers, and the calls that wait for one.
//!
//! Workers that wait in the poller are woken by every event, also by one whose connection another worker has
//! just read. So a worker that is woken for nothing a few times sits down on the bench; the keeper, which looks
//! while nobody waits in the poller, calls it back when a call takes long or other callers wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::core::error::{Code, Error, Result};

use super::call::Call;
use super::engine::Engine;
use super::host::Host;
use super::seat::Seat;
use super::worker;

/// What the pool counts.
pub(super) struct Pool<H: Host> {
    /// Calls that wait, the first longest.
    backlog: Mutex<VecDeque<Call<H>>>,
    waiting: AtomicUsize,
    /// Workers that wait in the poller.
    idle: AtomicUsize,
    /// Workers on the bench, and how many of them are called back.
    benched: AtomicUsize,
    called_back: Mutex<usize>,
    called: Condvar,
    /// A worker's seat each.
    seats: Mutex<Vec<Arc<Seat<H>>>>,
    hired: AtomicUsize,
    most: usize,
    /// Workers whose calls wait for calls that they have made.
    lent: AtomicUsize,
    /// Worker threads that have not ended.
    living: Mutex<usize>,
    ended: Condvar,
}

impl<H: Host> Pool<H> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            backlog: Mutex::default(),
            waiting: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            benched: AtomicUsize::new(0),
            called_back: Mutex::new(0),
            called: Condvar::new(),
            seats: Mutex::default(),
            hired: AtomicUsize::new(0),
            most: most.max(1),
            lent: AtomicUsize::new(0),
            living: Mutex::new(0),
            ended: Condvar::new(),
        }
    }

    /// The most workers there may be now.
    fn most(&self) -> usize {
        self.most + self.lent.load(Ordering::SeqCst)
    }

    /// Whether the worker that asks must end: it was hired in place of one that goes on by now.
    pub(super) fn dismisses(&self) -> bool {
        let most = self.most();
        let fewer = |hired: usize| (hired > most).then(|| hired - 1);
        self.hired.load(Ordering::Relaxed) > most
            && self.hired.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fewer).is_ok()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Whether no worker waits in the poller: then somebody else must look.
    pub(super) fn nobody_reads(&self) -> bool {
        self.idle.load(Ordering::SeqCst) == 0
    }

    pub(super) fn seats(&self) -> Vec<Arc<Seat<H>>> {
        self.seats.lock().clone()
    }

    pub(super) fn threads(&self) -> usize {
        self.hired.load(Ordering::Relaxed)
    }

    /// A worker is about to wait in the poller; `false` when a call waits already.
    pub(super) fn begin_waiting(&self) -> bool {
        self.idle.fetch_add(1, Ordering::SeqCst);
        // A call that was left before this worker counted as idle rang no bell.
        self.waiting() == 0
    }

    /// Sits on the bench until called back.
    pub(super) fn sit_out(&self) {
        let mut called_back = self.called_back.lock();
        self.benched.fetch_add(1, Ordering::SeqCst);
        while *called_back == 0 {
            self.called.wait(&mut called_back);
        }
        *called_back -= 1;
    }

    /// Calls a worker back from the bench; `false` when none sits there.
    pub(super) fn call_back(&self) -> bool {
        if self.benched.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let mut called_back = self.called_back.lock();
        if self.benched.load(Ordering::SeqCst) == 0 {
            return false;
        }
        self.benched.fetch_sub(1, Ordering::SeqCst);
        *called_back += 1;
        self.called.notify_one();
        true
    }

    fn has_bench(&self) -> bool {
        self.benched.load(Ordering::Relaxed) > 0
    }

    /// The call that waits longest.
    pub(super) fn next(&self) -> Option<Call<H>> {
        if self.waiting() == 0 {
            return None;
        }
        let mut backlog = self.backlog.lock();
        let call = backlog.pop_front()?;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(call)
    }

    /// Takes a call out that need not wait any more.
    pub(super) fn forget(&self, connection: u64, id: u64) -> Option<Call<H>> {
        let mut backlog = self.backlog.lock();
        let at = backlog.iter().position(|call| call.connection.token == connection && call.id == id)?;
        let call = backlog.remove(at)?;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(call)
    }

    /// Waits until the workers have ended; `false` when some still run at the end of `patience`.
    pub(super) fn join(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut living = self.living.lock();
        while *living > 0 {
            if self.ended.wait_until(&mut living, end).timed_out() {
                return *living == 0;
            }
        }
        true
    }
}

/// A worker that waits, see [`Engine::lend`].
pub struct Lent<H: Host>(Arc<Engine<H>>);

impl<H: Host> Drop for Lent<H> {
    fn drop(&mut self) {
        let pool = &self.0.pool;
        pool.lent.fetch_sub(1, Ordering::SeqCst);
        if pool.hired.load(Ordering::Relaxed) > pool.most() && !pool.nobody_reads() {
            self.0.bell.ring();
        }
    }
}

impl<H: Host> Engine<H> {
    /// Adds a worker while there are fewer than the most. Returns whether it did.
    pub(super) fn hire(self: &Arc<Self>) -> bool {
        let pool = &self.pool;
        let most = pool.most();
        if pool.hired.load(Ordering::Relaxed) >= most || self.stopped.load(Ordering::Relaxed) {
            return false;
        }
        if pool.hired.fetch_add(1, Ordering::AcqRel) >= most {
            pool.hired.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        let seat = Arc::new(Seat::default());
        *pool.living.lock() += 1;
        let engine = Arc::clone(self);
        let own_seat = Arc::clone(&seat);
        pool.seats.lock().push(Arc::clone(&seat));
        let spawned = std::thread::Builder::new().name("ironbridge-worker".into()).spawn(move || {
            let host = Arc::clone(&engine.host);
            host.on_worker_thread(&mut || worker::work(&engine, &own_seat));
            engine.pool.seats.lock().retain(|seat| !Arc::ptr_eq(seat, &own_seat));
            *engine.pool.living.lock() -= 1;
            engine.pool.ended.notify_all();
        });
        if spawned.is_err() {
            pool.seats.lock().retain(|other| !Arc::ptr_eq(other, &seat));
            *pool.living.lock() -= 1;
            pool.hired.fetch_sub(1, Ordering::AcqRel);
            self.host.log("the system gave no thread for another worker");
        }
        spawned.is_ok()
    }

    /// A worker's call waits for a call that it has made, perhaps of this very service: until the guard is
    /// dropped, another worker may run in its place.
    ///
    /// # Errors
    /// `Overloaded` when as many wait as may.
    pub fn lend(self: &Arc<Self>) -> Result<Lent<H>> {
        if self.pool.lent.fetch_add(1, Ordering::SeqCst) >= self.limits.max_nested {
            self.pool.lent.fetch_sub(1, Ordering::SeqCst);
            let text = format!(
                "{} calls of service {:?} wait for calls that they have made, its limit (IRONBRIDGE_MAX_NESTED)",
                self.limits.max_nested, self.service
            );
            return Err(Error::new(Code::Overloaded, text));
        }
        if self.pool.nobody_reads() && !self.pool.call_back() {
            self.hire();
        }
        Ok(Lent(Arc::clone(self)))
    }

    /// A worker leaves the poller to run what it found: somebody else must read, or else the keeper.
    #[inline]
    pub(super) fn leave_reading(self: &Arc<Self>) {
        if self.pool.idle.fetch_sub(1, Ordering::SeqCst) == 1 && (self.pool.has_bench() || !self.hire()) {
            self.attend();
        }
    }

    /// Puts a call where workers look next, and wakes nobody.
    pub(super) fn take_in(&self, call: Call<H>) {
        // Counted under the lock: whoever takes it out must find it counted.
        let mut backlog = self.pool.backlog.lock();
        backlog.push_back(call);
        self.pool.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// Leaves a call to whichever worker is free.
    pub(super) fn leave(self: &Arc<Self>, call: Call<H>) {
        self.take_in(call);
        self.wake_worker();
    }

    /// Sees to it that a worker comes for what waits.
    pub(super) fn wake_worker(self: &Arc<Self>) {
        if !self.pool.nobody_reads() {
            // Rings that come close together wake one worker, which might keep the other calls waiting. Asked before
            // the ring: after it, that worker may have taken one call already and leave the other to nobody.
            let several = self.waiting() > 1;
            self.bell.ring();
            if several {
                self.attend();
            }
        } else if !self.pool.call_back() && !self.hire() {
            self.attend();
        }
    }

    /// Has the keeper look every millisecond, until all is quiet again.
    #[inline]
    pub(super) fn attend(&self) {
        // After a change that the keeper looks for once it has stopped attending: one of the two sees the other's.
        if !self.attending.load(Ordering::SeqCst) && !self.attending.swap(true, Ordering::AcqRel) {
            self.keeper_bell.ring();
        }
    }
}
