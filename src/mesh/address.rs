//! Where the transporter is, and as whom to come to it: URLs as users write them.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::core::error::{Code, Error, Result};

/// One server. Neither `Display` nor `Debug` shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// `redis` or `nats`.
    scheme: &'static str,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// A name or an address; one of IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who comes.
    pub user: Option<String>,
    /// Who comes, proven. At NATS, a user without a password is a token.
    pub password: Option<String>,
}

/// A Redis, and one of its databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// The server.
    pub server: Address,
    /// The database. Messages are the same in all of them.
    pub database: u32,
}

/// Servers of one NATS cluster, in the order in which to try them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nats {
    /// One at least.
    pub servers: Vec<Address>,
}

/// What one URL says.
struct Parsed {
    address: Address,
    path: String,
    query: Vec<(String, String)>,
}

struct Scheme {
    name: &'static str,
    plain: &'static [&'static str],
    encrypted: &'static [&'static str],
    port: u16,
    example: &'static str,
}

const REDIS: Scheme = Scheme {
    name: "redis",
    plain: &["redis"],
    encrypted: &["rediss"],
    port: 6379,
    example: "redis://user:password@host:6379/0 (rediss:// is encrypted)",
};

const NATS: Scheme = Scheme {
    name: "nats",
    plain: &["nats"],
    encrypted: &["tls", "natss"],
    port: 4222,
    example: "nats://user:password@host:4222 (tls:// is encrypted), several with commas between",
};

impl Redis {
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

impl Scheme {
    fn parse(&self, text: &str) -> Result<Parsed> {
        let url = Url::parse(text).map_err(|error| self.bad(&error.to_string()))?;
        let tls = match url.scheme() {
            name if self.plain.contains(&name) => false,
            name if self.encrypted.contains(&name) => true,
            name => return Err(self.bad(&format!("{name}:// is another protocol"))),
        };
        if url.fragment().is_some() || url.path().contains('@') {
            return Err(self.bad("a sign in it ends a part too early"));
        }
        let host = self.decoded(url.host_str().unwrap_or_default())?;
        if host.is_empty() || url.port() == Some(0) {
            return Err(self.bad("it names no host, or port 0"));
        }
        let given = |text: String| (!text.is_empty()).then_some(text);
        let address = Address {
            scheme: self.name,
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(self.port),
            user: given(self.decoded(url.username())?),
            password: given(self.decoded(url.password().unwrap_or_default())?),
        };
        let query = url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
        Ok(Parsed { address, path: url.path().to_owned(), query })
    }

    fn decoded(&self, text: &str) -> Result<String> {
        let plain = percent_decode_str(text).decode_utf8().map_err(|_| self.bad("it is not UTF-8"))?;
        Ok(plain.into_owned())
    }

    fn bad(&self, why: &str) -> Error {
        let how = format!(
            "give {}, with / : @ ? # , in a name or password as %2F %3A %40 %3F %23 %2C",
            self.example
        );
        Error::new(Code::Configuration, format!("the transporter's URL cannot be used: {why}; {how}"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.scheme, self.tls) {
            ("redis", true) => "rediss",
            (_, true) => "tls",
            (plain, false) => plain,
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}
