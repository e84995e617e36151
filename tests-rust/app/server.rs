//! A Redis as far as a relay sees one, which says what a test has it say.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use ironbridge::core::redis::resp::{Decoder, Event};

/// Listens for one relay.
pub(crate) struct Server(TcpListener);

/// A relay's two connections, seen from the server.
pub(crate) struct Peer {
    pub(crate) publishing: TcpStream,
    pub(crate) subscribed: TcpStream,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Welcomes a relay: it publishes on the first connection, and subscribes on the second.
    pub(crate) fn welcome(self) -> Peer {
        let mut publishing = self.0.accept().unwrap().0;
        greet(&mut publishing);
        let mut subscribed = self.0.accept().unwrap().0;
        greet(&mut subscribed);
        commands(&mut subscribed, 1);
        let confirmed =
            b"*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\ns\r\n:2\r\n";
        subscribed.write_all(confirmed).unwrap();
        Peer { publishing, subscribed }
    }
}

/// Answers a ping, and the client's name.
fn greet(stream: &mut TcpStream) {
    for answer in [&b"+PONG\r\n"[..], b"+OK\r\n"] {
        commands(stream, 1);
        stream.write_all(answer).unwrap();
    }
}

/// Reads so many commands; gives their bytes.
pub(crate) fn commands(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let (mut decoder, mut all, mut seen) = (Decoder::new(1 << 20), Vec::new(), 0);
    while seen < count {
        let mut piece = [0; 4096];
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "the relay has gone");
        let piece = &piece[..n];
        all.extend_from_slice(piece);
        decoder.extend(piece);
        while let Some(event) = decoder.next().unwrap() {
            assert!(matches!(event, Event::Other | Event::Pong));
            seen += 1;
        }
    }
    all
}
