//! What is measured, and how it was asked for.

use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Unix,
    UnixPolling,
    Tcp,
    Futex,
    Spin,
}

impl Lane {
    const ALL: [Self; 5] = [Self::Unix, Self::UnixPolling, Self::Tcp, Self::Futex, Self::Spin];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::UnixPolling => "unix-polling",
            Self::Tcp => "tcp",
            Self::Futex => "futex",
            Self::Spin => "spin",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.name() == name)
    }

    pub(crate) fn is_shared(self) -> bool {
        matches!(self, Self::Futex | Self::Spin)
    }

    /// How long an end looks before it sleeps.
    pub(crate) fn budget(self) -> Duration {
        match self {
            Self::UnixPolling | Self::Spin => Duration::from_micros(50),
            Self::Unix | Self::Tcp | Self::Futex => Duration::ZERO,
        }
    }
}

pub(crate) struct Options {
    pub(crate) lane: Lane,
    pub(crate) size: usize,
    pub(crate) time: Duration,
    pub(crate) port: u16,
    pub(crate) serve: bool,
}
