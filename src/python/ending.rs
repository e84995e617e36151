//! The end of the program: what ends the waits of its daemon threads then is no failure of theirs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::prelude::*;

use super::signals::is_main_thread;

/// From the first exit handler to the interpreter's end it takes less, unless other handlers wait for something.
const MOST: Duration = Duration::from_secs(1);

static ENDING: AtomicBool = AtomicBool::new(false);

/// The program ends: only daemon threads run beside the exit handlers.
#[pyfunction]
pub(crate) fn _program_ends() {
    ENDING.store(true, Ordering::Relaxed);
}

/// For a thread whose wait has failed: when the program ends, it is taken along before it prints that. It goes on after
/// a second, lest an exit handler that joins it waits for ever.
pub(crate) fn outlast(py: Python<'_>) {
    if !ENDING.load(Ordering::Relaxed) || is_main_thread() {
        return;
    }
    py.detach(|| {
        std::thread::sleep(MOST);
        while Python::try_attach(|_| ()).is_none() {
            std::thread::park();
        }
    });
}
