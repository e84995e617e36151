//! Where a server is, and as whom to come to it: URLs as users write them.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::core::error::{Code, Error, Result};

/// One server. Neither `Display` nor `Debug` shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// `redis` or `nats`.
    pub(crate) scheme: &'static str,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// A name or an address; one of IPv6 without brackets. One that begins with `/` is the path of a Unix socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who comes.
    pub user: Option<String>,
    /// Who comes, proven. At NATS, a user without a password is a token.
    pub password: Option<String>,
}

/// What one URL says.
pub(crate) struct Parsed {
    pub(crate) address: Address,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
}

/// How URLs of a protocol look.
pub(crate) struct Scheme {
    pub(crate) name: &'static str,
    pub(crate) plain: &'static [&'static str],
    pub(crate) encrypted: &'static [&'static str],
    pub(crate) port: u16,
    pub(crate) example: &'static str,
}

impl Address {
    /// Whether it is a Unix socket's path.
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.host.starts_with('/')
    }
}

impl Scheme {
    /// Reads a URL.
    ///
    /// # Errors
    /// `Configuration`, saying what is wrong with it, without showing it: it may hold a password.
    pub(crate) fn parse(&self, text: &str) -> Result<Parsed> {
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

    /// An error of a URL.
    pub(crate) fn bad(&self, why: &str) -> Error {
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
        match self.host.as_str() {
            path if self.is_path() => write!(f, "{scheme}://{path}"),
            host if host.contains(':') => write!(f, "{scheme}://[{host}]:{}", self.port),
            host => write!(f, "{scheme}://{host}:{}", self.port),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}
