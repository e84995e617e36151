//! Children that are forked and never start another program, as an endpoint of a service may do.
#![allow(unsafe_code, reason = "fork has no safe form")]

/// The child's number; `None` in the child, which may do little before it exits.
pub(crate) fn fork() -> Option<i32> {
    // SAFETY: the child only closes and removes files, reads, and exits.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => None,
        child => Some(child),
    }
}

pub(crate) fn wait_for(child: i32) {
    let mut status = 0;
    // SAFETY: the status is an integer of our own.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
}

pub(crate) fn exit() -> ! {
    // SAFETY: ends the process without running anything of its parent's.
    unsafe { libc::_exit(0) }
}

pub(crate) fn read_to_end_and_exit() -> ! {
    let mut byte = 0_u8;
    // SAFETY: one byte is read into a byte of our own.
    while unsafe { libc::read(0, (&raw mut byte).cast(), 1) } > 0 {}
    exit()
}
