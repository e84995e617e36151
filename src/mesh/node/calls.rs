//! Calls of other nodes' actions, and answers to theirs.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::delivery::{Answer, Delivery, Failure, FailureKind, Outcome};
use super::kept::Kept;
use super::{Core, Node, ids};
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error};
use crate::mesh::balance::Strategy;
use crate::mesh::catalog::{Choice, Endpoint};
use crate::mesh::packet::{Command, Request, Response};

/// A call that waits for its answer.
pub(super) struct Waiting<W> {
    pub(super) waiter: W,
    pub(super) action: Arc<str>,
    /// The node that was asked; `None` when the transporter chose it.
    pub(super) node: Option<Arc<str>>,
    /// The id that its caller has chosen.
    pub(super) id: Option<Box<str>>,
}

/// A call to be sent.
#[derive(Clone, Debug, Default)]
pub struct Outgoing<'a> {
    /// Its id, where the caller chooses it.
    pub id: Option<&'a str>,
    /// What travels with it: an object, in the mesh's serializer.
    pub meta: Option<&'a [u8]>,
    /// What travels with it alone.
    pub headers: Option<&'a [u8]>,
    /// How long it waits, in milliseconds; 0: for ever. `None`: as the action says, or the node.
    pub timeout_ms: Option<f64>,
    /// How many calls led to it, with itself.
    pub level: u32,
    /// Whether it is traced.
    pub tracing: Option<bool>,
    /// The call within which it is made.
    pub parent_id: Option<&'a str>,
    /// The first call of all that led to it; `None`: itself.
    pub request_id: Option<&'a str>,
    /// The full name of the service that calls.
    pub caller: Option<&'a str>,
    /// Its parameters are a stream, whose parts follow.
    pub stream: bool,
}

/// Where a call goes.
#[derive(Clone, Debug)]
pub enum Route {
    /// To this endpoint.
    To(Endpoint),
    /// To whomever the transporter chooses.
    Anybody,
    /// To whom the call's key belongs, which is there: a name in its parameters, or in its meta with `#` before it.
    /// Asked again with the key, it is one of the others.
    ByKey(String),
}

/// A call's key.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    /// Not looked for yet.
    Unknown,
    /// This, or none.
    Known(Option<&'a str>),
}

/// Why a call was not sent. `E` is what its parameters say.
#[derive(Debug)]
pub enum Unsent<E> {
    /// They cannot be written.
    Params(E),
    /// The node knows.
    Failed(Failure),
    /// It is over a limit, or has no topic.
    Refused(Error),
}

/// An answer to be sent.
#[derive(Clone, Debug, Default)]
pub struct Reply<'a> {
    /// The call's meta as its handler left it; `None`: empty.
    pub meta: Option<&'a [u8]>,
    /// The answer's own headers.
    pub headers: Option<&'a [u8]>,
    /// Why it failed: an object.
    pub error: Option<&'a [u8]>,
    /// Whether more of its stream will come; `None`: it is none.
    pub stream: Option<bool>,
    /// Where in its stream it is.
    pub seq: Option<u64>,
}

/// No deadline at all.
const FOR_EVER: Duration = Duration::from_secs(30 * 24 * 3600);

