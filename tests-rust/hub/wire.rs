//! A plain client of ours: a blocking socket, the handshake, frames.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ironbridge::core::error::{Error, Result};
use ironbridge::core::secret::Secret;
use ironbridge::hub::zmtp::{Event, Frames, Handshake, Peer, Role, message, ping, subscribe};

/// What must come comes by then, also on a machine that is busy.
pub(crate) const LONG: Duration = Duration::from_secs(20);
pub(crate) const MAX: usize = 16 << 20;

pub(crate) trait Stream: Read + Write + Send {
    fn patience(&self, time: Duration);
}

impl Stream for UnixStream {
    fn patience(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
        self.set_write_timeout(Some(time)).unwrap();
    }
}

impl Stream for TcpStream {
    fn patience(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
        self.set_write_timeout(Some(time)).unwrap();
    }
}

pub(crate) struct Wire {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) frames: Frames,
    pub(crate) peer: Peer,
    kept: VecDeque<Vec<u8>>,
}

impl Wire {
    /// Shakes hands over a new connection.
    pub(crate) fn meet(
        mut stream: Box<dyn Stream>,
        role: Role,
        secret: Option<&Secret>,
        as_server: bool,
    ) -> Result<Self> {
        stream.patience(LONG);
        let mut handshake = Handshake::new(role, b"", secret, as_server);
        let mut frames = Frames::new(role, MAX);
        let mut room = [0; 1024];
        loop {
            // A peer that refuses may have hung up already.
            let _ = stream.write_all(&handshake.output());
            let count = stream.read(&mut room).unwrap_or(0);
            if count == 0 {
                return Err(Error::protocol("the peer has hung up"));
            }
            let fed = handshake.feed(&room[..count]);
            let _ = stream.write_all(&handshake.output());
            if let (used, Some(peer)) = fed? {
                frames.extend(&room[used..count]);
                return Ok(Self { stream, frames, peer, kept: VecDeque::new() });
            }
        }
    }

    pub(crate) fn send(&mut self, body: &[u8]) {
        let mut out = Vec::new();
        message(&mut out, &[body]);
        self.stream.write_all(&out).unwrap();
    }

    pub(crate) fn subscribe(&mut self, prefix: &[u8]) {
        let mut out = Vec::new();
        subscribe(&mut out, prefix);
        self.stream.write_all(&out).unwrap();
    }

    /// Asks for a pong and waits for it. What comes before is kept.
    pub(crate) fn ping(&mut self) {
        let mut out = Vec::new();
        ping(&mut out, 0, b"here?");
        self.stream.write_all(&out).unwrap();
        let mut kept = std::mem::take(&mut self.kept);
        self.read_on(|event| match event {
            Event::Pong => Some(()),
            Event::Message(body) => {
                kept.push_back(body.to_vec());
                None
            }
            _ => None,
        })
        .unwrap();
        self.kept = kept;
    }

    /// The next event, handed to `take` until it returns something; `None` when the peer has closed.
    pub(crate) fn read_on<T>(&mut self, mut take: impl FnMut(Event<'_>) -> Option<T>) -> Option<T> {
        loop {
            while let Some(event) = self.frames.next().unwrap() {
                if let Some(found) = take(event) {
                    return Some(found);
                }
            }
            let count = match self.stream.read(self.frames.space(64 << 10)) {
                Ok(0) => return None,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            };
            self.frames.filled(count);
        }
    }

    pub(crate) fn message(&mut self) -> Vec<u8> {
        self.try_message().expect("the peer has closed")
    }

    /// `None` when the peer has closed.
    pub(crate) fn try_message(&mut self) -> Option<Vec<u8>> {
        self.kept.pop_front().or_else(|| {
            self.read_on(|event| if let Event::Message(body) = event { Some(body.to_vec()) } else { None })
        })
    }
}
