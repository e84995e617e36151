//! The token of a service on the network: given, or kept in a file; and each side's proof that it knows it.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::core::error::{Code, Error, Result};
use crate::core::secret::{Secret, hexadecimal};

pub use crate::core::secret::{Nonce, Proof, nonce, nonce_from, verify};

/// More than the longest token takes in its file.
const LONGEST_FILE: u64 = 1088;

/// A secret that client and service share. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Secret);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// The token that a user gave; space around it does not count.
    ///
    /// # Errors
    /// `Configuration` when it is empty, longer than 1,024 bytes, or holds control characters.
    pub fn from_text(text: &str) -> Result<Self> {
        Secret::from_text("token", text).map(Self)
    }

    /// A new token: 32 random bytes in hexadecimal.
    ///
    /// # Errors
    /// `Configuration` when the system has no randomness to give.
    pub fn generate() -> Result<Self> {
        Secret::generate().map(Self)
    }

    /// The token kept in a file, made at the first time. The file belongs to this user, mode 0600; missing
    /// directories above it are made with mode 0700. Of several processes that make it at once, all get the same.
    ///
    /// # Errors
    /// `Configuration` when the file cannot be read or made, is another user's, or may be read by others.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        match read_private(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return Self::parse(path, other),
        }
        let token = Self::generate()?;
        match put_in_place(path, &token) {
            Ok(()) => Ok(token),
            // Another process was faster: its token counts.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::parse(path, read_private(path))
            }
            Err(error) => Err(token_file_error("cannot make", path, &error)),
        }
    }

    fn parse(path: &Path, text: io::Result<String>) -> Result<Self> {
        let text = text.map_err(|error| token_file_error("cannot use", path, &error))?;
        Self::from_text(&text).map_err(|error| {
            Error::new(Code::Configuration, format!("token file {}: {}", path.display(), error.message))
        })
    }

    /// The secret itself, to be told to the user once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

/// What a client sends to show that it knows the token.
#[must_use]
pub fn client_proof(token: &Token, client: &Nonce, server: &Nonce) -> Proof {
    token.0.prove(b"ironbridge client proof v1\0", client, server)
}

/// What a service sends to show the same.
#[must_use]
pub fn server_proof(token: &Token, client: &Nonce, server: &Nonce) -> Proof {
    token.0.prove(b"ironbridge server proof v1\0", client, server)
}

fn token_file_error(doing: &str, path: &Path, error: &io::Error) -> Error {
    Error::io(Code::Configuration, &format!("{doing} token file {}", path.display()), error)
}

fn read_private(path: &Path) -> io::Result<String> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    #[expect(clippy::cast_possible_wrap, reason = "the system's own flags")]
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    let about = file.metadata()?;
    let refuse = |why: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    if !about.is_file() {
        return refuse("it is not a regular file".to_owned());
    }
    let user = rustix::process::geteuid().as_raw();
    if about.uid() != user {
        return refuse(format!("it belongs to user {}, this process runs as {user}", about.uid()));
    }
    if about.mode() & 0o077 != 0 {
        let mode = about.mode() & 0o777;
        return refuse(format!(
            "its mode {mode:04o} lets others use it; chmod 600 it, then change the token"
        ));
    }
    let mut text = String::new();
    file.take(LONGEST_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes the token beside its place, then links it there whole: a reader never finds half of it.
fn put_in_place(path: &Path, token: &Token) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let unique = nonce().map_err(|error| io::Error::other(error.message))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", hexadecimal(unique.get(..8).unwrap_or_default())));
    let draft: PathBuf = path.with_file_name(name);
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file
        .write_all(format!("{}\n", token.reveal()).as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    written
}