impl<W: Send + 'static> Node<W> {
    /// Where a call of an action goes: to the node that is asked for, or one that is chosen.
    ///
    /// # Errors
    /// `NotFound` and `NotAvailable`.
    pub fn route(&self, action: &str, node: Option<&str>, key: Key<'_>) -> Result<Route, Failure> {
        let mut core = self.core.lock();
        let Core { catalog, dice, .. } = &mut *core;
        let key = match key {
            Key::Known(key) => key,
            Key::Unknown => match catalog.strategy(action) {
                Some(Strategy::Shard { shard_key: Some(name), .. }) if node.is_none() => {
                    return Ok(Route::ByKey(name.clone()));
                }
                _ => None,
            },
        };
        let choice = match node {
            Some(node) => catalog.at_node(action, node),
            None if self.config.disable_balancer && !action.starts_with('$') => {
                return match catalog.endpoints(action) {
                    Some(endpoints) if !endpoints.is_empty() => Ok(Route::Anybody),
                    _ => Err(failure(FailureKind::NotFound, action, None)),
                };
            }
            None => catalog.choose(action, key, dice),
        };
        match choice {
            Choice::To(endpoint) => Ok(Route::To(endpoint)),
            Choice::Unknown => Err(failure(FailureKind::NotFound, action, node)),
            Choice::Unavailable => Err(failure(FailureKind::NotAvailable, action, node)),
        }
    }

    /// How long a call waits, in milliseconds: as it says, as its action says, as the node says. 0: for ever.
    #[must_use]
    pub fn timeout_ms(&self, route: &Route, given: Option<f64>) -> f64 {
        let of_action = || match route {
            Route::To(endpoint) => endpoint.action().and_then(|action| action.timeout_ms),
            Route::Anybody | Route::ByKey(_) => None,
        };
        let time = given.or_else(of_action).unwrap_or(self.config.request_timeout_ms);
        if time.is_finite() && time > 0.0 { time } else { 0.0 }
    }

    /// Sends a call. Its parameters are written by `params`, in the mesh's serializer. Gives its number.
    ///
    /// # Errors
    /// [`Unsent`]; the waiter is dropped.
    pub fn call<E>(
        &self,
        route: &Route,
        action: &str,
        call: &Outgoing<'_>,
        params: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
        waiter: W,
    ) -> Result<u64, Unsent<E>> {
        let (name, node) = match route {
            Route::To(endpoint) => (
                endpoint.action().map_or_else(|| action.into(), |action| Arc::clone(&action.name)),
                Some(Arc::clone(&endpoint.node)),
            ),
            Route::Anybody | Route::ByKey(_) => (Arc::from(action), None),
        };
        let failed = |kind| Unsent::Failed(Failure { kind, action: Arc::clone(&name), node: node.clone() });
        let timeout_ms = self.timeout_ms(route, call.timeout_ms);
        let deadline = match timeout_ms {
            0.0 => Instant::now() + FOR_EVER,
            time => Deadline::after(Duration::from_secs_f64((time / 1e3).min(1e9))).instant(),
        };
        let mut made = [0; 36];
        let number = {
            let mut core = self.core.lock();
            if core.pending.len() >= self.config.limits.max_pending {
                return Err(failed(FailureKind::QueueFull));
            }
            let id = call.id.map(Box::from);
            let waiting = Waiting { waiter, action: Arc::clone(&name), node: node.clone(), id };
            let number = core.pending.insert(waiting, deadline);
            match call.id {
                Some(id) => drop(core.named.insert(id.into(), number)),
                None => made = core.ids.of(number),
            }
            number
        };
        let id = call.id.unwrap_or_else(|| ids::text(&made));
        let request = Request {
            id: Cow::Borrowed(id),
            action: Cow::Borrowed(&name),
            params: None,
            meta: call.meta,
            headers: call.headers,
            timeout_ms: Some(timeout_ms),
            level: call.level.max(1),
            tracing: call.tracing,
            parent_id: call.parent_id.map(Cow::Borrowed),
            request_id: Some(Cow::Borrowed(call.request_id.unwrap_or(id))),
            caller: call.caller.map(Cow::Borrowed),
            stream: call.stream,
            seq: call.stream.then_some(0),
        };
        let mut packet = Vec::with_capacity(384);
        if let Err(error) = self.writer.request_with(&mut packet, &request, params) {
            self.cancel(number);
            return Err(Unsent::Params(error));
        }
        let topic = match &node {
            Some(node) => self.topics.topic(Command::Request, Some(node)),
            None => self.topics.balanced_request(&name),
        };
        let put = self
            .outgoing(&topic, &packet)
            .and_then(|packet| self.put(&mut self.link.lock(), &topic, &packet));
        if let Err(error) = put {
            self.cancel(number);
            return Err(match error.code {
                Code::ServiceUnavailable => failed(FailureKind::Disconnected),
                Code::Overloaded => failed(FailureKind::QueueFull),
                _ => Unsent::Refused(error),
            });
        }
        if timeout_ms > 0.0 {
            self.keeper.by(deadline);
        }
        Ok(number)
    }

    /// Nobody waits for a call any more; gives the waiter, if it still waited.
    pub fn cancel(&self, number: u64) -> Option<W> {
        let mut core = self.core.lock();
        let waiting = core.pending.take(number)?;
        if let Some(id) = &waiting.id {
            core.named.remove(id);
        }
        Some(waiting.waiter)
    }

    /// Sends a part of a call's stream: `id` is the call's. Where the parameters of protocol 4's last part carry an
    /// error, it is in `meta`; in protocol 5, in `headers`.
    ///
    /// # Errors
    /// Why it was not sent.
    #[expect(clippy::too_many_arguments, reason = "all are named where it is called")]
    pub fn call_part(
        &self,
        to: &str,
        id: &str,
        action: &str,
        seq: u64,
        more: bool,
        params: &[u8],
        flags: Option<&[u8]>,
    ) -> Result<(), Error> {
        let is_v5 = self.config.version == crate::mesh::packet::Version::V5;
        let request = Request {
            id: Cow::Borrowed(id),
            action: Cow::Borrowed(action),
            params: Some(params),
            meta: flags.filter(|_| !is_v5),
            headers: flags.filter(|_| is_v5),
            timeout_ms: Some(0.0),
            level: 1,
            request_id: Some(Cow::Borrowed(id)),
            stream: more,
            seq: Some(seq),
            ..Request::default()
        };
        let mut packet = Vec::with_capacity(params.len() + 256);
        self.writer.request(&mut packet, &request);
        self.send(Command::Request, to, &packet)
    }

    /// Answers a call. The result is written by `data`; `None` writes none, which is JavaScript's undefined.
    ///
    /// # Errors
    /// What `data` says, or why it was not sent.
    pub fn reply<E>(
        &self,
        to: &str,
        id: &str,
        reply: &Reply<'_>,
        data: Option<impl FnOnce(&mut Vec<u8>) -> Result<(), E>>,
    ) -> Result<(), Unsent<E>> {
        let response = Response {
            id: Cow::Borrowed(id),
            meta: reply.meta,
            headers: reply.headers,
            success: reply.error.is_none(),
            data: None,
            error: reply.error,
            stream: reply.stream,
            seq: reply.seq,
        };
        let mut packet = Vec::with_capacity(256);
        match data {
            Some(data) => self.writer.response_with(&mut packet, &response, data).map_err(Unsent::Params)?,
            None => self.writer.response(&mut packet, &response),
        }
        self.send(Command::Response, to, &packet).map_err(Unsent::Refused)
    }

    /// Appends a packet for one node.
    fn send(&self, command: Command, to: &str, packet: &[u8]) -> Result<(), Error> {
        let topic = self.topics.topic(command, Some(to));
        let packet = self.outgoing(&topic, packet)?;
        self.put(&mut self.link.lock(), &topic, &packet)
    }

    /// An answer has come.
    pub(super) fn answered(
        &self,
        core: &mut Core<W>,
        sender: &str,
        response: &Response<'_>,
        out: &mut Vec<Delivery<W>>,
    ) {
        let number = core.ids.number(&response.id).or_else(|| core.named.get(&*response.id).copied());
        if response.stream.is_some() {
            return self.answered_in_parts(core, sender, response, number, out);
        }
        let Some(waiting) = number.and_then(|number| core.take(number)) else {
            return self.counts.orphan();
        };
        let answer = answer(sender, response);
        let outcome = if response.success { Outcome::Result(answer) } else { Outcome::Error(answer) };
        out.push(Delivery::Reply(waiting.waiter, Box::new(outcome)));
    }

    /// Ends the calls whose time is over.
    pub(super) fn expire(&self, core: &mut Core<W>, now: Instant, out: &mut Vec<Delivery<W>>) {
        for (_, waiting) in core.pending.overdue(now) {
            core.fail(waiting, FailureKind::TimedOut, out);
        }
    }

    /// Ends the calls that wait for a node that has gone.
    pub(super) fn reject(&self, core: &mut Core<W>, node: &Arc<str>, out: &mut Vec<Delivery<W>>) {
        while let Some(number) = core.pending.find(|waiting| waiting.node.as_ref() == Some(node)) {
            if let Some(waiting) = core.pending.take(number) {
                core.fail(waiting, FailureKind::Rejected, out);
            }
        }
        core.streams.lose(node, out);
    }

    /// Ends all calls: the node is closed.
    pub(super) fn abandon(&self, core: &mut Core<W>, out: &mut Vec<Delivery<W>>) {
        for waiting in core.pending.drain() {
            core.fail(waiting, FailureKind::Closed, out);
        }
    }
}

