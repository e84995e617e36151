//! A connection to a Redis: it blocks while it is opened, and never from [`Connection::stop_blocking`] on.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::Redis;
use super::resp::{self, Decoder, Event};
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Result};
use crate::core::net::TlsFiles;
use crate::core::net::outgoing::Outgoing;
use crate::core::net::socket::Socket;

/// Read at once.
const CHUNK: usize = 64 << 10;

/// What a connection needs to be made.
pub(crate) struct Opening<'a> {
    pub(crate) tls: &'a TlsFiles,
    /// What it is called at the server.
    pub(crate) name: &'a str,
    pub(crate) deadline: Deadline,
    /// The channels that its user must be allowed, for the message of a refusal.
    pub(crate) channels: &'a str,
}

/// A socket to a Redis, and the buffers on both ways.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    decoder: Decoder,
    outgoing: Outgoing,
    place: String,
    received: u64,
}

/// What is answered while a connection is opened.
pub(crate) enum Answer {
    Subscribed,
    Status,
    Error(String),
    Integer(i64),
}

impl Connection {
    /// Connects, as the user and to the database that are named. What comes over `max_message` bytes is passed over.
    ///
    /// # Errors
    /// `ServiceUnavailable` when it cannot be reached, `Authentication` when it does not let us in, `Configuration`
    /// when trying again would not help.
    pub(crate) fn open(redis: &Redis, opening: &Opening<'_>, max_message: usize) -> Result<Self> {
        let mut socket = Socket::dial(&redis.server, opening.deadline)?;
        if redis.server.tls {
            socket = socket.encrypt(&redis.server, opening.tls)?;
        }
        let mut opened = Self {
            socket,
            decoder: Decoder::new(max_message),
            outgoing: Outgoing::default(),
            place: redis.server.to_string(),
            received: 0,
        };
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
        opened.say(&out)?;
        for _ in 0..answers {
            opened.expect_answer(opening.channels)?;
        }
        // It is for those who look at `CLIENT LIST`; old servers do not know it.
        let mut out = Vec::new();
        resp::command(&mut out, &[b"CLIENT", b"SETNAME", client_name(opening.name).as_bytes()]);
        opened.say(&out)?;
        let _ = opened.answer()?;
        Ok(opened)
    }

    /// While it blocks: subscribes, and returns when the server has confirmed each.
    pub(crate) fn subscribe(&mut self, topics: &[String], opening: &Opening<'_>) -> Result<()> {
        let mut out = Vec::new();
        resp::subscribe(&mut out, topics.iter().map(String::as_str));
        self.say(&out)?;
        let mut holding = 0;
        while holding < topics.len() {
            if let Answer::Subscribed = self.expect_answer(opening.channels)? {
                holding += 1;
            }
        }
        Ok(())
    }

    /// While it blocks: sends commands.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = self.socket.write_all(bytes).and_then(|()| self.socket.flush());
        sent.map_err(|error| self.ungreeted(&error))
    }

    /// While it blocks: the next answer, which must be no refusal.
    pub(crate) fn expect_answer(&mut self, channels: &str) -> Result<Answer> {
        match self.answer()? {
            Answer::Error(why) => Err(refused(&self.place, &why, channels)),
            answer => Ok(answer),
        }
    }

    fn answer(&mut self) -> Result<Answer> {
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
            let n = n.map_err(|error| match error.kind() {
                ErrorKind::WouldBlock => self.ungreeted(&ErrorKind::TimedOut.into()),
                _ => self.ungreeted(&error),
            })?;
            self.decoder.filled(n);
        }
    }

    fn ungreeted(&self, error: &io::Error) -> Error {
        Error::io(Code::ServiceUnavailable, &format!("greeting {}", self.place), error)
    }

    /// From now on it gives and takes what it can at once.
    pub(crate) fn stop_blocking(&self) -> Result<()> {
        let done = self.socket.stop_blocking();
        done.map_err(|error| Error::io(Code::ServiceUnavailable, "a socket", &error))
    }

    /// Where to append commands.
    #[inline]
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        self.outgoing.buffer()
    }

    /// Bytes that wait for room.
    pub(crate) fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    /// Sends what has been appended, as far as there is room; tells whether all of it went.
    pub(crate) fn flush(&mut self) -> Result<bool> {
        if self.outgoing.len() == 0 {
            return Ok(true);
        }
        self.outgoing.flush(&mut self.socket).map_err(|error| self.lost(&error))
    }

    /// Reads once, and hands out what is whole; tells whether there may be more.
    pub(crate) fn read(&mut self, take: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        let space = self.decoder.space(CHUNK);
        let room = space.len();
        let n = match self.socket.read(space) {
            Ok(0) => return Err(self.lost(&ErrorKind::UnexpectedEof.into())),
            Ok(n) => n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(false);
            }
            Err(error) => return Err(self.lost(&error)),
        };
        self.decoder.filled(n);
        self.received += n as u64;
        while let Some(event) = self.decoder.next()? {
            take(event);
        }
        Ok(n == room)
    }

    fn lost(&self, error: &io::Error) -> Error {
        Error::io(Code::ConnectionLost, &format!("the connection to {} has ended", self.place), error)
    }

    /// How many bytes have come since it stopped blocking.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Where it leads, without passwords.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A name without what the command refuses in it.
fn client_name(name: &str) -> String {
    let plain = |sign: char| if sign.is_ascii_graphic() { sign } else { '-' };
    format!("ironbridge-{}", name.chars().take(100).map(plain).collect::<String>())
}

/// What a refusal means to the user.
fn refused(place: &str, why: &str, channels: &str) -> Error {
    let kind = why.split(' ').next().unwrap_or_default();
    match kind {
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "NOPROTO" => {
            let text = format!(
                "{place} does not let this node in: {why}; give the right user and password in the URL, and let the \
                 user publish and subscribe (channels {channels})"
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
