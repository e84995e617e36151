//! The call that the running code serves: its deadline travels with the calls it makes, and it can ask whether
//! anybody still waits for it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::bridge::server::call::Call as ServedCall;
use crate::bridge::server::connection::Connection;
use crate::bridge::server::pool::Lent;
use crate::bridge::server::seat::Seat;
use crate::core::deadline::Deadline;
use crate::core::error::Error;
use crate::python::forked::Here;

use super::event_loop::EventLoop;
use super::host::PyHost;

thread_local! {
    /// The call of this worker's thread, null outside any. A coroutine's is in a context variable instead.
    static ON_THREAD: Cell<*const OnThread<'static>> = const { Cell::new(std::ptr::null()) };
}

thread_local! {
    /// The service whose worker this thread is.
    static WORKS_FOR: RefCell<Option<(Here, EventLoop)>> = const { RefCell::new(None) };
}

/// Whether this process runs coroutines' calls: only then is the context variable worth a look.
static COROUTINES: AtomicBool = AtomicBool::new(false);

/// A call that user code serves.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) id: u64,
    pub(super) endpoint: u16,
    pub(super) names: Arc<[String]>,
    pub(super) connection: Arc<Connection<PyHost>>,
    pub(super) deadline: Option<Deadline>,
    pub(super) watch: Watch,
}

/// A call that a worker's thread serves, for as long as it does.
pub(super) struct OnThread<'a> {
    pub(super) call: &'a ServedCall<PyHost>,
    pub(super) names: &'a Arc<[String]>,
    pub(super) seat: &'a Arc<Seat<PyHost>>,
    pub(super) number: u64,
}

impl OnThread<'_> {
    fn serving(&self) -> Serving {
        Serving {
            id: self.call.id,
            endpoint: self.call.endpoint,
            names: Arc::clone(self.names),
            connection: Arc::clone(&self.call.connection),
            deadline: self.call.deadline,
            watch: Watch::Seat(Arc::clone(self.seat), self.number),
        }
    }
}

/// How a call learns that it was given up.
#[derive(Clone)]
pub(super) enum Watch {
    /// A plain endpoint's: its worker's seat, and the call's number there.
    Seat(Arc<Seat<PyHost>>, u64),
    /// A coroutine's.
    Flag(Arc<AtomicBool>),
}

/// The call that the running endpoint serves.
#[pyclass(frozen, name = "Call", module = "ironbridge._engine")]
pub(super) struct CurrentCall(Serving);

#[pymethods]
impl CurrentCall {
    /// Its number, unique on its connection.
    #[getter]
    fn id(&self) -> u64 {
        self.0.id
    }

    /// The endpoint's name.
    #[getter]
    fn endpoint(&self) -> &str {
        self.0.names.get(usize::from(self.0.endpoint)).map_or("", String::as_str)
    }

    /// Where the caller is: `unix`, `tcp:HOST:PORT` or `tls:HOST:PORT`.
    #[getter]
    fn peer(&self) -> &str {
        &self.0.connection.peer
    }

    /// Whether its caller has gone, cancelled it, or its deadline has passed.
    #[getter]
    fn cancelled(&self) -> bool {
        self.0.deadline.is_some_and(Deadline::passed)
            || match &self.0.watch {
                Watch::Seat(seat, number) => seat.is_cancelled(*number),
                Watch::Flag(flag) => flag.load(Ordering::Relaxed),
            }
    }

    /// Seconds until its deadline; `None` when its caller named none.
    #[getter]
    fn remaining(&self) -> Option<f64> {
        self.0.deadline.map(|deadline| deadline.remaining().as_secs_f64())
    }

    fn __repr__(&self) -> String {
        format!("<Call {} of {:?} from {}>", self.id(), self.endpoint(), self.peer())
    }
}

/// Runs `body` with this thread marked as serving the call.
#[inline]
pub(super) fn serve<R>(call: &OnThread<'_>, body: impl FnOnce() -> R) -> R {
    struct Guard(*const OnThread<'static>);
    impl Drop for Guard {
        fn drop(&mut self) {
            ON_THREAD.set(self.0);
        }
    }
    let _outer = Guard(ON_THREAD.replace(std::ptr::from_ref(call).cast()));
    body()
}

/// Looks at the call that this thread serves.
#[inline]
fn on_thread<R>(look: impl FnOnce(&OnThread<'_>) -> R) -> Option<R> {
    let call = ON_THREAD.get();
    // SAFETY: `serve` borrows it until its body has ended, and takes it away before that.
    if call.is_null() { None } else { Some(look(unsafe { &*call })) }
}

/// Says that this thread is a worker of that loop's service.
pub(super) fn work_for(event_loop: &EventLoop) {
    WORKS_FOR.with(|slot| *slot.borrow_mut() = Some((Here::now(), event_loop.clone())));
}

/// To be held while this thread waits for a call that it makes: when it is a worker, another may run instead.
///
/// # Errors
/// `Overloaded` when too many workers wait already.
pub(super) fn lend() -> Result<Option<Lent<PyHost>>, Error> {
    let engine = WORKS_FOR.with(|slot| {
        let slot = slot.borrow();
        let (here, event_loop) = slot.as_ref()?;
        here.is_same().then(|| event_loop.engine())?
    });
    engine.map(|engine| engine.lend()).transpose()
}

/// The context variable that holds a coroutine's call.
pub(super) fn variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let variable = VARIABLE.get_or_try_init(py, || {
        let made = py.import("contextvars")?.call_method1("ContextVar", ("ironbridge_call",))?;
        COROUTINES.store(true, Ordering::Relaxed);
        PyResult::Ok(made.unbind())
    })?;
    Ok(variable.bind(py))
}

/// A call as user code sees it.
pub(super) fn object(py: Python<'_>, serving: Serving) -> PyResult<Bound<'_, CurrentCall>> {
    Bound::new(py, CurrentCall(serving))
}

/// The call that the running code serves; `None` outside any.
#[pyfunction]
pub(super) fn current_call(py: Python<'_>) -> PyResult<Option<Bound<'_, CurrentCall>>> {
    if let Some(serving) = on_thread(|call| call.serving()) {
        return object(py, serving).map(Some);
    }
    if !COROUTINES.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let found = variable(py)?.call_method1("get", (py.None(),))?;
    Ok(found.cast_into::<CurrentCall>().ok())
}

/// The deadline of the call that the running code serves: what it calls in turn has no longer.
pub(super) fn deadline(py: Python<'_>) -> Option<Deadline> {
    match on_thread(|serving| serving.call.deadline) {
        Some(deadline) => deadline,
        None if COROUTINES.load(Ordering::Relaxed) => {
            let found = variable(py).ok()?.call_method1("get", (py.None(),)).ok()?;
            found.cast_into::<CurrentCall>().ok()?.get().0.deadline
        }
        None => None,
    }
}
