//! Where the broker is, and as whom to come to it: an AMQP URI as users write it.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::core::error::{Code, Error, Result};

/// What RabbitMQ lets in where a URI names nobody.
const GUEST: &str = "guest";
/// The longest name of a virtual host on the wire.
const LONGEST_VHOST: usize = 255;
const KEYS: &str = "cafile, certfile, heartbeat, keyfile, name and timeout";
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One broker. Neither `Display` nor `Debug` shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    tls: bool,
    user: String,
    password: String,
    host: String,
    port: u16,
    vhost: String,
    heartbeat: Option<u16>,
    timeout: Option<Duration>,
    name: Option<String>,
    files: TlsFiles,
}

/// PEM files for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates to trust; none: this system's authorities.
    pub trusted: Option<PathBuf>,
    /// This client's certificate, where the broker asks for one.
    pub certificate: Option<PathBuf>,
    /// Its key; none: it is in the certificate's file.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// The certificate and key to show.
    #[must_use]
    pub fn identity(&self) -> Option<(&Path, &Path)> {
        let certificate = self.certificate.as_deref()?;
        Some((certificate, self.key.as_deref().unwrap_or(certificate)))
    }

    /// These, and the others' where these name none.
    fn or(self, others: Self) -> Self {
        Self {
            trusted: self.trusted.or(others.trusted),
            certificate: self.certificate.or(others.certificate),
            key: self.key.or(others.key),
        }
    }
}

impl Address {
    /// Reads a URI: `amqp://user:password@host:port/vhost?heartbeat=10`, or `amqps://` for TLS. What it leaves out is
    /// `guest`, `guest`, the protocol's port and the vhost `/`.
    ///
    /// # Errors
    /// `Configuration`, saying what is wrong with it, without showing it: it may hold a password.
    pub fn parse(text: &str) -> Result<Self> {
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        let tls = match url.scheme() {
            _ if url.cannot_be_a_base() || !url.has_authority() => return Err(bad("it names no protocol")),
            "amqp" => false,
            "amqps" => true,
            other => return Err(bad(&format!("{other}:// is no protocol of a broker"))),
        };
        let path = raw_path(text);
        if url.fragment().is_some() || path.contains('@') {
            return Err(bad("a sign in it ends a part too early"));
        }
        let host = decoded("host", url.host_str().unwrap_or_default())?;
        if host.is_empty() {
            return Err(bad("the host is missing"));
        }
        let address = Self {
            tls,
            user: or_guest(decoded("user", url.username())?),
            password: or_guest(decoded("password", url.password().unwrap_or_default())?),
            host: host.trim_matches(['[', ']']).to_owned(),
            port: match url.port() {
                Some(0) => return Err(bad("nobody listens at port 0")),
                Some(port) => port,
                None if tls => 5671,
                None => 5672,
            },
            vhost: vhost(path)?,
            heartbeat: None,
            timeout: None,
            name: None,
            files: TlsFiles::default(),
        };
        address.with_query(&url)?.checked()
    }

    /// The same with these files, where the URI names none.
    ///
    /// # Errors
    /// `Configuration` when this is no `amqps://`, or a key has no certificate.
    pub fn with_files(mut self, files: TlsFiles) -> Result<Self> {
        self.files = self.files.or(files);
        self.checked()
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Who comes.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// A name or an address; one of IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The broker's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The virtual host.
    #[must_use]
    pub fn vhost(&self) -> &str {
        &self.vhost
    }

    /// The heartbeat's seconds, if the URI names them; 0 leaves them to the broker.
    #[must_use]
    pub fn heartbeat(&self) -> Option<u16> {
        self.heartbeat
    }

    /// The time for one attempt to connect, if the URI names it.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// What the connection is called at the broker, if the URI names it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The PEM files for TLS.
    #[must_use]
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// The same for the AMQP client, which wants this heartbeat if the URI names none.
    #[must_use]
    pub fn to_uri(&self, heartbeat: Duration) -> AMQPUri {
        let seconds = u16::try_from(heartbeat.as_millis().div_ceil(1_000)).unwrap_or(u16::MAX);
        AMQPUri {
            scheme: if self.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo { username: self.user.clone(), password: self.password.clone() },
                host: self.host.clone(),
                port: self.port,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                heartbeat: Some(self.heartbeat.unwrap_or(seconds)),
                ..AMQPQueryString::default()
            },
        }
    }

