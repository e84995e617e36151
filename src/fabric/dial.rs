//! Connecting to a broker: resolving, TCP, TLS, and the greeting of AMQP, within one deadline.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use async_rs::traits::Reactor;
use async_rs::{Tokio, TokioRuntime};
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::{Connection, ConnectionProperties};
use parking_lot::Mutex;
use tokio::net::lookup_host;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::address::Address;
use super::error::{CONNECTING, Cause, classify};
use super::limits::FabricLimits;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Result};
use crate::core::tls;

/// What a connection speaks over.
pub type Stream = AsyncTcpStream<Socket>;
type Socket = <Tokio as Reactor>::TcpStream;

/// Ends an attempt that nobody waits for any more: the AMQP client's own thread would wait for its peer without end.
#[derive(Debug, Default)]
struct Lifeline(Arc<Mutex<Attempt>>);

#[derive(Debug, Default)]
struct Attempt {
    over: bool,
    socket: Option<TcpStream>,
}

impl Attempt {
    /// The attempt goes over this socket.
    fn goes_over(&mut self, socket: &Socket) -> io::Result<()> {
        if self.over {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.socket = Some(socket.get_ref().as_fd().try_clone_to_owned()?.into());
        Ok(())
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        let mut attempt = self.0.lock();
        attempt.over = true;
        if let Some(socket) = attempt.socket.take() {
            // A failure says that it has ended by itself.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Address {
    /// A connection that the broker has let in. `who` is what it is called there, unless the URI says so. Dropped
    /// before its end, it leaves nothing behind.
    ///
    /// # Errors
    /// What [`classify`] makes of it, and `ServiceUnavailable` when the time for an attempt passes.
    pub async fn connect(&self, who: &str, limits: &FabricLimits) -> Result<Connection, (Error, Cause)> {
        let time = self.timeout().unwrap_or(limits.connect_timeout);
        let deadline = Deadline::after(time);
        let lifeline = Lifeline::default();
        let (address, attempt) = (self.clone(), Arc::clone(&lifeline.0));
        let connecting = Connection::connector(
            self.to_uri(limits.heartbeat),
            TokioRuntime::tokio_current(),
            async move |_, _| {
                let dialled = address.dial_as(deadline, &attempt).await;
                dialled.map_err(|error| io::Error::other(error).into())
            },
            properties(self.name().unwrap_or(who)),
        );
        let connected = timeout(deadline.remaining(), connecting).await;
        match connected {
            Ok(outcome) => {
                lifeline.0.lock().socket = None;
                outcome.map_err(|error| classify(&error, CONNECTING, self))
            }
            Err(_) => {
                let text = format!("connecting (broker {self}): no answer within {} s", time.as_secs_f64());
                Err((Error::new(Code::ServiceUnavailable, text), Cause::Retry))
            }
        }
    }

    /// Bytes to and from the broker: TCP without delay, and TLS where the address says so.
    ///
    /// # Errors
    /// `ServiceUnavailable` when it cannot be reached in time, `Configuration` when TLS fails, saying what to do.
    pub async fn dial(&self, deadline: Deadline) -> Result<Stream> {
        self.dial_as(deadline, &Mutex::default()).await
    }

    async fn dial_as(&self, deadline: Deadline, attempt: &Mutex<Attempt>) -> Result<Stream> {
        let socket = self.reach(deadline).await;
        let socket = socket.and_then(|socket| attempt.lock().goes_over(&socket).map(|()| socket));
        let stream = Stream::Plain(socket.map_err(|error| self.unreached(&error))?);
        if self.tls() { self.encrypt(stream, deadline).await } else { Ok(stream) }
    }

    /// The first of the host's addresses that answers.
    async fn reach(&self, deadline: Deadline) -> io::Result<Socket> {
        let found = timeout(deadline.remaining(), lookup_host((self.host(), self.port())));
        let found: Vec<SocketAddr> = found.await??.collect();
        let runtime = TokioRuntime::tokio_current();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for (tried, address) in found.iter().enumerate() {
            // One that swallows everything leaves the others their share.
            let share = deadline.remaining() / u32::try_from(found.len() - tried).unwrap_or(u32::MAX);
            match timeout(share, runtime.tcp_connect_addr(*address)).await {
                Ok(Ok(socket)) => return Ok(socket),
                Ok(Err(error)) => last = error,
                Err(late) => last = late.into(),
            }
        }
        Err(last)
    }

    async fn encrypt(&self, stream: Stream, deadline: Deadline) -> Result<Stream> {
        let files = self.files().clone();
        // Read each time: certificates are renewed while services run.
        let config = spawn_blocking(move || tls::client_config(files.trusted.as_deref(), files.identity()))
            .await
            .map_err(|error| self.unreached(&io::Error::other(error)))??;
        let connector = RustlsConnector::from(config);
        let shaken = timeout(deadline.remaining(), stream.into_rustls(&connector, self.host())).await;
        shaken.unwrap_or_else(|late| Err(late.into())).map_err(|error| {
            let blamed = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            blamed.map_or_else(|| self.unreached(&error), |blamed| self.mistrusted(blamed))
        })
    }

    fn unreached(&self, error: &io::Error) -> Error {
        Error::io(Code::ServiceUnavailable, &format!("connecting (broker {self})"), error)
    }

    /// What a failure of TLS means to the user.
    pub(super) fn mistrusted(&self, error: &rustls::Error) -> Error {
        let told = tls::explain(error, "broker").message;
        let advice = match error {
            rustls::Error::InvalidMessage(_) => {
                "; give its port for TLS (5671), or amqp:// to go unencrypted"
            }
            rustls::Error::AlertReceived(_) => {
                "; the broker may want a certificate from you (tls_cert=…, tls_key=…), or another one"
            }
            _ => "",
        };
        Error::new(Code::Configuration, format!("connecting (broker {self}): {told}{advice}"))
    }
}

/// What the broker's operators see of this connection.
fn properties(who: &str) -> ConnectionProperties {
    ConnectionProperties::default()
        .with_connection_name(who.into())
        .with_client_property("product".into(), "ironbridge".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
}