impl<W> Core<W> {
    pub(super) fn take(&mut self, number: u64) -> Option<Waiting<W>> {
        let waiting = self.pending.take(number)?;
        if let Some(id) = &waiting.id {
            self.named.remove(id);
        }
        Some(waiting)
    }

    fn fail(&mut self, waiting: Waiting<W>, kind: FailureKind, out: &mut Vec<Delivery<W>>) {
        let Waiting { waiter, action, node, id } = waiting;
        if let Some(id) = id {
            self.named.remove(&id);
        }
        let failure = Failure { kind, action, node };
        out.push(Delivery::Reply(waiter, Box::new(Outcome::Failed(failure))));
    }
}

/// What has been answered, kept.
pub(super) fn answer(sender: &str, response: &Response<'_>) -> Answer {
    let data = if response.success { response.data } else { response.error };
    Answer(Kept::of([Some(sender.as_bytes()), data, full(response.meta), full(response.headers)]))
}

/// An object that holds something.
pub(super) fn full(raw: Option<&[u8]>) -> Option<&[u8]> {
    raw.filter(|raw| !matches!(*raw, b"{}" | [0x80]))
}

fn failure(kind: FailureKind, action: &str, node: Option<&str>) -> Failure {
    Failure { kind, action: action.into(), node: node.map(Into::into) }
}

impl<W: Send + 'static> Node<W> {
    /// The id of the call of this number, where its caller has not chosen it.
    #[must_use]
    pub fn id_of(&self, number: u64) -> String {
        ids::text(&self.core.lock().ids.of(number)).to_owned()
    }
}
