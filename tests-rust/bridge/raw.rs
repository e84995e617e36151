//! A caller that speaks the protocol frame by frame, or breaks it.

use std::io::ErrorKind;
use std::path::Path;

use ironbridge::bridge::client::dial::{self, Introduction};
use ironbridge::bridge::frame::{self, Frame, Kind, MAGIC, Reader, RequestEnvelope, Vectors};
use ironbridge::bridge::hello::{self, Hello, Lane, Mode, Refuse};
use ironbridge::bridge::stream::Stream;
use ironbridge::core::deadline::Deadline;
use ironbridge::core::error::{Code, Error};
use ironbridge::core::limits::Limits;
use ironbridge::core::platform::socket::{Interest, wait};
use serde_bytes::ByteBuf;

use crate::place::{LONG, NAME, Reply, Served};

pub(crate) struct Raw {
    pub(crate) stream: Stream,
    reader: Reader<Vec<u8>>,
}

impl Raw {
    /// A connection that has said nothing yet.
    pub(crate) fn silent(socket: &Path) -> Self {
        let stream = dial::unix(socket, Deadline::after(LONG), &|| false).unwrap();
        Self { stream, reader: Reader::new(64 << 20, 4096) }
    }

    /// A connection over which a hello was said.
    pub(crate) fn welcome(served: &Served, mode: Mode, lane: Lane) -> Self {
        let stream = dial::unix(&served.service.record.socket, Deadline::after(LONG), &|| false).unwrap();
        let limits = Limits::default();
        let introduction = Introduction {
            service: NAME,
            nonce: Some(&served.service.record.nonce),
            worker: None,
            since: None,
            mode,
            lane,
            token: None,
            limits: &limits,
        };
        let dialled = dial::introduce(stream, introduction, 4096, Deadline::after(LONG), &|| false).unwrap();
        Self { stream: dialled.stream, reader: dialled.reader }
    }

    pub(crate) fn multiplexed(served: &Served) -> Self {
        Self::welcome(served, Mode::Multiplexed, Lane::Plain)
    }

    /// Sends all of it.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(wait(self.stream.fd(), Interest::Writable, LONG).unwrap(), "no room to write");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn request(&mut self, call: u64, endpoint: u16, payload: &[u8]) {
        let envelope = RequestEnvelope { call, remaining: 0, instance: 0, endpoint };
        self.send(&request(&envelope, 0, payload));
    }

    pub(crate) fn cancel(&mut self, call: u64) {
        let mut bytes = Vec::new();
        frame::begin(&mut bytes, Kind::Cancel, 0, &call.to_le_bytes()).finish_small(&mut bytes);
        self.send(&bytes);
    }

    pub(crate) fn bind(&mut self, instance: u32, arguments: &[u8]) {
        let mut bytes = Vec::new();
        let open = frame::begin(&mut bytes, Kind::Bind, 0, &instance.to_le_bytes());
        bytes.extend_from_slice(arguments);
        open.finish_small(&mut bytes);
        self.send(&bytes);
    }

    /// The next frame; `None` when the service has closed the connection.
    pub(crate) fn next(&mut self) -> Option<Frame<Vec<u8>>> {
        loop {
            if let Some(frame) = self.reader.next_frame(&Vectors).unwrap() {
                return Some(frame);
            }
            match self.stream.read(self.reader.space()) {
                Ok(0) => return None,
                Ok(count) => self.reader.filled(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(wait(self.stream.fd(), Interest::Readable, LONG).unwrap(), "nothing came");
                }
                // What was unread when the service closed makes the system say so.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next frame, which is a reply.
    pub(crate) fn reply(&mut self) -> Reply {
        let frame = self.next().unwrap();
        assert_eq!(frame.kind, Kind::Reply);
        Reply::of(frame)
    }

    /// The service refuses and closes.
    pub(crate) fn refusal(&mut self) -> Error {
        let frame = self.next().unwrap();
        let refuse: Refuse = hello::read(&frame, Kind::Refuse).unwrap();
        assert!(self.next().is_none());
        Error::new(Code::from_wire(refuse.code), refuse.message)
    }
}

pub(crate) fn request(envelope: &RequestEnvelope, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let open = frame::begin_request(&mut bytes, flags, envelope);
    bytes.extend_from_slice(payload);
    open.finish_small(&mut bytes);
    bytes
}

/// A hello that would be welcome.
pub(crate) fn good_hello(served: &Served) -> Hello {
    Hello {
        versions: (1, 1),
        capabilities: 0,
        service: NAME.to_owned(),
        nonce: Some(ByteBuf::from(served.service.record.nonce)),
        mode: Mode::OneCall,
        lane: Lane::Plain,
        max_frame: 1 << 20,
        worker: None,
        since: None,
        client_nonce: ByteBuf::new(),
    }
}

pub(crate) fn hello_bytes(hello: &Hello) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    hello::write(&mut bytes, Kind::Hello, hello).unwrap();
    bytes
}
