//! Ping-pong through one page of shared memory per direction.

#![allow(unsafe_code, reason = "mapping shared memory and copying through it")]

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;

use ironbridge::core::polling::Gate;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use crate::doorbell::Doorbell;
use crate::lane::Options;
use crate::samples::{Samples, collect};

/// The largest message, bytes.
pub(crate) const CAPACITY: usize = 2048;
const PAGE: usize = 4096;
const GOODBYE: u32 = u32::MAX;

/// Two pages, one for each direction: a turn counter, and the message 64 bytes further on.
pub(crate) struct Region {
    base: NonNull<u8>,
}

impl Region {
    pub(crate) fn create() -> io::Result<(Self, OwnedFd)> {
        let memory = memfd_create("limits", MemfdFlags::CLOEXEC)?;
        ftruncate(&memory, 2 * PAGE as u64)?;
        Ok((Self::open(&memory)?, memory))
    }

    pub(crate) fn open(memory: &OwnedFd) -> io::Result<Self> {
        // SAFETY: a fresh mapping of a file of exactly this length; the kernel chooses the address.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                2 * PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                memory.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(address.cast()).map(|base| Self { base }).ok_or_else(io::Error::last_os_error)
    }

    fn doorbell(&self, direction: usize) -> &Doorbell {
        // SAFETY: within the mapping, aligned to a page, zeroed by the kernel, made of atomics only.
        unsafe { self.base.cast::<Doorbell>().byte_add(direction * PAGE).as_ref() }
    }

    /// Puts a message in place and rings.
    fn send(&self, direction: usize, message: &[u8], turn: u32) {
        // SAFETY: `message` is at most CAPACITY long (checked at start-up), which fits the page; the other
        // process reads it only after the ring's store.
        unsafe {
            let place = self.base.as_ptr().add(direction * PAGE + 64);
            std::ptr::copy_nonoverlapping(message.as_ptr(), place, message.len());
        }
        self.doorbell(direction).ring(turn);
    }

    fn receive(&self, direction: usize, message: &mut [u8]) {
        // SAFETY: as above; the load of the turn came first.
        unsafe {
            let place = self.base.as_ptr().add(direction * PAGE + 64);
            std::ptr::copy_nonoverlapping(place, message.as_mut_ptr(), message.len());
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: this mapping, made in `open`, and no reference into it outlives `self`.
        unsafe {
            libc::munmap(self.base.as_ptr().cast(), 2 * PAGE);
        }
    }
}

pub(crate) fn ping(region: &Region, options: &Options) -> Samples {
    let mut gate = Gate::default();
    let mut message = vec![7_u8; options.size];
    let mut turn = 0;
    let Ok(samples) = collect::<Infallible>(options.time, || {
        region.send(0, &message, turn + 1);
        turn = region.doorbell(1).wait(turn, &mut gate, options.lane.budget());
        region.receive(1, &mut message);
        Ok(())
    });
    region.send(0, &[], GOODBYE);
    samples
}

pub(crate) fn pong(region: &Region, options: &Options) {
    let mut gate = Gate::default();
    let mut message = vec![0_u8; options.size];
    let mut turn = 0;
    loop {
        turn = region.doorbell(0).wait(turn, &mut gate, options.lane.budget());
        if turn == GOODBYE {
            return;
        }
        region.receive(0, &mut message);
        region.send(1, &message, turn);
    }
}
