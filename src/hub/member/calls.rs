//! Calls of one service that wait for their answers.

use std::time::Instant;

use crate::core::error::{Code, Error, Fate};
use crate::core::pending::Pending;
use crate::hub::message::Instance;

/// A call that waits. `W` is whoever waits, and what it has so far.
#[derive(Debug)]
pub struct Call<W> {
    /// Whoever waits.
    pub waiter: W,
    /// What was asked for.
    pub action: String,
    /// Whose answers are still to come; `None` when the first is enough.
    awaited: Option<Awaited>,
    /// Its message's number in the outbox.
    message: u64,
}

/// Services whose answers are to come: by name, and by instance where they have told it. One that has the action
/// and is not known may answer too, but is not waited for.
pub type Awaited = Vec<(String, Option<Instance>)>;

/// Calls in flight, bounded by their maker.
#[derive(Debug)]
pub struct Calls<W> {
    pending: Pending<Call<W>>,
}

impl<W> Default for Calls<W> {
    fn default() -> Self {
        Self { pending: Pending::default() }
    }
}

/// What an answer means to its call.
#[derive(Debug)]
pub enum Taken<W> {
    /// It was the last, or the only one: whoever waited is to be told.
    Ends(Call<W>),
    /// There are more to come; the answer was kept.
    Continues,
    /// Nobody waits for it any more.
    TooLate,
}

impl<W> Calls<W> {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds a call. `awaited` are those that are known to have the action, when all their answers are wanted. When
    /// nobody is known, all that come until the deadline are.
    pub fn insert(
        &mut self,
        waiter: W,
        action: &str,
        awaited: Option<Awaited>,
        message: u64,
        deadline: Instant,
    ) -> u64 {
        let call = Call { waiter, action: action.to_owned(), awaited, message };
        self.pending.insert(call, deadline)
    }

    /// The number that the call's message gets in the outbox; `false` when nobody waits for the answer any more.
    pub fn sent_as(&mut self, number: u64, message: u64) -> bool {
        let mut waits = false;
        self.pending.change(number, |call| {
            call.message = message;
            waits = true;
        });
        waits
    }

    /// An answer has come from a service; `keep` is how a collecting waiter keeps it.
    pub fn answered(
        &mut self,
        number: u64,
        from: (&str, Option<Instance>),
        keep: impl FnOnce(&mut W),
    ) -> Taken<W> {
        let mut found = false;
        let mut last = false;
        self.pending.change(number, |call| {
            found = true;
            last = match &mut call.awaited {
                None => true,
                Some(awaited) => strike(awaited, from),
            };
            keep(&mut call.waiter);
        });
        if !found {
            return Taken::TooLate;
        }
        match last.then(|| self.pending.take(number)).flatten() {
            Some(call) => Taken::Ends(call),
            None => Taken::Continues,
        }
    }

    /// Gives a call up.
    pub fn forget(&mut self, number: u64) -> Option<Call<W>> {
        self.pending.take(number)
    }

    /// Everyone that waits.
    pub fn waiters(&self) -> impl Iterator<Item = &W> {
        self.pending.iter().map(|call| &call.waiter)
    }

    /// Gives up all calls that this is true of.
    pub fn forget_all(&mut self, mut which: impl FnMut(&W) -> bool) -> Vec<Call<W>> {
        let mut forgotten = Vec::new();
        while let Some(number) = self.pending.find(|call| which(&call.waiter)) {
            forgotten.extend(self.pending.take(number));
        }
        forgotten
    }

    /// Calls whose deadline has come.
    pub fn overdue(&mut self, now: Instant) -> Vec<Call<W>> {
        self.pending.overdue(now).into_iter().map(|(_, call)| call).collect()
    }

    /// The earliest deadline.
    #[must_use]
    pub fn earliest(&self) -> Option<Instant> {
        self.pending.earliest()
    }

    /// The hub is lost: the calls whose message it had taken. Those that still wait here will reach the next.
    pub fn lost(&mut self, sent: u64) -> Vec<Call<W>> {
        let mut lost = Vec::new();
        while let Some(number) = self.pending.find(|call| call.message < sent)
            && let Some(call) = self.pending.take(number)
        {
            lost.push(call);
        }
        lost
    }

    /// A service with these actions has left. Ends the calls that wait for nobody else; `others` tells whether
    /// anybody is left that has an action.
    pub fn left(
        &mut self,
        who: (&str, Option<Instance>),
        actions: &[String],
        others: impl Fn(&str) -> bool,
    ) -> Vec<Call<W>> {
        let mut ended = Vec::new();
        for action in actions {
            let others = others(action);
            let concerned = |call: &Call<W>| match &call.awaited {
                None => !others,
                Some(awaited) => awaited.iter().any(|(name, instance)| (name.as_str(), *instance) == who),
            };
            while let Some(number) = self.pending.find(|call| call.action == *action && concerned(call)) {
                let mut over = true;
                self.pending.change(number, |call| {
                    over = call.awaited.as_mut().is_none_or(|awaited| strike(awaited, who));
                });
                if over {
                    ended.extend(self.pending.take(number));
                }
            }
        }
        ended
    }

    /// Takes all.
    pub fn drain(&mut self) -> Vec<Call<W>> {
        self.pending.drain()
    }
}

impl<W> Call<W> {
    /// Whether it collects answers: then what it has is its outcome, whatever happens.
    #[must_use]
    pub fn collects(&self) -> bool {
        self.awaited.is_some()
    }

    /// The number of its message in the outbox.
    #[must_use]
    pub fn message(&self) -> u64 {
        self.message
    }

    /// Its message had left for the hub when so many had.
    #[must_use]
    pub fn was_sent(&self, sent: u64) -> bool {
        self.message < sent
    }

    /// Why it ended without an answer when its time had run out. `known` tells whether anyone has the action.
    #[must_use]
    pub fn late(&self, timeout: f64, known: bool, sent: bool) -> Error {
        let action = &self.action;
        if known {
            let fate = if sent { Fate::Unknown } else { Fate::NotSent };
            let text = format!("no answer to the action {action:?} came within {timeout} s");
            return Error::new(Code::DeadlineExceeded, text).with_fate(fate);
        }
        let why = if sent { "no service at the hub has told that it has it" } else { "no hub has taken it" };
        let text = format!("nobody answered the action {action:?} within {timeout} s: {why}");
        Error::new(if sent { Code::ServiceNotFound } else { Code::ServiceUnavailable }, text)
    }
}

/// Waits for this one no more; `true` when it was the last. An answer that does not tell its instance is that of any
/// service of its name.
fn strike(awaited: &mut Awaited, (name, instance): (&str, Option<Instance>)) -> bool {
    let exact = awaited.iter().position(|(known, which)| known == name && *which == instance);
    let place = exact.or_else(|| {
        awaited.iter().position(|(known, which)| known == name && (instance.is_none() || which.is_none()))
    });
    let Some(place) = place else { return false };
    awaited.swap_remove(place);
    awaited.is_empty()
}
