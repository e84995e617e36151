//! Through NATS: one connection for both ways. Of several servers, the first that lets this node in.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::{Arrival, Dial, Wire};
use crate::core::error::{Code, Error, Result};
use crate::core::net::outgoing::Outgoing;
use crate::core::net::socket::Socket;
use crate::mesh::address::{Address, Nats};
use crate::mesh::nats::{self, Connect, Decoder, Event, ServerInfo};

/// Read at once.
const CHUNK: usize = 64 << 10;

struct Link {
    socket: Socket,
    decoder: Decoder,
    outgoing: Outgoing,
    place: String,
    /// The largest message that the server takes; 0: it did not say.
    max_payload: usize,
    next_sid: u64,
    /// The subscriptions that the server balances.
    balanced: Vec<u64>,
}

pub(super) fn connect(cluster: &Nats, dial: &Dial<'_>) -> Result<impl Wire + use<>> {
    let mut last = Error::new(Code::Configuration, "no NATS server is given");
    for address in &cluster.servers {
        match Link::open(address, dial) {
            Ok(link) => return Ok(link),
            Err(error) => last = error,
        }
        if dial.deadline.passed() {
            break;
        }
    }
    Err(last)
}

impl Link {
    fn open(address: &Address, dial: &Dial<'_>) -> Result<Self> {
        let mut socket = Socket::dial(address, dial.deadline)?;
        let mut decoder = Decoder::new(dial.max_message);
        // The server speaks first, and encrypts only then: not a byte more may be read before.
        let info = first_line(&mut socket, &mut decoder, address)?;
        if address.tls || info.tls_required {
            socket = socket.encrypt(address, dial.tls)?;
        }
        let max_payload = usize::try_from(info.max_payload).unwrap_or(usize::MAX);
        let mut link = Self {
            socket,
            decoder,
            outgoing: Outgoing::default(),
            place: address.to_string(),
            max_payload,
            next_sid: 1,
            balanced: Vec::new(),
        };
        let token = address.password.is_none();
        let connect = Connect {
            name: dial.name,
            user: address.user.as_deref().filter(|_| !token),
            pass: address.password.as_deref(),
            auth_token: address.user.as_deref().filter(|_| token),
            tls_required: address.tls || info.tls_required,
        };
        let out = link.outgoing.buffer();
        nats::connect(out, &connect);
        for topic in dial.topics {
            nats::subscribe(link.outgoing.buffer(), topic, None, link.next_sid)?;
            link.next_sid += 1;
        }
        let (topic, message) = dial.hello;
        nats::publish(link.outgoing.buffer(), topic, message)?;
        nats::ping(link.outgoing.buffer());
        let greeting = std::mem::take(link.outgoing.buffer());
        let sent = link.socket.write_all(&greeting).and_then(|()| link.socket.flush());
        sent.map_err(|error| greeting_failed(address, &error))?;
        link.welcome(address)?;
        let done = link.socket.stop_blocking();
        done.map_err(|error| Error::io(Code::ServiceUnavailable, "a socket", &error))?;
        Ok(link)
    }

    /// Waits for the answer to the ping: what was said before holds then.
    fn welcome(&mut self, address: &Address) -> Result<()> {
        loop {
            match self.decoder.next()? {
                Some(Event::Pong) => return Ok(()),
                Some(Event::Error(why)) => return Err(refused(address, &String::from_utf8_lossy(why))),
                Some(_) => {}
                None => {
                    let read = self.socket.read(self.decoder.space(4096));
                    let n = more(read).map_err(|error| greeting_failed(address, &error))?;
                    self.decoder.filled(n);
                }
            }
        }
    }
}

