//! The mechanism `IRONBRIDGE-HMAC`: both sides prove that they know the hub's secret, and neither tells it.
//!
//! | who | command | what is in it |
//! |---|---|---|
//! | client | `HELLO` | its nonce, 32 bytes |
//! | server | `WELCOME` | its nonce |
//! | client | `INITIATE` | its proof, 32 bytes, then its properties |
//! | server | `READY` | its proof, then its properties |
//!
//! The client is proved first, so that a server's proof is no material for guesses of anyone who connects. Messages
//! are then sent in the clear, as with `NULL`.

use crate::core::error::{Code, Error, Result};
use crate::core::secret::{Nonce, Proof, Secret, nonce, nonce_from, verify};

const CLIENT: &[u8] = b"ironbridge hub client proof v1\0";
const SERVER: &[u8] = b"ironbridge hub server proof v1\0";

/// Both nonces, as far as they are known.
#[derive(Debug)]
pub(super) struct Challenge {
    secret: Secret,
    pub(super) own: Nonce,
    theirs: Nonce,
}

impl Challenge {
    pub(super) fn new(secret: Secret) -> Result<Self> {
        Ok(Self { secret, own: nonce()?, theirs: Nonce::default() })
    }

    /// Takes the other side's nonce and returns this side's.
    pub(super) fn take_nonce(&mut self, bytes: &[u8]) -> Result<Nonce> {
        self.theirs = nonce_from(bytes)?;
        Ok(self.own)
    }

    pub(super) fn own_proof(&self, as_server: bool) -> Proof {
        match as_server {
            true => self.secret.prove(SERVER, &self.theirs, &self.own),
            false => self.secret.prove(CLIENT, &self.own, &self.theirs),
        }
    }

    /// Checks the other side's proof, which begins what it sent, and returns what follows.
    pub(super) fn check<'a>(&self, body: &'a [u8], as_server: bool) -> Result<&'a [u8]> {
        let (given, rest) = body
            .split_at_checked(size_of::<Proof>())
            .ok_or_else(|| Error::protocol("a proof that is cut off"))?;
        let expected = match as_server {
            true => self.secret.prove(CLIENT, &self.theirs, &self.own),
            false => self.secret.prove(SERVER, &self.own, &self.theirs),
        };
        if verify(&expected, given) {
            return Ok(rest);
        }
        Err(Error::new(Code::Authentication, "the peer's secret is another: give the same one on both sides"))
    }
}
