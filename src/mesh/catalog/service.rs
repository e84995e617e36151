//! What a node tells of one of its services.

use std::sync::Arc;

use crate::mesh::balance::Strategy;

/// A service as its node tells of it.
#[derive(Debug)]
pub struct Service {
    pub(super) raw: Box<[u8]>,
    /// Its name.
    pub name: Arc<str>,
    /// Its name with its version.
    pub full_name: Arc<str>,
    pub(super) version: Option<Span>,
    pub(super) settings: Option<Span>,
    pub(super) metadata: Option<Span>,
    /// Its actions.
    pub actions: Box<[Action]>,
    /// The events that it listens to.
    pub events: Box<[Listener]>,
}

/// One of a service's actions.
#[derive(Debug)]
pub struct Action {
    /// Its full name.
    pub name: Arc<str>,
    /// Who may call it.
    pub visibility: Visibility,
    /// How long its callers wait, in milliseconds; 0: for ever.
    pub timeout_ms: Option<f64>,
    /// How its node is chosen, where it says so.
    pub strategy: Option<Arc<Strategy>>,
    pub(super) schema: Span,
    pub(super) retry_policy: Option<Span>,
    pub(super) circuit_breaker: Option<Span>,
}

/// An event, or many, that a service listens to.
#[derive(Debug)]
pub struct Listener {
    /// Its name, or a pattern.
    pub pattern: Arc<str>,
    /// Of a group one service gets each event: the service's name, unless it says otherwise.
    pub group: Arc<str>,
    /// How it is chosen, where it says so.
    pub strategy: Option<Arc<Strategy>>,
    pub(super) schema: Span,
}

/// Who may call an action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody, gateways included.
    #[default]
    Published,
    /// Every node.
    Public,
    /// Services of its own node.
    Protected,
    /// Its own service.
    Private,
}

impl Action {
    /// Whether it tells its callers to try again, or to leave it alone for a while.
    #[must_use]
    pub fn has_policies(&self) -> bool {
        self.retry_policy.is_some() || self.circuit_breaker.is_some()
    }
}

/// A part of the raw text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(u32, u32);

impl Service {
    /// All that its node tells of it: a JSON object.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Its version, as JSON; `None` when it has none.
    #[must_use]
    pub fn version(&self) -> Option<&[u8]> {
        self.at(self.version)
    }

    /// Its settings: a JSON object.
    #[must_use]
    pub fn settings(&self) -> Option<&[u8]> {
        self.at(self.settings)
    }

    /// Its metadata: a JSON object.
    #[must_use]
    pub fn metadata(&self) -> Option<&[u8]> {
        self.at(self.metadata)
    }

    /// All that is told of one of its actions: a JSON object.
    #[must_use]
    pub fn schema(&self, action: &Action) -> &[u8] {
        self.at(Some(action.schema)).unwrap_or_default()
    }

    /// How often an action is tried again: a JSON object.
    #[must_use]
    pub fn retry_policy(&self, action: &Action) -> Option<&[u8]> {
        self.at(action.retry_policy)
    }

    /// When an action is not called for a while: a JSON object.
    #[must_use]
    pub fn circuit_breaker(&self, action: &Action) -> Option<&[u8]> {
        self.at(action.circuit_breaker)
    }

    /// All that is told of one of its events: a JSON object.
    #[must_use]
    pub fn listener_schema(&self, listener: &Listener) -> &[u8] {
        self.at(Some(listener.schema)).unwrap_or_default()
    }

    fn at(&self, span: Option<Span>) -> Option<&[u8]> {
        let Span(from, to) = span?;
        self.raw.get(from as usize..to as usize)
    }
}

impl Span {
    /// Where a part is in the whole that it was cut from.
    #[expect(clippy::cast_possible_truncation, reason = "the whole is bounded")]
    pub(super) fn of(whole: &[u8], part: &[u8]) -> Self {
        let from = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        Self(from as u32, (from + part.len()) as u32)
    }
}
