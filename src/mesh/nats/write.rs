//! What a client says.

use std::fmt::Write as _;

use serde::Serialize;

use crate::core::error::{Code, Error, Result};

/// The longest subject: servers refuse lines over 4,096 bytes.
const LONGEST_SUBJECT: usize = 3_900;

/// What a client tells of itself.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct Connect<'a> {
    /// What it is called at the server.
    pub name: &'a str,
    /// Who comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    /// The user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<&'a str>,
    /// In place of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<&'a str>,
    /// Whether the connection is encrypted.
    pub tls_required: bool,
}

/// Checks a subject to publish to, or one to subscribe to where `wild`: parts between dots, without spaces.
///
/// # Errors
/// `Configuration`, with the subject: ids of nodes and names of actions become parts of subjects.
pub fn check_subject(subject: &str, wild: bool) -> Result<()> {
    let wrong = if subject.len() > LONGEST_SUBJECT {
        "it is longer than 3,900 bytes"
    } else if subject.split('.').any(str::is_empty) {
        "a part of it is empty"
    } else if subject.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        "it holds a space or a control character"
    } else if !wild && subject.split('.').any(|part| matches!(part, "*" | ">")) {
        "a part of it is * or >"
    } else {
        return Ok(());
    };
    let shown = subject.chars().take(80).collect::<String>();
    Err(Error::new(Code::Configuration, format!("{shown:?} cannot be a subject of NATS: {wrong}")))
}

/// Appends `CONNECT`.
pub fn connect(out: &mut Vec<u8>, connect: &Connect<'_>) {
    #[derive(Serialize)]
    struct All<'a> {
        verbose: bool,
        pedantic: bool,
        lang: &'static str,
        version: &'static str,
        protocol: u8,
        echo: bool,
        headers: bool,
        #[serde(flatten)]
        told: &'a Connect<'a>,
    }
    let all = All {
        verbose: false,
        pedantic: false,
        lang: "python",
        version: env!("CARGO_PKG_VERSION"),
        // It may tell of its cluster at any time.
        protocol: 1,
        echo: true,
        headers: false,
        told: connect,
    };
    out.extend_from_slice(b"CONNECT ");
    // Texts and flags can always be written.
    let _ = serde_json::to_writer(&mut *out, &all);
    out.extend_from_slice(b"\r\n");
}

/// Appends `PUB`.
///
/// # Errors
/// As [`check_subject`]; then nothing has been appended.
#[inline]
pub fn publish(out: &mut Vec<u8>, subject: &str, payload: &[u8]) -> Result<()> {
    check_subject(subject, false)?;
    for part in [b"PUB ", subject.as_bytes(), b" ", itoa::Buffer::new().format(payload.len()).as_bytes()] {
        out.extend_from_slice(part);
    }
    for part in [b"\r\n", payload, b"\r\n"] {
        out.extend_from_slice(part);
    }
    Ok(())
}

/// Appends `SUB`; of those with the same queue, one gets each message.
///
/// # Errors
/// As [`check_subject`]; then nothing has been appended.
pub fn subscribe(out: &mut Vec<u8>, subject: &str, queue: Option<&str>, sid: u64) -> Result<()> {
    check_subject(subject, true)?;
    let mut line = format!("SUB {subject}");
    if let Some(queue) = queue {
        check_subject(queue, true)?;
        // Writing to a text cannot fail.
        let _ = write!(line, " {queue}");
    }
    let _ = write!(line, " {sid}\r\n");
    out.extend_from_slice(line.as_bytes());
    Ok(())
}

/// Appends `UNSUB`.
pub fn unsubscribe(out: &mut Vec<u8>, sid: u64) {
    out.extend_from_slice(format!("UNSUB {sid}\r\n").as_bytes());
}

/// Appends `PING`.
pub fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PING\r\n");
}

/// Appends `PONG`.
pub fn pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}
