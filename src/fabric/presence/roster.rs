//! The services that are there, as far as they have said so.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use lapin::types::FieldTable;
use parking_lot::Mutex;

use super::{number, text};
use crate::core::error::{Code, Error};
use crate::fabric::identity::Identity;
use crate::fabric::version::{Version, VersionRange};

/// Who was heard, by identity. Any thread may look.
pub struct Roster {
    time_to_live: Duration,
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    services: HashMap<(String, String, String), HashMap<String, Server>>,
    count: usize,
    refused: u64,
    /// Servers whose different API was told already.
    told: HashSet<String>,
}

/// One server of a service.
#[derive(Clone, Debug)]
struct Server {
    last: Instant,
    /// How long it lasts after it was last heard.
    lasts: Duration,
    started: Option<Instant>,
    first: Instant,
    version: Option<String>,
    api: Vec<String>,
    native: bool,
}

/// A service that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its domain.
    pub domain: String,
    /// Its type.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The versions of its servers, each once, the highest first.
    pub versions: Vec<String>,
    /// How many servers it has. Those of other make cannot be told apart and count as one.
    pub servers: usize,
    /// How long its oldest server has run, or was heard.
    pub uptime: Duration,
    /// When it was last heard: so long ago.
    pub last_seen: Duration,
    /// Whether it is one of ours.
    pub native: bool,
}

/// Which services are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this domain; all when there is none.
    pub domain: Option<String>,
    /// Of this type.
    pub kind: Option<String>,
}

/// What tells a server of other make from others of its identity: nothing.
const UNTOLD: &str = "";
/// Servers that beat more slowly than they are remembered for would come and go: they last for this many of their beats.
const BEATS: u32 = 2;

impl Roster {
    /// One that remembers a server for `time_to_live` after it was last heard, and `most` servers at once.
    #[must_use]
    pub fn new(time_to_live: Duration, most: usize) -> Self {
        Self { time_to_live, most, state: Mutex::default() }
    }

    /// A keep-alive has come. Gives an error to tell when it is a sibling's of `own` whose methods differ.
    pub fn heard(&self, headers: &FieldTable, own: &Identity, api: &[String]) -> Option<Error> {
        let key = key(headers)?;
        let instance = text(headers, "service_instance");
        let now = Instant::now();
        let mut state = self.state.lock();
        let state = &mut *state;
        let is_new = !state
            .services
            .get(&key)
            .is_some_and(|known| known.contains_key(instance.as_deref().unwrap_or(UNTOLD)));
        if is_new {
            state.sweep(now);
            if state.count >= self.most {
                state.refused += 1;
                return None;
            }
            state.count += 1;
        }
        let servers = state.services.entry(key.clone()).or_default();
        let server =
            servers.entry(instance.clone().unwrap_or_else(|| UNTOLD.to_owned())).or_insert_with(|| Server {
                last: now,
                lasts: self.time_to_live,
                started: None,
                first: now,
                version: None,
                api: Vec::new(),
                native: instance.is_some(),
            });
        let gap = now.duration_since(server.last);
        let told = number(headers, "keep_alive_seconds").filter(|seconds| (0.0..1e6).contains(seconds));
        let beat = told.map_or(gap, Duration::from_secs_f64).min(10 * self.time_to_live);
        server.lasts = self.time_to_live.max(BEATS * beat + beat / 2);
        server.last = now;
        server.version = text(headers, "service_version");
        server.started = number(headers, "uptime_seconds")
            .filter(|seconds| (0.0..1e9).contains(seconds))
            .and_then(|seconds| now.checked_sub(Duration::from_secs_f64(seconds)));
        if let Some(said) = text(headers, "methods") {
            server.api = said.split(';').filter(|method| !method.is_empty()).map(str::to_owned).collect();
        }
        let is_sibling =
            key.0 == own.domain && key.1 == own.kind && !api.is_empty() && !server.api.is_empty();
        if !is_sibling || server.api == api {
            return None;
        }
        let server_api = server.api.clone();
        let whose = format!("{}.{}.{} {}", key.0, key.1, key.2, instance.unwrap_or_default());
        state.told.insert(whose).then(|| differs(&key, own, &server_api, api))
    }

    /// A service has said that it leaves.
    pub fn left(&self, headers: &FieldTable) {
        let Some(key) = key(headers) else { return };
        let instance = text(headers, "service_instance").unwrap_or_default();
        let mut state = self.state.lock();
        let Some(servers) = state.services.get_mut(&key) else { return };
        let removed = servers.remove(&instance).is_some();
        if servers.is_empty() {
            state.services.remove(&key);
        }
        if removed {
            state.count -= 1;
        }
    }

