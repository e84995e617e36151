//! The user's methods, called by other services: plain ones on the connector's threads, `async def` ones on its loop.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use super::codec::{self, Codec, Fallback};
use super::current::{self, FabricCall};
use super::running::{self, After};
use super::shared::{Event, Shared, helper};
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error};
use crate::fabric::serve::{Answer, Handle, Request};
use crate::fabric::wire::{self, Kind};
use crate::python::workers;

/// One object's methods.
pub(super) struct Served {
    methods: HashMap<String, Method>,
    shared: Arc<Shared>,
    stall: Duration,
    /// Calls for plain methods that no thread has taken yet.
    queue: Mutex<VecDeque<(Instant, Request)>>,
    own: Weak<Served>,
}

struct Method {
    function: Py<PyAny>,
    is_coroutine: bool,
}

/// A call for the loop.
pub(super) struct Incoming {
    pub(super) request: Request,
    served: Arc<Served>,
}

impl Served {
    /// Methods by name: the function, bound, and whether it is `async def`.
    pub(super) fn new(
        methods: impl IntoIterator<Item = (String, Py<PyAny>, bool)>,
        shared: &Arc<Shared>,
        stall: Duration,
    ) -> Arc<Self> {
        let methods = methods
            .into_iter()
            .map(|(name, function, is_coroutine)| (name, Method { function, is_coroutine }))
            .collect();
        Arc::new_cyclic(|own| Self {
            methods,
            shared: Arc::clone(shared),
            stall,
            queue: Mutex::default(),
            own: Weak::clone(own),
        })
    }

    /// The next call for a plain method runs on this thread.
    fn run_next(&self, py: Python<'_>) {
        let Some((_, request)) = self.queue.lock().pop_front() else { return };
        if is_over(&request) {
            return request.answer.expire();
        }
        let (answer, codec) = (request.answer, Codec::of(request.content_type.as_deref(), &request.body));
        let outcome = self
            .prepare(py, &request.method, &request.body, request.content_type.as_deref())
            .and_then(|(function, arguments)| {
                let call = FabricCall::new(
                    request.method.to_string(),
                    request.redelivered,
                    request.correlation_id,
                    request.caller,
                    request.deadline,
                );
                let context = crate::python::coroutine::fresh_context(py)?;
                current::enter(&context, call)?;
                workers::call_in(&context, &function, &PyTuple::empty(py), Some(&arguments))
            });
        self.answer(py, answer, codec, &request.method, outcome);
    }

    /// The function and its arguments.
    fn prepare<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        body: &[u8],
        content_type: Option<&str>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyDict>)> {
        let function = self.methods.get(name).map(|method| method.function.bind(py).clone());
        let function =
            function.ok_or_else(|| PyTypeError::new_err(format!("there is no method {name:?}")))?;
        let arguments = codec::decode(py, body, content_type, &self.shared.limits)?;
        let arguments = arguments.cast_into::<PyDict>().map_err(|error| {
            let kind = error.into_inner().get_type();
            PyTypeError::new_err(format!("{name}() takes its arguments as a JSON object, not as {kind}"))
        })?;
        Ok((function, arguments))
    }

    /// What a method returned, or raised, as the answer.
    fn answer(
        &self,
        py: Python<'_>,
        answer: Answer,
        codec: Codec,
        name: &str,
        outcome: PyResult<Bound<'_, PyAny>>,
    ) {
        let shared = &self.shared;
        let written =
            outcome.and_then(|value| codec.encode(&value, "result", &shared.limits, shared.fallback));
        let (kind, body) = match written {
            Ok(body) => (Kind::Result, body),
            Err(error) => (Kind::Error, self.failure(py, &error, codec, name)),
        };
        answer.send(kind, codec.content_type(), body);
    }

    fn failure(&self, py: Python<'_>, error: &PyErr, codec: Codec, name: &str) -> Vec<u8> {
        static BODY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let body = helper(py, &BODY, "ironbridge._fabric.failures", "body")
            .and_then(|body| body.call1((error.clone_ref(py).into_value(py),)))
            .and_then(|body| codec.encode(&body, "error", &self.shared.limits, Fallback::Repr));
        body.unwrap_or_else(|_| {
            let text = format!("{name}() has failed with an error that cannot be written");
            wire::engine_error(&Error::new(Code::RemoteExecution, text))
        })
    }
}

