//! Within one process: nodes that name the same bus hear each other.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use super::{Arrival, Dial, Wire};
use crate::core::error::{Code, Error, Result};
use crate::core::platform::readiness::Bell;
use crate::mesh::pattern;

/// Messages that one node has not taken; more are refused to those who publish.
const MOST_WAITING: usize = 1 << 20;

static BUSES: LazyLock<Mutex<HashMap<String, Arc<Bus>>>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Bus {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    listeners: HashMap<String, Vec<Arc<Inbox>>>,
    /// Of those of a topic and a queue, one gets each message, in turn.
    balanced: Vec<Balanced>,
}

struct Balanced {
    topic: String,
    queue: String,
    members: Vec<Arc<Inbox>>,
    turn: usize,
}

struct Inbox {
    number: u64,
    bell: Bell,
    waiting: Mutex<VecDeque<Message>>,
}

/// A topic and a payload, which all that listen share.
type Message = (Arc<str>, Arc<[u8]>);

struct Link {
    bus: Arc<Bus>,
    inbox: Arc<Inbox>,
    max_message: usize,
    counted: usize,
}

pub(super) fn connect(name: &str, dial: &Dial<'_>) -> Result<impl Wire + use<>> {
    let bus = Arc::clone(BUSES.lock().entry(name.to_owned()).or_default());
    let bell = Bell::new().map_err(|error| Error::io(Code::Configuration, "making a bell", &error))?;
    let inbox = {
        let mut state = bus.state.lock();
        state.next += 1;
        let inbox = Arc::new(Inbox { number: state.next, bell, waiting: Mutex::default() });
        for topic in dial.topics {
            state.listeners.entry(topic.clone()).or_default().push(Arc::clone(&inbox));
        }
        inbox
    };
    let mut link = Link { bus, inbox, max_message: dial.max_message, counted: 0 };
    let (topic, message) = dial.hello;
    link.counted = link.send(topic, message)?;
    Ok(link)
}

impl Inbox {
    fn put(&self, topic: &Arc<str>, payload: &Arc<[u8]>) -> Result<()> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= MOST_WAITING {
            let text = format!("{MOST_WAITING} packets wait for a node in memory that does not take them");
            return Err(Error::new(Code::Overloaded, text));
        }
        waiting.push_back((Arc::clone(topic), Arc::clone(payload)));
        if waiting.len() == 1 {
            self.bell.ring();
        }
        Ok(())
    }
}

impl Link {
    fn send(&self, topic: &str, payload: &[u8]) -> Result<usize> {
        let (name, bytes): (Arc<str>, Arc<[u8]>) = (topic.into(), payload.into());
        let mut state = self.bus.state.lock();
        let mut reached = 0;
        for inbox in state.listeners.get(topic).into_iter().flatten() {
            inbox.put(&name, &bytes)?;
            reached += 1;
        }
        for balanced in state.balanced.iter_mut().filter(|balanced| hears(&balanced.topic, topic)) {
            balanced.turn = balanced.turn.wrapping_add(1);
            let turn = balanced.turn % balanced.members.len().max(1);
            if let Some(inbox) = balanced.members.get(turn) {
                inbox.put(&name, &bytes)?;
                reached += 1;
            }
        }
        Ok(reached)
    }

    fn leave_balanced(&self, state: &mut State) {
        for balanced in &mut state.balanced {
            balanced.members.retain(|member| member.number != self.inbox.number);
        }
        state.balanced.retain(|balanced| !balanced.members.is_empty());
    }
}

/// Whether a subscription, written as NATS's are, hears a topic.
fn hears(subject: &str, topic: &str) -> bool {
    match subject.strip_suffix('>') {
        Some(before) => topic.strip_prefix(before).is_some_and(|rest| !rest.is_empty()),
        None => subject == topic || pattern::is_wild(subject) && pattern::matches(subject, topic),
    }
}

impl Wire for Link {
    fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        self.send(topic, payload).map(drop)
    }

    fn flush(&mut self) -> Result<bool> {
        Ok(true)
    }

    fn read(&mut self, take: &mut dyn FnMut(Arrival<'_>)) -> Result<bool> {
        // First: what comes from now on rings again.
        self.inbox.bell.hush();
        let taken = std::mem::take(&mut *self.inbox.waiting.lock());
        for (topic, payload) in taken {
            if payload.len() > self.max_message {
                take(Arrival::Oversized { topic: &topic, length: payload.len() as u64 });
            } else {
                take(Arrival::Message { topic: &topic, payload: &payload });
            }
        }
        Ok(false)
    }

    fn ping(&mut self) {}

    fn balance(&mut self, topics: &[(String, String)]) -> Result<()> {
        let mut state = self.bus.state.lock();
        self.leave_balanced(&mut state);
        for (topic, queue) in topics {
            let found = state.balanced.iter_mut().find(|one| one.topic == *topic && one.queue == *queue);
            match found {
                Some(balanced) => balanced.members.push(Arc::clone(&self.inbox)),
                None => state.balanced.push(Balanced {
                    topic: topic.clone(),
                    queue: queue.clone(),
                    members: vec![Arc::clone(&self.inbox)],
                    turn: 0,
                }),
            }
        }
        Ok(())
    }

    fn watched(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.inbox.bell.as_fd()]
    }

    fn unsent(&self) -> usize {
        0
    }

    fn counted(&self) -> Option<usize> {
        Some(self.counted)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut state = self.bus.state.lock();
        self.leave_balanced(&mut state);
        for inboxes in state.listeners.values_mut() {
            inboxes.retain(|inbox| inbox.number != self.inbox.number);
        }
        state.listeners.retain(|_, inboxes| !inboxes.is_empty());
    }
}
