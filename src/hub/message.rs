//! The hub's messages: one frame each, `HEAD:BODY`. Heads and keys are those of aiofase 0.5 and its siblings,
//! seen over the wire; what is ours alone carries extra keys and heads that they pass over (`docs/hub.md`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use crate::core::error::{Code, Error, Result};
use crate::core::json;

/// A service has started.
pub const REGISTER: &[u8] = b"<r>";
/// To every service but the sender.
pub const BROADCAST: &[u8] = b"<b>";
/// A service is alive.
pub const BEAT: &[u8] = b"<hb>";
/// The answer to a request, to everybody.
pub const ANSWER: &[u8] = b"<ares>";
/// Ours: the answer to a request, to one instance.
pub const REPLY: &[u8] = b"<c>";
/// Ours: an instance to itself, to see whether it is heard.
pub const ECHO: &[u8] = b"<e>";
/// Ours: a service has left.
pub const PARTED: &[u8] = b"<p>";

/// The longest name of a service or an action, in bytes.
pub const MAX_NAME: usize = 255;

/// One running service, told apart from others of its name: 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance([u8; 16]);

impl Instance {
    /// One that nobody else has.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::new(Code::Configuration, format!("the system gives no random bytes: {error}"))
        })?;
        let mut digits = [0; 16];
        for (place, digit) in digits.iter_mut().enumerate() {
            let nibble = bytes[place / 2] >> (4 * (place % 2)) & 15;
            *digit = b"0123456789abcdef"[usize::from(nibble)];
        }
        Ok(Self(digits))
    }

    /// The one that this text names.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let digits: [u8; 16] = text.as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(Self(digits))
    }

    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a message is about, by its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// `<r>`
    Register,
    /// `<b>`
    Broadcast,
    /// `<hb>`
    Beat,
    /// `<ares>`, `<c>` with this instance
    Answer,
    /// `<e>` with this instance
    Echo,
    /// `<p>`
    Parted,
    /// The service's own name.
    Response,
    /// The action of this number.
    Action(usize),
}

/// The heads that concern one service, and what they mean to it.
#[derive(Debug)]
pub struct Heads {
    known: HashMap<Box<[u8]>, Head>,
    longest: usize,
}

impl Heads {
    /// The heads of a service of this name with these actions.
    ///
    /// # Errors
    /// `Configuration` when a name cannot be used as a head.
    pub fn new(name: &str, actions: &[String], instance: Instance) -> Result<Self> {
        let mut known: HashMap<Box<[u8]>, Head> = HashMap::new();
        check_name("service", name)?;
        known.insert(name.as_bytes().into(), Head::Response);
        for (number, action) in actions.iter().enumerate() {
            check_name("action", action)?;
            if action == name {
                return Err(Error::new(
                    Code::Configuration,
                    format!(
                        "the action {action:?} has its service's name: responses could not be told apart"
                    ),
                ));
            }
            known.insert(action.as_bytes().into(), Head::Action(number));
        }
        let own = |head: &[u8]| [head, &instance.0].concat().into_boxed_slice();
        known.insert(REGISTER.into(), Head::Register);
        known.insert(BROADCAST.into(), Head::Broadcast);
        known.insert(BEAT.into(), Head::Beat);
        known.insert(ANSWER.into(), Head::Answer);
        known.insert(own(REPLY), Head::Answer);
        known.insert(own(ECHO), Head::Echo);
        known.insert(PARTED.into(), Head::Parted);
        let longest = known.keys().map(|head| head.len()).max().unwrap_or_default();
        Ok(Self { known, longest })
    }

    /// What to subscribe to: each head with its colon. Beats come first: a hub tells who is there as it is asked,
    /// and a beat says who it is that a registration is of.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Vec<u8>> {
        let mut heads: Vec<&[u8]> = self.known.keys().map(AsRef::as_ref).collect();
        heads.sort_unstable_by_key(|head| (*head != BEAT, *head));
        heads.into_iter().map(|head| [head, b":".as_slice()].concat()).collect()
    }

    /// The head and the body of a message; `None` when it does not concern this service. Names may hold colons:
    /// the longest head that fits is meant.
    #[must_use]
    pub fn split<'a>(&self, message: &'a [u8]) -> Option<(Head, &'a [u8])> {
        let mut found = None;
        let reach = message.len().min(self.longest + 1);
        for (at, byte) in message[..reach].iter().enumerate() {
            if *byte == b':'
                && let Some(head) = self.known.get(&message[..at])
            {
                found = Some((*head, &message[at + 1..]));
            }
        }
        found
    }
}

fn check_name(what: &str, name: &str) -> Result<()> {
    let wrong = if name.is_empty() {
        "is empty"
    } else if name.len() > MAX_NAME {
        "is longer than 255 bytes"
    } else if name.starts_with('<') {
        "begins with '<', which marks the hub's own messages"
    } else if name.chars().any(char::is_control) {
        "holds a control character"
    } else {
        return Ok(());
    };
    Err(Error::new(Code::Configuration, format!("the {what} name {name:?} cannot be used: it {wrong}")))
}

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
                facts.service = json::text(field.value).ok_or_else(|| wrong("s"))?;
                sender = true;
            }
            "d" => data = field.value,
            "i" => facts.instance = json::text(field.value).and_then(|text| Instance::from_text(&text)),
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
        let areq = format!(
            ",\"areq\":{{\"i\":\"{}\",\"timeout\":{},\"to\":\"{}\"}},\"d\":",
            call_id(self.instance, wanted.call),
            wanted.timeout.as_secs_f64(),
            self.instance.as_str()
        );
        out.extend_from_slice(areq.as_bytes());
    }

    /// The same, of an answer. `error` is a JSON object, `{}` when nothing went wrong.
    pub fn begin_answer(&self, out: &mut Vec<u8>, id: &[u8], to: Option<Instance>, error: &[u8]) {
        out.extend_from_slice(&answer_head(to));
        out.push(b':');
        out.extend_from_slice(&self.sender);
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
