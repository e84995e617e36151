//! What this node's services run: handlers by the names of actions, and by services and the patterns they listen to.

use std::collections::HashMap;
use std::sync::Arc;

use pyo3::prelude::*;

/// One handler.
pub(super) struct Entry {
    pub(super) function: Py<PyAny>,
    /// It takes a context; otherwise the parameters alone.
    pub(super) takes_context: bool,
    /// It is `async def`; otherwise it may block, and runs on a thread.
    pub(super) is_coroutine: bool,
    /// The action's or event's schema.
    pub(super) schema: Py<PyAny>,
    pub(super) service: Py<PyAny>,
    pub(super) service_name: Arc<str>,
}

/// A handler as Python gives it: `(name, function, takes_context, is_coroutine, schema, service, service's full name)`.
pub(super) type Given = (String, Py<PyAny>, bool, bool, Py<PyAny>, Py<PyAny>, String);

/// All of them.
#[derive(Default)]
pub(super) struct Table {
    actions: HashMap<String, Arc<Entry>>,
    events: HashMap<(Arc<str>, String), Arc<Entry>>,
}

fn entry(given: Given) -> (String, Arc<Entry>) {
    let (name, function, takes_context, is_coroutine, schema, service, service_name) = given;
    let service_name = service_name.into();
    (name, Arc::new(Entry { function, takes_context, is_coroutine, schema, service, service_name }))
}

impl Table {
    pub(super) fn new(actions: Vec<Given>, events: Vec<Given>) -> Self {
        let events = events.into_iter().map(|given| {
            let (name, entry) = entry(given);
            ((Arc::clone(&entry.service_name), name), entry)
        });
        Self { actions: actions.into_iter().map(entry).collect(), events: events.collect() }
    }

    pub(super) fn action(&self, name: &str) -> Option<&Arc<Entry>> {
        self.actions.get(name)
    }

    pub(super) fn event(&self, service: &Arc<str>, pattern: &str) -> Option<&Arc<Entry>> {
        self.events.get(&(Arc::clone(service), pattern.to_owned()))
    }
}
