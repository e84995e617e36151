//! Opening a connection: connect, say hello, prove the token where one is asked for.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt};
use rustix::thread::{Timespec, nanosleep};
use rustls::ClientConfig;
use serde_bytes::ByteBuf;

use crate::bridge::auth::{self, Token};
use crate::bridge::frame::{Frame, Kind, MAGIC, Reader, Vectors};
use crate::bridge::hello::{self, Challenge, Hello, Lane, Mode, Proof, VERSION, Welcome};
use crate::bridge::lease::Nonce;
use crate::bridge::stream::Stream;
use crate::bridge::tls::{self, TlsStream};
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Fate, Result};
use crate::core::limits::Limits;
use crate::core::platform::socket::{Interest, wait};

use super::Interrupt;
use super::channel::Outgoing;

/// The longest time between two looks for a signal: not every wait here is one that a signal interrupts.
const LOOK: Duration = Duration::from_millis(50);

/// What a connection is opened with.
#[derive(Clone, Copy)]
pub struct Introduction<'a> {
    /// The service that is wanted.
    pub service: &'a str,
    /// Its daemon's nonce, when a lease named it.
    pub nonce: Option<&'a [u8]>,
    /// The number of the worker that is wanted, where many answer at one address.
    pub worker: Option<u16>,
    /// The daemon that this caller has met before, and when.
    pub since: Option<(Nonce, u64)>,
    /// How the connection will be used.
    pub mode: Mode,
    /// What for.
    pub lane: Lane,
    /// Needed off-machine.
    pub token: Option<&'a Token>,
    /// Bounds.
    pub limits: &'a Limits,
}

/// A connection that is ready for calls. What the service sent beyond its welcome waits in the reader.
#[derive(Debug)]
pub struct Dialled<B> {
    /// The connection; its descriptor does not block.
    pub stream: Stream,
    /// Its reader.
    pub reader: Reader<B>,
    /// What the service said of itself.
    pub welcome: Welcome,
}

/// Connects to a daemon's socket on this machine.
///
/// # Errors
/// `ServiceUnavailable` when nobody listens there, `DeadlineExceeded`, `Cancelled`.
pub fn unix(path: &Path, deadline: Deadline, interrupt: Interrupt<'_>) -> Result<Stream> {
    let doing = format!("connecting to {}", path.display());
    let address = SocketAddrUnix::new(path).map_err(|e| unavailable(&doing, &e.into()))?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    loop {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|e| unavailable(&doing, &e.into()))?;
        match connect(&socket, &address) {
            Ok(()) => return Ok(Stream::unix(UnixStream::from(socket))),
            // Too many others are knocking: the system tells no event for that, so look again shortly.
            Err(rustix::io::Errno::AGAIN) => {
                pause(deadline, Duration::from_millis(1), interrupt, &doing)?;
            }
            Err(rustix::io::Errno::INTR) if !interrupt() => {}
            Err(rustix::io::Errno::INTR) => return Err(Error::interrupted()),
            Err(error) => return Err(unavailable(&doing, &error.into())),
        }
    }
}

