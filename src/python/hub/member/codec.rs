//! How bodies are written and read: native JSON, or whatever the user gave.

use std::borrow::Cow;
use std::time::Duration;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::core::error::{Code, Error};
use crate::core::limits::Limits;
use crate::hub::message::{self, Answer, BEAT, Facts, Head, Instance, REGISTER, Request, Writer, seconds};
use crate::python::errors::raise;
use crate::python::json;

/// The format of bodies.
pub(super) enum Codec {
    Json,
    /// The user's `dumps` and `loads`, for a body as a whole.
    Custom {
        dumps: Py<PyAny>,
        loads: Py<PyAny>,
        /// Whether bodies are bytes that `loads` takes, and not text.
        binary: bool,
    },
}

/// A message's data, decoded only when somebody wants it.
pub(super) enum Data<'a, 'py> {
    Raw(&'a [u8]),
    Value(Bound<'py, PyAny>),
}

/// What a message says beside its data and its sender.
#[derive(Clone, Copy)]
pub(super) enum Extra<'a> {
    Nothing,
    Request(message::Wanted),
    Answer {
        id: &'a [u8],
        to: Option<Instance>,
        /// `type`, `error`, and more of ours.
        error: Option<&'a Failure>,
    },
}

/// What an action raised, as it is told.
#[derive(Default)]
pub(super) struct Failure {
    pub(super) kind: String,
    pub(super) text: String,
    pub(super) module: String,
    pub(super) traceback: String,
}

impl<'py> Data<'_, 'py> {
    pub(super) fn value(self, py: Python<'py>, limits: &Limits) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Raw(text) => json::decode(py, text, limits),
            Self::Value(value) => Ok(value),
        }
    }
}

impl Codec {
    pub(super) fn new(dumps: Option<Py<PyAny>>, loads: Option<Py<PyAny>>) -> Self {
        match (dumps, loads) {
            (Some(dumps), Some(loads)) => Self::Custom { dumps, loads, binary: false },
            _ => Self::Json,
        }
    }

    /// Registration and beat, where they are not JSON. They tell whether the serializer writes text or bytes.
    pub(super) fn presence(
        &mut self,
        py: Python<'_>,
        name: &str,
        actions: &[String],
        instance: Instance,
        beat: Duration,
    ) -> PyResult<Option<(Vec<u8>, Vec<u8>)>> {
        let Self::Custom { dumps, binary, .. } = self else { return Ok(None) };
        let mut actions = actions.to_vec();
        actions.sort_unstable();
        let body = PyDict::new(py);
        body.set_item("s", name)?;
        body.set_item("a", &actions)?;
        let mut register = [REGISTER, b":"].concat();
        *binary = dump(dumps.bind(py), &body, &mut register)?;
        body.set_item("d", py.None())?;
        body.set_item("i", instance.as_str())?;
        body.set_item("t", beat.as_millis())?;
        let mut beat = [BEAT, b":"].concat();
        dump(dumps.bind(py), &body, &mut beat)?;
        Ok(Some((register, beat)))
    }

    /// Writes a whole message; `head` is left out of an answer, which has its own.
    pub(super) fn write(
        &self,
        writer: &Writer,
        head: &[u8],
        data: &Bound<'_, PyAny>,
        extra: Extra<'_>,
        limits: &Limits,
    ) -> PyResult<Vec<u8>> {
        let mut out = Vec::with_capacity(256);
        match self {
            Self::Json => {
                let body = head_length(head, extra) + 1;
                match extra {
                    Extra::Nothing => writer.begin(&mut out, head),
                    Extra::Request(wanted) => writer.begin_request(&mut out, head, wanted),
                    Extra::Answer { id, to, error } => {
                        writer.begin_answer(
                            &mut out,
                            id,
                            to,
                            &error.map_or(b"{}".to_vec(), Failure::to_json),
                        );
                    }
                }
                json::encode(data.py(), data, &mut out, limits, "data")?;
                message::finish(&mut out, body);
            }
            Self::Custom { dumps, .. } => {
                let py = data.py();
                let body = PyDict::new(py);
                body.set_item(intern!(py, "s"), writer.service())?;
                body.set_item(intern!(py, "d"), data)?;
                match extra {
                    Extra::Nothing => {}
                    Extra::Request(wanted) => {
                        let areq = PyDict::new(py);
                        areq.set_item("i", message::call_id(writer.instance(), wanted.call))?;
                        areq.set_item("timeout", wanted.timeout.as_secs_f64())?;
                        areq.set_item("to", writer.instance().as_str())?;
                        body.set_item("areq", areq)?;
                    }
                    Extra::Answer { id, to, error } => {
                        if to.is_some() {
                            body.set_item(intern!(py, "i"), writer.instance().as_str())?;
                        }
                        let ares = PyDict::new(py);
                        ares.set_item("i", json::decode(py, id, limits)?)?;
                        let said = error.map_or(b"{}".to_vec(), Failure::to_json);
                        ares.set_item("error", json::decode(py, &said, limits)?)?;
                        body.set_item("ares", ares)?;
                    }
                }
                match extra {
                    Extra::Answer { to, .. } => out.extend_from_slice(&message::answer_head(to)),
                    _ => out.extend_from_slice(head),
                }
                out.push(b':');
                dump(dumps.bind(py), &body, &mut out)?;
            }
        }
        Ok(out)
    }

