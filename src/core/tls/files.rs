//! Certificates and keys from PEM files, with errors that name the file and what is wrong with it.

use std::path::Path;

use rustls::InconsistentKeys;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::core::error::{Code, Error, Result};

/// The certificates of a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| problem(path, &format!("is not valid PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(problem(path, "holds no certificate in PEM"));
    }
    Ok(certificates)
}

/// The private key of a file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            problem(path, "holds no unencrypted private key (PKCS#8, PKCS#1 or SEC1, in PEM)")
        }
        error => problem(path, &format!("is not valid PEM: {error}")),
    })
}

/// What is wrong with a certificate and a key that do not go together.
pub(super) fn unusable(certificate: &Path, key: &Path, error: rustls::Error) -> Error {
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            problem(key, &format!("is not the key of the certificate in {}", certificate.display()))
        }
        rustls::Error::InvalidCertificate(error) => {
            problem(certificate, &format!("holds a certificate that cannot be used: {error:?}"))
        }
        error => problem(key, &format!("holds a key that cannot be used: {error}")),
    }
}

pub(super) fn problem(path: &Path, what: &str) -> Error {
    Error::new(Code::Configuration, format!("TLS file {} {what}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Error::io(Code::Configuration, &format!("TLS file {}", path.display()), &error))
}
