//! A Redis, as users write it.

use crate::core::error::Result;
use crate::core::net::address::{Address, Parsed, Scheme};

/// A Redis, and one of its databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// The server.
    pub server: Address,
    /// The database. Messages are the same in all of them.
    pub database: u32,
}

const REDIS: Scheme = Scheme {
    name: "redis",
    plain: &["redis"],
    encrypted: &["rediss"],
    port: 6379,
    example: "redis://user:password@host:6379/0 (rediss:// is encrypted)",
};

impl Redis {
    /// A database at a place. A `host` that begins with `/` is the path of a Unix socket.
    #[must_use]
    pub fn new(host: &str, port: u16, tls: bool, database: u32) -> Self {
        let (host, scheme) = (host.to_owned(), REDIS.name);
        Self { server: Address { scheme, tls, host, port, user: None, password: None }, database }
    }

    /// The same, come to as somebody.
    #[must_use]
    pub fn with_login(mut self, user: Option<String>, password: Option<String>) -> Self {
        (self.server.user, self.server.password) = (user, password);
        self
    }

    /// Reads `redis://[[user]:password@]host[:port][/database]`, or `rediss://`.
    ///
    /// # Errors
    /// `Configuration`, saying what is wrong with it, without showing it: it may hold a password.
    pub fn parse(text: &str) -> Result<Self> {
        let Parsed { address: server, path, query } = REDIS.parse(text.trim())?;
        let mut database = path.trim_start_matches('/').to_owned();
        for (key, value) in query {
            match key.as_str() {
                "db" if database.is_empty() => database = value,
                _ => return Err(REDIS.bad(&format!("it says {key}=, which means nothing here"))),
            }
        }
        if database.is_empty() {
            database.push('0');
        }
        let database = database.parse().map_err(|_| REDIS.bad("its database is no number"))?;
        Ok(Self { server, database })
    }
}
