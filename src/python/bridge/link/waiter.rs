//! A call that waits for its reply.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::core::deadline::Deadline;
use crate::core::error::Fate;

use super::{Manner, Outcome, Reply, Waking};

/// A call that waits for its reply.
pub(super) struct Waiter {
    pub(super) reply: Py<Reply>,
    pub(super) name: Arc<str>,
    pub(super) manner: Manner,
    pub(super) outcome: Outcome,
    pub(super) deadline: Deadline,
    /// An idempotent call's request, to be sent again.
    pub(super) again: Option<Vec<u8>>,
    /// It was sent before, over a connection that has ended: it may have run.
    pub(super) sent_before: bool,
}

impl Waiter {
    /// What has become of the call, by what has become of its last try.
    pub(super) fn fate(&self, last: Fate) -> Fate {
        if self.sent_before { Fate::Unknown } else { last }
    }

    pub(super) fn resolve<'py>(
        self,
        py: Python<'py>,
        value: PyResult<Bound<'py, PyAny>>,
        waking: &mut Waking<'_, 'py>,
    ) {
        Reply::end(self.reply.bind(py), value, waking);
    }
}
