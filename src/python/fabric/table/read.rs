//! Field tables → Python values.

use lapin::types::{AMQPValue, DecimalValue, FieldTable};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyList, PyString, PyTzInfo};

use crate::core::error::Fate;
use crate::python::refusal::{Outcome, Refusal, Step, key_step};

/// Peers may nest deeper than we do, within reason.
const MAX_DEPTH: usize = 64;

/// The dict that a table is. `at` names it in a refusal.
///
/// # Errors
/// `PayloadError` (rejected) when it is nested too deeply.
pub(crate) fn read<'py>(py: Python<'py>, table: &FieldTable, at: &str) -> PyResult<Bound<'py, PyDict>> {
    dict(py, table, 1)
        .map_err(|refusal| refusal.under(Step::Root(at.to_owned())).into_error_with(py, Fate::Rejected))
}

fn dict<'py>(py: Python<'py>, table: &FieldTable, depth: usize) -> Outcome<Bound<'py, PyDict>> {
    enter(depth)?;
    let dict = PyDict::new(py);
    for (key, item) in table {
        let key = PyString::new(py, key.as_str());
        let item = value(py, item, depth).map_err(|refusal| refusal.under(key_step(&key)))?;
        dict.set_item(key, item).map_err(Refusal::while_doing(py, "it cannot be a key"))?;
    }
    Ok(dict)
}

/// A value in a container that is at `depth`.
fn value<'py>(py: Python<'py>, value: &AMQPValue, depth: usize) -> Outcome<Bound<'py, PyAny>> {
    Ok(match value {
        AMQPValue::Boolean(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        AMQPValue::ShortShortInt(number) => integer(py, (*number).into()),
        AMQPValue::ShortShortUInt(number) => integer(py, (*number).into()),
        AMQPValue::ShortInt(number) => integer(py, (*number).into()),
        AMQPValue::ShortUInt(number) => integer(py, (*number).into()),
        AMQPValue::LongInt(number) => integer(py, (*number).into()),
        AMQPValue::LongUInt(number) => integer(py, (*number).into()),
        AMQPValue::LongLongInt(number) => integer(py, *number),
        AMQPValue::Float(number) => PyFloat::new(py, (*number).into()).into_any(),
        AMQPValue::Double(number) => PyFloat::new(py, *number).into_any(),
        AMQPValue::DecimalValue(number) => {
            decimal(py, *number).map_err(Refusal::while_doing(py, "a Decimal that cannot be built"))?
        }
        AMQPValue::ShortString(text) => PyString::new(py, text.as_str()).into_any(),
        AMQPValue::LongString(text) => match std::str::from_utf8(text.as_bytes()) {
            Ok(text) => PyString::new(py, text).into_any(),
            Err(_) => PyBytes::new(py, text.as_bytes()).into_any(),
        },
        AMQPValue::FieldArray(items) => array(py, items.as_slice(), depth + 1)?,
        AMQPValue::Timestamp(seconds) => timestamp(py, *seconds),
        AMQPValue::FieldTable(table) => dict(py, table, depth + 1)?.into_any(),
        AMQPValue::ByteArray(bytes) => PyBytes::new(py, bytes.as_slice()).into_any(),
        AMQPValue::Void => py.None().into_bound(py),
    })
}

fn array<'py>(py: Python<'py>, items: &[AMQPValue], depth: usize) -> Outcome<Bound<'py, PyAny>> {
    enter(depth)?;
    let list = PyList::empty(py);
    for (index, item) in items.iter().enumerate() {
        let item = value(py, item, depth).map_err(|refusal| refusal.under(Step::Index(index)))?;
        list.append(item).map_err(Refusal::while_doing(py, "it cannot be in a list"))?;
    }
    Ok(list.into_any())
}

fn enter(depth: usize) -> Outcome<()> {
    if depth <= MAX_DEPTH {
        return Ok(());
    }
    Err(Refusal::new(format!("nested deeper than {MAX_DEPTH} levels")))
}

fn integer(py: Python<'_>, number: i64) -> Bound<'_, PyAny> {
    let Ok(number) = number.into_pyobject(py);
    number.into_any()
}

/// A number of 32 bits with its sign, of whose digits the last `scale` are a fraction.
fn decimal(py: Python<'_>, number: DecimalValue) -> PyResult<Bound<'_, PyAny>> {
    static DECIMAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let text = format!("{}E-{}", number.value.cast_signed(), number.scale);
    DECIMAL.import(py, "decimal", "Decimal")?.call1((text,))
}

/// The time in UTC; seconds that no datetime has are an int. Some senders count milliseconds: beyond the year 2106 they
/// are taken for such.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of any year are exact in a float")]
fn timestamp(py: Python<'_>, seconds: u64) -> Bound<'_, PyAny> {
    static DATETIME: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let exact = if seconds > u64::from(u32::MAX) { seconds as f64 / 1e3 } else { seconds as f64 };
    let time = || -> PyResult<Bound<'_, PyAny>> {
        let class = DATETIME.import(py, "datetime", "datetime")?;
        class.call_method1(intern!(py, "fromtimestamp"), (exact, PyTzInfo::utc(py)?))
    };
    time().unwrap_or_else(|_| {
        let Ok(seconds) = seconds.into_pyobject(py);
        seconds.into_any()
    })
}
