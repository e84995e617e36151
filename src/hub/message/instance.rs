//! Which of the services of one name.

use crate::core::error::{Code, Error, Result};

/// One running service, told apart from others of its name: 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance(pub(super) [u8; 16]);

impl Instance {
    /// One that nobody else has.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::new(Code::Configuration, format!("the system gives no random bytes: {error}"))
        })?;
        let mut digits = [0; 16];
        for (place, digit) in digits.iter_mut().enumerate() {
            let nibble = bytes[place / 2] >> (4 * (place % 2)) & 15;
            *digit = b"0123456789abcdef"[usize::from(nibble)];
        }
        Ok(Self(digits))
    }

    /// The one that this text names.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let digits: [u8; 16] = text.as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(Self(digits))
    }

    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
