//! Certificates and keys from PEM files, with errors that name the file and what is wrong with it.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::core::error::{Code, Error, Result};

/// What a service needs: its certificate (and the chain above it, in the same file) and its private key.
///
/// # Errors
/// `Configuration`, naming the file and the problem.
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let chain = certificates(certificate)?;
    let private_key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            problem(key, "holds no unencrypted private key (PKCS#8, PKCS#1 or SEC1, in PEM)")
        }
        error => problem(key, &format!("is not valid PEM: {error}")),
    })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| problem(certificate, &error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                problem(key, &format!("is not the key of the certificate in {}", certificate.display()))
            }
            rustls::Error::InvalidCertificate(error) => {
                problem(certificate, &format!("holds a certificate that cannot be used: {error:?}"))
            }
            error => problem(key, &format!("holds a key that cannot be used: {error}")),
        })?;
    // A ticket would make an idle connection readable, which is how a pool tells one that has ended.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// What a client needs: the certificates it trusts. A service is trusted whose certificate is one of them,
/// whatever its name, or was issued by one of them for the name that is connected to.
///
/// # Errors
/// `Configuration`, naming the file and the problem.
pub fn client_config(trusted: &Path) -> Result<Arc<ClientConfig>> {
    let pinned = certificates(trusted)?;
    let mut roots = RootCertStore::empty();
    for certificate in &pinned {
        roots.add(certificate.clone()).map_err(|error| {
            problem(trusted, &format!("holds a certificate that cannot be used: {error}"))
        })?;
    }
    let issued = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| problem(trusted, &error.to_string()))?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| problem(trusted, &error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusted { pinned, issued }))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What a client needs to trust the authorities that this system trusts.
///
/// # Errors
/// `Configuration` when there are none.
pub fn system_config() -> Result<Arc<ClientConfig>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(found.certs).0 == 0 {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let text =
            format!("this system names no authorities to trust{why}: name the certificate with tls_ca=…");
        return Err(Error::new(Code::Configuration, text));
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Code::Configuration, format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| problem(path, &format!("is not valid PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(problem(path, "holds no certificate in PEM"));
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Error::io(Code::Configuration, &format!("TLS file {}", path.display()), &error))
}

fn problem(path: &Path, what: &str) -> Error {
    Error::new(Code::Configuration, format!("TLS file {} {what}", path.display()))
}

/// A self-signed certificate is usually marked as an authority, which the standard verifier refuses in a
/// service's place. Whoever names that very certificate trusts it: compared byte for byte, then its owner
/// proves to have the key as usual.
#[derive(Debug)]
struct Trusted {
    pinned: Vec<CertificateDer<'static>>,
    issued: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pinned.iter().any(|pinned| pinned == certificate) {
            return Ok(ServerCertVerified::assertion());
        }
        self.issued.verify_server_cert(certificate, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.issued.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.issued.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}

/// What a failed TLS connection means to the user.
pub(super) fn explain(error: &rustls::Error) -> Error {
    use rustls::Error as Tls;
    let (code, text) = match error {
        // A bad signature: an authority of the same name with another key, such as one made again.
        Tls::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => (
            Code::Authentication,
            "the service's certificate is not trusted: it is neither in tls_ca nor issued by one that is (without \
             tls_ca, by none of this system's authorities); name it with tls_ca=…"
                .to_owned(),
        ),
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (
            Code::Authentication,
            "the service's certificate is for another host name; connect to a name that it holds".to_owned(),
        ),
        Tls::InvalidCertificate(error) => {
            (Code::Authentication, format!("the service's certificate is refused: {error}"))
        }
        Tls::AlertReceived(alert) => {
            (Code::Authentication, format!("the other side ended the TLS handshake: {alert:?}"))
        }
        Tls::InvalidMessage(_) => (Code::Protocol, "the other side does not speak TLS".to_owned()),
        error => (Code::Protocol, format!("TLS: {error}")),
    };
    Error::new(code, text)
}
