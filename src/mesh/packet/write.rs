//! Writes packets, with their fields in the order in which Moleculer writes them.

use std::convert::Infallible;

use super::object::{Object, key, write_text};
use super::{Event, Heartbeat, Info, Packet, Ping, Pong, Request, Response, Serializer, Version};

/// Writes the packets of one node.
#[derive(Clone, Debug)]
pub struct Writer {
    serializer: Serializer,
    version: Version,
    sender: String,
    /// `"ver":"4","sender":"…"}`: what every packet ends with.
    tail: Vec<u8>,
}

/// `ver` and `sender`.
const IN_TAIL: u16 = 2;

impl Writer {
    /// For the node of this id.
    #[must_use]
    pub fn new(serializer: Serializer, version: Version, sender: &str) -> Self {
        let mut tail = Vec::new();
        let name = |tail: &mut Vec<u8>, name| {
            write_text(serializer, tail, name);
            if serializer == Serializer::Json {
                tail.push(b':');
            }
        };
        name(&mut tail, "ver");
        write_text(serializer, &mut tail, version.name());
        if serializer == Serializer::Json {
            tail.push(b',');
        }
        name(&mut tail, "sender");
        write_text(serializer, &mut tail, sender);
        if serializer == Serializer::Json {
            tail.push(b'}');
        }
        Self { serializer, version, sender: sender.to_owned(), tail }
    }

    /// Whose packets they are.
    #[must_use]
    pub fn sender(&self) -> &str {
        &self.sender
    }

    /// How they are written.
    #[must_use]
    pub fn serializer(&self) -> Serializer {
        self.serializer
    }

    /// The protocol's version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Appends a packet. Its payloads must be written in this serializer.
    pub fn write(&self, out: &mut Vec<u8>, packet: &Packet<'_>) {
        match packet {
            Packet::Discover | Packet::Disconnect => self.bare(out),
            Packet::Info(info) => self.info(out, info),
            Packet::Heartbeat(heartbeat) => self.heartbeat(out, *heartbeat),
            Packet::Ping(ping) => self.ping(out, ping),
            Packet::Pong(pong) => self.pong(out, pong),
            Packet::Request(request) => self.request(out, request),
            Packet::Response(response) => self.response(out, response),
            Packet::Event(event) => self.event(out, event),
        }
    }

    /// Appends a packet that says nothing but who sends it: `DISCOVER`, `DISCONNECT`.
    pub fn bare(&self, out: &mut Vec<u8>) {
        self.end(Object::begin(self.serializer, out));
    }

    /// Appends an `INFO`.
    pub fn info(&self, out: &mut Vec<u8>, info: &Info<'_>) {
        let mut object = Object::begin(self.serializer, out);
        object.raw_if(&key!("services"), info.services);
        object.raw_if(&key!("ipList"), info.ip_list);
        if let Some(hostname) = &info.hostname {
            object.text(&key!("hostname"), hostname);
        }
        object.object(&key!("client"), info.client);
        object.object(&key!("config"), info.config);
        object.text_or_null(&key!("instanceID"), info.instance_id.as_ref());
        object.object(&key!("metadata"), info.metadata);
        object.count(&key!("seq"), info.seq);
        self.end(object);
    }

    /// Appends a `HEARTBEAT`.
    pub fn heartbeat(&self, out: &mut Vec<u8>, heartbeat: Heartbeat) {
        let mut object = Object::begin(self.serializer, out);
        object.number_or_null(&key!("cpu"), heartbeat.cpu);
        self.end(object);
    }

    /// Appends a `PING`.
    pub fn ping(&self, out: &mut Vec<u8>, ping: &Ping<'_>) {
        let mut object = Object::begin(self.serializer, out);
        if let Some(time) = ping.time {
            object.number(&key!("time"), time);
        }
        if let Some(id) = &ping.id {
            object.text(&key!("id"), id);
        }
        self.end(object);
    }

    /// Appends a `PONG`. What the ping did not say it does not say either.
    pub fn pong(&self, out: &mut Vec<u8>, pong: &Pong<'_>) {
        let mut object = Object::begin(self.serializer, out);
        if let Some(time) = pong.time {
            object.number(&key!("time"), time);
        }
        if let Some(id) = &pong.id {
            object.text(&key!("id"), id);
        }
        if let Some(arrived) = pong.arrived {
            object.number(&key!("arrived"), arrived);
        }
        self.end(object);
    }

    /// Appends a `REQ`.
    pub fn request(&self, out: &mut Vec<u8>, request: &Request<'_>) {
        let Ok(()) = self.request_parts(out, request, |object| {
            object.raw_if(&key!("params"), request.params);
            Ok::<_, Infallible>(())
        });
    }

