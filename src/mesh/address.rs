//! Where the transporter is, and as whom to come to it: URLs as users write them.

use crate::core::error::Result;
pub use crate::core::net::address::Address;
use crate::core::net::address::{Parsed, Scheme};
pub use crate::core::redis::Redis;

/// Servers of one NATS cluster, in the order in which to try them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nats {
    /// One at least.
    pub servers: Vec<Address>,
}

const NATS: Scheme = Scheme {
    name: "nats",
    plain: &["nats"],
    encrypted: &["tls", "natss"],
    port: 4222,
    example: "nats://user:password@host:4222 (tls:// is encrypted), several with commas between",
};

impl Nats {
    /// Reads `nats://[user:password@|token@]host[:port]`, or `tls://`; several by commas. Those that name nobody are
    /// come to as the first that does.
    ///
    /// # Errors
    /// As [`Redis::parse`].
    pub fn parse(text: &str) -> Result<Self> {
        let mut servers = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let whole = if part.contains("://") { part.to_owned() } else { format!("nats://{part}") };
            let Parsed { address, path, query } = NATS.parse(&whole)?;
            if !matches!(path.as_str(), "" | "/") || !query.is_empty() {
                return Err(NATS.bad("it goes on behind the port"));
            }
            servers.push(address);
        }
        let Some(first) = servers.first() else { return Err(NATS.bad("it is empty")) };
        let named = servers.iter().find(|server| server.user.is_some() || server.password.is_some());
        let Address { user, password, .. } = named.unwrap_or(first).clone();
        for server in &mut servers {
            if server.user.is_none() && server.password.is_none() {
                (server.user, server.password) = (user.clone(), password.clone());
            }
        }
        Ok(Self { servers })
    }
}
