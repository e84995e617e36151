//! What all parts of a connector share.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::config::Config;
use super::link::Observer;
use crate::core::error::Error;

/// How a connector was set up, whom it tells, and what it knows of the broker.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) observer: Arc<dyn Observer>,
    /// Why the broker is away.
    away: Mutex<Option<Error>>,
}

/// Before a channel that failed is opened again.
const PAUSE: Duration = Duration::from_millis(50);

impl Context {
    pub(crate) fn new(config: Config, observer: Arc<dyn Observer>) -> Arc<Self> {
        Arc::new(Self { config, observer, away: Mutex::new(None) })
    }

    /// The broker is away for this reason; or it is there.
    pub(crate) fn set_away(&self, why: Option<Error>) {
        *self.away.lock() = why;
    }

    /// Why the broker is away, for messages; empty when it is there.
    pub(crate) fn why_away(&self) -> String {
        let away = self.away.lock();
        away.as_ref().map(|error| format!("; the broker is away: {}", error.message)).unwrap_or_default()
    }

    /// A channel that fails at once, again and again, takes no processor.
    pub(crate) async fn pause(&self) {
        tokio::time::sleep(PAUSE).await;
    }
}
