//! A lane: jobs that run one after another, in order, on whichever thread of the pool is free.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;

use super::{Job, Workers, pool};
use crate::core::platform::fork::ForkLocal;

/// A handle to it. No thread is kept for a lane that is empty.
#[derive(Clone)]
pub(crate) struct Lane(Arc<Own>);

struct Own {
    workers: Workers,
    queue: ForkLocal<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// A turn waits for a thread, or runs.
    busy: bool,
}

impl Lane {
    pub(super) fn new(workers: Workers) -> Self {
        Self(Arc::new(Own { workers, queue: ForkLocal::new(Mutex::default()) }))
    }

    /// Leaves a job, from any thread; it runs after all that were left before it. As with [`Workers::submit`], it
    /// may be dropped.
    pub(crate) fn submit(&self, job: Job) {
        let mut queue = self.0.queue().lock();
        queue.jobs.push_back(job);
        if !std::mem::replace(&mut queue.busy, true) {
            drop(queue);
            self.go_on();
        }
    }

    /// How many jobs wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.queue().lock().jobs.len()
    }

    fn go_on(&self) {
        let turn = Turn(Some(self.clone()));
        self.0.workers.submit(Box::new(move |py| turn.run(py)));
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.0.queue().lock();
        let job = queue.jobs.pop_front();
        queue.busy = job.is_some();
        job
    }

    /// Drops what waits: nobody is going to run it.
    fn give_up(&self) {
        let left = {
            let mut queue = self.0.queue().lock();
            queue.busy = false;
            std::mem::take(&mut queue.jobs)
        };
        drop(left);
    }
}

impl Own {
    fn queue(&self) -> &Mutex<Queue> {
        self.queue.get(Mutex::default)
    }
}

/// A lane's claim to a thread.
struct Turn(Option<Lane>);

impl Turn {
    /// Runs jobs for as long as nobody else wants the thread.
    fn run(mut self, py: Python<'_>) {
        let Some(lane) = self.0.take() else { return };
        while let Some(job) = lane.next() {
            pool::run(py, job);
            let workers = &lane.0.workers;
            if workers.is_stopped() {
                return lane.give_up();
            }
            if workers.waiting() > 0 {
                // At the end of the line, like everybody.
                return lane.go_on();
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(lane) = self.0.take() {
            lane.give_up();
        }
    }
}
