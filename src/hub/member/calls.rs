//! Calls of one service that wait for their answers.

use std::time::Instant;

use crate::core::error::{Code, Error, Fate};
use crate::core::pending::Pending;

/// A call that waits. `W` is whoever waits, and what it has so far.
#[derive(Debug)]
pub struct Call<W> {
    /// Whoever waits.
    pub waiter: W,
    /// What was asked for.
    pub action: String,
    /// Answers that are still to come; `None` when the first is enough.
    outstanding: Option<usize>,
    /// Its message's number in the outbox.
    message: u64,
}

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

    /// Adds a call. `known` is how many are known to have the action, when all their answers are wanted.
    pub fn insert(
        &mut self,
        waiter: W,
        action: &str,
        known: Option<usize>,
        message: u64,
        deadline: Instant,
    ) -> u64 {
        let call = Call { waiter, action: action.to_owned(), outstanding: known, message };
        self.pending.insert(call, deadline)
    }

    /// The number that the call's message got in the outbox.
    pub fn sent_as(&mut self, number: u64, message: u64) {
        self.pending.change(number, |call| call.message = message);
    }

    /// An answer has come; `keep` is how a collecting waiter keeps it.
    pub fn answered(&mut self, number: u64, keep: impl FnOnce(&mut W)) -> Taken<W> {
        let mut found = false;
        let mut last = false;
        self.pending.change(number, |call| {
            found = true;
            match &mut call.outstanding {
                None => last = true,
                Some(left) => {
                    *left = left.saturating_sub(1);
                    last = *left == 0;
                }
            }
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

    /// A service with these actions has left. Ends the calls that wait for nobody else; `others` tells how many
    /// are left that have an action.
    pub fn left(&mut self, actions: &[String], others: impl Fn(&str) -> usize) -> Vec<Call<W>> {
        let mut ended = Vec::new();
        for action in actions {
            let others = others(action);
            let concerned = |call: &Call<W>| {
                call.action == *action && call.outstanding.is_none_or(|outstanding| outstanding > others)
            };
            while let Some(number) =
                self.pending.find(|call| concerned(call) && (others == 0 || call.outstanding.is_some()))
            {
                let mut over = others == 0;
                self.pending.change(number, |call| {
                    if let Some(outstanding) = &mut call.outstanding {
                        *outstanding = others;
                        over = others == 0;
                    }
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
        self.outstanding.is_some()
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