    fn with_query(mut self, url: &Url) -> Result<Self> {
        let mut seen: Vec<Cow<'_, str>> = Vec::new();
        for (key, value) in url.query_pairs() {
            if seen.contains(&key) {
                return Err(bad(&format!("{key} stands in it twice")));
            }
            match &*key {
                "heartbeat" => self.heartbeat = Some(number(&key, &value)?),
                "timeout" => {
                    self.timeout = Some(Duration::from_secs(number::<u32>(&key, &value)?.max(1).into()));
                }
                "name" => self.name = Some(value.into_owned()),
                "cafile" => self.files.trusted = Some(path(&key, &value)?),
                "certfile" => self.files.certificate = Some(path(&key, &value)?),
                "keyfile" => self.files.key = Some(path(&key, &value)?),
                // What it asks for then is what happens.
                "no_verify_ssl" if value == "0" => {}
                "no_verify_ssl" => {
                    return Err(bad(
                        "no_verify_ssl would trust anybody, with your password: name the broker's \
                                    certificate instead, with cafile=…",
                    ));
                }
                other => return Err(bad(&format!("{other} is nothing that it can set; it has {KEYS}"))),
            }
            seen.push(key);
        }
        Ok(self)
    }

    fn checked(self) -> Result<Self> {
        let TlsFiles { trusted, certificate, key } = &self.files;
        let wrong = if !self.tls && (trusted.is_some() || certificate.is_some() || key.is_some()) {
            "amqp:// is not encrypted, and uses no certificate: write amqps://, or leave the TLS files out"
        } else if key.is_some() && certificate.is_none() {
            "a key needs its certificate: tls_cert=… (certfile=… in the URI)"
        } else {
            return Ok(self);
        };
        Err(Error::new(Code::Configuration, format!("the broker at {self}: {wrong}")))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "amqps" } else { "amqp" };
        write!(f, "{scheme}://{}@", escaped(&self.user))?;
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        write!(f, ":{}/", self.port)?;
        match self.vhost.as_str() {
            "/" => Ok(()),
            vhost => write!(f, "{}", escaped(vhost)),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn bad(why: &str) -> Error {
    let how = "give amqp://user:password@host/vhost, with / : @ ? # in a user's name or password as %2F %3A %40 %3F %23";
    Error::new(Code::Configuration, format!("the broker's URI cannot be used: {why}; {how}"))
}

fn escaped(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, &ESCAPED)
}

fn decoded(part: &str, text: &str) -> Result<String> {
    let plain =
        percent_decode_str(text).decode_utf8().map_err(|_| bad(&format!("its {part} is not UTF-8")))?;
    // It separates the two on the wire.
    if plain.contains('\0') {
        return Err(bad(&format!("its {part} holds a zero byte")));
    }
    Ok(plain.into_owned())
}

fn or_guest(text: String) -> String {
    if text.is_empty() { GUEST.to_owned() } else { text }
}

/// The path as it is written: one that was read is also cleaned, of `.` and `..`, which vhosts may be called.
fn raw_path(text: &str) -> &str {
    let behind = text.split_once("://").map_or("", |(_, behind)| behind.trim_end());
    let before_query = behind.split(['?', '#']).next().unwrap_or_default();
    before_query.split_once('/').map_or("", |(_, path)| path)
}

/// No path and `/` are the vhost `/`, as in every client that users come from, although the specification of the URI
/// reads the second as a vhost without a name.
fn vhost(path: &str) -> Result<String> {
    let vhost = decoded("vhost", path)?;
    if vhost.len() > LONGEST_VHOST {
        return Err(bad(&format!("its vhost has {} bytes, of {LONGEST_VHOST} at most", vhost.len())));
    }
    Ok(if vhost.is_empty() { "/".to_owned() } else { vhost })
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| bad(&format!("{key}={value:?} is no number of seconds in range")))
}

fn path(key: &str, value: &str) -> Result<PathBuf> {
    if value.is_empty() {
        return Err(bad(&format!("{key} names no file")));
    }
    Ok(PathBuf::from(value))
}
