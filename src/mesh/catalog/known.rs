//! Services and names, kept once however many nodes tell the same.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::de::IgnoredAny;

use super::service::{Action, Listener, Service, Span, Visibility};
use crate::core::json;
use crate::mesh::balance::Strategy;
use crate::mesh::packet::MAX_NAME;

/// Services and names that are known, each once.
#[derive(Debug, Default)]
pub(super) struct Known {
    services: HashSet<ByRaw>,
    names: HashSet<Arc<str>>,
    /// So many services and names may be known before those that nobody has any more are looked for.
    sweep_at: (usize, usize),
}

/// A service, the same as another when its raw text is.
#[derive(Debug)]
struct ByRaw(Arc<Service>);

impl PartialEq for ByRaw {
    fn eq(&self, other: &Self) -> bool {
        self.0.raw == other.0.raw
    }
}

impl Eq for ByRaw {}

impl Hash for ByRaw {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.raw.hash(state);
    }
}

impl std::borrow::Borrow<[u8]> for ByRaw {
    fn borrow(&self) -> &[u8] {
        &self.0.raw
    }
}

const SWEEP_LEAST: (usize, usize) = (256, 4096);

impl Known {
    /// The service that a JSON object tells of.
    pub(super) fn service(&mut self, raw: &[u8]) -> Result<Arc<Service>, &'static str> {
        if let Some(ByRaw(known)) = self.services.get(raw) {
            return Ok(known.clone());
        }
        let service = Arc::new(self.read(raw)?);
        if self.services.len() >= self.sweep_at.0.max(SWEEP_LEAST.0) {
            self.services.retain(|ByRaw(service)| Arc::strong_count(service) > 1);
            self.sweep_at.0 = 2 * self.services.len();
        }
        self.services.insert(ByRaw(service.clone()));
        Ok(service)
    }

    /// A name, shared with all that have it too.
    pub(super) fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        if self.names.len() >= self.sweep_at.1.max(SWEEP_LEAST.1) {
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.sweep_at.1 = 2 * self.names.len();
        }
        let new: Arc<str> = name.into();
        self.names.insert(new.clone());
        new
    }

    fn read(&mut self, raw: &[u8]) -> Result<Service, &'static str> {
        serde_json::from_slice::<IgnoredAny>(raw).map_err(|_| "a service that is no JSON")?;
        let span = |part: &[u8]| Span::of(raw, part);
        let (mut name, mut full_name, mut version) = (None, None, None);
        let (mut settings, mut metadata) = (None, None);
        let (mut actions, mut events): (&[u8], &[u8]) = (b"{}", b"{}");
        for field in json::fields(raw) {
            let field = field.map_err(|_| "a service that is no object")?;
            let present = (field.value != b"null").then_some(field.value);
            match &*field.name {
                "name" => name = text(field.value),
                "fullName" => full_name = text(field.value),
                "version" => version = present,
                "settings" => settings = present.map(span),
                "metadata" => metadata = present.map(span),
                "actions" => actions = present.unwrap_or(b"{}"),
                "events" => events = present.unwrap_or(b"{}"),
                _ => {}
            }
        }
        let name = self.name(&name.ok_or("a service without a name")?);
        let full_name =
            full_name.map_or_else(|| versioned(&name, version), |full_name| full_name.into_owned());
        let actions = members(actions).into_iter().filter_map(|schema| self.action(raw, schema)).collect();
        let events =
            members(events).into_iter().filter_map(|schema| self.listener(raw, schema, &name)).collect();
        let full_name = self.name(&full_name);
        let version = version.map(span);
        Ok(Service { raw: raw.into(), name, full_name, version, settings, metadata, actions, events })
    }

    /// `None` when it has no name: nobody could call it.
    fn action(&mut self, raw: &[u8], schema: &[u8]) -> Option<Action> {
        let mut action = Action {
            name: self.name(""),
            visibility: Visibility::default(),
            timeout_ms: None,
            strategy: None,
            schema: Span::of(raw, schema),
            retry_policy: None,
            circuit_breaker: None,
        };
        let (mut strategy, mut options) = (None, None);
        for field in json::fields(schema) {
            let field = field.ok()?;
            let present = (field.value != b"null").then_some(field.value);
            match &*field.name {
                "name" => action.name = self.name(&text(field.value)?),
                "visibility" => action.visibility = present.map_or_else(Visibility::default, visibility),
                "timeout" => action.timeout_ms = json::number(field.value),
                "retryPolicy" => action.retry_policy = present.map(|part| Span::of(raw, part)),
                "circuitBreaker" => action.circuit_breaker = present.map(|part| Span::of(raw, part)),
                "strategy" => strategy = present,
                "strategyOptions" => options = present,
                _ => {}
            }
        }
        action.strategy = resolved(strategy, options);
        (!action.name.is_empty()).then_some(action)
    }

    fn listener(&mut self, raw: &[u8], schema: &[u8], service: &Arc<str>) -> Option<Listener> {
        let (mut pattern, mut group) = (None, service.clone());
        let (mut strategy, mut options) = (None, None);
        for field in json::fields(schema) {
            let field = field.ok()?;
            let present = (field.value != b"null").then_some(field.value);
            match &*field.name {
                "name" => pattern = text(field.value).map(|name| self.name(&name)),
                // An empty one is none.
                "group" => {
                    if let Some(own) = text(field.value).filter(|own| !own.is_empty()) {
                        group = self.name(&own);
                    }
                }
                "strategy" => strategy = present,
                "strategyOptions" => options = present,
                _ => {}
            }
        }
        let strategy = resolved(strategy, options);
        Some(Listener { pattern: pattern?, group, strategy, schema: Span::of(raw, schema) })
    }
}

/// The name with the version, as Moleculer makes it: `v2.math` of a number, `beta.math` of a text.
fn versioned(name: &str, version: Option<&[u8]>) -> String {
    match version.map(|version| (json::text(version), json::number(version))) {
        Some((Some(text), _)) => format!("{text}.{name}"),
        Some((None, Some(number))) => format!("v{number}.{name}"),
        _ => name.to_owned(),
    }
}

/// The values of an object, or the elements of an array.
fn members(value: &[u8]) -> Vec<&[u8]> {
    if value.starts_with(b"[") {
        return json::items(value).map_while(Result::ok).collect();
    }
    json::fields(value).map_while(Result::ok).map(|field| field.value).collect()
}

fn text(value: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    json::text(value).filter(|text| text.len() <= MAX_NAME)
}

/// Unknown ones are the strictest.
fn visibility(value: &[u8]) -> Visibility {
    match value {
        b"\"published\"" => Visibility::Published,
        b"\"public\"" => Visibility::Public,
        b"\"protected\"" => Visibility::Protected,
        _ => Visibility::Private,
    }
}

/// What names no strategy that is known leaves the choice to the node's own.
fn resolved(strategy: Option<&[u8]>, options: Option<&[u8]>) -> Option<Arc<Strategy>> {
    let name = json::text(strategy?)?;
    Strategy::resolve(&name, options).ok().map(Arc::new)
}
