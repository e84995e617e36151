//! Why a call has ended without an answer, and finding out sooner than its deadline tells.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::{Caller, Command, Progress, Target};
use crate::core::error::{Code, Error, Fate};
use crate::fabric::context::Context;
use crate::fabric::link::Link;
use crate::fabric::names;

/// A call that was not answered for so long has it asked whether its service is still there; so often at first, since
/// a server that dies may soon be followed by another, which knows nothing of the call.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// While all calls are older than so many looks, it is asked more rarely, down to the last.
const YOUNG: u32 = 50;
const RAREST_LOOK: Duration = Duration::from_secs(1);
/// After a lost connection, services need this long at most to be back.
const SETTLING: Duration = Duration::from_secs(3);
/// A method that nobody served for a moment: so long its calls may be answered yet.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// How long a question to the broker may take.
const ANSWER: Duration = Duration::from_secs(5);

pub(super) fn late(target: &Target, was_sent: bool, context: &Context) -> Error {
    let (fate, text) = if was_sent {
        (Fate::Unknown, format!("{target} did not answer in time; it may have run"))
    } else {
        (Fate::NotSent, format!("{target} was not called in time{}", context.why_away()))
    };
    Error::new(Code::DeadlineExceeded, text).with_fate(fate)
}

pub(super) fn lost(target: &Target, why: &Error) -> Error {
    let text = format!(
        "the connection to the broker was lost before {target} answered; it may have run: {}",
        why.message
    );
    Error::new(Code::ConnectionLost, text).with_fate(Fate::Unknown)
}

pub(super) fn of_reply(error: Error, target: &Target) -> Error {
    Error { message: format!("the answer of {target}: {}", error.message), ..error }.with_fate(Fate::Executed)
}