/// Connects to a host and port, trying each of its addresses; with TLS when a configuration is given.
///
/// # Errors
/// As [`unix`]; `Configuration` when the name cannot be resolved.
pub fn tcp(
    host: &str,
    port: u16,
    tls: Option<&Arc<ClientConfig>>,
    deadline: Deadline,
    interrupt: Interrupt<'_>,
) -> Result<Stream> {
    let doing = format!("connecting to {host}:{port}");
    let addresses = look_up(host, port, deadline, interrupt)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match tcp_address(&address, deadline, interrupt, &doing)? {
            Ok(socket) => {
                let stream = match tls {
                    Some(tls) => Stream::Tls(Box::new(TlsStream::connect(socket, Arc::clone(tls), host)?)),
                    None => Stream::tcp(socket).map_err(|e| unavailable(&doing, &e))?,
                };
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(unavailable(&doing, &last))
}

/// A host's addresses. The system's look-up can take long and hears no signal, so a thread of its own waits for it.
fn look_up(host: &str, port: u16, deadline: Deadline, interrupt: Interrupt<'_>) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let doing = format!("looking up {host:?}");
    let (sender, found) = sync_channel(1);
    let asked = host.to_owned();
    std::thread::Builder::new()
        .name("ironbridge-lookup".into())
        .spawn(move || {
            let addresses = (asked.as_str(), port).to_socket_addrs().map(Vec::from_iter);
            // Whoever asked may have given up.
            let _ = sender.send(addresses);
        })
        .map_err(|error| unavailable(&doing, &error))?;
    loop {
        match found.recv_timeout(deadline.remaining().min(LOOK)) {
            Ok(addresses) => return addresses.map_err(|error| unavailable(&doing, &error)),
            Err(_) if interrupt() => return Err(Error::interrupted()),
            Err(_) if deadline.passed() => return Err(too_late(&doing)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(Code::ServiceUnavailable, format!("{doing}: no answer")));
            }
        }
    }
}

fn tcp_address(
    address: &SocketAddr,
    deadline: Deadline,
    interrupt: Interrupt<'_>,
    doing: &str,
) -> Result<io::Result<TcpStream>> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = match socket_with(family, SocketType::STREAM, flags, None) {
        Ok(socket) => socket,
        Err(error) => return Ok(Err(error.into())),
    };
    match connect(&socket, address) {
        Ok(()) => return Ok(Ok(socket.into())),
        Err(rustix::io::Errno::INPROGRESS | rustix::io::Errno::INTR) => {}
        Err(error) => return Ok(Err(error.into())),
    }
    wait_for(&socket, Interest::Writable, deadline, interrupt, doing)?;
    match sockopt::socket_error(&socket) {
        Ok(Ok(())) => Ok(Ok(socket.into())),
        Ok(Err(error)) | Err(error) => Ok(Err(error.into())),
    }
}

/// Says hello over a new connection and waits for the welcome.
///
/// # Errors
/// What the service refuses with, `AuthenticationError` for a token that is wrong, missing, or not the
/// service's own; `Protocol`, `ConnectionLost`, `DeadlineExceeded`, `Cancelled`. All *not sent*.
pub fn introduce<B: AsMut<[u8]>>(
    mut stream: Stream,
    introduction: Introduction<'_>,
    chunk: usize,
    deadline: Deadline,
    interrupt: Interrupt<'_>,
) -> Result<Dialled<B>> {
    let client_nonce = match introduction.token {
        Some(_) => auth::nonce()?,
        None => auth::Nonce::default(),
    };
    let hello = Hello {
        versions: (VERSION, VERSION),
        capabilities: 0,
        service: introduction.service.to_owned(),
        nonce: introduction.nonce.map(ByteBuf::from),
        worker: introduction.worker,
        mode: introduction.mode,
        lane: introduction.lane,
        max_frame: introduction.limits.max_frame as u64,
        client_nonce: ByteBuf::from(client_nonce),
        since: introduction.since.map(|(nonce, moment)| (ByteBuf::from(nonce), moment)),
    };
    let mut out = Outgoing::<Vec<u8>> { head: MAGIC.to_vec(), buffers: Vec::new() };
    hello::write(&mut out.head, Kind::Hello, &hello)?;
    let mut talk = Talk { stream: &mut stream, deadline, interrupt, service: introduction.service };
    talk.send(&out.head)?;

    // Nothing but the handshake comes before our first request, so a reader of its own loses no bytes.
    let mut reader = Reader::<Vec<u8>>::new(hello::MAX_FRAME, 2048);
    let mut frame = talk.receive(&mut reader)?;
    let mut expected = None;
    if frame.kind == Kind::Challenge {
        let challenge: Challenge = hello::read(&frame, Kind::Challenge)?;
        let Some(token) = introduction.token else {
            return Err(Error::new(
                Code::Authentication,
                format!(
                    "service {:?} asks for a token: pass token=…, or set IRONBRIDGE_TOKEN",
                    introduction.service
                ),
            ));
        };
        let server_nonce = auth::nonce_from(&challenge.server_nonce)?;
        expected = Some(auth::server_proof(token, &client_nonce, &server_nonce));
        let proof = auth::client_proof(token, &client_nonce, &server_nonce);
        out.head.clear();
        hello::write(&mut out.head, Kind::Proof, &Proof { proof: ByteBuf::from(proof) })?;
        talk.send(&out.head)?;
        frame = talk.receive(&mut reader)?;
    }
    let welcome: Welcome = hello::read(&frame, Kind::Welcome)?;
    if let Some(expected) = expected
        && !welcome.proof.as_ref().is_some_and(|proof| auth::verify(&expected, proof))
    {
        return Err(Error::new(
            Code::Authentication,
            format!("what answers for service {:?} does not know its token", introduction.service),
        ));
    }
    let reader = Reader::new(introduction.limits.max_frame, chunk);
    Ok(Dialled { stream, reader, welcome })
}

