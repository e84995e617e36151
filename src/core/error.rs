//! The one error of the engine: a stable code, what became of the call, and a sentence for the user.

use std::fmt;

/// Stable numeric codes, the same on every wire. Names beside them are for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Code {
    /// The call succeeded.
    Ok = 0,
    /// The user's own code raised.
    RemoteExecution = 1,
    /// Nobody serves that name.
    ServiceNotFound = 2,
    /// The name is taken by another class.
    ServiceAlreadyExists = 3,
    /// The service has no such endpoint.
    EndpointNotFound = 4,
    /// The caller's time ran out.
    DeadlineExceeded = 5,
    /// The connection ended during the call.
    ConnectionLost = 6,
    /// The service is known, and does not answer.
    ServiceUnavailable = 7,
    /// A bound was reached; nothing was run.
    Overloaded = 8,
    /// A circuit breaker refuses calls for a while.
    CircuitOpen = 9,
    /// A wrong or missing token.
    Authentication = 10,
    /// The peer does not keep to the protocol.
    Protocol = 11,
    /// A value that cannot cross, or is over a limit.
    Payload = 12,
    /// A setting is wrong or something needed is missing.
    Configuration = 13,
    /// The caller cancelled the call.
    Cancelled = 14,
    /// The instance was evicted and the service refuses to rebuild it.
    InstanceEvicted = 15,
}

impl Code {
    /// The code with this number; an unknown one (from a newer peer) is [`Code::Protocol`].
    #[must_use]
    pub fn from_wire(number: u16) -> Self {
        use Code::*;
        const ALL: [Code; 16] = [
            Ok,
            RemoteExecution,
            ServiceNotFound,
            ServiceAlreadyExists,
            EndpointNotFound,
            DeadlineExceeded,
            ConnectionLost,
            ServiceUnavailable,
            Overloaded,
            CircuitOpen,
            Authentication,
            Protocol,
            Payload,
            Configuration,
            Cancelled,
            InstanceEvicted,
        ];
        ALL.get(usize::from(number)).copied().unwrap_or(Protocol)
    }
}

/// What became of the call that failed: what a caller needs to know before trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fate {
    /// It ran to its end (successfully or not).
    Executed = 0,
    /// It never left this process: trying again is safe.
    NotSent = 1,
    /// It was sent and may have run.
    Unknown = 2,
    /// The service refused it before running anything: trying again is safe.
    Rejected = 3,
}

impl Fate {
    /// The fate with this number; an unknown number means we do not know.
    #[must_use]
    pub fn from_wire(number: u8) -> Self {
        match number {
            0 => Self::Executed,
            1 => Self::NotSent,
            3 => Self::Rejected,
            _ => Self::Unknown,
        }
    }
}

/// An engine error. `message` says what happened, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// The stable code.
    pub code: Code,
    /// What became of the call.
    pub fate: Fate,
    /// For the user.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error {
    /// An error outside any call, or before its call was sent.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, fate: Fate::NotSent, message: message.into() }
    }

    /// The same error, with what became of the call.
    #[must_use]
    pub fn with_fate(mut self, fate: Fate) -> Self {
        self.fate = fate;
        self
    }

    /// A wait that a signal ended.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::new(Code::Cancelled, "interrupted by a signal")
    }

    /// A peer that breaks the protocol.
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(Code::Protocol, message)
    }

    /// A failed operation of the operating system, with what was being done.
    pub fn io(code: Code, doing: &str, error: &std::io::Error) -> Self {
        Self::new(code, format!("{doing}: {error}"))
    }
}

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
