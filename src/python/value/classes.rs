//! Which classes a peer's values may be rebuilt as. Names are looked up, never imported.

use std::collections::HashMap;
use std::path::PathBuf;

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use super::known::loaded_module;
use super::refusal::{Outcome, Refusal};

const MAIN: &str = "__main__";
/// What a daemon calls its parent's main file when that is no module of its own.
const MAIN_IN_DAEMON: &str = "__mp_main__";
/// The longest name of a class.
const MAX_NAME: usize = 1024;

/// `"module:qualname"` → class, for dataclasses, enums and pydantic models.
pub(crate) struct Classes {
    declared: HashMap<String, Py<PyAny>>,
    loaded: bool,
}

impl Classes {
    /// `declared` are those that a service's signatures name; with `loaded`, any class of a module that this
    /// process has loaded already will do as well.
    pub(crate) fn new(declared: Vec<(String, Py<PyAny>)>, loaded: bool) -> Self {
        Self { declared: declared.into_iter().collect(), loaded }
    }

    /// The class of that name.
    pub(super) fn find<'py>(&self, py: Python<'py>, name: &str) -> Outcome<Bound<'py, PyType>> {
        let known = || {
            let (module, qualname) = name.split_once(':')?;
            if let Some(class) = self.declared.get(name) {
                return Some(class.bind(py).clone());
            }
            if self.loaded
                && let Some(class) = loaded_class(py, module, qualname)
            {
                return Some(class);
            }
            self.declared_elsewhere(py, module, qualname)
        };
        let fits = name.len() <= MAX_NAME;
        let class = if fits { known() } else { None };
        class.and_then(|class| class.cast_into::<PyType>().ok()).ok_or_else(|| self.unknown(name))
    }

    /// The main program of one side is a module with a name of its own on the other: there, the declared class of
    /// that qualname will do, if there is just one.
    fn declared_elsewhere<'py>(
        &self,
        py: Python<'py>,
        module: &str,
        qualname: &str,
    ) -> Option<Bound<'py, PyAny>> {
        let mut fitting = self.declared.iter().filter(|(name, _)| {
            name.split_once(':')
                .is_some_and(|(place, known)| known == qualname && (module == MAIN || place == MAIN))
        });
        let (_, class) = fitting.next()?;
        if fitting.next().is_some() { None } else { Some(class.bind(py).clone()) }
    }

    #[cold]
    fn unknown(&self, name: &str) -> Box<Refusal> {
        let shown: String = name.chars().take(120).collect();
        let known = if self.loaded { "declared or loaded" } else { "declared" };
        Refusal::new(format!(
            "the class {} is not {known} here; name it in the service's signatures",
            shown.replacen(':', ".", 1)
        ))
    }
}

/// A class out of a module that is loaded. Only dicts are read, so that no module's `__getattr__` runs.
fn loaded_class<'py>(py: Python<'py>, module: &str, qualname: &str) -> Option<Bound<'py, PyAny>> {
    let module = match loaded_module(py, module) {
        Some(module) => module,
        None => main_called(py, module)?,
    };
    // SAFETY: a module's own dict, borrowed.
    let namespace = unsafe {
        if ffi::PyModule_Check(module.as_ptr()) == 0 {
            return None;
        }
        Bound::from_borrowed_ptr_or_opt(py, ffi::PyModule_GetDict(module.as_ptr()))?
    };
    let mut names = qualname.split('.');
    let mut class = namespace.cast::<PyDict>().ok()?.get_item(names.next()?).ok()??;
    for name in names {
        let outer = class.cast_into::<PyType>().ok()?;
        class = outer.getattr(intern!(py, "__dict__")).ok()?.get_item(name).ok()?;
    }
    Some(class)
}

/// The main program, if that module's code is what it runs: `python -m module`, or `python module.py`, whose
/// daemon imports it under that name, or under `__mp_main__` where an import would find another module.
fn main_called<'py>(py: Python<'py>, module: &str) -> Option<Bound<'py, PyAny>> {
    let main = loaded_module(py, MAIN)?;
    let spec = main.getattr(intern!(py, "__spec__")).ok().filter(|spec| !spec.is_none());
    let called = match spec {
        Some(spec) => spec.getattr(intern!(py, "name")).ok()?.extract::<&str>().ok()? == module,
        None => {
            let file = main.getattr(intern!(py, "__file__")).ok()?.extract::<PathBuf>().ok()?;
            module == MAIN_IN_DAEMON || file.file_stem().is_some_and(|stem| stem == module)
        }
    };
    called.then_some(main)
}

/// The name of a class on the wire.
pub(super) fn wire_name(class: &Bound<'_, PyType>) -> Outcome<String> {
    let name = || Ok(format!("{}:{}", class.module()?, class.qualname()?));
    name().map_err(Refusal::while_doing(class.py(), "a class without a name"))
}
