//! Who runs the hub, when nobody was asked to: whoever first finds that no one does.
//!
//! A service that cannot join its hub *stands*: it tries to listen at both endpoints. The system lets one process
//! listen, and what a killed one has left is taken over under a lock (see `server::door`), so of many that stand at once
//! one becomes the host, and the others find it when they try to join again. There is no vote, no timer and no thread;
//! a hub that somebody else runs is in the way of everyone who stands, and so it is used.

use std::time::Duration;

use super::server::{Server, ServerOptions, ServerStats};
use crate::core::error::{Code, Result};

/// One service's readiness to run the hub. Dropping it stops the hub that it runs.
#[derive(Debug)]
pub struct Election {
    options: ServerOptions,
    server: Option<Server>,
}

impl Election {
    /// Ready to run a hub with these options; nothing happens before [`Election::stand`]. `None` where an endpoint is
    /// another machine's.
    #[must_use]
    pub fn new(options: ServerOptions) -> Option<Self> {
        let local = options.sender.is_local() && options.receiver.is_local();
        local.then_some(Self { options, server: None })
    }

    /// To be called when nobody answers at the endpoints: `true` when this service runs the hub now. When another one
    /// was faster, it is `false`: try to join again.
    ///
    /// # Errors
    /// `Configuration` when nobody can listen there, or another user's file is in the way.
    pub fn stand(&mut self) -> Result<bool> {
        if self.hosts() {
            return Ok(true);
        }
        self.server = None;
        match Server::start(self.options.clone()) {
            Ok(server) => {
                self.server = Some(server);
                Ok(true)
            }
            // The second: others are taking the place, longer than they should.
            Err(error) if matches!(error.code, Code::ServiceAlreadyExists | Code::ServiceUnavailable) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether this service runs the hub.
    #[must_use]
    pub fn hosts(&self) -> bool {
        self.server.as_ref().is_some_and(Server::is_running)
    }

    /// What the hub has counted, when it is this service's.
    #[must_use]
    pub fn stats(&self) -> Option<ServerStats> {
        self.server.as_ref().filter(|server| server.is_running()).map(Server::stats)
    }

    /// What the user should be told about how the hub listens, when it is this service's.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        self.server.as_ref().map_or(&[], Server::warnings)
    }

    /// Lets the hub go, if it is this service's: what waits is sent within the grace period, and another service takes
    /// over.
    pub fn stop(&mut self, grace: Duration) {
        if let Some(mut server) = self.server.take() {
            server.stop(grace);
        }
    }
}
