//! Writes messages.

use std::io::Write;
use std::time::Duration;

use super::{ANSWER, BEAT, ECHO, Instance, PARTED, REGISTER, REPLY};
use crate::core::json;

/// Writes the messages of one service. Each ends with [`finish`], once its data has been appended.
#[derive(Debug)]
pub struct Writer {
    service: String,
    /// `{"s":NAME`, and `,"d":` after it.
    sender: Vec<u8>,
    instance: Instance,
    beat: Vec<u8>,
    register: Vec<u8>,
}

/// What a request asks of whoever answers it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The call's number.
    pub call: u64,
    /// How long its caller waits.
    pub timeout: Duration,
}

impl Writer {
    /// For a service of this name with these actions, which beats at this interval.
    #[must_use]
    pub fn new(name: &str, actions: &[String], instance: Instance, interval: Duration) -> Self {
        let mut sender = b"{\"s\":".to_vec();
        json::write_text(&mut sender, name);
        let mut sorted: Vec<&str> = actions.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        let mut list = b",\"a\":".to_vec();
        json::write_texts(&mut list, sorted);
        let register = [REGISTER, b":", &sender, &list, b"}"].concat();
        let identity = format!(",\"d\":null,\"i\":\"{}\",\"t\":{}", instance.as_str(), interval.as_millis());
        let beat = [BEAT, b":", &sender, identity.as_bytes(), &list, b"}"].concat();
        Self { service: name.to_owned(), sender, instance, beat, register }
    }

    /// `HEAD:{"s":NAME,"d":`
    pub fn begin(&self, out: &mut Vec<u8>, head: &[u8]) {
        out.extend_from_slice(head);
        out.push(b':');
        out.extend_from_slice(&self.sender);
        out.extend_from_slice(b",\"d\":");
    }

    /// The same, of a request that wants an answer.
    pub fn begin_request(&self, out: &mut Vec<u8>, action: &[u8], wanted: Wanted) {
        out.extend_from_slice(action);
        out.push(b':');
        out.extend_from_slice(&self.sender);
        let (instance, call, timeout) = (self.instance.as_str(), wanted.call, wanted.timeout.as_secs_f64());
        // Writing to a vector cannot fail.
        let _ = write!(
            out,
            ",\"areq\":{{\"i\":\"{instance}{call:016x}\",\"timeout\":{timeout},\"to\":\"{instance}\"}},\"d\":"
        );
    }

    /// The same, of an answer. `error` is a JSON object, `{}` when nothing went wrong.
    pub fn begin_answer(&self, out: &mut Vec<u8>, id: &[u8], to: Option<Instance>, error: &[u8]) {
        out.extend_from_slice(&answer_head(to));
        out.push(b':');
        out.extend_from_slice(&self.sender);
        if to.is_some() {
            out.extend_from_slice(b",\"i\":\"");
            out.extend_from_slice(&self.instance.0);
            out.push(b'"');
        }
        out.extend_from_slice(b",\"ares\":{\"i\":");
        out.extend_from_slice(id);
        out.extend_from_slice(b",\"error\":");
        out.extend_from_slice(error);
        out.extend_from_slice(b"},\"d\":");
    }

    /// The registration, whole.
    #[must_use]
    pub fn register(&self) -> &[u8] {
        &self.register
    }

    /// The beat, whole.
    #[must_use]
    pub fn beat(&self) -> &[u8] {
        &self.beat
    }

    /// An echo, whole; `count` messages went before it.
    #[must_use]
    pub fn echo(&self, count: u64) -> Vec<u8> {
        let said = format!(",\"d\":null,\"n\":{count}}}");
        [ECHO, &self.instance.0, b":", &self.sender, said.as_bytes()].concat()
    }

    /// Says these in place of the registration and the beat, for peers that read another format.
    #[must_use]
    pub fn with_presence(mut self, register: Vec<u8>, beat: Vec<u8>) -> Self {
        (self.register, self.beat) = (register, beat);
        self
    }

    /// "I leave", whole.
    #[must_use]
    pub fn parting(&self) -> Vec<u8> {
        let said = format!(",\"d\":null,\"k\":\"gone\",\"i\":\"{}\"}}", self.instance.as_str());
        [PARTED, b":", &self.sender, said.as_bytes()].concat()
    }

    /// The service that sends them.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Whose messages they are.
    #[must_use]
    pub fn instance(&self) -> Instance {
        self.instance
    }
}

/// The head under which an answer goes.
#[must_use]
pub fn answer_head(to: Option<Instance>) -> Vec<u8> {
    to.map_or_else(|| ANSWER.to_vec(), |to| [REPLY, &to.0].concat())
}

/// A call's id: whose it is, and its number.
#[must_use]
pub fn call_id(instance: Instance, call: u64) -> String {
    format!("{}{call:016x}", instance.as_str())
}

/// The number of the call that this id (a JSON value) names, if it is this instance's.
#[must_use]
pub fn own_call(id: &[u8], instance: Instance) -> Option<u64> {
    let id = json::text(id)?;
    let number = id.strip_prefix(instance.as_str())?;
    u64::from_str_radix(number, 16).ok()
}

/// Ends a message whose body began at `body`. Peers look for the hub's own heads anywhere in a frame, so in a
/// body that holds one its `<` is written as an escape, which means the same.
pub fn finish(out: &mut Vec<u8>, body: usize) {
    out.push(b'}');
    let misleading = |text: &[u8]| text.windows(3).any(|window| matches!(window, b"r>:" | b"b>:" | b"s>:"));
    if memchr::memchr(b'<', &out[body..]).is_some() && misleading(&out[body..]) {
        let said = out.split_off(body);
        for piece in said.split_inclusive(|byte| *byte == b'<') {
            match piece.split_last() {
                Some((b'<', before)) => {
                    out.extend_from_slice(before);
                    out.extend_from_slice(b"\\u003c");
                }
                _ => out.extend_from_slice(piece),
            }
        }
    }
}
