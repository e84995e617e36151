//! Readiness of many descriptors (epoll), and a bell that one thread rings for another (eventfd).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};

pub use rustix::event::epoll::EventFlags as Events;

/// A set of watched descriptors, each known by a token.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

/// One descriptor's news.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Whose.
    pub token: u64,
    /// The other side has closed, or will send nothing more.
    pub hangup: bool,
    /// There is room to write.
    pub writable: bool,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Watches a descriptor.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn add(&self, fd: impl AsFd, token: u64, events: Events) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token), events)?)
    }

    /// Watches it for something else.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn change(&self, fd: impl AsFd, token: u64, events: Events) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, EventData::new_u64(token), events)?)
    }

    /// Watches it no more. One that has gone already is no error.
    pub fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits for news of any one descriptor; `None` when the time ran out or a signal came.
    ///
    /// One at a time, so that a thread that runs what it read keeps no other waiting.
    ///
    /// # Errors
    /// What the system reports.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Option<Ready>> {
        let timeout = timeout.map(|time| Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        });
        let mut events = [epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 1];
        match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(None),
            Ok(_) => {
                let [epoll::Event { flags, data }] = events;
                Ok(Some(Ready {
                    token: data.u64(),
                    hangup: flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR),
                    writable: flags.contains(EventFlags::OUT),
                }))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// Wakes whoever watches it.
#[derive(Debug)]
pub struct Bell {
    eventfd: OwnedFd,
}

impl Bell {
    /// A silent bell.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { eventfd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
    }

    /// Rings it. A bell that rings already rings on.
    pub fn ring(&self) {
        let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
    }

    /// Silences it.
    pub fn hush(&self) {
        let _ = rustix::io::read(&self.eventfd, &mut [0; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
