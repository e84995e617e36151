//! What is still to be sent on a connection.

use std::io::{self, ErrorKind, Write};

/// An empty buffer larger than this is given back.
const KEPT: usize = 1 << 20;

/// Bytes in order.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    buffer: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    /// Where to append.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.sent
    }

    /// Sends as much as there is room for; tells whether it was all.
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while let Some(rest) = self.buffer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match socket.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.sent = 0;
        self.buffer.clear();
        if self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
        match socket.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(true),
        }
    }
}