    /// The same with `params` that are written straight into it, and not `request.params`.
    ///
    /// # Errors
    /// What `params` says; then nothing has been appended.
    pub fn request_with<E>(
        &self,
        out: &mut Vec<u8>,
        request: &Request<'_>,
        params: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let begin = out.len();
        self.request_parts(out, request, |object| params(object.name(&key!("params"))))
            .inspect_err(|_| out.truncate(begin))
    }

    fn request_parts<E>(
        &self,
        out: &mut Vec<u8>,
        request: &Request<'_>,
        params: impl FnOnce(&mut Object<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut object = Object::begin(self.serializer, out);
        object.text(&key!("id"), &request.id);
        object.text(&key!("action"), &request.action);
        params(&mut object)?;
        self.meta(&mut object, request.meta, request.headers);
        if let Some(timeout) = request.timeout_ms {
            object.number(&key!("timeout"), timeout);
        }
        object.count(&key!("level"), request.level.into());
        tracing(&mut object, request.tracing);
        object.text_or_null(&key!("parentID"), request.parent_id.as_ref());
        object.text_or_null(&key!("requestID"), request.request_id.as_ref());
        object.text_or_null(&key!("caller"), request.caller.as_ref());
        object.truth(&key!("stream"), request.stream);
        if let Some(seq) = request.seq {
            object.count(&key!("seq"), seq);
        }
        self.end(object);
        Ok(())
    }

    /// Appends a `RES`.
    pub fn response(&self, out: &mut Vec<u8>, response: &Response<'_>) {
        let Ok(()) = self.response_parts(out, response, |object| {
            object.raw_if(&key!("data"), response.data);
            Ok::<_, Infallible>(())
        });
    }

    /// The same with `data` that is written straight into it, and not `response.data`.
    ///
    /// # Errors
    /// What `data` says; then nothing has been appended.
    pub fn response_with<E>(
        &self,
        out: &mut Vec<u8>,
        response: &Response<'_>,
        data: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let begin = out.len();
        self.response_parts(out, response, |object| data(object.name(&key!("data"))))
            .inspect_err(|_| out.truncate(begin))
    }

    fn response_parts<E>(
        &self,
        out: &mut Vec<u8>,
        response: &Response<'_>,
        data: impl FnOnce(&mut Object<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut object = Object::begin(self.serializer, out);
        object.text(&key!("id"), &response.id);
        self.meta(&mut object, response.meta, response.headers);
        object.truth(&key!("success"), response.success);
        data(&mut object)?;
        if response.stream.is_none() {
            object.raw_if(&key!("error"), response.error);
        }
        if let Some(stream) = response.stream {
            object.truth(&key!("stream"), stream);
            if let Some(seq) = response.seq {
                object.count(&key!("seq"), seq);
            }
            object.raw_if(&key!("error"), response.error);
        }
        self.end(object);
        Ok(())
    }

    /// Appends an `EVENT`.
    pub fn event(&self, out: &mut Vec<u8>, event: &Event<'_>) {
        let mut object = Object::begin(self.serializer, out);
        if let Some(id) = &event.id {
            object.text(&key!("id"), id);
        }
        object.text(&key!("event"), &event.event);
        object.raw_if(&key!("data"), event.data);
        if let Some(groups) = &event.groups {
            object.texts(&key!("groups"), groups);
        }
        object.truth(&key!("broadcast"), event.broadcast);
        self.meta(&mut object, event.meta, event.headers);
        object.count(&key!("level"), event.level.into());
        tracing(&mut object, event.tracing);
        object.text_or_null(&key!("parentID"), event.parent_id.as_ref());
        object.text_or_null(&key!("requestID"), event.request_id.as_ref());
        object.text_or_null(&key!("caller"), event.caller.as_ref());
        object.null(&key!("needAck"));
        self.end(object);
    }

    fn meta(&self, object: &mut Object<'_>, meta: Option<&[u8]>, headers: Option<&[u8]>) {
        object.object(&key!("meta"), meta);
        if self.version == Version::V5 {
            object.object(&key!("headers"), headers);
        }
    }

    fn end(&self, object: Object<'_>) {
        object.end_with(&self.tail, IN_TAIL);
    }
}

fn tracing(object: &mut Object<'_>, tracing: Option<bool>) {
    match tracing {
        Some(traced) => object.truth(&key!("tracing"), traced),
        None => object.null(&key!("tracing")),
    }
}
