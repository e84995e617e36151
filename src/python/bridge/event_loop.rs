//! The service's event loop: an asyncio loop on a thread of its own, started when the first coroutine is called.
//! It reads the connections that call coroutines itself, and runs a coroutine's first step at once: one that
//! never waits is answered in the turn that read it.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;

use crate::bridge::server::call::Running;
use crate::bridge::server::connection::Connection;
use crate::bridge::server::engine::Engine;
use crate::bridge::server::host::Answer;
use crate::python::coroutine::{self, fresh_context};
use crate::python::forked::Here;
use crate::python::value::OutBuffer;

use super::current::{self, Watch};
use super::host::{PyHost, describe, log, refusal};

thread_local! {
    static ON_LOOP: Cell<bool> = const { Cell::new(false) };
}

/// Looks for the next call on the same connection at most this long in one turn: others' callbacks wait.
const LONGEST_TURN: Duration = Duration::from_millis(1);

/// A handle to the loop.
#[derive(Clone, Default)]
pub(super) struct EventLoop(Arc<Shared>);

#[derive(Default)]
struct Shared {
    engine: Mutex<Option<std::sync::Weak<Engine<PyHost>>>>,
    state: Mutex<State>,
    /// Coroutines that have not ended, by connection and call.
    tasks: Mutex<HashMap<(u64, u64), Task>>,
    /// Connections with replies that leave at the end of the turn.
    unsent: Mutex<Vec<Arc<Connection<PyHost>>>>,
    /// Which connection was read last, and when another was.
    reading: Mutex<(u64, Option<Instant>)>,
}

#[derive(Default)]
struct State {
    /// The loop, once it runs.
    running: Option<Ends>,
    started: bool,
    stopped: bool,
    inbox: Vec<Errand>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// The ends of a loop that others pull.
struct Ends {
    event_loop: Py<PyAny>,
    /// Its `call_soon_threadsafe`.
    wake: Py<PyAny>,
    /// What is called so: does the errands.
    errands: Py<Errands>,
}

struct Task {
    task: Py<PyAny>,
    cancelled: Arc<AtomicBool>,
    one_way: bool,
}

/// What other threads ask of the loop.
enum Errand {
    Start(Running<PyHost>),
    Adopt(Arc<Connection<PyHost>>),
    Cancel(u64, Option<u64>),
    Await(Py<PyAny>),
    Stop,
}

impl EventLoop {
    /// Says whose connections it reads. Must come before anything else.
    pub(super) fn attach(&self, engine: &Arc<Engine<PyHost>>) {
        *self.0.engine.lock() = Some(Arc::downgrade(engine));
    }

    /// Runs a coroutine's call.
    pub(super) fn spawn(&self, running: Running<PyHost>) {
        if ON_LOOP.get() {
            return Python::attach(|py| self.begin(py, running));
        }
        self.ask(Errand::Start(running));
    }

    /// Reads a connection from now on.
    pub(super) fn adopt(&self, connection: Arc<Connection<PyHost>>) {
        self.ask(Errand::Adopt(connection));
    }

    /// Cancels one call of a connection, or all.
    pub(super) fn cancel(&self, connection: u64, call: Option<u64>) {
        let concerned = {
            let tasks = self.0.tasks.lock();
            match call {
                Some(call) => tasks.contains_key(&(connection, call)),
                None => tasks.keys().any(|key| key.0 == connection),
            }
        };
        if concerned {
            self.ask(Errand::Cancel(connection, call));
        }
    }

    /// Runs a coroutine that nobody waits for.
    pub(super) fn run(&self, coroutine: Py<PyAny>) {
        self.ask(Errand::Await(coroutine));
    }

