//! Values of the user's own classes: enums, dataclasses and pydantic models. They are rebuilt with the values they
//! had, without running their constructors: what arrives equals what was sent, also where a constructor would
//! refuse, convert or compute.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::classes::wire_name;
use super::decode::{Decoder, KeyKind};
use super::encode::Encoder;
use super::known::{ENUM, FIELDS, MODEL};
use super::refusal::{Outcome, Refusal, Step};
use super::wire::{self, Broken, Reader, ext};

/// `[class, member]`, or `[class, nil, value]` for a combination of flags that has no name.
pub(super) fn encode_enum(
    encoder: &mut Encoder<'_>,
    value: &Bound<'_, PyAny>,
    depth: usize,
) -> Outcome<bool> {
    let (py, class) = (value.py(), value.get_type());
    if !ENUM.loaded(py).is_some_and(|known| class.is_instance(known.meta.bind(py)).unwrap_or(false)) {
        return Ok(false);
    }
    let wrong = Refusal::while_doing(py, "an enum that cannot be read");
    let name = value.getattr(intern!(py, "_name_")).map_err(&wrong)?;
    let members = class.getattr(intern!(py, "__members__")).map_err(&wrong)?;
    let named = members.call_method1(intern!(py, "get"), (&name,)).map_err(&wrong)?.is(value);
    let open = wire::open_ext(encoder.out, ext::ENUM, 0);
    wire::put_array(encoder.out, if named { 2 } else { 3 });
    wire::put_str(encoder.out, wire_name(&class)?.as_bytes());
    if named {
        encoder.text(name.as_borrowed())?;
    } else {
        encoder.descend(depth)?;
        encoder.out.push(wire::NIL);
        let inner = value.getattr(intern!(py, "_value_")).map_err(&wrong)?;
        encoder.value(inner.as_borrowed(), depth + 1)?;
    }
    wire::close_ext(encoder.out, open);
    Ok(true)
}

pub(super) fn decode_enum<'py>(
    decoder: &mut Decoder<'_, 'py>,
    reader: &mut Reader<'_>,
    depth: usize,
) -> Outcome<Bound<'py, PyAny>> {
    let py = decoder.py;
    let parts = reader.array()?;
    let class = decoder.classes.find(py, reader.text()?)?;
    let known = ENUM.imported(py)?;
    if !class.is_instance(known.meta.bind(py)).unwrap_or(false) {
        return Err(not_a(&class, "an enum"));
    }
    if parts == 2 {
        let name = decoder.string(reader)?;
        let members =
            class.getattr(intern!(py, "__members__")).map_err(Refusal::while_doing(py, "an enum"))?;
        return members
            .get_item(&name)
            .map_err(|_| Refusal::new(format!("{} has no member {name}", class_name(&class))));
    }
    if parts != 3 || reader.byte()? != wire::NIL || !class.is_subclass(known.flag.bind(py)).unwrap_or(false) {
        return Err(Broken::Unexpected.into());
    }
    decoder.descend(depth)?;
    let value = decoder.value(reader, depth + 1)?;
    let member = class.call1((value,)).map_err(Refusal::while_doing(py, "no value of the enum"))?;
    if member.get_type().is(&class) {
        Ok(member)
    } else {
        Err(not_a(&class, "a set of flags with that value"))
    }
}

/// `[class, {field: value}]`
pub(super) fn encode_dataclass(
    encoder: &mut Encoder<'_>,
    value: &Bound<'_, PyAny>,
    depth: usize,
) -> Outcome<bool> {
    let (py, class) = (value.py(), value.get_type());
    let Some(names) = field_names(&class)? else { return Ok(false) };
    if is_builtin_inside(&class) {
        return Ok(false);
    }
    encoder.descend(depth)?;
    encoder.count(2 * names.len())?;
    let open = wire::open_ext(encoder.out, ext::DATACLASS, wire::expected(0, depth));
    wire::put_array(encoder.out, 2);
    wire::put_str(encoder.out, wire_name(&class)?.as_bytes());
    wire::put_map(encoder.out, names.len());
    for name in &names {
        let step = |refusal: Box<Refusal>| refusal.under(Step::Attribute(name.to_string()));
        let field = value.getattr(name).map_err(|error| step(Refusal::raised(py, "it is not set", error)))?;
        encoder.text(name.as_any().as_borrowed())?;
        encoder.value(field.as_borrowed(), depth + 1).map_err(step)?;
    }
    wire::close_ext(encoder.out, open);
    Ok(true)
}

