//! A secret that two sides share, and the proof that a peer knows it.
//!
//! The secret itself never travels. Each side sends 32 random bytes and the HMAC-SHA256 of both under the
//! secret, with a label of its own, so that neither can answer with an echo of the other. Who listens in the
//! clear can try guesses against a proof: use a made secret, or encryption beneath.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::error::{Code, Error, Result};

/// Random bytes used once.
pub type Nonce = [u8; 32];
/// What a nonce pair and a secret make.
pub type Proof = [u8; 32];

const LONGEST: usize = 1024;

/// A secret text. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// The secret that a user gave, which messages call `what`; space around it does not count.
    ///
    /// # Errors
    /// `Configuration` when it is empty, longer than 1,024 bytes, or holds control characters.
    pub fn from_text(what: &str, text: &str) -> Result<Self> {
        let text = text.trim();
        let problem = if text.is_empty() {
            "is empty"
        } else if text.len() > LONGEST {
            "is longer than 1,024 bytes"
        } else if text.chars().any(char::is_control) {
            "holds control characters"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(Error::new(Code::Configuration, format!("the {what} {problem}")))
    }

    /// A new one: 32 random bytes in hexadecimal.
    ///
    /// # Errors
    /// `Configuration` when the system has no randomness to give.
    pub fn generate() -> Result<Self> {
        Ok(Self(hexadecimal(&nonce()?)))
    }

    /// The secret itself, to be told to the user once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What shows that its maker knows the secret, made of both sides' nonces and a label for the maker's side.
    #[must_use]
    pub fn prove(&self, label: &[u8], client: &Nonce, server: &Nonce) -> Proof {
        // HMAC takes keys of any length: this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()) else { return Proof::default() };
        for part in [label, client, server] {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// Whether a proof is the expected one, in time that does not depend on where they differ.
#[must_use]
pub fn verify(expected: &Proof, given: &[u8]) -> bool {
    expected.as_slice().ct_eq(given).into()
}

/// Fresh random bytes.
///
/// # Errors
/// `Configuration` when the system has no randomness to give.
pub fn nonce() -> Result<Nonce> {
    let mut bytes = Nonce::default();
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(Code::Configuration, format!("no random bytes: {error}")))?;
    Ok(bytes)
}

/// A nonce that a peer sent.
///
/// # Errors
/// `Protocol` when it is not 32 bytes.
pub fn nonce_from(bytes: &[u8]) -> Result<Nonce> {
    bytes.try_into().map_err(|_| Error::protocol(format!("a nonce of {} bytes, not 32", bytes.len())))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
