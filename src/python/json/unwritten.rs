//! Values that JSON does not have, and what to write instead.

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyFrozenSet, PyMemoryView, PySet, PyType};

use super::refusal::{Refusal, type_name};

#[cold]
pub(super) fn refuse(value: &Bound<'_, PyAny>) -> Box<Refusal> {
    let instead = instead(value);
    match value.cast::<PyType>() {
        Ok(class) => {
            let name = class.qualname().map_or_else(|_| "object".into(), |name| name.to_string());
            Refusal::new(format!("the class {name} itself cannot be written as JSON; {instead}"))
        }
        Err(_) => Refusal::new(format!("{} cannot be written as JSON; {instead}", type_name(value))),
    }
}

#[cold]
pub(super) fn refuse_key(key: &Bound<'_, PyAny>) -> Box<Refusal> {
    let name = type_name(key);
    Refusal::new(format!("{name} cannot be a key in JSON; keys are str, int, float, bool or None"))
}

/// Advice for the types that are most often tried. Only what the class has is looked at: no code of the value's runs.
fn instead(value: &Bound<'_, PyAny>) -> &'static str {
    if value.is_instance_of::<PyType>() {
        return "give its name";
    }
    if value.is_instance_of::<PySet>() || value.is_instance_of::<PyFrozenSet>() {
        return "make a list of it";
    }
    if value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<PyMemoryView>()
    {
        return "decode it, or encode it as base64";
    }
    let kind = value.get_type();
    let has = |name: &str| kind.hasattr(name).unwrap_or(false);
    if has("isoformat") {
        "give its isoformat()"
    } else if has("tolist") {
        "give its tolist()"
    } else if has("model_dump") {
        "give its model_dump(mode=\"json\")"
    } else if has("__dataclass_fields__") {
        "give dataclasses.asdict() of it"
    } else if has("_value_") || has("_member_map_") {
        "give its value"
    } else {
        "give str, int, float, bool, None, or a list, tuple or dict of them"
    }
}
