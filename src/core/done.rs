//! Somebody waits for how something ends, and is told exactly once, whatever happens.

use super::error::{Code, Error, Fate, Result};

/// Whoever waits. Dropped untold, it is told that nobody is left to do it.
pub struct Done<T>(Option<Box<dyn FnOnce(Result<T>) + Send>>);

impl<T> Done<T> {
    /// Tells by this function, on whichever thread it ends: it must not block.
    pub fn new(tell: impl FnOnce(Result<T>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// Nobody waits.
    #[must_use]
    pub fn nobody() -> Self {
        Self(None)
    }

    /// It has ended so.
    pub fn end(mut self, outcome: Result<T>) {
        if let Some(tell) = self.0.take() {
            tell(outcome);
        }
    }

    /// It is told nothing: whoever waits has learnt it in another way.
    pub fn forget(mut self) {
        self.0 = None;
    }
}

impl<T> Drop for Done<T> {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            let text = "it was closed before this was done";
            tell(Err(Error::new(Code::ServiceUnavailable, text).with_fate(Fate::Unknown)));
        }
    }
}

impl<T> std::fmt::Debug for Done<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Done")
    }
}
