//! Python values → field tables.

use lapin::types::{AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, LongString, ShortString};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDateTime, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyTzInfo,
};

use crate::python::refusal::{Outcome, Refusal, Step, key_step, type_name};

/// The deepest nesting; the table itself is the first level.
const MAX_DEPTH: usize = 16;
/// The longest key, in bytes: its length is one byte on the wire.
const MAX_KEY: usize = 255;
/// The largest table on the wire, in bytes: it must fit into one frame beside the other properties.
const MAX_SIZE: usize = 128 << 10;

/// How many bytes a float has on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floats {
    /// All eight: it arrives as it was sent.
    Double,
    /// Four, as the originals send it: it arrives rounded, and equals a rounded one.
    Single,
}

/// The table that a dict is. `at` names it in a refusal, such as `headers`.
///
/// # Errors
/// `PayloadError` with the path to what AMQP does not have, or is over a limit: `headers['x'][3]: a set cannot …`.
pub(crate) fn write(value: &Bound<'_, PyAny>, at: &str, floats: Floats) -> PyResult<FieldTable> {
    let py = value.py();
    let table = match value.cast::<PyDict>() {
        Ok(dict) => Writer { floats, left: MAX_SIZE }.dict(dict, 1),
        Err(_) => Err(Refusal::new(format!("{} cannot be a table; give a dict", type_name(value)))),
    };
    table.map_err(|refusal| refusal.under(Step::Root(at.to_owned())).into_error(py))
}

struct Writer {
    floats: Floats,
    /// Bytes that may still be written.
    left: usize,
}

impl Writer {
    /// Counts what is going to be written.
    fn weigh(&mut self, bytes: usize) -> Outcome<()> {
        let left = self.left.checked_sub(bytes);
        self.left =
            left.ok_or_else(|| Refusal::new(format!("the table is longer than {MAX_SIZE} bytes in AMQP")))?;
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>, depth: usize) -> Outcome<FieldTable> {
        enter(depth)?;
        self.weigh(4)?;
        let mut table = FieldTable::default();
        // A list: the dict may change while an item's own code runs.
        for pair in dict.items() {
            let doing = Refusal::while_doing(dict.py(), "its items cannot be listed");
            let (key, value) = pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>().map_err(doing)?;
            let name = self.key(&key).map_err(|refusal| refusal.under(Step::Item))?;
            let value = self.value(&value, depth).map_err(|refusal| refusal.under(key_step(&key)))?;
            table.insert(name, value);
        }
        Ok(table)
    }

    fn key(&mut self, key: &Bound<'_, PyAny>) -> Outcome<ShortString> {
        let text = key
            .cast::<PyString>()
            .map_err(|_| Refusal::new(format!("{} cannot be a key in AMQP; keys are str", type_name(key))))?;
        let text = text.to_str().map_err(Refusal::while_doing(key.py(), "a key that is no text"))?;
        let refuse =
            |_| Refusal::new(format!("a key of {} bytes; in AMQP it has at most {MAX_KEY}", text.len()));
        let name = ShortString::try_new(text).map_err(refuse)?;
        self.weigh(1 + text.len())?;
        Ok(name)
    }

    /// A value in a container that is at `depth`.
    fn value(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> Outcome<AMQPValue> {
        self.weigh(1)?;
        if let Ok(text) = value.cast::<PyString>() {
            let doing = Refusal::while_doing(value.py(), "a text that cannot be written as UTF-8");
            let text = text.to_str().map_err(doing)?;
            self.weigh(4 + text.len())?;
            return Ok(AMQPValue::LongString(LongString::from(text)));
        }
        if let Ok(flag) = value.cast::<PyBool>() {
            self.weigh(1)?;
            return Ok(AMQPValue::Boolean(flag.is_true()));
        }
        if value.is_instance_of::<PyInt>() {
            return self.integer(value);
        }
        if let Ok(number) = value.cast::<PyFloat>() {
            return self.float(number.value());
        }
        if value.is_none() {
            return Ok(AMQPValue::Void);
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            return self.dict(dict, depth + 1).map(AMQPValue::FieldTable);
        }
        if let Ok(list) = value.cast::<PyList>() {
            return self.array(list.iter(), depth + 1);
        }
        if let Ok(tuple) = value.cast::<PyTuple>() {
            return self.array(tuple.iter(), depth + 1);
        }
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return self.bytes(bytes.as_bytes().to_vec());
        }
        if let Ok(bytes) = value.cast::<PyByteArray>() {
            return self.bytes(bytes.to_vec());
        }
        self.rare(value)
    }

