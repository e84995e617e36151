//! Who a service is on the fabric.

use super::version::Version;
use crate::core::error::{Code, Error, Result};

const LONGEST: usize = 63;

/// A service's domain, type and id, and its version if it tells one. Services of one domain, type and id are one
/// clique: any of them may take a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The domain, which shares exchanges for data and log records.
    pub domain: String,
    /// The service's type.
    pub kind: String,
    /// Its id within the type.
    pub id: String,
    /// Its version.
    pub version: Option<String>,
}

impl Identity {
    /// Checks each part.
    ///
    /// # Errors
    /// `Configuration` that begins with the name of the wrong part, such as `service_id`.
    pub fn new(domain: &str, kind: &str, id: &str, version: Option<&str>) -> Result<Self> {
        Ok(Self {
            domain: part("service_domain", domain)?,
            kind: part("service_type", kind)?,
            id: part("service_id", id)?,
            version: version.map(checked_version).transpose()?,
        })
    }

    /// The full name: `DOMAIN.TYPE.ID`.
    #[must_use]
    pub fn fqn(&self) -> String {
        format!("{}.{}.{}", self.domain, self.kind, self.id)
    }
}

/// One part of an identity, checked; `name` is what the user calls it.
///
/// # Errors
/// `Configuration` that begins with `name`.
pub fn part(name: &str, text: &str) -> Result<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=LONGEST).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(Error::new(
        Code::Configuration,
        format!("{name} {text:?} is not allowed: use 1 to {LONGEST} of A-Z, a-z, 0-9, - and _"),
    ))
}

fn checked_version(text: &str) -> Result<String> {
    match Version::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Error::new(Code::Configuration, format!("service_version {}", error.message))),
    }
}