pub(super) fn decode_dataclass<'py>(
    decoder: &mut Decoder<'_, 'py>,
    reader: &mut Reader<'_>,
    depth: usize,
) -> Outcome<Bound<'py, PyAny>> {
    decoder.descend(depth)?;
    let class = begin(decoder, reader, 2)?;
    let Some(names) = field_names(&class)? else { return Err(not_a(&class, "a dataclass")) };
    let len = reader.map()?;
    let fields = decoder.pairs(reader, len, depth + 1, KeyKind::Attributes)?;
    if fields.len() != names.len() {
        return Err(other_fields(&class));
    }
    let value = bare(&class)?;
    for name in &names {
        let field = fields.get_item(name).ok().flatten().ok_or_else(|| other_fields(&class))?;
        set_attribute(&value, name, &field)?;
    }
    Ok(value)
}

/// `[class, fields, names of the fields that were set, extra fields or nil, private attributes or nil]`
pub(super) fn encode_model(
    encoder: &mut Encoder<'_>,
    value: &Bound<'_, PyAny>,
    depth: usize,
) -> Outcome<bool> {
    let py = value.py();
    if !MODEL.loaded(py).is_some_and(|class| value.is_instance(class.bind(py)).unwrap_or(false)) {
        return Ok(false);
    }
    let class = value.get_type();
    encoder.descend(depth)?;
    let state =
        ModelState::read(&class, value).map_err(Refusal::while_doing(py, "a model that cannot be read"))?;
    let open = wire::open_ext(encoder.out, ext::MODEL, wire::expected(0, depth));
    wire::put_array(encoder.out, 5);
    wire::put_str(encoder.out, wire_name(&class)?.as_bytes());
    put_attributes(encoder, Some(&state.fields), depth)?;
    // It holds names alone: no level of its own.
    encoder.value(state.names_set.as_borrowed(), depth)?;
    put_attributes(encoder, state.extra.as_ref(), depth)?;
    put_attributes(encoder, state.private.as_ref(), depth)?;
    wire::close_ext(encoder.out, open);
    Ok(true)
}

/// A map of attributes, or nil.
fn put_attributes(
    encoder: &mut Encoder<'_>,
    attributes: Option<&Bound<'_, PyDict>>,
    depth: usize,
) -> Outcome<()> {
    let Some(attributes) = attributes else {
        encoder.out.push(wire::NIL);
        return Ok(());
    };
    if encoder.canonical {
        return encoder.pairs(attributes.as_any().as_borrowed(), depth + 1);
    }
    encoder.count(2 * attributes.len())?;
    wire::put_map(encoder.out, attributes.len());
    // Copied: a field's own code may change the model.
    for (name, field) in attributes.copy().map_err(Refusal::while_doing(attributes.py(), "a model"))? {
        encoder.value(name.as_borrowed(), depth + 1)?;
        encoder
            .value(field.as_borrowed(), depth + 1)
            .map_err(|refusal| refusal.under(Step::Attribute(name.to_string())))?;
    }
    Ok(())
}

/// What a pydantic model consists of.
struct ModelState<'py> {
    fields: Bound<'py, PyDict>,
    names_set: Bound<'py, PyAny>,
    extra: Option<Bound<'py, PyDict>>,
    private: Option<Bound<'py, PyDict>>,
}