    /// Reads a body. What ours alone say to each other is JSON in any case.
    pub(super) fn read<'a, 'py>(
        &self,
        py: Python<'py>,
        head: Head,
        body: &'a [u8],
        limits: &Limits,
    ) -> PyResult<(Facts<'a>, Data<'a, 'py>)> {
        match self {
            Self::Custom { loads, binary, .. } if !matches!(head, Head::Echo | Head::Parted) => {
                let body = load(loads.bind(py), body, *binary)?;
                facts(&body, limits).map(|(facts, data)| (facts, Data::Value(data)))
            }
            _ => {
                let (facts, data) = message::read(body).map_err(|error| raise(py, &error))?;
                Ok((facts, Data::Raw(data)))
            }
        }
    }

    /// Shows the garbage collector what is held.
    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Self::Custom { dumps, loads, .. } = self {
            visit.call(dumps)?;
            visit.call(loads)?;
        }
        Ok(())
    }
}

fn head_length(head: &[u8], extra: Extra<'_>) -> usize {
    match extra {
        Extra::Answer { to, .. } => message::answer_head(to).len(),
        _ => head.len(),
    }
}

impl Failure {
    /// As a JSON object.
    fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let fields = [
            ("{\"type\":", &self.kind),
            (",\"error\":", &self.text),
            (",\"module\":", &self.module),
            (",\"traceback\":", &self.traceback),
        ];
        for (key, text) in fields {
            if key.starts_with('{') || !text.is_empty() || key.contains("error") {
                out.extend_from_slice(key.as_bytes());
                crate::core::json::write_text(&mut out, text);
            }
        }
        out.push(b'}');
        out
    }
}

/// Appends what the serializer writes; `true` when that is bytes, and not text.
fn dump(dumps: &Bound<'_, PyAny>, body: &Bound<'_, PyDict>, out: &mut Vec<u8>) -> PyResult<bool> {
    let written = dumps.call1((body,))?;
    if let Ok(text) = written.cast::<PyString>() {
        out.extend_from_slice(text.to_cow()?.as_bytes());
        return Ok(false);
    }
    if let Ok(bytes) = written.cast::<PyBytes>() {
        out.extend_from_slice(bytes.as_bytes());
        return Ok(true);
    }
    let kind = written.get_type().name()?;
    let error = format!("the serializer's dumps() returned {kind}, and must return str or bytes");
    Err(raise(dumps.py(), &Error::new(Code::Configuration, error)))
}

/// `loads` is given what `dumps` returns: text, or bytes.
fn load<'py>(loads: &Bound<'py, PyAny>, body: &[u8], binary: bool) -> PyResult<Bound<'py, PyAny>> {
    if binary {
        return loads.call1((PyBytes::new(loads.py(), body),));
    }
    let text = std::str::from_utf8(body).map_err(|_| {
        raise(loads.py(), &Error::protocol("the body is not the text that the serializer writes"))
    })?;
    loads.call1((text,))
}

fn facts<'py>(body: &Bound<'py, PyAny>, limits: &Limits) -> PyResult<(Facts<'static>, Bound<'py, PyAny>)> {
    let py = body.py();
    let missing = || raise(py, &Error::protocol("the body does not say who sent it (\"s\")"));
    let body = body.cast::<PyDict>().map_err(|_| missing())?;
    let service: String = body.get_item("s")?.ok_or_else(missing)?.extract().map_err(|_| missing())?;
    let text = |value: Option<Bound<'py, PyAny>>| value.and_then(|value| value.extract::<String>().ok());
    let number = |value: Option<Bound<'py, PyAny>>| value.and_then(|value| value.extract::<f64>().ok());
    let instance = |value| text(value).and_then(|text| Instance::from_text(&text));
    let raw = |value: Option<Bound<'py, PyAny>>| -> PyResult<Cow<'static, [u8]>> {
        let mut out = Vec::new();
        match value {
            Some(value) => json::encode(py, &value, &mut out, limits, "id")?,
            None => out.extend_from_slice(b"null"),
        }
        Ok(Cow::Owned(out))
    };
    let inner = |key: &str| -> PyResult<Option<Bound<'py, PyDict>>> {
        Ok(body.get_item(key)?.and_then(|value| value.cast_into::<PyDict>().ok()))
    };
    let mut facts = Facts {
        service: Cow::Owned(service),
        instance: instance(body.get_item("i")?),
        actions: body.get_item("a")?.and_then(|value| value.extract().ok()),
        interval: number(body.get_item("t")?).and_then(|time| seconds(time / 1e3)),
        ..Facts::default()
    };
    if let Some(areq) = inner("areq")? {
        facts.request = Some(Request {
            id: raw(areq.get_item("i")?)?,
            timeout: number(areq.get_item("timeout")?).and_then(seconds),
            to: instance(areq.get_item("to")?),
        });
    }
    if let Some(ares) = inner("ares")? {
        let error = ares.get_item("error")?.filter(|error| error.is_truthy().unwrap_or(false));
        let error = error.map(|error| raw(Some(error))).transpose()?;
        facts.answer = Some(Answer { id: raw(ares.get_item("i")?)?, error });
    }
    let data = body.get_item("d")?.unwrap_or_else(|| py.None().into_bound(py));
    Ok((facts, data))
}
