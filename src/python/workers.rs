//! Threads that run Python for plain (`def`) handlers: started when there is work and none is idle, up to a bound.
//!
//! Each attaches to the interpreter once, for as long as it lives, since doing so anew costs more than a short call.
//! Engine threads leave jobs here without the GIL. What a job runs of the user's goes through [`call`].

mod calling;
mod lane;
mod pool;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::core::platform::fork::ForkLocal;

pub(crate) use calling::{call, call_in};
pub(crate) use lane::Lane;
use pool::Pool;

/// One piece of work. One that is dropped instead of run tells whoever waits for it, if it is to, by its own `drop`.
pub(crate) type Job = Box<dyn FnOnce(Python<'_>) + Send>;

/// How often a wait looks for signals.
const LOOK: Duration = Duration::from_millis(100);

/// A handle to the threads; the last one to go ends them. A forked child begins with none.
#[derive(Clone)]
pub(crate) struct Workers(Arc<Own>);

struct Own {
    most: usize,
    pool: ForkLocal<Arc<Pool>>,
}

impl Workers {
    /// No thread yet, and never more than `most`.
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self(Arc::new(Own { most, pool: ForkLocal::new(Pool::new(most)) }))
    }

    /// Leaves a job, from any thread. After [`Workers::stop`], and when the system gives no thread at all, it is
    /// dropped.
    pub(crate) fn submit(&self, job: Job) {
        self.0.pool().submit(job);
    }

    /// A lane on these threads.
    pub(crate) fn lane(&self) -> Lane {
        Lane::new(self.clone())
    }

    /// How many jobs wait for a thread.
    pub(crate) fn waiting(&self) -> usize {
        self.0.pool().waiting()
    }

    /// How many jobs run.
    pub(crate) fn running(&self) -> usize {
        self.0.pool().running()
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.0.pool().threads()
    }

    /// Whether jobs are not run any more.
    fn is_stopped(&self) -> bool {
        self.0.pool().is_stopped()
    }

    /// Takes no more jobs, drops those that wait, and waits for those that run; tells how many still do after
    /// `grace`. A job that stops its own threads does not wait for itself.
    ///
    /// # Errors
    /// What a signal's handler has raised meanwhile, such as `KeyboardInterrupt`.
    pub(crate) fn stop(&self, py: Python<'_>, grace: Duration) -> PyResult<usize> {
        let pool = self.0.pool();
        drop(pool.stop());
        let end = Instant::now().checked_add(grace);
        loop {
            let now = Instant::now();
            let until = end.map_or(now + LOOK, |end| end.min(now + LOOK));
            let left = py.detach(|| pool.wait_ended(until));
            if left == 0 || end.is_some_and(|end| end <= Instant::now()) {
                return Ok(left);
            }
            py.check_signals()?;
        }
    }
}

impl Own {
    fn pool(&self) -> &Arc<Pool> {
        self.pool.get(|| Pool::new(self.most))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.pool().stop());
    }
}
