//! Who is trusted, and as whom one shows up: TLS for either side, from PEM files.

mod files;
mod trusted;

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};

use self::files::{certificates, private_key, problem, unusable};
use self::trusted::Trusted;
use super::error::{Code, Error, Result};

/// What a service needs: its certificate (and the chain above it, in the same file) and its private key.
///
/// # Errors
/// `Configuration`, naming the file and the problem.
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| problem(certificate, &error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates(certificate)?, private_key(key)?)
        .map_err(|error| unusable(certificate, key, error))?;
    // A ticket would make an idle connection readable, which is how a pool tells one that has ended.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// What a client needs: the certificates it trusts, and its own certificate and key where the peer asks for them.
/// A peer is trusted whose certificate is one of those, whatever its name, or was issued by one of them for the
/// name that is connected to. With none, the authorities of this system are trusted.
///
/// # Errors
/// `Configuration`, naming the file and the problem.
pub fn client_config(trusted: Option<&Path>, identity: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Code::Configuration, format!("TLS: {error}")))?;
    let builder = match trusted {
        Some(path) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Trusted::read(path)?)),
        None => builder.with_root_certificates(system_roots()?),
    };
    let config = match identity {
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| unusable(certificate, key, error))?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The authorities that this system trusts.
fn system_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(found.certs).0 == 0 {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let text =
            format!("this system names no authorities to trust{why}: name the certificate with tls_ca=…");
        return Err(Error::new(Code::Configuration, text));
    }
    Ok(roots)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What a failed TLS connection to (or from) `whom`, such as "service", means to the user.
#[must_use]
pub fn explain(error: &rustls::Error, whom: &str) -> Error {
    use rustls::Error as Tls;
    let (code, text) = match error {
        // A bad signature: an authority of the same name with another key, such as one made again.
        Tls::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => (
            Code::Authentication,
            format!(
                "the {whom}'s certificate is not trusted: it is neither in tls_ca nor issued by one that is (without \
                 tls_ca, by none of this system's authorities); name it with tls_ca=…"
            ),
        ),
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (
            Code::Authentication,
            format!("the {whom}'s certificate is for another host name; connect to a name that it holds"),
        ),
        Tls::InvalidCertificate(error) => {
            (Code::Authentication, format!("the {whom}'s certificate is refused: {error}"))
        }
        Tls::AlertReceived(alert) => {
            (Code::Authentication, format!("the other side ended the TLS handshake: {alert:?}"))
        }
        Tls::InvalidMessage(_) => (Code::Protocol, "the other side does not speak TLS".to_owned()),
        error => (Code::Protocol, format!("TLS: {error}")),
    };
    Error::new(code, text)
}
