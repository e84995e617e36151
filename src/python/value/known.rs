//! The classes of other modules that have a place on the wire, looked up once and kept. Looking never imports:
//! while `decimal` is not loaded, no value can be a `Decimal`.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use super::refusal::{Outcome, Refusal};

/// The classes of one module.
pub(super) struct Known<T> {
    module: &'static str,
    cell: PyOnceLock<T>,
    read: fn(&Bound<'_, PyAny>) -> PyResult<T>,
}

impl<T> Known<T> {
    const fn new(module: &'static str, read: fn(&Bound<'_, PyAny>) -> PyResult<T>) -> Self {
        Self { module, cell: PyOnceLock::new(), read }
    }

    /// The classes, if the module is loaded.
    pub(super) fn loaded(&'static self, py: Python<'_>) -> Option<&'static T> {
        if let Some(found) = self.cell.get(py) {
            return Some(found);
        }
        let module = loaded_module(py, self.module)?;
        // A module that is being imported may lack some names yet: then it is not loaded.
        let found = (self.read)(&module).ok()?;
        self.cell.get_or_init(py, || found).into()
    }

    /// The classes, importing the module if needed: one of this file's, never one that a peer names.
    pub(super) fn imported(&'static self, py: Python<'_>) -> Outcome<&'static T> {
        self.loaded(py).map_or_else(|| self.import(py), Ok)
    }

    #[cold]
    fn import(&'static self, py: Python<'_>) -> Outcome<&'static T> {
        let found = py.import(self.module).and_then(|module| (self.read)(module.as_any()));
        let doing = || format!("it needs the module {}", self.module);
        let found = found.map_err(|error| Refusal::raised(py, &doing(), error))?;
        Ok(self.cell.get_or_init(py, || found))
    }
}

/// A module out of `sys.modules`.
pub(super) fn loaded_module<'py>(py: Python<'py>, name: &str) -> Option<Bound<'py, PyAny>> {
    // SAFETY: the interpreter's own dict, borrowed; nothing is imported.
    let modules = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyImport_GetModuleDict())? };
    let modules = modules.cast_into::<pyo3::types::PyDict>().ok()?;
    modules.get_item(name).ok()?.filter(|module| !module.is_none())
}

/// A class.
pub(super) struct Class(Py<PyType>);

impl Class {
    fn of(module: &Bound<'_, PyAny>, name: &str) -> PyResult<Self> {
        Ok(Self(module.getattr(name)?.cast_into::<PyType>()?.unbind()))
    }

    /// Whether it is the very type of `value`.
    pub(super) fn is_type_of(&self, value: &Bound<'_, PyAny>) -> bool {
        value.get_type_ptr().cast::<ffi::PyObject>() == self.0.as_ptr()
    }

    pub(super) fn bind<'py>(&self, py: Python<'py>) -> &Bound<'py, PyType> {
        self.0.bind(py)
    }
}

pub(super) struct Datetime {
    pub(super) datetime: Class,
    pub(super) date: Class,
    pub(super) time: Class,
    pub(super) timedelta: Class,
    pub(super) timezone: Class,
}

pub(super) static DATETIME: Known<Datetime> = Known::new("datetime", |module| {
    Ok(Datetime {
        datetime: Class::of(module, "datetime")?,
        date: Class::of(module, "date")?,
        time: Class::of(module, "time")?,
        timedelta: Class::of(module, "timedelta")?,
        timezone: Class::of(module, "timezone")?,
    })
});

pub(super) static ZONEINFO: Known<Class> = Known::new("zoneinfo", |module| Class::of(module, "ZoneInfo"));
pub(super) static DECIMAL: Known<Class> = Known::new("decimal", |module| Class::of(module, "Decimal"));
pub(super) static UUID: Known<Class> = Known::new("uuid", |module| Class::of(module, "UUID"));
pub(super) static ARRAY: Known<Class> = Known::new("array", |module| Class::of(module, "array"));

/// Their places are their numbers on the wire.
pub(super) struct Paths(pub(super) [Class; 4]);

pub(super) static PATHS: Known<Paths> = Known::new("pathlib", |module| {
    let class = |name| Class::of(module, name);
    Ok(Paths([
        class("PosixPath")?,
        class("PurePosixPath")?,
        class("WindowsPath")?,
        class("PureWindowsPath")?,
    ]))
});

pub(super) struct Enum {
    pub(super) meta: Class,
    pub(super) flag: Class,
}

pub(super) static ENUM: Known<Enum> = Known::new("enum", |module| {
    Ok(Enum { meta: Class::of(module, "EnumMeta")?, flag: Class::of(module, "Flag")? })
});

/// The function `dataclasses.fields`.
pub(super) struct Fields(Py<PyAny>);

impl Fields {
    pub(super) fn bind<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.0.bind(py)
    }
}

pub(super) static FIELDS: Known<Fields> =
    Known::new("dataclasses", |module| Ok(Fields(module.getattr("fields")?.unbind())));

pub(super) static MODEL: Known<Class> = Known::new("pydantic.main", |module| Class::of(module, "BaseModel"));

pub(super) struct Numpy {
    pub(super) ndarray: Class,
    pub(super) generic: Class,
    pub(super) dtype: Class,
    pub(super) str: Class,
    pub(super) bytes: Class,
    pub(super) contiguous: Py<PyAny>,
}

pub(super) static NUMPY: Known<Numpy> = Known::new("numpy", |module| {
    Ok(Numpy {
        ndarray: Class::of(module, "ndarray")?,
        generic: Class::of(module, "generic")?,
        dtype: Class::of(module, "dtype")?,
        str: Class::of(module, "str_")?,
        bytes: Class::of(module, "bytes_")?,
        contiguous: module.getattr("ascontiguousarray")?.unbind(),
    })
});