fn is_over(request: &Request) -> bool {
    request.deadline.is_some_and(Deadline::passed)
}

impl Handle for Served {
    fn handle(&self, request: Request) {
        let Some(served) = self.own.upgrade() else { return };
        let is_coroutine = self.methods.get(&*request.method).is_some_and(|method| method.is_coroutine);
        if is_coroutine {
            // A closed mailbox drops it, and so gives it back.
            drop(self.shared.mailbox.push(Event::Call(Incoming { request, served })));
        } else {
            self.queue.lock().push_back((Instant::now(), request));
            self.shared.workers.submit(Box::new(move |py| served.run_next(py)));
        }
    }

    fn give_back_stalled(&self) {
        let since = self.shared.mailbox.oldest_waiting();
        if since.is_some_and(|since| since.elapsed() >= self.stall) {
            drop(self.shared.mailbox.take_if(|event| match event {
                Event::Call(incoming) => incoming.request.may_move,
                _ => false,
            }));
        }
        let stalled: VecDeque<_> = {
            let mut queue = self.queue.lock();
            let is_stalled =
                |(since, request): &(Instant, Request)| since.elapsed() >= self.stall && request.may_move;
            let (stalled, fresh) = std::mem::take(&mut *queue).into_iter().partition(is_stalled);
            *queue = fresh;
            stalled
        };
        drop(stalled);
    }
}

impl Incoming {
    /// Runs it on the loop's thread.
    pub(super) fn run(self, py: Python<'_>) {
        let Self { request, served } = self;
        if is_over(&request) {
            return request.answer.expire();
        }
        let codec = Codec::of(request.content_type.as_deref(), &request.body);
        let answering =
            Answering { answer: request.answer, codec, name: request.method, deadline: request.deadline };
        let call = FabricCall::new(
            answering.name.to_string(),
            request.redelivered,
            request.correlation_id,
            request.caller,
            request.deadline,
        );
        let begun = served
            .prepare(py, &answering.name, &request.body, request.content_type.as_deref())
            .and_then(|(function, arguments)| {
                let Some((event_loop, context)) = served.shared.place(py)? else { return Ok(None) };
                current::enter(&context, call)?;
                let run = context.getattr(intern!(py, "run"))?;
                let coroutine = run.call((function,), Some(&arguments))?;
                Ok(Some((event_loop, context, coroutine)))
            });
        match begun {
            Ok(Some((event_loop, context, value))) => {
                let after = Answered { served: Arc::clone(&served), answering };
                let shared = Arc::clone(&served.shared);
                running::run(py, &shared, &event_loop, &context, &value, Box::new(after));
            }
            // The connector is closed: dropped, the call goes back.
            Ok(None) => {}
            Err(error) => served.answer(py, answering.answer, codec, &answering.name, Err(error)),
        }
    }
}

struct Answering {
    answer: Answer,
    codec: Codec,
    name: Arc<str>,
    deadline: Option<Deadline>,
}

struct Answered {
    served: Arc<Served>,
    answering: Answering,
}

impl After for Answered {
    fn deadline(&self) -> Option<Deadline> {
        self.answering.deadline
    }

    fn ended(self: Box<Self>, py: Python<'_>, outcome: PyResult<Bound<'_, PyAny>>) {
        let Answering { answer, codec, name, deadline } = self.answering;
        if self.served.shared.is_cut_off(py, &outcome) {
            // The connector closes before it could end: the next server takes it.
            return drop(answer);
        }
        let cancelled = outcome.as_ref().is_err_and(|error| running::is_cancelled(py, error));
        if cancelled && deadline.is_some_and(Deadline::passed) {
            // Nobody waits any more.
            return answer.expire();
        }
        self.served.answer(py, answer, codec, &name, outcome);
    }
}
