//! A turn counter in shared memory that one process advances and another waits for.

#![allow(unsafe_code, reason = "the futex system call has no safe wrapper among this package's libraries")]

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ironbridge::core::polling::Gate;

/// Lives in shared memory; all zero is its first state.
#[repr(C)]
pub(crate) struct Doorbell {
    turn: AtomicU32,
    /// 1 while the waiting side sleeps or is about to, so that ringing costs a system call only then.
    asleep: AtomicU32,
}

impl Doorbell {
    pub(crate) fn ring(&self, turn: u32) {
        self.turn.store(turn, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) == 1 {
            // SAFETY: the address is a live, aligned u32 for the length of the call; waking touches nothing else.
            unsafe {
                libc::syscall(libc::SYS_futex, self.turn.as_ptr(), libc::FUTEX_WAKE, 1);
            }
        }
    }

    /// Returns the new turn once it is no longer `last`: looks for `budget` by the gate's rule, then sleeps.
    pub(crate) fn wait(&self, last: u32, gate: &mut Gate, budget: Duration) -> u32 {
        let look = || {
            let turn = self.turn.load(Ordering::Acquire);
            if turn == last { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(turn) }
        };
        if let Ok(Some(turn)) = gate.poll(budget, look) {
            return turn;
        }
        self.asleep.store(1, Ordering::SeqCst);
        loop {
            let turn = self.turn.load(Ordering::SeqCst);
            if turn != last {
                self.asleep.store(0, Ordering::SeqCst);
                return turn;
            }
            let forever = std::ptr::null::<libc::timespec>();
            // SAFETY: as above; the kernel compares the word with `last` and sleeps while they are equal.
            unsafe {
                libc::syscall(libc::SYS_futex, self.turn.as_ptr(), libc::FUTEX_WAIT, last, forever);
            }
        }
    }
}
