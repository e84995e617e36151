//! Through Redis: one connection to subscribe on, one to publish on, as its protocol wants it.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::outgoing::Outgoing;
use super::socket::Socket;
use super::{Arrival, Dial, Wire};
use crate::core::error::{Code, Error, Result};
use crate::mesh::address::Redis;
use crate::mesh::resp::{self, Decoder, Event};

/// Read at once.
const CHUNK: usize = 64 << 10;

struct Link {
    subscribed: Half,
    publishing: Half,
    place: String,
    counted: Option<usize>,
}

struct Half {
    socket: Socket,
    decoder: Decoder,
    outgoing: Outgoing,
}

pub(super) fn connect(redis: &Redis, dial: &Dial<'_>) -> Result<impl Wire + use<>> {
    let mut subscribed = Half::open(redis, dial, dial.max_message)?;
    // What comes on this one are answers, which are short.
    let mut publishing = Half::open(redis, dial, CHUNK)?;
    let mut out = Vec::new();
    resp::subscribe(&mut out, dial.topics.iter().map(String::as_str));
    subscribed.write(&out, redis)?;
    let mut holding = 0;
    while holding < dial.topics.len() {
        match subscribed.next(redis)? {
            Answer::Subscribed => holding += 1,
            Answer::Error(why) => return Err(refused(redis, &why)),
            _ => {}
        }
    }
    let counted = publishing.greet(redis, dial.hello)?;
    // Its answers say nothing that would be heard elsewhere: without them, Redis and this node have half the work.
    // A server that does not know the command, or forbids it, answers on; the answers are read and dropped.
    let mut out = Vec::new();
    resp::command(&mut out, &[b"CLIENT", b"REPLY", b"OFF"]);
    publishing.write(&out, redis)?;
    for half in [&subscribed, &publishing] {
        let done = half.socket.stop_blocking();
        done.map_err(|error| Error::io(Code::ServiceUnavailable, "a socket", &error))?;
    }
    Ok(Link { subscribed, publishing, place: redis.server.to_string(), counted })
}

enum Answer {
    Subscribed,
    Status,
    Error(String),
    Integer(i64),
}

impl Half {
    fn open(redis: &Redis, dial: &Dial<'_>, max_message: usize) -> Result<Self> {
        let mut socket = Socket::dial(&redis.server, dial.deadline)?;
        if redis.server.tls {
            socket = socket.encrypt(&redis.server, dial.tls)?;
        }
        let mut half = Self { socket, decoder: Decoder::new(max_message), outgoing: Outgoing::default() };
        let mut out = Vec::new();
        let mut answers = 1;
        if let Some(password) = &redis.server.password {
            resp::auth(&mut out, redis.server.user.as_deref(), password);
            answers += 1;
        }
        if redis.database > 0 {
            resp::select(&mut out, redis.database);
            answers += 1;
        }
        resp::ping(&mut out);
        half.write(&out, redis)?;
        for _ in 0..answers {
            if let Answer::Error(why) = half.next(redis)? {
                return Err(refused(redis, &why));
            }
        }
        // It is for those who look at `CLIENT LIST`; old servers do not know it.
        let mut out = Vec::new();
        resp::command(&mut out, &[b"CLIENT", b"SETNAME", client_name(dial.name).as_bytes()]);
        half.write(&out, redis)?;
        let _ = half.next(redis)?;
        Ok(half)
    }

    /// Publishes a message; tells how many got it.
    fn greet(&mut self, redis: &Redis, (channel, message): (&str, &[u8])) -> Result<Option<usize>> {
        let mut out = Vec::new();
        resp::publish(&mut out, channel, message);
        self.write(&out, redis)?;
        match self.next(redis)? {
            Answer::Integer(count) => Ok(usize::try_from(count).ok()),
            Answer::Error(why) => Err(refused(redis, &why)),
            _ => Ok(None),
        }
    }

    fn write(&mut self, bytes: &[u8], redis: &Redis) -> Result<()> {
        let sent = self.socket.write_all(bytes).and_then(|()| self.socket.flush());
        sent.map_err(|error| {
            Error::io(Code::ServiceUnavailable, &format!("greeting {}", redis.server), &error)
        })
    }

    /// The next answer, while the socket blocks.
    fn next(&mut self, redis: &Redis) -> Result<Answer> {
        loop {
            if let Some(event) = self.decoder.next()? {
                return Ok(match event {
                    Event::Subscribed { .. } => Answer::Subscribed,
                    Event::Error(why) => Answer::Error(String::from_utf8_lossy(why).into_owned()),
                    Event::Integer(number) => Answer::Integer(number),
                    // Messages may come between the answers to `SUBSCRIBE`: they are lost like those before.
                    Event::Message { .. } | Event::Oversized { .. } => continue,
                    _ => Answer::Status,
                });
            }
            let read = self.socket.read(self.decoder.space(4096));
            let n = read.and_then(|n| if n == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(n) });
            let n = n.map_err(|error| {
                let error = match error.kind() {
                    ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
                    _ => error,
                };
                Error::io(Code::ServiceUnavailable, &format!("greeting {}", redis.server), &error)
            })?;
            self.decoder.filled(n);
        }
    }
}