/// The handshake's own reads and writes.
struct Talk<'a> {
    stream: &'a mut Stream,
    deadline: Deadline,
    interrupt: Interrupt<'a>,
    service: &'a str,
}

impl Talk<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let mut sent = 0;
        while sent < bytes.len() || self.stream.wants_write() {
            let step = match sent == bytes.len() {
                true => self.stream.flush().map(|()| 0),
                false => self.stream.write(&bytes[sent..]),
            };
            match step {
                Ok(count) => sent += count,
                Err(error) => self.wait(&error, Interest::Writable)?,
            }
        }
        Ok(())
    }

    fn receive(&mut self, reader: &mut Reader<Vec<u8>>) -> Result<Frame<Vec<u8>>> {
        loop {
            if let Some(frame) = reader.next_frame(&Vectors)? {
                return Ok(frame);
            }
            match self.stream.read(reader.space()) {
                Ok(0) => {
                    let hint = match self.stream {
                        Stream::Tcp(_) => "; one that has a certificate is reached over TLS, by tls://…",
                        _ => "",
                    };
                    let text = format!(
                        "service {:?} closed the connection during the handshake{hint}",
                        self.service
                    );
                    return Err(Error::new(Code::ServiceUnavailable, text));
                }
                Ok(count) => reader.filled(count),
                Err(error) => self.wait(&error, Interest::Readable)?,
            }
        }
    }

    fn wait(&self, error: &io::Error, interest: Interest) -> Result<()> {
        let doing = format!("saying hello to service {:?}", self.service);
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {
                let interest = if self.stream.wants_write() { Interest::Writable } else { interest };
                wait_for(self.stream.fd(), interest, self.deadline, self.interrupt, &doing)
            }
            _ => Err(tls::explain(error).unwrap_or_else(|| unavailable(&doing, error))),
        }
    }
}

/// Waits for a descriptor, looking for signals now and then.
fn wait_for(
    fd: impl std::os::fd::AsFd,
    interest: Interest,
    deadline: Deadline,
    interrupt: Interrupt<'_>,
    doing: &str,
) -> Result<()> {
    loop {
        let remaining = deadline.remaining();
        if remaining.is_zero() {
            return Err(too_late(doing));
        }
        match wait(fd.as_fd(), interest, remaining.min(LOOK)) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unavailable(doing, &error)),
        }
        if interrupt() {
            return Err(Error::interrupted());
        }
    }
}

/// Lets a moment pass where the system offers no event to wait for.
pub(super) fn pause(
    deadline: Deadline,
    moment: Duration,
    interrupt: Interrupt<'_>,
    doing: &str,
) -> Result<()> {
    let remaining = deadline.remaining();
    if remaining.is_zero() {
        return Err(Error::new(
            Code::ServiceUnavailable,
            format!("{doing}: not possible in the time allowed"),
        ));
    }
    // The standard library's sleep goes on after a signal.
    let _ = nanosleep(&timespec(moment.min(remaining).min(LOOK)));
    if interrupt() { Err(Error::interrupted()) } else { Ok(()) }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

fn too_late(doing: &str) -> Error {
    let text = format!("{doing}: no answer within the time allowed; it may be stopped or overloaded");
    Error::new(Code::ServiceUnavailable, text)
}

fn unavailable(doing: &str, error: &io::Error) -> Error {
    Error::io(Code::ServiceUnavailable, doing, error).with_fate(Fate::NotSent)
}
