//! A socket to a server, plain or encrypted.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::TlsFiles;
use super::address::Address;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Result};
use crate::core::platform::fork::Private;
use crate::core::platform::socket::{connect_unix, prepare_tcp};
use crate::core::tls;

/// Bytes to and from a server.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(Stream),
    Encrypted(Box<StreamOwned<ClientConnection, Stream>>),
}

/// A connection that a forked child lets go of.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(Private<TcpStream>),
    Unix(Private<UnixStream>),
}

impl Socket {
    /// Connects without encryption. Until [`Socket::stop_blocking`], it waits up to the deadline.
    pub(crate) fn dial(address: &Address, deadline: Deadline) -> Result<Self> {
        let unreached = |error: &io::Error| {
            Error::io(Code::ServiceUnavailable, &format!("connecting to {address}"), error)
        };
        if address.is_path() {
            let stream = connect_unix(address.host.as_ref(), deadline.remaining().max(LEAST));
            return stream
                .map(|stream| Self::Plain(Stream::Unix(Private::new(stream))))
                .map_err(|error| unreached(&error));
        }
        let found: Vec<_> = (address.host.as_str(), address.port)
            .to_socket_addrs()
            .map_err(|error| unreached(&error))?
            .collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for (tried, place) in found.iter().enumerate() {
            // One that swallows everything leaves the others their share.
            let share = deadline.remaining() / u32::try_from(found.len() - tried).unwrap_or(1);
            if share.is_zero() {
                last = io::ErrorKind::TimedOut.into();
                break;
            }
            match TcpStream::connect_timeout(place, share) {
                Ok(stream) => {
                    let prepared = prepare_tcp(&stream)
                        .and_then(|()| stream.set_read_timeout(Some(deadline.remaining().max(LEAST))))
                        .and_then(|()| stream.set_write_timeout(Some(deadline.remaining().max(LEAST))));
                    prepared.map_err(|error| unreached(&error))?;
                    return Ok(Self::Plain(Stream::Tcp(Private::new(stream))));
                }
                Err(error) => last = error,
            }
        }
        Err(unreached(&last))
    }

    /// Encrypts what was plain so far.
    pub(crate) fn encrypt(self, address: &Address, files: &TlsFiles) -> Result<Self> {
        let Self::Plain(stream) = self else { return Ok(self) };
        let identity =
            files.identity.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        let config = tls::client_config(files.trusted.as_deref(), identity)?;
        let name = ServerName::try_from(address.host.clone()).map_err(|_| {
            Error::new(Code::Configuration, format!("{address}: the host is no name that a certificate has"))
        })?;
        let connection = ClientConnection::new(Arc::clone(&config), name)
            .map_err(|error| tls::explain(&error, &address.to_string()))?;
        let mut encrypted = Box::new(StreamOwned::new(connection, stream));
        while encrypted.conn.is_handshaking() {
            encrypted.conn.complete_io(&mut encrypted.sock).map_err(|error| {
                match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                    Some(blamed) => tls::explain(blamed, &address.to_string()),
                    None => Error::io(Code::ServiceUnavailable, &format!("encrypting to {address}"), &error),
                }
            })?;
        }
        Ok(Self::Encrypted(encrypted))
    }

    /// From now on it gives and takes what it can at once.
    pub(crate) fn stop_blocking(&self) -> io::Result<()> {
        match self.stream() {
            Stream::Tcp(stream) => stream.set_nonblocking(true),
            Stream::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    fn stream(&self) -> &Stream {
        match self {
            Self::Plain(stream) => stream,
            Self::Encrypted(stream) => &stream.sock,
        }
    }
}

/// A socket's timeout cannot be zero.
const LEAST: std::time::Duration = std::time::Duration::from_millis(1);

impl Read for Stream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&**stream).read(buffer),
            Self::Unix(stream) => (&**stream).read(buffer),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&**stream).write(bytes),
            Self::Unix(stream) => (&**stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Socket {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Encrypted(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.stream() {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}