/// Reads the server's first line, byte by byte.
fn first_line(socket: &mut Socket, decoder: &mut Decoder, address: &Address) -> Result<ServerInfo> {
    loop {
        if let Some(event) = decoder.next()? {
            return match event {
                Event::Info(info) => Ok(*info),
                Event::Error(why) => Err(refused(address, &String::from_utf8_lossy(why))),
                _ => Err(Error::protocol(format!("{address} does not begin as NATS does"))),
            };
        }
        let mut byte = [0];
        more(socket.read(&mut byte)).map_err(|error| greeting_failed(address, &error))?;
        decoder.extend(&byte);
    }
}

fn more(read: std::io::Result<usize>) -> std::io::Result<usize> {
    match read {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
        read => read,
    }
}

fn greeting_failed(address: &Address, error: &std::io::Error) -> Error {
    Error::io(Code::ServiceUnavailable, &format!("greeting {address}"), error)
}

/// What a refusal means to the user.
fn refused(address: &Address, why: &str) -> Error {
    let lower = why.to_ascii_lowercase();
    if lower.contains("authorization") || lower.contains("authentication") {
        let text = format!(
            "{address} does not let this node in: {why}; give the right user and password, or token, in the URL"
        );
        return Error::new(Code::Authentication, text);
    }
    Error::new(Code::ServiceUnavailable, format!("{address}: {why}"))
}

impl Wire for Link {
    #[inline]
    fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        if self.max_payload > 0 && payload.len() > self.max_payload {
            let text = format!(
                "a packet of {} bytes to {topic}: {} takes {} at most (max_payload in its configuration)",
                payload.len(),
                self.place,
                self.max_payload
            );
            return Err(Error::new(Code::Payload, text));
        }
        nats::publish(self.outgoing.buffer(), topic, payload)
    }

    fn flush(&mut self) -> Result<bool> {
        if self.outgoing.len() == 0 {
            return Ok(true);
        }
        self.outgoing.flush(&mut self.socket).map_err(|error| lost(&self.place, &error))
    }

    fn read(&mut self, take: &mut dyn FnMut(Arrival<'_>)) -> Result<bool> {
        let space = self.decoder.space(CHUNK);
        let room = space.len();
        let more = match self.socket.read(space) {
            Ok(0) => return Err(lost(&self.place, &ErrorKind::UnexpectedEof.into())),
            Ok(n) => {
                self.decoder.filled(n);
                n == room
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(false);
            }
            Err(error) => return Err(lost(&self.place, &error)),
        };
        while let Some(event) = self.decoder.next()? {
            match event {
                Event::Message { subject, payload, .. } => {
                    if let Ok(topic) = std::str::from_utf8(subject) {
                        take(Arrival::Message { topic, payload });
                    }
                }
                Event::Oversized { subject, length, .. } => {
                    let topic = std::str::from_utf8(subject).unwrap_or_default();
                    take(Arrival::Oversized { topic, length });
                }
                Event::Ping => nats::pong(self.outgoing.buffer()),
                Event::Error(why) => take(Arrival::Refused(&String::from_utf8_lossy(why))),
                Event::Info(info) => {
                    self.max_payload = usize::try_from(info.max_payload).unwrap_or(usize::MAX);
                }
                _ => {}
            }
        }
        Ok(more)
    }

    fn ping(&mut self) {
        nats::ping(self.outgoing.buffer());
    }

    fn balance(&mut self, topics: &[(String, String)]) -> Result<()> {
        for sid in std::mem::take(&mut self.balanced) {
            nats::unsubscribe(self.outgoing.buffer(), sid);
        }
        for (topic, queue) in topics {
            nats::subscribe(self.outgoing.buffer(), topic, Some(queue), self.next_sid)?;
            self.balanced.push(self.next_sid);
            self.next_sid += 1;
        }
        Ok(())
    }

    fn watched(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.socket.as_fd()]
    }

    fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    fn counted(&self) -> Option<usize> {
        None
    }
}

fn lost(place: &str, error: &std::io::Error) -> Error {
    Error::io(Code::ConnectionLost, &format!("the connection to {place} has ended"), error)
}
