//! Dates and times, each as the array of its parts.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::decode::Decoder;
use super::encode::Encoder;
use super::known::{DATETIME, Datetime, ZONEINFO};
use super::refusal::{Outcome, Refusal};
use super::wire::{self, Broken, Reader, ext};

const CALENDAR: [&str; 3] = ["year", "month", "day"];
const CLOCK: [&str; 5] = ["hour", "minute", "second", "microsecond", "fold"];
const SPAN: [&str; 3] = ["days", "seconds", "microseconds"];
/// The longest name of a zone.
const MAX_ZONE: usize = 255;

/// Whether it was one of `datetime`'s.
pub(super) fn encode(encoder: &mut Encoder<'_>, value: &Bound<'_, PyAny>) -> Outcome<bool> {
    let Some(known) = DATETIME.loaded(value.py()) else { return Ok(false) };
    let (code, parts) = if known.datetime.is_type_of(value) {
        (ext::DATETIME, 9)
    } else if known.date.is_type_of(value) {
        (ext::DATE, 3)
    } else if known.time.is_type_of(value) {
        (ext::TIME, 6)
    } else if known.timedelta.is_type_of(value) {
        (ext::TIMEDELTA, 3)
    } else {
        return Ok(false);
    };
    let open = wire::open_ext(encoder.out, code, 0);
    wire::put_array(encoder.out, parts);
    if matches!(code, ext::DATETIME | ext::DATE) {
        numbers(encoder, value, &CALENDAR)?;
    }
    if matches!(code, ext::DATETIME | ext::TIME) {
        numbers(encoder, value, &CLOCK)?;
        let zone = value.getattr(intern!(value.py(), "tzinfo"));
        encode_zone(encoder, known, &zone.map_err(|error| unreadable(value.py(), error))?)?;
    }
    if code == ext::TIMEDELTA {
        numbers(encoder, value, &SPAN)?;
    }
    wire::close_ext(encoder.out, open);
    Ok(true)
}

#[cold]
fn unreadable(py: Python<'_>, error: PyErr) -> Box<Refusal> {
    Refusal::raised(py, "a time that cannot be read", error)
}

fn numbers(encoder: &mut Encoder<'_>, value: &Bound<'_, PyAny>, names: &[&str]) -> Outcome<()> {
    for name in names {
        let number = value.getattr(PyString::intern(value.py(), name)).and_then(|part| part.extract::<i64>());
        wire::put_int(encoder.out, number.map_err(|error| unreadable(value.py(), error))?);
    }
    Ok(())
}

/// `nil`; the key of a `ZoneInfo`; or the offset of a `timezone` as `[days, seconds, microseconds]`, with its name
/// if it was given one.
fn encode_zone(encoder: &mut Encoder<'_>, known: &Datetime, zone: &Bound<'_, PyAny>) -> Outcome<()> {
    let py = zone.py();
    if zone.is_none() {
        encoder.out.push(wire::NIL);
        return Ok(());
    }
    if known.timezone.is_type_of(zone) {
        let parts = zone
            .call_method0(intern!(py, "__getinitargs__"))
            .and_then(|parts| Ok(parts.cast_into::<PyTuple>()?))
            .map_err(|error| unreadable(py, error))?;
        wire::put_array(encoder.out, 2 + parts.len());
        for (index, part) in parts.iter().enumerate() {
            if index == 0 {
                numbers(encoder, &part, &SPAN)?;
            } else {
                encoder.text(part.as_borrowed())?;
            }
        }
        return Ok(());
    }
    if ZONEINFO.loaded(py).is_some_and(|class| class.is_type_of(zone)) {
        let key = zone.getattr(intern!(py, "key")).map_err(|error| unreadable(py, error))?;
        if key.is_none() {
            return Err(Refusal::new("a ZoneInfo without a key cannot cross the bridge"));
        }
        return encoder.text(key.as_borrowed());
    }
    Err(Refusal::new(format!(
        "the time zone {} cannot cross the bridge; zoneinfo.ZoneInfo and datetime.timezone can",
        super::refusal::type_name(zone)
    )))
}

/// A value of `datetime` from the array of its parts.
pub(super) fn decode<'py>(
    decoder: &mut Decoder<'_, 'py>,
    code: u8,
    reader: &mut Reader<'_>,
) -> Outcome<Bound<'py, PyAny>> {
    let py = decoder.py;
    let known = DATETIME.imported(py)?;
    let (class, parts) = match code {
        ext::DATETIME => (&known.datetime, 9),
        ext::DATE => (&known.date, 3),
        ext::TIME => (&known.time, 6),
        _ => (&known.timedelta, 3),
    };
    if reader.array()? != parts {
        return Err(Broken::Unexpected.into());
    }
    // What stands before the fold is given by position.
    let positional = if parts == 3 { 3 } else { parts - 2 };
    let mut arguments = Vec::with_capacity(8);
    for _ in 0..positional {
        arguments.push(decoder.integer(reader)?);
    }
    let named = PyDict::new(py);
    let wrong = Refusal::while_doing(py, "a time that does not exist");
    if parts != 3 {
        let fold = decoder.integer(reader)?;
        let zone = decode_zone(decoder, known, reader)?;
        arguments.push(zone);
        named.set_item(intern!(py, "fold"), fold).map_err(&wrong)?;
    }
    let arguments = PyTuple::new(py, arguments).map_err(&wrong)?;
    class.bind(py).call(arguments, (!named.is_empty()).then_some(&named)).map_err(wrong)
}

fn decode_zone<'py>(
    decoder: &mut Decoder<'_, 'py>,
    known: &Datetime,
    reader: &mut Reader<'_>,
) -> Outcome<Bound<'py, PyAny>> {
    let py = decoder.py;
    match reader.peek() {
        Some(wire::NIL) => {
            reader.byte()?;
            Ok(py.None().into_bound(py))
        }
        Some(0x93 | 0x94) => {
            let parts = reader.array()?;
            let span = (decoder.integer(reader)?, decoder.integer(reader)?, decoder.integer(reader)?);
            let wrong = Refusal::while_doing(py, "a time zone that does not exist");
            let offset = known.timedelta.bind(py).call1(span).map_err(&wrong)?;
            let class = known.timezone.bind(py);
            if parts == 4 {
                let name = decoder.string(reader)?;
                class.call1((offset, name)).map_err(wrong)
            } else {
                class.call1((offset,)).map_err(wrong)
            }
        }
        _ => {
            let key = reader.text()?;
            // Its parts become names of files: nothing but a zone's own letters may stand here.
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte);
            if key.len() > MAX_ZONE || key.starts_with('/') || !key.bytes().all(plain) {
                return Err(Refusal::new("not the name of a time zone"));
            }
            let class = ZONEINFO.imported(py)?.bind(py);
            let doing = format!("the time zone {key} is not known here");
            class.call1((key,)).map_err(Refusal::while_doing(py, &doing))
        }
    }
}