impl<'py> ModelState<'py> {
    fn read(class: &Bound<'py, PyType>, value: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let names = model_fields(class)?;
        let fields = PyDict::new(py);
        // Cached properties stand beside the fields; they are computed again over there.
        for (name, field) in value.getattr(intern!(py, "__dict__"))?.cast_into::<PyDict>()? {
            if names.contains(&name)? {
                fields.set_item(name, field)?;
            }
        }
        let part = |name: &Bound<'py, PyString>| -> PyResult<Option<Bound<'py, PyDict>>> {
            let part = value.getattr(name)?;
            Ok(if part.is_none() { None } else { Some(part.cast_into()?) })
        };
        Ok(Self {
            fields,
            names_set: value.getattr(intern!(py, "__pydantic_fields_set__"))?,
            extra: part(intern!(py, "__pydantic_extra__"))?,
            private: part(intern!(py, "__pydantic_private__"))?,
        })
    }
}

pub(super) fn decode_model<'py>(
    decoder: &mut Decoder<'_, 'py>,
    reader: &mut Reader<'_>,
    depth: usize,
) -> Outcome<Bound<'py, PyAny>> {
    let py = decoder.py;
    decoder.descend(depth)?;
    let class = begin(decoder, reader, 5)?;
    let base = MODEL.loaded(py).map(|base| base.bind(py));
    if !base.is_some_and(|base| class.is_subclass(base).unwrap_or(false)) {
        return Err(not_a(&class, "a pydantic model"));
    }
    let wrong = Refusal::while_doing(py, "a model that cannot be rebuilt");
    let value = bare(&class)?;
    let allowed = model_fields(&class).map_err(&wrong)?;
    let fields = attributes(decoder, reader, depth)?;
    let names_set = decoder.value(reader, depth)?;
    let extra = attributes(decoder, reader, depth)?;
    let private = attributes(decoder, reader, depth)?;
    let fields = fields.ok_or(Broken::Unexpected)?;
    let known = |names: &Bound<'py, PyAny>, part: &Bound<'py, PyDict>| -> PyResult<bool> {
        for name in part.keys() {
            if !names.contains(name)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let allows_extra = || -> PyResult<bool> {
        let config = class.getattr(intern!(py, "model_config"))?;
        config.call_method1(intern!(py, "get"), (intern!(py, "extra"),))?.eq(intern!(py, "allow"))
    };
    if !known(&allowed, &fields).map_err(&wrong)?
        || (extra.as_ref().is_some_and(|extra| !extra.is_empty()) && !allows_extra().map_err(&wrong)?)
        || !names_set.is_exact_instance_of::<pyo3::types::PySet>()
    {
        return Err(other_fields(&class));
    }
    if let Some(private) = &private {
        let allowed = class.getattr(intern!(py, "__private_attributes__")).map_err(&wrong)?;
        if !known(&allowed, private).map_err(&wrong)? {
            return Err(other_fields(&class));
        }
    }
    set_attribute(&value, intern!(py, "__dict__"), fields.as_any())?;
    set_attribute(&value, intern!(py, "__pydantic_fields_set__"), &names_set)?;
    for (name, part) in
        [(intern!(py, "__pydantic_extra__"), extra), (intern!(py, "__pydantic_private__"), private)]
    {
        // A root model has neither, and says so in its class.
        if part.is_some() || !value.getattr(name).is_ok_and(|part| part.is_none()) {
            set_attribute(&value, name, &part.map_or_else(|| py.None().into_bound(py), Bound::into_any))?;
        }
    }
    Ok(value)
}

/// The fields of a model's class, by the name that pydantic 2.10 gave them or by that before.
fn model_fields<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    class.getattr(intern!(py, "__pydantic_fields__")).or_else(|_| class.getattr(intern!(py, "model_fields")))
}

/// A map of attributes, or nil.
fn attributes<'py>(
    decoder: &mut Decoder<'_, 'py>,
    reader: &mut Reader<'_>,
    depth: usize,
) -> Outcome<Option<Bound<'py, PyDict>>> {
    if reader.peek() == Some(wire::NIL) {
        reader.byte()?;
        return Ok(None);
    }
    let len = reader.map()?;
    decoder.pairs(reader, len, depth + 1, KeyKind::Attributes).map(Some)
}

/// The class that an array of `parts` begins with.
fn begin<'py>(
    decoder: &Decoder<'_, 'py>,
    reader: &mut Reader<'_>,
    parts: usize,
) -> Outcome<Bound<'py, PyType>> {
    if reader.array()? != parts {
        return Err(Broken::Unexpected.into());
    }
    decoder.classes.find(decoder.py, reader.text()?)
}

