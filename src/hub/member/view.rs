//! What the messages at a hub mean to one service: who came and went, what it is to do, what answers it gets.
//! Knows no connection and no clock.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::core::error::Result;
use crate::hub::message::{Facts, Head, Heads, Instance, Request, own_call};

use super::calls::{Awaited, Call, Calls};
use super::roster::{Change, Roster};

/// What one service knows and waits for. `W` waits for a call's answer.
#[derive(Debug)]
pub struct View<W> {
    name: String,
    instance: Instance,
    heads: Heads,
    /// Who else is there.
    pub roster: Roster,
    /// What it asked others.
    pub calls: Calls<W>,
    /// Its registration is on its way.
    registering: bool,
    /// So many of its messages have passed the hub for certain.
    confirmed: u64,
}

/// What a message means.
#[derive(Debug, PartialEq)]
pub enum Event<'a> {
    /// Nothing.
    Nothing,
    /// The own registration came back: the hub is up and hears this service.
    Registered,
    /// Others have come or gone.
    Changed(Vec<Change>),
    /// A service has registered, and does not know yet who else is here.
    Newcomer(Option<Change>),
    /// A broadcast of this service.
    Broadcast(Cow<'a, str>),
    /// A response of this service.
    Response(Cow<'a, str>),
    /// The action of this number is asked for.
    Action {
        /// Its place in the list of actions.
        number: usize,
        /// Who asks.
        service: Cow<'a, str>,
        /// An answer is wanted.
        request: Option<Request<'a>>,
    },
    /// The answer to the call of this number, and its error as it came.
    Answer {
        /// The call.
        number: u64,
        /// Who answers.
        service: Cow<'a, str>,
        /// Which one of that name, if it tells.
        instance: Option<Instance>,
        /// What went wrong there.
        error: Option<Cow<'a, [u8]>>,
    },
}

impl<W> View<W> {
    /// That of a service with these actions, before it has joined.
    ///
    /// # Errors
    /// `Configuration` when a name cannot be used.
    pub fn new(
        name: &str,
        actions: &[String],
        instance: Instance,
        interval: Duration,
        most_services: usize,
    ) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            instance,
            heads: Heads::new(name, actions, instance)?,
            roster: Roster::new(instance, interval, most_services),
            calls: Calls::default(),
            registering: false,
            confirmed: 0,
        })
    }

    /// Which head a message has, and its body.
    #[must_use]
    pub fn split<'a>(&self, message: &'a [u8]) -> Option<(Head, &'a [u8])> {
        self.heads.split(message)
    }

    /// The registration has been sent to a hub.
    pub fn registering(&mut self) {
        self.registering = true;
        self.roster.hub_changed();
    }

    /// Messages that a hub which is now lost had taken, and of which nobody knows whether they went on.
    pub fn unconfirmed(&mut self, sent: u64) -> u64 {
        let unconfirmed = sent.saturating_sub(self.confirmed);
        self.confirmed = sent;
        unconfirmed
    }

    /// Everyone that is known to have this action, itself among them.
    #[must_use]
    pub fn with_action(&self, action: &str) -> Awaited {
        let own = self.heads.has_action(action).then(|| (self.name.clone(), Some(self.instance)));
        let others = self.roster.with_action(action).map(|seen| (seen.service.clone(), seen.instance));
        own.into_iter().chain(others).collect()
    }

    /// Whether anyone is known to have this action.
    #[must_use]
    pub fn knows_action(&self, action: &str) -> bool {
        self.heads.has_action(action) || self.roster.with_action(action).next().is_some()
    }

    /// A service has left: the calls that wait for nobody else.
    pub fn give_up_on(&mut self, who: (&str, Option<Instance>), actions: &[String]) -> Vec<Call<W>> {
        let (heads, roster) = (&self.heads, &self.roster);
        let others = |action: &str| heads.has_action(action) || roster.with_action(action).next().is_some();
        self.calls.left(who, actions, others)
    }

    /// Takes a message.
    pub fn take<'a>(&mut self, head: Head, facts: Facts<'a>, now: Instant) -> Event<'a> {
        let namesake = facts.service == self.name;
        match head {
            Head::Register if namesake => {
                if std::mem::take(&mut self.registering) {
                    return Event::Registered;
                }
                // Another process that runs the same class.
                Event::Newcomer(None)
            }
            Head::Register => Event::Newcomer(self.roster.registered(&facts, now)),
            Head::Echo => {
                self.confirmed = self.confirmed.max(facts.count.unwrap_or_default());
                match self.roster.own_beat() {
                    left if left.is_empty() => Event::Nothing,
                    left => Event::Changed(left),
                }
            }
            Head::Beat if facts.instance == Some(self.instance) => Event::Nothing,
            Head::Beat => {
                let change = self.roster.beat(&facts, now);
                // Another process that runs the same class is known, and nobody new.
                if namesake { Event::Nothing } else { changed(change) }
            }
            Head::Parted => changed(self.roster.parted(&facts)),
            Head::Broadcast if namesake => Event::Nothing,
            Head::Broadcast => Event::Broadcast(facts.service),
            Head::Response => Event::Response(facts.service),
            Head::Action(number) => Event::Action { number, service: facts.service, request: facts.request },
            Head::Answer => {
                let Some(answer) = facts.answer else { return Event::Nothing };
                match own_call(&answer.id, self.instance) {
                    Some(number) => {
                        let Facts { service, instance, .. } = facts;
                        Event::Answer { number, service, instance, error: answer.error }
                    }
                    None => Event::Nothing,
                }
            }
        }
    }
}

fn changed<'a>(change: Option<Change>) -> Event<'a> {
    change.map_or(Event::Nothing, |change| Event::Changed(vec![change]))
}
