//! Signals are for the program's own threads.

/// Leaves all signals to the other threads: the program's own handlers run on its own threads.
pub fn mask_signals() {
    // SAFETY: fills a set of signals of ours, and changes the mask of this thread alone.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}