/// The names of a dataclass's fields, if it is one.
fn field_names<'py>(class: &Bound<'py, PyType>) -> Outcome<Option<Vec<Bound<'py, PyString>>>> {
    let py = class.py();
    let Some(fields) = FIELDS.loaded(py) else { return Ok(None) };
    if !class.hasattr(intern!(py, "__dataclass_fields__")).unwrap_or(false) {
        return Ok(None);
    }
    let read = || -> PyResult<Vec<Bound<'py, PyString>>> {
        let fields = fields.bind(py).call1((class,))?.cast_into::<PyTuple>()?;
        fields.iter().map(|field| Ok(field.getattr(intern!(py, "name"))?.cast_into()?)).collect()
    };
    read().map(Some).map_err(Refusal::while_doing(py, "a dataclass that cannot be read"))
}

/// Whether instances hold more than their attributes: a dataclass that is a list, or an exception.
fn is_builtin_inside(class: &Bound<'_, PyType>) -> bool {
    const BUILTINS: std::ffi::c_ulong = ffi::Py_TPFLAGS_LONG_SUBCLASS
        | ffi::Py_TPFLAGS_LIST_SUBCLASS
        | ffi::Py_TPFLAGS_TUPLE_SUBCLASS
        | ffi::Py_TPFLAGS_BYTES_SUBCLASS
        | ffi::Py_TPFLAGS_UNICODE_SUBCLASS
        | ffi::Py_TPFLAGS_DICT_SUBCLASS
        | ffi::Py_TPFLAGS_BASE_EXC_SUBCLASS
        | ffi::Py_TPFLAGS_TYPE_SUBCLASS;
    // SAFETY: live types.
    let flags = |class: *mut ffi::PyObject| unsafe { ffi::PyType_GetFlags(class.cast()) };
    let object = (&raw mut ffi::PyBaseObject_Type).cast::<ffi::PyObject>();
    // Classes that are not made by Python code lay out their instances themselves.
    let native = |class: &Bound<'_, PyAny>| {
        class.as_ptr() != object && flags(class.as_ptr()) & ffi::Py_TPFLAGS_HEAPTYPE == 0
    };
    flags(class.as_ptr()) & BUILTINS != 0 || class.mro().iter().any(|class| native(&class))
}

/// A new instance without attributes: what `object.__new__` makes, which refuses classes that need more.
fn bare<'py>(class: &Bound<'py, PyType>) -> Outcome<Bound<'py, PyAny>> {
    let py = class.py();
    // SAFETY: the type of all types, alive as long as the interpreter.
    let object =
        unsafe { Bound::from_borrowed_ptr(py, (&raw mut ffi::PyBaseObject_Type).cast::<ffi::PyObject>()) };
    object
        .call_method1(intern!(py, "__new__"), (class,))
        .map_err(Refusal::while_doing(py, "an object that cannot be rebuilt"))
}

/// Sets an attribute as `object.__setattr__` does, also of a frozen instance.
fn set_attribute(value: &Bound<'_, PyAny>, name: &Bound<'_, PyString>, to: &Bound<'_, PyAny>) -> Outcome<()> {
    // SAFETY: live objects.
    let status = unsafe { ffi::PyObject_GenericSetAttr(value.as_ptr(), name.as_ptr(), to.as_ptr()) };
    if status == 0 { Ok(()) } else { Err(Refusal::fetched(value.py(), "an attribute that cannot be set")) }
}

fn class_name(class: &Bound<'_, PyType>) -> String {
    class.qualname().map_or_else(|_| "the class".into(), |name| name.to_string())
}

#[cold]
fn not_a(class: &Bound<'_, PyType>, what: &str) -> Box<Refusal> {
    Refusal::new(format!("{} is not {what} here", class_name(class)))
}

#[cold]
fn other_fields(class: &Bound<'_, PyType>) -> Box<Refusal> {
    Refusal::new(format!("{} has other fields here", class_name(class)))
}