    /// Who is there.
    #[must_use]
    pub fn list(&self, filter: &Filter) -> Vec<Seen> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.sweep(now);
        let matches = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let mut all: Vec<Seen> = state
            .services
            .iter()
            .filter(|((domain, kind, _), _)| matches(&filter.domain, domain) && matches(&filter.kind, kind))
            .filter_map(|(key, servers)| seen(key, servers, now))
            .collect();
        all.sort_by(|one, other| {
            (&one.domain, &one.kind, &one.id).cmp(&(&other.domain, &other.kind, &other.id))
        });
        all
    }

    /// The methods of a service, by its full name, if it is there and has named them.
    #[must_use]
    pub fn methods(&self, service: &str) -> Option<Vec<String>> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.sweep(now);
        let is_it =
            |(domain, kind, id): &(String, String, String)| format!("{domain}.{kind}.{id}") == service;
        let (_, servers) = state.services.iter().find(|(key, _)| is_it(key))?;
        let methods = servers.values().flat_map(|server| &server.api);
        let mut names: Vec<String> =
            methods.map(|method| method.split('(').next().unwrap_or(method).to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        Some(names)
    }

    /// How many servers of a service, by its full name, are there, and when the oldest was started; `None` when one
    /// does not say.
    pub(crate) fn servers(&self, service: &str) -> Option<(usize, Instant)> {
        let mut state = self.state.lock();
        state.sweep(Instant::now());
        let is_it =
            |(domain, kind, id): &(String, String, String)| format!("{domain}.{kind}.{id}") == service;
        let (_, servers) = state.services.iter().find(|(key, _)| is_it(key))?;
        Some((servers.len(), servers.values().map(|server| server.started).min().flatten()?))
    }

    /// The highest version of a service that is there and in this range.
    ///
    /// # Errors
    /// `ServiceUnavailable`, naming the versions that are there.
    pub fn version(&self, service: &Identity, range: &VersionRange) -> Result<String, Error> {
        let filter = Filter { domain: Some(service.domain.clone()), kind: Some(service.kind.clone()) };
        let seen = self.list(&filter).into_iter().find(|seen| seen.id == service.id);
        let versions = seen.map(|seen| seen.versions).unwrap_or_default();
        if let Some(version) = range.highest(versions.iter().map(String::as_str)) {
            return Ok(version.to_owned());
        }
        let there =
            if versions.is_empty() { "none that says its version".to_owned() } else { versions.join(", ") };
        let text =
            format!("no server of {} with a version {range} is there: there is {there}", service.fqn());
        Err(Error::new(Code::ServiceUnavailable, text))
    }
}

impl State {
    /// Forgets those that were not heard in their time.
    fn sweep(&mut self, now: Instant) {
        let mut count = 0;
        self.services.retain(|_, servers| {
            servers.retain(|_, server| now.duration_since(server.last) <= server.lasts);
            count += servers.len();
            !servers.is_empty()
        });
        self.count = count;
    }
}

fn key(headers: &FieldTable) -> Option<(String, String, String)> {
    let part = |name: &str| text(headers, name).filter(|part| part.len() <= 63);
    Some((part("service_domain")?, part("service_type")?, part("service_id")?))
}

fn seen(key: &(String, String, String), servers: &HashMap<String, Server>, now: Instant) -> Option<Seen> {
    let mut versions: Vec<String> = servers.values().filter_map(|server| server.version.clone()).collect();
    versions.sort_by_cached_key(|version| std::cmp::Reverse(Version::parse(version).ok()));
    versions.dedup();
    let oldest = servers.values().map(|server| server.started.unwrap_or(server.first)).min()?;
    let last = servers.values().map(|server| server.last).max()?;
    Some(Seen {
        domain: key.0.clone(),
        kind: key.1.clone(),
        id: key.2.clone(),
        versions,
        servers: servers.len(),
        uptime: now.duration_since(oldest),
        last_seen: now.duration_since(last),
        native: servers.values().any(|server| server.native),
    })
}

fn differs(key: &(String, String, String), own: &Identity, theirs: &[String], ours: &[String]) -> Error {
    let missing = |of: &[String], from: &[String]| {
        let missing: Vec<&str> =
            of.iter().filter(|method| !from.contains(method)).map(String::as_str).collect();
        if missing.is_empty() { "nothing".to_owned() } else { missing.join(", ") }
    };
    let text = format!(
        "{}.{}.{} is of the type {:?} too, and its methods differ: it has {} that {} has not, and lacks {}",
        key.0,
        key.1,
        key.2,
        own.kind,
        missing(theirs, ours),
        own.fqn(),
        missing(ours, theirs)
    );
    Error::new(Code::Configuration, text)
}