    fn array<'py>(
        &mut self,
        items: impl Iterator<Item = Bound<'py, PyAny>>,
        depth: usize,
    ) -> Outcome<AMQPValue> {
        enter(depth)?;
        self.weigh(4)?;
        let mut array = FieldArray::default();
        for (index, item) in items.enumerate() {
            array.push(self.value(&item, depth).map_err(|refusal| refusal.under(Step::Index(index)))?);
        }
        Ok(AMQPValue::FieldArray(array))
    }

    fn bytes(&mut self, bytes: Vec<u8>) -> Outcome<AMQPValue> {
        self.weigh(4 + bytes.len())?;
        Ok(AMQPValue::ByteArray(ByteArray::from(bytes)))
    }

    /// In the least type that has it, tried in the originals' order.
    fn integer(&mut self, value: &Bound<'_, PyAny>) -> Outcome<AMQPValue> {
        let number: i64 = value.extract().map_err(|_| {
            Refusal::new("an int of more than 64 bits cannot be a value in AMQP; give it as a str")
        })?;
        let (written, size) = if let Ok(number) = i8::try_from(number) {
            (AMQPValue::ShortShortInt(number), 1)
        } else if let Ok(number) = i16::try_from(number) {
            (AMQPValue::ShortInt(number), 2)
        } else if let Ok(number) = u16::try_from(number) {
            (AMQPValue::ShortUInt(number), 2)
        } else if let Ok(number) = i32::try_from(number) {
            (AMQPValue::LongInt(number), 4)
        } else if let Ok(number) = u32::try_from(number) {
            (AMQPValue::LongUInt(number), 4)
        } else {
            (AMQPValue::LongLongInt(number), 8)
        };
        self.weigh(size)?;
        Ok(written)
    }

    fn float(&mut self, number: f64) -> Outcome<AMQPValue> {
        if !number.is_finite() {
            // RabbitMQ cannot read it, and ends the connection.
            return Err(Refusal::new(format!("the float {number} cannot be sent to a broker")));
        }
        if self.floats == Floats::Double {
            self.weigh(8)?;
            return Ok(AMQPValue::Double(number));
        }
        #[expect(clippy::cast_possible_truncation, reason = "what is too large is refused")]
        let single = number as f32;
        if single.is_infinite() && number.is_finite() {
            return Err(Refusal::new(format!("the float {number:e} is too large for four bytes")));
        }
        self.weigh(4)?;
        Ok(AMQPValue::Float(single))
    }

    /// Of a class that is not built in, or none of AMQP's.
    #[cold]
    fn rare(&mut self, value: &Bound<'_, PyAny>) -> Outcome<AMQPValue> {
        static DECIMAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = value.py();
        if let Ok(time) = value.cast::<PyDateTime>() {
            self.weigh(8)?;
            return timestamp(time).map(AMQPValue::Timestamp);
        }
        let is_decimal = DECIMAL.import(py, "decimal", "Decimal").and_then(|class| value.is_instance(class));
        if is_decimal.map_err(Refusal::while_doing(py, "its class cannot be told"))? {
            self.weigh(5)?;
            return decimal(value).map(AMQPValue::DecimalValue);
        }
        let name = type_name(value);
        Err(Refusal::new(format!(
            "{name} cannot be a value in AMQP; give str, bool, int, float, None, bytes, datetime, Decimal, or a list, \
             tuple or dict of them"
        )))
    }
}

fn enter(depth: usize) -> Outcome<()> {
    if depth <= MAX_DEPTH {
        return Ok(());
    }
    Err(Refusal::new(format!("nested deeper than {MAX_DEPTH} levels; does it contain itself?")))
}

/// Whole seconds since 1970: AMQP has no fractions. Without a time zone it is UTC.
fn timestamp(time: &Bound<'_, PyDateTime>) -> Outcome<u64> {
    let py = time.py();
    let seconds = || -> PyResult<f64> {
        let aware = if time.call_method0(intern!(py, "utcoffset"))?.is_none() {
            let zone = pyo3::types::PyDict::new(py);
            zone.set_item(intern!(py, "tzinfo"), PyTzInfo::utc(py)?)?;
            time.call_method(intern!(py, "replace"), (), Some(&zone))?
        } else {
            time.clone().into_any()
        };
        aware.call_method0(intern!(py, "timestamp"))?.extract()
    };
    let seconds = seconds().map_err(Refusal::while_doing(py, "a time that cannot be told in seconds"))?;
    if seconds < 0.0 {
        return Err(Refusal::new("a time before 1970, which AMQP does not have"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above; whole seconds"
    )]
    Ok(seconds as u64)
}

/// A number of 32 bits with its sign, and how many of its digits are a fraction.
fn decimal(value: &Bound<'_, PyAny>) -> Outcome<DecimalValue> {
    let py = value.py();
    let parts = || -> PyResult<(bool, Vec<u8>, Option<i64>)> {
        let (negative, digits, exponent) =
            value.call_method0(intern!(py, "as_tuple"))?.extract::<(u8, Vec<u8>, Bound<'_, PyAny>)>()?;
        Ok((negative == 1, digits, exponent.extract().ok()))
    };
    let (negative, digits, exponent) =
        parts().map_err(Refusal::while_doing(py, "a Decimal that cannot be read"))?;
    let exponent =
        exponent.ok_or_else(|| Refusal::new("AMQP has no Decimal that is infinite or no number"))?;
    let too_wide =
        || Refusal::new("a Decimal of more than 32 bits cannot be a value in AMQP; give it as a str");
    // A positive exponent is zeros at the end.
    let zeros = usize::try_from(exponent).unwrap_or(0);
    let zeros = if digits.iter().all(|&digit| digit == 0) { 0 } else { zeros };
    let scale = u8::try_from(exponent.min(0).unsigned_abs()).map_err(|_| too_wide())?;
    let mut number = 0_i32;
    for digit in digits.into_iter().map(i32::from).chain(std::iter::repeat_n(0, zeros)) {
        let digit = if negative { -digit } else { digit };
        number = number.checked_mul(10).and_then(|tens| tens.checked_add(digit)).ok_or_else(too_wide)?;
    }
    Ok(DecimalValue { scale, value: number.cast_unsigned() })
}
