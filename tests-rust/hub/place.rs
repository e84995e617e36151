//! A hub of a test's own, and clients of it.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ironbridge::core::error::Result;
use ironbridge::core::secret::Secret;
use ironbridge::hub::endpoint::Endpoint;
use ironbridge::hub::limits::HubLimits;
use ironbridge::hub::server::{Server, ServerOptions, ServerStats};
use ironbridge::hub::zmtp::Role;

use crate::wire::{LONG, Stream, Wire};

pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) server: Server,
    pub(crate) secret: Option<Secret>,
}

/// Endpoints in a directory.
pub(crate) fn endpoints(directory: &std::path::Path) -> [Endpoint; 2] {
    ["sender", "receiver"].map(|name| Endpoint::Ipc(directory.join(name)))
}

pub(crate) fn options(sender: &Endpoint, receiver: &Endpoint) -> ServerOptions {
    let (sender, receiver) = (sender.clone(), receiver.clone());
    ServerOptions { sender, receiver, limits: HubLimits::default(), secret: None }
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::from_text("secret", text).unwrap()
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with(HubLimits::default(), None)
    }

    pub(crate) fn with(limits: HubLimits, secret: Option<Secret>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [sender, receiver] = endpoints(directory.path());
        Self::at(directory, sender, receiver, limits, secret)
    }

    pub(crate) fn tcp() -> Self {
        let endpoint = Endpoint::parse("tcp://127.0.0.1:0").unwrap();
        Self::at(tempfile::tempdir().unwrap(), endpoint.clone(), endpoint, HubLimits::default(), None)
    }

    fn at(
        directory: tempfile::TempDir,
        sender: Endpoint,
        receiver: Endpoint,
        limits: HubLimits,
        secret: Option<Secret>,
    ) -> Self {
        let server =
            Server::start(ServerOptions { sender, receiver, limits, secret: secret.clone() }).unwrap();
        Self { directory, server, secret }
    }

    /// A bare connection to the door for this kind of socket.
    pub(crate) fn knock(&self, role: Role) -> Box<dyn Stream> {
        let endpoint = if role == Role::Sub { self.server.sender() } else { self.server.receiver() };
        match endpoint {
            Endpoint::Ipc(path) => Box::new(UnixStream::connect(path).unwrap()),
            Endpoint::Tcp { port, .. } => Box::new(TcpStream::connect(("127.0.0.1", *port)).unwrap()),
            Endpoint::Abstract(_) => panic!("not used here"),
        }
    }

    pub(crate) fn try_meet(&self, role: Role, secret: Option<&Secret>) -> Result<Wire> {
        Wire::meet(self.knock(role), role, secret, false)
    }

    pub(crate) fn push(&self) -> Wire {
        self.try_meet(Role::Push, self.secret.as_ref()).unwrap()
    }

    /// A subscriber whose subscriptions hold when this returns: each socket's bytes are taken in order, and it was
    /// answered after them.
    pub(crate) fn sub(&self, prefixes: &[&str]) -> Wire {
        let mut wire = self.try_meet(Role::Sub, self.secret.as_ref()).unwrap();
        for prefix in prefixes {
            wire.subscribe(prefix.as_bytes());
        }
        wire.ping();
        wire
    }

    /// Waits until the statistics are so.
    pub(crate) fn until(&self, holds: impl Fn(&ServerStats) -> bool) -> ServerStats {
        let end = Instant::now() + LONG;
        loop {
            let stats = self.server.stats();
            if holds(&stats) {
                return stats;
            }
            assert!(Instant::now() < end, "still {stats:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
