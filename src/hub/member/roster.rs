//! Who is at the hub: services by name, and ours by instance.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::hub::message::{Facts, Instance};

/// A service that was heard.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its name.
    pub service: String,
    /// Which one it is; `None` for a peer that does not say.
    pub instance: Option<Instance>,
    /// Its actions, as far as it has told them.
    pub actions: Vec<String>,
    /// When it was last heard.
    pub last: Instant,
    /// Own beats since it was last heard.
    missed: u32,
    /// How many it may miss; `None` when it never beats.
    patience: Option<u32>,
    /// It was heard of by a beat, and its registration is still to come: no news.
    unregistered: bool,
}

/// What a message changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A service has come.
    Came {
        /// Its name.
        service: String,
        /// Its actions.
        actions: Vec<String>,
    },
    /// A service has gone.
    Left {
        /// Its name.
        service: String,
        /// Which one it was.
        instance: Option<Instance>,
        /// Its actions.
        actions: Vec<String>,
    },
}

/// Known services. Bounded: over the bound, newcomers are not remembered, and announced each time they register.
#[derive(Debug)]
pub struct Roster {
    seen: HashMap<(String, Option<Instance>), Seen>,
    own: Instance,
    interval: Duration,
    most: usize,
}

/// A service is lost when it has missed more beats than this.
const PATIENCE: u32 = 2;
/// Peers that say only their name beat every five seconds unless told otherwise, and give up after three.
const FOREIGN_SILENCE: Duration = Duration::from_secs(15);

impl Roster {
    /// An empty one, of a service that beats at this interval.
    #[must_use]
    pub fn new(own: Instance, interval: Duration, most: usize) -> Self {
        Self { seen: HashMap::new(), own, interval, most }
    }

    /// Everyone that is here.
    pub fn all(&self) -> impl Iterator<Item = &Seen> {
        self.seen.values()
    }

    /// The instances (or names) that have this action.
    pub fn with_action(&self, action: &str) -> impl Iterator<Item = &Seen> {
        self.seen.values().filter(move |seen| seen.actions.iter().any(|known| known == action))
    }

    /// Whether someone of this name is here.
    #[must_use]
    pub fn knows(&self, service: &str) -> bool {
        self.seen.keys().any(|(name, _)| name == service)
    }

    /// A registration was heard, of another service.
    pub fn registered(&mut self, facts: &Facts<'_>, now: Instant) -> Option<Change> {
        let actions = facts.actions.clone().unwrap_or_default();
        let matched = self
            .seen
            .values_mut()
            .find(|seen| seen.unregistered && seen.service == facts.service && seen.actions == actions);
        if let Some(seen) = matched {
            // Its beat, which came first, has announced it.
            seen.unregistered = false;
            return None;
        }
        self.enter(facts.service.to_string(), None, actions.clone(), None, now);
        Some(Change::Came { service: facts.service.to_string(), actions })
    }

    /// A beat was heard, of another service.
    pub fn beat(&mut self, facts: &Facts<'_>, now: Instant) -> Option<Change> {
        let key = (facts.service.to_string(), facts.instance);
        if let Some(seen) = self.seen.get_mut(&key) {
            seen.last = now;
            seen.missed = 0;
            if facts.instance.is_none() && seen.patience.is_none() {
                seen.patience = Some(beats(FOREIGN_SILENCE, self.interval));
            }
            return None;
        }
        let instance = facts.instance?;
        let actions = facts.actions.clone().unwrap_or_default();
        // Its registration came first, without its instance: it is known already.
        let nameless = (key.0.clone(), None);
        let registered =
            self.seen.get(&nameless).is_some_and(|seen| seen.patience.is_none() && seen.actions == actions);
        if registered {
            self.seen.remove(&nameless);
        }
        let interval = facts.interval.unwrap_or(self.interval);
        let patience = beats(interval.saturating_mul(PATIENCE), self.interval);
        self.enter(key.0.clone(), Some(instance), actions.clone(), Some(patience), now);
        if let Some(seen) = self.seen.get_mut(&key) {
            seen.unregistered = !registered;
        }
        (!registered).then_some(Change::Came { service: key.0, actions })
    }

    fn enter(
        &mut self,
        service: String,
        instance: Option<Instance>,
        actions: Vec<String>,
        patience: Option<u32>,
        now: Instant,
    ) {
        let key = (service.clone(), instance);
        if self.seen.len() >= self.most && !self.seen.contains_key(&key) {
            return;
        }
        let seen = Seen { service, instance, actions, last: now, missed: 0, patience, unregistered: false };
        self.seen.insert(key, seen);
    }

    /// A service has said, or the hub has said of it, that it is gone.
    pub fn parted(&mut self, facts: &Facts<'_>) -> Option<Change> {
        if facts.instance == Some(self.own) {
            return None;
        }
        let (service, instance) = (facts.service.to_string(), facts.instance);
        let Seen { actions, .. } = self.seen.remove(&(service.clone(), instance))?;
        Some(Change::Left { service, instance, actions })
    }

    /// An own echo has come back: the hub forwards, and whoever was not heard for long is lost.
    ///
    /// Beats are counted, not seconds: a service that was held up reads others' beats before it judges them.
    pub fn own_beat(&mut self) -> Vec<Change> {
        let mut left = Vec::new();
        self.seen.retain(|_, seen| {
            seen.missed = seen.missed.saturating_add(1);
            let lost = seen.patience.is_some_and(|patience| seen.missed > patience);
            if lost {
                let (service, actions) = (seen.service.clone(), std::mem::take(&mut seen.actions));
                left.push(Change::Left { service, instance: seen.instance, actions });
            }
            !lost
        });
        left
    }

    /// Another hub may know others: those that do not tell of themselves there are forgotten, in silence. The rest
    /// will register there, which is no news, or be silent and lost.
    pub fn hub_changed(&mut self) {
        self.seen.retain(|_, seen| seen.patience.is_some());
        for seen in self.seen.values_mut() {
            seen.unregistered = seen.instance.is_some();
        }
    }
}

fn beats(time: Duration, interval: Duration) -> u32 {
    let beats = time.as_secs_f64() / interval.as_secs_f64().max(0.01);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    let beats = beats.ceil().clamp(f64::from(PATIENCE), 1e6) as u32;
    beats
}
