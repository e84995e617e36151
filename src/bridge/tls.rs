//! TLS over a TCP connection, never waiting: whoever holds the stream waits on its descriptor.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use crate::core::error::{Code, Error, Result};
use crate::core::platform::fork::Private;
use crate::core::platform::socket::{prepare_tcp, recv_now, send_now, send_vectored_now};
use crate::core::tls;

/// How much may wait to be sent before a write says `WouldBlock`.
const SEND_BUFFER: usize = 256 << 10;

/// One side of a TLS connection. The handshake goes on within reads, or alone with [`TlsStream::handshake`].
#[derive(Debug)]
pub struct TlsStream {
    socket: Private<TcpStream>,
    session: Connection,
    /// Decrypted bytes that nobody has read yet.
    plaintext: usize,
    /// The peer said that it will send no more.
    peer_closed: bool,
}

impl TlsStream {
    /// The client's side, for a service at this host name or address.
    ///
    /// # Errors
    /// `Configuration` when `host` is no name, `ConnectionLost` when the socket has already ended.
    pub fn connect(socket: TcpStream, config: Arc<ClientConfig>, host: &str) -> Result<Self> {
        let host = host.trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            Error::new(Code::Configuration, format!("{host:?} is neither a host name nor an address"))
        })?;
        let session = ClientConnection::new(config, name).map_err(|error| blame(&error))?;
        Self::new(socket, session.into())
    }

    /// The service's side.
    ///
    /// # Errors
    /// `ConnectionLost` when the socket has already ended.
    pub fn accept(socket: TcpStream, config: Arc<ServerConfig>) -> Result<Self> {
        let session = ServerConnection::new(config).map_err(|error| blame(&error))?;
        Self::new(socket, session.into())
    }

    fn new(socket: TcpStream, mut session: Connection) -> Result<Self> {
        prepare_tcp(&socket).map_err(|error| Error::io(Code::ConnectionLost, "a TCP socket", &error))?;
        session.set_buffer_limit(Some(SEND_BUFFER));
        Ok(Self { socket: Private::new(socket), session, plaintext: 0, peer_closed: false })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Takes the handshake as far as it goes; `Ok` when this side is done with it.
    ///
    /// # Errors
    /// `WouldBlock`: wait for room if [`TlsStream::wants_write`], for bytes otherwise, and come again.
    /// What else broke it: see [`explain`].
    pub fn handshake(&mut self) -> io::Result<()> {
        while self.session.is_handshaking() {
            self.flush()?;
            self.receive()?;
        }
        Ok(())
    }

    /// As [`Stream::read`](super::stream::Stream::read). A connection cut without a farewell is `UnexpectedEof`.
    ///
    /// # Errors
    /// `WouldBlock`, or what broke the connection.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Ok(read) => {
                    self.plaintext = self.plaintext.saturating_sub(read);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.receive()?,
                Err(error) => return Err(error),
            }
        }
    }

    /// As [`Stream::write`](super::stream::Stream::write).
    ///
    /// # Errors
    /// `WouldBlock` while an earlier write is still here, or what broke the connection.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// As [`Stream::write_vectored`](super::stream::Stream::write_vectored).
    ///
    /// # Errors
    /// As [`TlsStream::write`].
    pub fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush()?;
        let taken = self.session.writer().write_vectored(pieces)?;
        if taken == 0 && pieces.iter().any(|piece| !piece.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.flush_some()?;
        Ok(taken)
    }

    /// Sends what waits to be sent.
    ///
    /// # Errors
    /// `WouldBlock` when some is left, or what broke the connection.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            if self.session.write_tls(&mut Wire(&self.socket))? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Whether a read has something to tell without looking at the descriptor.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        self.plaintext > 0 || self.peer_closed
    }

    /// Whether something waits to be sent.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    /// Says farewell and ends the connection for both sides.
    pub fn close(&mut self) {
        self.session.send_close_notify();
        // Errors here mean that it has already ended, or that the peer does not read.
        let _ = self.flush();
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Takes in what the socket has, and answers it where the protocol wants an answer.
    fn receive(&mut self) -> io::Result<()> {
        let read = self.session.read_tls(&mut Wire(&self.socket))?;
        if read == 0 && self.session.is_handshaking() {
            let why = "the other side closed the connection during the TLS handshake";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        match self.session.process_new_packets() {
            Ok(state) => {
                self.plaintext = state.plaintext_bytes_to_read();
                self.peer_closed = state.peer_has_closed();
                self.flush_some()
            }
            Err(error) => {
                // Tell the peer what was wrong; the error to report is the first one.
                let _ = self.flush();
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    /// A flush that may leave a rest behind.
    fn flush_some(&mut self) -> io::Result<()> {
        match self.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other,
        }
    }
}

/// What a failed read, write or handshake of a TLS stream means to the user; `None` when TLS is not to blame.
#[must_use]
pub fn explain(error: &io::Error) -> Option<Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>().map(blame)
}

fn blame(error: &rustls::Error) -> Error {
    tls::explain(error, "service")
}

/// The socket as the TLS session uses it: one try, no waiting.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        recv_now(self.0, buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        send_now(self.0, bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        send_vectored_now(self.0, pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