    /// Ends the loop and waits for it, a little.
    pub(super) fn stop(&self, py: Python<'_>) {
        let thread = {
            let mut state = self.0.state.lock();
            state.stopped = true;
            state.thread.take()
        };
        let Some(thread) = thread else { return };
        self.0.wake(vec![Errand::Stop]);
        py.detach(move || {
            let end = Instant::now() + Duration::from_secs(1);
            while !thread.is_finished() && Instant::now() < end {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        });
    }

    fn ask(&self, errand: Errand) {
        {
            let mut state = self.0.state.lock();
            if !state.started && !state.stopped {
                state.started = true;
                let own = self.clone();
                let builder = std::thread::Builder::new().name("ironbridge-loop".into());
                match builder.spawn(move || own.live()) {
                    Ok(thread) => state.thread = Some(thread),
                    Err(_) => state.started = false,
                }
            }
        }
        self.0.wake(vec![errand]);
    }

    // ---- on the loop's thread ----------------------------------------------------------------------------

    fn live(&self) {
        ON_LOOP.set(true);
        let lived = Python::try_attach(|py| {
            if let Err(error) = self.live_attached(py) {
                log(py, &format!("the service's event loop ended: {}", describe(py, &error)));
            }
        });
        let _ = lived;
    }

    fn live_attached(&self, py: Python<'_>) -> PyResult<()> {
        let asyncio = py.import("asyncio")?;
        let event_loop = asyncio.call_method0(intern!(py, "new_event_loop"))?;
        asyncio.call_method1(intern!(py, "set_event_loop"), (&event_loop,))?;
        let wake = event_loop.getattr(intern!(py, "call_soon_threadsafe"))?;
        let errands = Bound::new(py, Errands(self.clone()))?;
        self.0.state.lock().running = Some(Ends {
            event_loop: event_loop.clone().unbind(),
            wake: wake.unbind(),
            errands: errands.clone().unbind(),
        });
        event_loop.call_method1(intern!(py, "call_soon"), (errands,))?;
        let ran = event_loop.call_method0(intern!(py, "run_forever"));
        self.0.state.lock().running = None;
        self.0.tasks.lock().clear();
        event_loop.call_method0(intern!(py, "close"))?;
        ran.map(drop)
    }

    fn do_errands(&self, py: Python<'_>) -> PyResult<()> {
        let errands = std::mem::take(&mut self.0.state.lock().inbox);
        for errand in errands {
            match errand {
                Errand::Start(running) => self.begin(py, running),
                Errand::Adopt(connection) => self.watch(py, &connection)?,
                Errand::Cancel(connection, call) => self.cancel_now(py, connection, call)?,
                Errand::Await(coroutine) => {
                    self.event_loop(py)?.call_method1(intern!(py, "create_task"), (coroutine,))?;
                }
                Errand::Stop => {
                    self.event_loop(py)?.call_method0(intern!(py, "stop"))?;
                }
            }
        }
        self.flush(py);
        Ok(())
    }

    fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.0.state.lock().running {
            Some(ends) => Ok(ends.event_loop.bind(py).clone()),
            None => Err(pyo3::exceptions::PyRuntimeError::new_err("the event loop has ended")),
        }
    }

    /// The service whose coroutines it runs.
    pub(super) fn engine(&self) -> Option<Arc<Engine<PyHost>>> {
        self.0.engine.lock().as_ref().and_then(std::sync::Weak::upgrade)
    }

    fn watch(&self, py: Python<'_>, connection: &Arc<Connection<PyHost>>) -> PyResult<()> {
        let fd = connection.with_stream(|stream| std::os::fd::AsRawFd::as_raw_fd(&stream.fd()));
        let reader = Reader { event_loop: self.clone(), connection: Arc::clone(connection), fd };
        let reader = Bound::new(py, reader)?;
        self.event_loop(py)?.call_method1(intern!(py, "add_reader"), (fd, &reader))?;
        // What came before it was watched.
        reader.get().read(py)
    }

    fn cancel_now(&self, py: Python<'_>, connection: u64, call: Option<u64>) -> PyResult<()> {
        let concerned: Vec<Py<PyAny>> = {
            let tasks = self.0.tasks.lock();
            tasks
                .iter()
                .filter(|(key, task)| key.0 == connection && call.map_or(!task.one_way, |call| key.1 == call))
                .map(|(_, task)| {
                    task.cancelled.store(true, Ordering::Relaxed);
                    task.task.clone_ref(py)
                })
                .collect()
        };
        for task in concerned {
            task.call_method0(py, intern!(py, "cancel"))?;
        }
        Ok(())
    }

    /// Begins a coroutine's call and runs its first step.
    fn begin(&self, py: Python<'_>, running: Running<PyHost>) {
        let Some(engine) = self.engine() else { return };
        let host = engine.host();
        let mut running = Some(running);
        if let Err(error) = self.try_begin(py, host, &mut running)
            && let Some(running) = running
        {
            let mut answer = Answer::default();
            host.fail(py, &error, &mut answer);
            self.complete(running, &mut answer);
        }
    }

    fn try_begin(&self, py: Python<'_>, host: &PyHost, slot: &mut Option<Running<PyHost>>) -> PyResult<()> {
        let Some(running) = slot else { return Ok(()) };
        let function = host.function(py, running.call.endpoint, running.lease.as_deref())?;
        let buffers = std::mem::take(&mut running.call.frame.buffers);
        let (args, kwargs) = match host.arguments(py, &running.call, buffers, &[]) {
            Ok(arguments) => arguments,
            Err(error) => {
                if let Some(running) = slot.take() {
                    self.complete(running, &mut refusal(py, &error));
                }
                return Ok(());
            }
        };
        let context = fresh_context(py)?;
        let cancelled = Arc::new(AtomicBool::new(false));
        let serving = host.serving(&running.call, Watch::Flag(Arc::clone(&cancelled)));
        let call = current::object(py, serving)?;
        context
            .call_method1(intern!(py, "run"), (current::variable(py)?.getattr(intern!(py, "set"))?, call))?;
        let here = Here::now();
        let begun = function.call(args, kwargs.as_ref())?;
        let key = (running.call.connection.token, running.call.id);
        let task = coroutine::start(&self.event_loop(py)?, &begun, &context);
        here.end_child(py, &task);
        let task = task?;
        let Some(running) = slot.take() else { return Ok(()) };
        if task.call_method0(intern!(py, "done"))?.is_truthy()? {
            self.finish(py, host, &task, running);
            return Ok(());
        }
        let one_way = running.call.is_one_way();
        self.0.tasks.lock().insert(key, Task { task: task.clone().unbind(), cancelled, one_way });
        let done = Done { event_loop: self.clone(), key, running: Mutex::new(Some(running)) };
        task.call_method1(intern!(py, "add_done_callback"), (Bound::new(py, done)?,))?;
        Ok(())
    }

