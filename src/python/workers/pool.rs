//! The threads, and the jobs that wait for one.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use pyo3::prelude::*;

use super::Job;
use crate::core::platform::signals::mask_signals;

/// A thread that has had nothing to do for so long ends, unless it is the last that is idle.
const IDLE: Duration = Duration::from_secs(30);

thread_local! {
    /// The pool whose job this thread runs, null outside any.
    static RUNS_FOR: Cell<*const Pool> = const { Cell::new(std::ptr::null()) };
}

pub(super) struct Pool {
    most: usize,
    state: Mutex<State>,
    work: Condvar,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that look for a job, or are about to.
    idle: usize,
    running: usize,
    stopped: bool,
}

impl Pool {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default(), work: Condvar::new(), ended: Condvar::new() })
    }

    pub(super) fn submit(self: &Arc<Self>, job: Job) {
        let mut state = self.state.lock();
        if state.stopped {
            // What a job holds may come back here when it is dropped.
            return MutexGuard::unlocked(&mut state, || drop(job));
        }
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle {
            self.work.notify_one();
        } else if state.threads < self.most {
            state.threads += 1;
            state.idle += 1;
            drop(state);
            self.start();
        }
    }

    fn start(self: &Arc<Self>) {
        let own = Arc::clone(self);
        let builder = std::thread::Builder::new().name("ironbridge-work".into());
        if builder.spawn(move || own.live()).is_err() {
            self.leave();
        }
    }

    /// One idle thread fewer. Jobs that nobody is left to run are dropped.
    fn leave(&self) {
        let mut state = self.state.lock();
        state.threads -= 1;
        state.idle -= 1;
        let left = if state.threads == 0 { std::mem::take(&mut state.jobs) } else { VecDeque::new() };
        drop(state);
        drop(left);
    }

    pub(super) fn waiting(&self) -> usize {
        self.state.lock().jobs.len()
    }

    pub(super) fn running(&self) -> usize {
        self.state.lock().running
    }

    pub(super) fn threads(&self) -> usize {
        self.state.lock().threads
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Takes no more; gives back what has not begun, to be dropped by whoever holds no lock.
    pub(super) fn stop(&self) -> VecDeque<Job> {
        let mut state = self.state.lock();
        state.stopped = true;
        self.work.notify_all();
        std::mem::take(&mut state.jobs)
    }

    /// Waits for the jobs that run, other than the one that waits; tells how many there are then.
    pub(super) fn wait_ended(&self, until: Instant) -> usize {
        let own = usize::from(std::ptr::eq(RUNS_FOR.get(), self));
        let mut state = self.state.lock();
        while state.running > own && !self.ended.wait_until(&mut state, until).timed_out() {}
        state.running.saturating_sub(own)
    }

    // ---- on a thread of the pool -------------------------------------------------------------------------

    fn live(&self) {
        mask_signals();
        RUNS_FOR.set(std::ptr::from_ref(self));
        // At the interpreter's end there is nothing to attach to.
        let lived = Python::try_attach(|py| {
            let mut job = py.detach(|| self.next());
            while let Some(current) = job {
                run(py, current);
                job = py.detach(|| self.after());
            }
        });
        if lived.is_none() {
            self.leave();
        }
    }

    /// A job has ended: the next one.
    fn after(&self) -> Option<Job> {
        let mut state = self.state.lock();
        state.running -= 1;
        state.idle += 1;
        if state.stopped {
            self.ended.notify_all();
        }
        self.take(state)
    }

    fn next(&self) -> Option<Job> {
        self.take(self.state.lock())
    }

    /// The next job, once there is one; `None` when the thread is to end.
    fn take(&self, mut state: MutexGuard<'_, State>) -> Option<Job> {
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.idle -= 1;
                state.running += 1;
                return Some(job);
            }
            if state.stopped {
                break;
            }
            let waited = self.work.wait_for(&mut state, IDLE);
            if waited.timed_out() && state.jobs.is_empty() && state.idle > 1 {
                break;
            }
        }
        state.idle -= 1;
        state.threads -= 1;
        None
    }
}

/// Runs a job. A panic, which the engine never means to have, has been reported by the time it comes here.
pub(super) fn run(py: Python<'_>, job: Job) {
    let _ = catch_unwind(AssertUnwindSafe(|| job(py)));
}