impl Caller {
    /// A call came back: nobody serves the method. Is the service there at all?
    pub(super) fn returned(&mut self, number: u64) {
        let Some(waiting) = self.waiting.get_mut(&number) else { return };
        let has_waited = waiting.begun < self.back && self.back.elapsed() < SETTLING;
        if waiting.is_repeat || has_waited {
            // It was served before, or others come back after the same loss: it may be served in a moment.
            waiting.progress = Progress::Unsent;
            return self.later.push(number);
        }
        let target = waiting.target.clone();
        // One that is listed with this very method has just gone.
        if let Some(offered) = self.roster.methods(&target.service)
            && !offered.is_empty()
            && !offered.contains(&target.method)
        {
            return self.finish(number, Err(no_method(&target, &offered)));
        }
        let (link, commands) = (self.link.clone(), self.commands.clone());
        tokio::spawn(async move {
            let sibling = Target { method: names::HEALTH_CHECK.to_owned(), ..target.clone() };
            let is_there = matches!(consumers(&sibling, link, &mut None).await, Some(Some(_)));
            let error = if is_there { no_method(&target, &[]) } else { nobody(&target) };
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(Command::Unroutable(number, error));
            }
        });
    }

    /// Asks the broker whether those are there that have not answered for a while. The last server of a service takes
    /// its queues along, and what waits in them: no answer will come.
    pub(super) fn look_after(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.looked) < self.look {
            return;
        }
        self.looked = now;
        let youngest = self.waiting.values().map(|waiting| now.duration_since(waiting.begun)).min();
        self.look = (youngest.unwrap_or_default() / YOUNG).clamp(LOOK, RAREST_LOOK);
        self.unsent.extend(self.later.drain(..));
        let given_up: Vec<(Target, Instant)> = self
            .unserved
            .iter()
            .filter(|(_, since)| now.duration_since(**since) >= LAST_ANSWERS)
            .map(|(target, since)| (target.clone(), *since))
            .collect();
        for (target, since) in given_up {
            self.unserved.remove(&target);
            self.gone(&target, since);
        }
        let slow = self.waiting.values().filter(|waiting| {
            waiting.progress == Progress::Given
                && waiting.sent.is_some_and(|sent| now.duration_since(sent) >= LOOK)
        });
        let mut targets: Vec<Target> = slow.map(|waiting| waiting.target.clone()).collect();
        targets.sort_by(|one, other| (&one.exchange, &one.method).cmp(&(&other.exchange, &other.method)));
        targets.dedup();
        if targets.is_empty() || !self.link.is_up() {
            return;
        }
        let Ok(mut channel) = Arc::clone(&self.asking).try_lock_owned() else { return };
        let (link, commands) = (self.link.clone(), self.commands.clone());
        tokio::spawn(async move {
            for target in targets {
                let mut servers = consumers(&target, link.clone(), &mut channel).await;
                if matches!(servers, Some(None | Some(0))) {
                    let leaving = Target { method: names::LEAVING.to_owned(), ..target.clone() };
                    if let Some(Some(some @ 1..)) = consumers(&leaving, link.clone(), &mut channel).await {
                        servers = Some(Some(some));
                    }
                }
                if let (Some(servers), Some(commands)) = (servers, commands.upgrade()) {
                    let _ = commands.send(Command::Served(target, servers, now));
                }
            }
        });
    }

    /// So many servers took calls of this method at that time; `None`: its queue was not there.
    pub(super) fn served(&mut self, target: Target, servers: Option<u32>, since: Instant) {
        match servers {
            // Its calls went with its queue, unless a server that lost its connection alone answers yet.
            None | Some(0) => {
                self.unserved.entry(target).or_insert(since);
            }
            Some(servers) => {
                // Each of them is known, and has come after the call was sent.
                if let Some((known, oldest)) = self.roster.servers(&target.service)
                    && known >= servers as usize
                {
                    self.gone(&target, oldest);
                }
            }
        }
    }

    fn gone(&mut self, target: &Target, since: Instant) {
        let is_lost = |waiting: &super::Waiting| {
            waiting.target == *target && waiting.sent.is_some_and(|sent| sent < since)
        };
        let lost: Vec<u64> =
            self.waiting.iter().filter(|(_, waiting)| is_lost(waiting)).map(|(number, _)| *number).collect();
        for number in lost {
            let Some(waiting) = self.waiting.get_mut(&number) else { continue };
            if waiting.idempotent {
                waiting.progress = Progress::Unsent;
                waiting.is_repeat = true;
                self.unsent.push_back(number);
                continue;
            }
            let text = format!(
                "the last server of {} has gone before {target} was answered; it may have run",
                target.service
            );
            self.finish(number, Err(Error::new(Code::ConnectionLost, text).with_fate(Fate::Unknown)));
        }
    }
}

fn nobody(target: &Target) -> Error {
    let text = format!("nobody serves {}: {target} was not called", target.service);
    Error::new(Code::ServiceUnavailable, text).with_fate(Fate::Rejected)
}

fn no_method(target: &Target, offered: &[String]) -> Error {
    let offers = if offered.is_empty() { String::new() } else { format!("; it has {}", offered.join(", ")) };
    let text = format!("{} has no method {:?}{offers}", target.service, target.method);
    Error::new(Code::EndpointNotFound, text).with_fate(Fate::Rejected)
}

/// How many servers take calls of a method, `Some(None)` when its queue is not there; `None` when the broker does not
/// say. The channel is kept for the next question, unless the broker closes it.
async fn consumers(target: &Target, mut link: Link, kept: &mut Option<Channel>) -> Option<Option<u32>> {
    let ask = async {
        let channel = match kept.take().filter(|channel| channel.status().connected()) {
            Some(channel) => channel,
            None => link.channel().await?.ok()?,
        };
        let queue = names::method_queue(&target.exchange, &target.method);
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        match channel.queue_declare(queue.into(), options, FieldTable::default()).await {
            Ok(queue) => {
                *kept = Some(channel);
                Some(Some(queue.consumer_count()))
            }
            // The broker closes the channel with NOT_FOUND.
            Err(error) => error.is_amqp_soft_error().then_some(None),
        }
    };
    tokio::time::timeout(ANSWER, ask).await.ok().flatten()
}
