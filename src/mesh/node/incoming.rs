//! What has come from other nodes.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::calls::full;
use super::delivery::{Delivery, Echo, Happened, Incoming};
use super::envelope::Envelope;
use super::kept::Kept;
use super::{Core, Node};
use crate::core::error::{Code, Error};
use crate::mesh::catalog::{Choice, Heard, Refused};
use crate::mesh::link::Arrival;
use crate::mesh::packet::{
    Command, Event, Packet, Ping, Pong, Received, Request, Response, Serializer, read, to_msgpack,
};
use crate::mesh::topic::{To, Topic};

/// What the node answers by itself: a topic and a packet each.
pub(super) type Answers = Vec<(String, Vec<u8>)>;

impl<W: Send + 'static> Node<W> {
    pub(super) fn take(
        &self,
        core: &mut Core<W>,
        arrival: Arrival<'_>,
        out: &mut Vec<Delivery<W>>,
        answers: &mut Answers,
    ) {
        let (topic, payload) = match arrival {
            Arrival::Message { topic, payload } => (topic, payload),
            Arrival::Oversized { topic, length } => {
                self.counts.unread();
                let most = self.config.limits.max_packet;
                let text = format!(
                    "a packet of {length} bytes on {topic} was passed over: {most} are read at most (max_packet)"
                );
                return self.trouble(core, Code::Payload, text, out);
            }
            Arrival::Refused(why) => {
                let text = format!("{} refuses: {why}", self.config.transporter.place());
                return self.trouble(core, Code::Configuration, text, out);
            }
        };
        let Some(parsed) = self.topics.parse(topic) else { return };
        self.counts.received(payload.len());
        self.packet_came(core, parsed, payload, out, answers);
    }

    /// Takes what has come changed. No lock is held while it is changed back.
    pub(super) fn take_raw(
        &self,
        raw: Vec<(String, Vec<u8>)>,
        out: &mut Vec<Delivery<W>>,
        answers: &mut Answers,
    ) {
        let Some(transform) = &self.config.transform else { return };
        for (topic, payload) in raw {
            let Some(parsed) = self.topics.parse(&topic) else { continue };
            self.counts.received(payload.len());
            let plain = transform.incoming(&topic, &payload);
            let mut core = self.lock_core();
            match plain {
                Ok(plain) => self.packet_came(&mut core, parsed, &plain, out, answers),
                Err(error) => {
                    self.counts.unread();
                    self.trouble(&mut core, error.code, error.message, out);
                }
            }
        }
    }

    fn packet_came(
        &self,
        core: &mut Core<W>,
        topic: Topic<'_>,
        payload: &[u8],
        out: &mut Vec<Delivery<W>>,
        answers: &mut Answers,
    ) {
        let expected = self.config.check_version.then_some(self.config.version);
        let Received { sender, packet } = match read(self.config.serializer, topic.command, payload, expected)
        {
            Ok(received) => received,
            Err(unread) => {
                self.counts.unread();
                return self.trouble(core, Code::Protocol, unread.to_string(), out);
            }
        };
        let own = *sender == *self.config.node_id;
        match packet {
            Packet::Request(request) => self.called(core, &sender, &request, out, answers),
            Packet::Response(response) => self.answered(core, &sender, &response, out),
            Packet::Event(event) => {
                self.happened(core, &sender, &event, matches!(topic.to, Some(To::Any(_))), out);
            }
            Packet::Info(info) => {
                let now = Instant::now();
                match core.catalog.info(self.config.serializer, &sender, &info, now) {
                    Ok(changes) => self.changed(core, changes, out),
                    Err(Refused::Own) => {}
                    Err(refused) => {
                        let code = match &refused {
                            Refused::Conflict { .. } => {
                                self.counts.conflict();
                                Code::ServiceAlreadyExists
                            }
                            _ => Code::Overloaded,
                        };
                        self.trouble(core, code, format!("INFO of {sender}: {refused}"), out);
                    }
                }
            }
            _ if own => {}
            Packet::Heartbeat(heartbeat) => {
                if core.catalog.heartbeat(&sender, heartbeat.cpu, Instant::now()) == Heard::Discover {
                    answers.push(self.written(Command::Discover, Some(&sender), &Packet::Discover));
                }
            }
            Packet::Discover => answers.push(self.info_packet(core, Some(&sender))),
            Packet::Disconnect => {
                let changes = core.catalog.disconnect(&sender, Instant::now());
                self.changed(core, changes, out);
            }
            Packet::Ping(Ping { id, time }) => {
                let pong = Packet::Pong(Pong { id, time, arrived: Some(now_ms()) });
                answers.push(self.written(Command::Pong, Some(&sender), &pong));
            }
            Packet::Pong(pong) => self.ponged(core, &sender, &pong, out),
        }
    }

    fn called(
        &self,
        core: &mut Core<W>,
        sender: &str,
        request: &Request<'_>,
        out: &mut Vec<Delivery<W>>,
        answers: &mut Answers,
    ) {
        if request.seq.is_some_and(|seq| seq > 0) {
            return core.streams.request_part(sender, request, self.config.version, out);
        }
        let Core { catalog, dice, .. } = &mut *core;
        let refusal = match catalog.choose_local(&request.action, None, dice) {
            _ if self.stopping.load(Ordering::Relaxed) => {
                ("ServiceNotAvailableError", "SERVICE_NOT_AVAILABLE", "available")
            }
            Choice::To(endpoint) => {
                let stream = request.stream.then(|| core.streams.open_request(sender, &request.id));
                out.push(Delivery::Request(Box::new(Incoming {
                    endpoint,
                    arrived: Instant::now(),
                    timeout_ms: request.timeout_ms.unwrap_or_default(),
                    stream,
                    envelope: Envelope {
                        level: request.level,
                        tracing: request.tracing,
                        parts: Kept::of([
                            Some(request.id.as_bytes()),
                            Some(sender.as_bytes()),
                            request.params,
                            full(request.meta),
                            full(request.headers),
                            bytes(request.request_id.as_ref()),
                            bytes(request.parent_id.as_ref()),
                            bytes(request.caller.as_ref()),
                            None,
                        ]),
                    },
                })));
                if stream.is_some() {
                    core.streams.begin(sender, &request.id, out);
                }
                return;
            }
            Choice::Unknown => ("ServiceNotFoundError", "SERVICE_NOT_FOUND", "found"),
            Choice::Unavailable => ("ServiceNotAvailableError", "SERVICE_NOT_AVAILABLE", "available"),
        };
        let (name, kind, verb) = refusal;
        let me = &self.config.node_id;
        let error = error_json(name, kind, &request.action, me, verb);
        let error = match self.config.serializer {
            Serializer::Json => Some(error),
            Serializer::MsgPack => to_msgpack(&error),
        };
        let response = Packet::Response(Response {
            id: Cow::Borrowed(&request.id),
            meta: request.meta,
            success: false,
            data: Some(null(self.config.serializer)),
            error: error.as_deref(),
            ..Response::default()
        });
        answers.push(self.written(Command::Response, Some(sender), &response));
    }

    fn happened(
        &self,
        core: &mut Core<W>,
        sender: &str,
        event: &Event<'_>,
        balanced: bool,
        out: &mut Vec<Delivery<W>>,
    ) {
        if self.stopping.load(Ordering::Relaxed) {
            return;
        }
        let groups: Vec<&str> = event.groups.iter().flatten().map(AsRef::as_ref).collect();
        let Core { catalog, dice, .. } = &mut *core;
        let reached = catalog.received(&event.event, &groups, event.broadcast && !balanced, dice);
        out.push(Delivery::Event(Box::new(Happened {
            reached,
            broadcast: event.broadcast,
            groups: event.groups.as_ref().map(|all| all.iter().map(|group| group.to_string()).collect()),
            envelope: Envelope {
                level: event.level,
                tracing: event.tracing,
                parts: Kept::of([
                    bytes(event.id.as_ref()),
                    Some(sender.as_bytes()),
                    event.data,
                    full(event.meta),
                    full(event.headers),
                    bytes(event.request_id.as_ref()),
                    bytes(event.parent_id.as_ref()),
                    bytes(event.caller.as_ref()),
                    Some(event.event.as_bytes()),
                ]),
            },
        })));
    }

    fn ponged(&self, core: &mut Core<W>, sender: &str, pong: &Pong<'_>, out: &mut Vec<Delivery<W>>) {
        let (Some(time), Some(arrived)) = (pong.time, pong.arrived) else { return };
        let elapsed_ms = (now_ms() - time).max(0.0);
        core.catalog.pong(sender, elapsed_ms);
        let node: Arc<str> = match core.catalog.node(sender) {
            Some(node) => Arc::clone(&node.id),
            None => sender.into(),
        };
        let difference_ms = (arrived - time - elapsed_ms / 2.0).round();
        let id = pong.id.as_deref().map(str::to_owned);
        out.push(Delivery::Pong(Echo { node, id, elapsed_ms, difference_ms }));
    }

    /// A packet and its topic.
    pub(super) fn written(
        &self,
        command: Command,
        to: Option<&str>,
        packet: &Packet<'_>,
    ) -> (String, Vec<u8>) {
        let mut bytes = Vec::with_capacity(128);
        self.writer.write(&mut bytes, packet);
        (self.topics.topic(command, to), bytes)
    }

    /// Tells of something that is wrong, once in a while.
    pub(super) fn trouble(&self, core: &mut Core<W>, code: Code, text: String, out: &mut Vec<Delivery<W>>) {
        if core.told.is_new(&text, Instant::now()) {
            out.push(Delivery::Trouble(Error::new(code, text)));
        }
    }
}

fn bytes<'a>(text: Option<&'a Cow<'_, str>>) -> Option<&'a [u8]> {
    text.map(|text| text.as_bytes())
}

/// Milliseconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "exact for a few hundred thousand years")]
pub(super) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_millis() as f64)
}

/// Null, as each serializer writes it.
pub(super) fn null(serializer: Serializer) -> &'static [u8] {
    match serializer {
        Serializer::Json => b"null",
        Serializer::MsgPack => &[0xc0],
    }
}

/// An error as Moleculer writes it.
fn error_json(name: &str, kind: &str, action: &str, node: &str, verb: &str) -> Vec<u8> {
    let error = serde_json::json!({
        "name": name,
        "message": format!("Service '{action}' is not {verb} on '{node}' node."),
        "nodeID": node,
        "code": 404,
        "type": kind,
        "retryable": true,
        "data": { "action": action, "nodeID": node },
    });
    error.to_string().into_bytes()
}
