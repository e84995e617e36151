//! What a client is told to connect to: a service's name, `tcp://host:port/name`, or the same with `tls://`.

use crate::core::error::{Code, Error, Result};

/// Where a service is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By name among this user's leases on this machine.
    Local {
        /// The service's name.
        service: String,
    },
    /// On another machine.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// Only over TLS.
        tls: bool,
        /// The service's name.
        service: String,
    },
}

impl Target {
    /// Reads a target.
    ///
    /// # Errors
    /// `Configuration` when it is neither a name nor a whole `tcp://` or `tls://` address.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(
                Code::Configuration,
                format!(
                    "{text:?} is not a service: {why}; give a name, tcp://host:port/name or tls://host:port/name"
                ),
            )
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            if text.is_empty() {
                return Err(bad("it is empty"));
            }
            return Ok(Self::Local { service: text.to_owned() });
        };
        let tls = match scheme {
            "tcp" => false,
            "tls" => true,
            _ => return Err(bad(&format!("{scheme:?} is no known way to it"))),
        };
        let (address, service) = rest.split_once('/').ok_or_else(|| bad("the service's name is missing"))?;
        let (host, port) = address.rsplit_once(':').ok_or_else(|| bad("the port is missing"))?;
        let port = port.parse().map_err(|_| bad("the port is no number from 1 to 65535"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || service.is_empty() {
            return Err(bad("host and service must not be empty"));
        }
        Ok(Self::Tcp { host: host.to_owned(), port, tls, service: service.to_owned() })
    }

    /// The service's name.
    #[must_use]
    pub fn service(&self) -> &str {
        match self {
            Self::Local { service } | Self::Tcp { service, .. } => service,
        }
    }
}
