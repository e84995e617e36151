//! Why a value cannot cross, and the path to it. The path is put together while unwinding, so that it costs
//! nothing when all is well.

use std::fmt::Write;

use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::core::error::{Code, Error, Fate};
use crate::python::errors;

/// One step of the path, from a container to what it holds.
#[derive(Debug)]
pub(crate) enum Step {
    /// What the value is to the caller, such as `args` or `result`.
    Root(String),
    /// `[3]`
    Index(usize),
    /// `['x']`
    Key(String),
    /// `.name`
    Attribute(String),
    /// `{…}`, an item of a set or a key of a dict
    Item,
}

/// A refused value.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Innermost first.
    path: Vec<Step>,
    text: String,
    cause: Option<PyErr>,
}

/// The result of everything that reads or writes values; one word when all is well.
pub(crate) type Outcome<T> = Result<T, Box<Refusal>>;

/// Steps shown of a path that is longer than both together.
const SHOWN_FIRST: usize = 6;
const SHOWN_LAST: usize = 2;
/// Characters shown of a key.
const SHOWN_KEY: usize = 40;

impl Refusal {
    #[cold]
    pub(crate) fn new(text: impl Into<String>) -> Box<Self> {
        Box::new(Self { path: Vec::new(), text: text.into(), cause: None })
    }

    /// A Python exception that was raised while a value was read or rebuilt.
    #[cold]
    pub(crate) fn raised(py: Python<'_>, doing: &str, cause: PyErr) -> Box<Self> {
        let name = cause.get_type(py).name().map_or_else(|_| "error".into(), |name| name.to_string());
        let text = format!("{doing}: {name}: {}", cause.value(py));
        Box::new(Self { path: Vec::new(), text, cause: Some(cause) })
    }

    /// The same as a `map_err` function.
    pub(crate) fn while_doing(py: Python<'_>, doing: &str) -> impl Fn(PyErr) -> Box<Self> {
        move |cause| Self::raised(py, doing, cause)
    }

    /// The Python exception that an ABI function has just set.
    #[cold]
    pub(crate) fn fetched(py: Python<'_>, doing: &str) -> Box<Self> {
        Self::raised(py, doing, PyErr::fetch(py))
    }

    /// The same, one step further out.
    #[cold]
    pub(crate) fn under(mut self: Box<Self>, step: Step) -> Box<Self> {
        self.path.push(step);
        self
    }

    /// The exception for a value that was not sent.
    #[cold]
    pub(crate) fn into_error(self, py: Python<'_>) -> PyErr {
        self.into_error_with(py, Fate::NotSent)
    }

    /// The exception for the user: `PayloadError`, or what is no ordinary error (`KeyboardInterrupt`,
    /// `MemoryError`) itself.
    #[cold]
    pub(crate) fn into_error_with(self, py: Python<'_>, fate: Fate) -> PyErr {
        let path = self.path();
        let Self { text, cause, .. } = self;
        if let Some(cause) = &cause
            && (!cause.is_instance_of::<PyException>(py) || cause.is_instance_of::<PyMemoryError>(py))
        {
            return cause.clone_ref(py);
        }
        let message = if path.is_empty() { text } else { format!("{path}: {text}") };
        let error = errors::raise(py, &Error::new(Code::Payload, message).with_fate(fate));
        if let Some(cause) = cause {
            error.set_cause(py, Some(cause));
        }
        error
    }

    fn path(&self) -> String {
        let mut text = String::new();
        let count = self.path.len();
        for (position, step) in self.path.iter().rev().enumerate() {
            if count > SHOWN_FIRST + SHOWN_LAST && (SHOWN_FIRST..count - SHOWN_LAST).contains(&position) {
                if position == SHOWN_FIRST {
                    text.push('…');
                }
                continue;
            }
            let written = match step {
                Step::Root(name) => write!(text, "{name}"),
                Step::Index(index) => write!(text, "[{index}]"),
                Step::Key(key) => write!(text, "[{key}]"),
                Step::Attribute(name) => write!(text, ".{name}"),
                Step::Item => write!(text, "{{…}}"),
            };
            // Writing to a String cannot fail.
            let _ = written;
        }
        text
    }
}

/// The step to what stands under `key` in a dict. Only plain keys are shown: another one's `repr` is code.
#[cold]
pub(crate) fn key_step(key: &Bound<'_, PyAny>) -> Step {
    // SAFETY: a live object's type is read.
    let plain = unsafe {
        let key = key.as_ptr();
        ffi::PyUnicode_CheckExact(key) != 0
            || ffi::PyLong_CheckExact(key) != 0
            || ffi::PyBool_Check(key) != 0
            || ffi::PyFloat_CheckExact(key) != 0
            || ffi::PyBytes_CheckExact(key) != 0
            || key == ffi::Py_None()
    };
    let shown = if plain { key.repr().ok().map(|text| text.to_string_lossy().into_owned()) } else { None };
    Step::Key(match shown {
        Some(text) if text.chars().count() > SHOWN_KEY => {
            format!("{}…", text.chars().take(SHOWN_KEY).collect::<String>())
        }
        Some(text) => text,
        None => format!("<{}>", type_name(key)),
    })
}

/// The name of a value's type.
#[cold]
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().qualname().map_or_else(|_| "object".into(), |name| name.to_string())
}