    /// A task has ended: its outcome is the reply.
    fn finish(&self, py: Python<'_>, host: &PyHost, task: &Bound<'_, PyAny>, running: Running<PyHost>) {
        let mut answer = Answer::default();
        let outcome = task
            .call_method0(intern!(py, "result"))
            .and_then(|result| host.succeed(py, &result, &mut answer));
        if let Err(error) = outcome {
            host.fail(py, &error, &mut answer);
        }
        self.complete(running, &mut answer);
    }

    fn complete(&self, running: Running<PyHost>, answer: &mut Answer<OutBuffer>) {
        let connection = Arc::clone(&running.call.connection);
        running.complete(answer, true);
        let mut unsent = self.0.unsent.lock();
        if !unsent.iter().any(|known| known.token == connection.token) {
            unsent.push(connection);
        }
    }

    /// Sends the replies of this turn.
    fn flush(&self, _py: Python<'_>) {
        let unsent = std::mem::take(&mut *self.0.unsent.lock());
        if let Some(engine) = self.engine() {
            for connection in unsent {
                engine.flush_on_loop(&connection);
            }
        }
    }
}

impl Shared {
    /// Leaves errands for the loop and wakes it. What comes after its end is dropped, which answers it.
    fn wake(&self, errands: Vec<Errand>) {
        let mut state = self.state.lock();
        if state.running.is_none() && !state.started {
            drop(state);
            drop(errands);
            return;
        }
        let first = state.inbox.is_empty();
        state.inbox.extend(errands);
        if !first || state.running.is_none() {
            return;
        }
        drop(state);
        let _ = Python::try_attach(|py| {
            let ends = match &self.state.lock().running {
                Some(ends) => (ends.wake.clone_ref(py), ends.errands.clone_ref(py)),
                None => return,
            };
            if let Err(error) = ends.0.call1(py, (ends.1,)) {
                log(py, &format!("waking the service's event loop: {}", describe(py, &error)));
            }
        });
    }
}

/// Does what other threads have asked for.
#[pyclass(frozen)]
struct Errands(EventLoop);

#[pymethods]
impl Errands {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.0.do_errands(py)
    }
}

/// Reads a connection when something has come.
#[pyclass(frozen)]
struct Reader {
    event_loop: EventLoop,
    connection: Arc<Connection<PyHost>>,
    fd: i32,
}

#[pymethods]
impl Reader {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.read(py)
    }
}

impl Reader {
    fn read(&self, py: Python<'_>) -> PyResult<()> {
        let Some(engine) = self.event_loop.engine() else { return Ok(()) };
        let began = Instant::now();
        let alone = self.is_alone(began);
        let mut answer = Answer::default();
        loop {
            let begun = engine.read_on_loop(&self.connection, &mut answer);
            self.event_loop.flush(py);
            let Some(begun) = begun else {
                let event_loop = self.event_loop.event_loop(py)?;
                event_loop.call_method1(intern!(py, "remove_reader"), (self.fd,))?;
                return Ok(());
            };
            // The next call is likely to come in a moment, unless something else is going on.
            let idle = alone && begun <= 1 && self.event_loop.0.tasks.lock().is_empty();
            if !idle || began.elapsed() > LONGEST_TURN || !py.detach(|| engine.poll_on_loop(&self.connection))
            {
                return Ok(());
            }
        }
    }

    /// Whether no other connection was read lately.
    fn is_alone(&self, now: Instant) -> bool {
        let mut reading = self.event_loop.0.reading.lock();
        if reading.0 != self.connection.token {
            *reading = (self.connection.token, Some(now));
        }
        reading.1.is_none_or(|changed| now.duration_since(changed) > LONGEST_TURN)
    }
}

/// A coroutine that had to wait has ended.
#[pyclass(frozen)]
struct Done {
    event_loop: EventLoop,
    key: (u64, u64),
    running: Mutex<Option<Running<PyHost>>>,
}

#[pymethods]
impl Done {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) {
        self.event_loop.0.tasks.lock().remove(&self.key);
        let running = self.running.lock().take();
        if let (Some(running), Some(engine)) = (running, self.event_loop.engine()) {
            self.event_loop.finish(py, engine.host(), task, running);
            self.event_loop.flush(py);
        }
    }
}
