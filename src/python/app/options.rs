//! How a relay between instances is set up, from Python.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;

use crate::app::relay::Config;
use crate::core::deadline::Deadline;
use crate::core::error::Result;
use crate::core::limits::Limits;
use crate::core::net::TlsFiles;
use crate::core::redis::Redis;

/// What may wait for Redis's answers, in bytes.
const MOST_WAITING: usize = 16 << 20;

/// What Python gives of a relay's set-up. Times are in seconds.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct Given {
    host: String,
    port: u16,
    database: u32,
    user: Option<String>,
    password: Option<String>,
    tls: bool,
    tls_ca: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    broadcasts: String,
    sends: String,
    connect_timeout: f64,
    timeout: f64,
    ping_interval: f64,
}

impl Given {
    /// When connecting must have ended.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(seconds(self.connect_timeout))
    }

    pub(super) fn config(self) -> Result<Config> {
        let redis = Redis::new(&self.host, self.port, self.tls, self.database);
        Ok(Config {
            redis: redis.with_login(self.user, self.password),
            tls: TlsFiles { trusted: self.tls_ca, identity: self.tls_cert.zip(self.tls_key) },
            broadcasts: self.broadcasts,
            sends: self.sends,
            max_message: Limits::from_env()?.max_frame,
            max_waiting: MOST_WAITING,
            timeout: seconds(self.timeout),
            ping_interval: seconds(self.ping_interval),
        })
    }
}

fn seconds(time: f64) -> Duration {
    Duration::from_secs_f64(time.clamp(0.0, 1e6))
}
