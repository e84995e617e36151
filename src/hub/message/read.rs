//! Reads bodies: everything but their data, which stays as it came.

use std::borrow::Cow;
use std::time::Duration;

use super::{Instance, MAX_ACTIONS, MAX_NAME};
use crate::core::error::{Error, Result};
use crate::core::json;

/// What a body says beside its data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts<'a> {
    /// `s`: the service that sent it.
    pub service: Cow<'a, str>,
    /// `i`: which instance of it (ours).
    pub instance: Option<Instance>,
    /// `a`: its actions.
    pub actions: Option<Vec<String>>,
    /// `areq`: an answer is wanted.
    pub request: Option<Request<'a>>,
    /// `ares`: this is an answer.
    pub answer: Option<Answer<'a>>,
    /// `t`: time between two beats (ours).
    pub interval: Option<Duration>,
    /// `n`: how many messages its sender had sent before (ours).
    pub count: Option<u64>,
}

/// `areq` of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    /// `i`: the call's id, as it came: whatever it is, it goes back.
    pub id: Cow<'a, [u8]>,
    /// `timeout`: how long its caller waits.
    pub timeout: Option<Duration>,
    /// `to`: the instance that asks (ours).
    pub to: Option<Instance>,
}

/// `ares` of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<'a> {
    /// `i`: the call's id.
    pub id: Cow<'a, [u8]>,
    /// `error`: what went wrong, as it came; `None` when nothing did.
    pub error: Option<Cow<'a, [u8]>>,
}

/// Reads a JSON body: its facts, and its data as it came (`null` when it has none).
///
/// # Errors
/// `Protocol` when it is no object, or lacks the sender.
pub fn read(body: &[u8]) -> Result<(Facts<'_>, &[u8])> {
    let mut facts = Facts::default();
    let mut data: &[u8] = b"null";
    let mut sender = false;
    for field in json::fields(body) {
        let field = field.map_err(|error| Error::protocol(error.to_string()))?;
        match &*field.name {
            "s" => {
                let name = json::text(field.value).filter(|name| name.len() <= MAX_NAME);
                facts.service = name.ok_or_else(|| wrong("s"))?;
                sender = true;
            }
            "d" => data = field.value,
            "i" => facts.instance = json::text(field.value).and_then(|text| Instance::from_text(&text)),
            "a" if field.value.len() > MAX_ACTIONS => return Err(wrong("a")),
            "a" => facts.actions = Some(json::texts(field.value).ok_or_else(|| wrong("a"))?),
            "t" => facts.interval = json::number(field.value).and_then(milliseconds),
            "n" => facts.count = json::number(field.value).and_then(whole),
            "areq" if field.value != b"null" => facts.request = Some(request(field.value)?),
            "ares" if field.value != b"null" => facts.answer = Some(answer(field.value)?),
            _ => {}
        }
    }
    if !sender {
        return Err(Error::protocol("the body does not say who sent it (\"s\")"));
    }
    Ok((facts, data))
}

fn wrong(key: &str) -> Error {
    Error::protocol(format!("{key:?} is not what it should be"))
}

fn request(value: &[u8]) -> Result<Request<'_>> {
    let mut request = Request { id: Cow::Borrowed(b"null"), timeout: None, to: None };
    for field in json::fields(value) {
        let field = field.map_err(|_| wrong("areq"))?;
        match &*field.name {
            "i" => request.id = Cow::Borrowed(field.value),
            "timeout" => request.timeout = json::number(field.value).and_then(seconds),
            "to" => request.to = json::text(field.value).and_then(|text| Instance::from_text(&text)),
            _ => {}
        }
    }
    Ok(request)
}

fn answer(value: &[u8]) -> Result<Answer<'_>> {
    let mut answer = Answer { id: Cow::Borrowed(b"null"), error: None };
    for field in json::fields(value) {
        let field = field.map_err(|_| wrong("ares"))?;
        match &*field.name {
            "i" => answer.id = Cow::Borrowed(field.value),
            "error" => {
                let said = json::fields(field.value).next().is_some_and(|first| first.is_ok());
                answer.error = said.then_some(Cow::Borrowed(field.value));
            }
            _ => {}
        }
    }
    Ok(answer)
}

/// A time in seconds, within reason.
#[must_use]
pub fn seconds(number: f64) -> Option<Duration> {
    (0.0..1e9).contains(&number).then(|| Duration::from_secs_f64(number))
}

fn milliseconds(number: f64) -> Option<Duration> {
    seconds(number / 1e3)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "in range, and whole numbers are meant"
)]
fn whole(number: f64) -> Option<u64> {
    (0.0..9e15).contains(&number).then_some(number as u64)
}