/// A name without what the command refuses in it.
fn client_name(name: &str) -> String {
    let plain = |sign: char| if sign.is_ascii_graphic() { sign } else { '-' };
    format!("ironbridge-{}", name.chars().take(100).map(plain).collect::<String>())
}

/// What a refusal means to the user.
fn refused(redis: &Redis, why: &str) -> Error {
    let place = &redis.server;
    let kind = why.split(' ').next().unwrap_or_default();
    match kind {
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "NOPROTO" => {
            let text = format!(
                "{place} does not let this node in: {why}; give the right user and password in the URL, and let the \
                 user publish and subscribe (channels MOL*)"
            );
            Error::new(Code::Authentication, text)
        }
        // It will be ready, or the master again.
        "LOADING" | "MASTERDOWN" | "BUSY" => Error::new(Code::ServiceUnavailable, format!("{place}: {why}")),
        _ if why.contains("AUTH") || why.contains("password") => {
            Error::new(Code::Authentication, format!("{place} does not let this node in: {why}"))
        }
        _ => Error::new(Code::Configuration, format!("{place} refuses: {why}")),
    }
}

impl Wire for Link {
    #[inline]
    fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        resp::publish(self.publishing.outgoing.buffer(), topic, payload);
        Ok(())
    }

    fn flush(&mut self) -> Result<bool> {
        let mut all = true;
        for half in [&mut self.publishing, &mut self.subscribed] {
            if half.outgoing.len() > 0 {
                let flushed = half.outgoing.flush(&mut half.socket);
                all &= flushed.map_err(|error| lost(&self.place, &error))?;
            }
        }
        Ok(all)
    }

    fn read(&mut self, take: &mut dyn FnMut(Arrival<'_>)) -> Result<bool> {
        let half = &mut self.subscribed;
        let space = half.decoder.space(CHUNK);
        let room = space.len();
        let more = match half.socket.read(space) {
            Ok(0) => return Err(lost(&self.place, &ErrorKind::UnexpectedEof.into())),
            Ok(n) => {
                half.decoder.filled(n);
                n == room
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return self.drop_answers(take);
            }
            Err(error) => return Err(lost(&self.place, &error)),
        };
        while let Some(event) = half.decoder.next()? {
            match event {
                Event::Message { channel, payload } => {
                    if let Ok(topic) = std::str::from_utf8(channel) {
                        take(Arrival::Message { topic, payload });
                    }
                }
                Event::Oversized { channel, length } => {
                    let topic = std::str::from_utf8(channel).unwrap_or_default();
                    take(Arrival::Oversized { topic, length });
                }
                Event::Error(why) => take(Arrival::Refused(&String::from_utf8_lossy(why))),
                _ => {}
            }
        }
        Ok(more)
    }

    fn ping(&mut self) {
        resp::ping(self.subscribed.outgoing.buffer());
    }

    fn balance(&mut self, _: &[(String, String)]) -> Result<()> {
        Err(Error::new(
            Code::Configuration,
            "Redis does not balance: leave disable_balancer off, or use NATS",
        ))
    }

    fn watched(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.subscribed.socket.as_fd(), self.publishing.socket.as_fd()]
    }

    fn unsent(&self) -> usize {
        self.publishing.outgoing.len() + self.subscribed.outgoing.len()
    }

    fn counted(&self) -> Option<usize> {
        self.counted
    }
}

impl Link {
    /// What comes on the connection that publishes: its end, or answers where they could not be turned off.
    fn drop_answers(&mut self, take: &mut dyn FnMut(Arrival<'_>)) -> Result<bool> {
        let half = &mut self.publishing;
        loop {
            match half.socket.read(half.decoder.space(4096)) {
                Ok(0) => return Err(lost(&self.place, &ErrorKind::UnexpectedEof.into())),
                Ok(n) => half.decoder.filled(n),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    return Ok(false);
                }
                Err(error) => return Err(lost(&self.place, &error)),
            }
            while let Some(event) = half.decoder.next()? {
                if let Event::Error(why) = event {
                    take(Arrival::Refused(&String::from_utf8_lossy(why)));
                }
            }
        }
    }
}

fn lost(place: &str, error: &std::io::Error) -> Error {
    Error::io(Code::ConnectionLost, &format!("the connection to {place} has ended"), error)
}
