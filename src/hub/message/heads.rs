//! What stands before the first colon that counts, and what it means to one service.

use std::collections::HashMap;

use super::{ANSWER, BEAT, BROADCAST, ECHO, Instance, MAX_NAME, PARTED, REGISTER, REPLY};
use crate::core::error::{Code, Error, Result};

/// What a message is about, by its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// `<r>`
    Register,
    /// `<b>`
    Broadcast,
    /// `<hb>`
    Beat,
    /// `<ares>`, `<c>` with this instance
    Answer,
    /// `<e>` with this instance
    Echo,
    /// `<p>`
    Parted,
    /// The service's own name.
    Response,
    /// The action of this number.
    Action(usize),
}

/// The heads that concern one service, and what they mean to it.
#[derive(Debug)]
pub struct Heads {
    known: HashMap<Box<[u8]>, Head>,
    /// The most colons that one of them holds.
    colons: usize,
}

impl Heads {
    /// The heads of a service of this name with these actions.
    ///
    /// # Errors
    /// `Configuration` when a name cannot be used as a head.
    pub fn new(name: &str, actions: &[String], instance: Instance) -> Result<Self> {
        let mut known: HashMap<Box<[u8]>, Head> = HashMap::new();
        check_name("service", name)?;
        known.insert(name.as_bytes().into(), Head::Response);
        for (number, action) in actions.iter().enumerate() {
            check_name("action", action)?;
            if action == name {
                return Err(Error::new(
                    Code::Configuration,
                    format!(
                        "the action {action:?} has its service's name: responses could not be told apart"
                    ),
                ));
            }
            known.insert(action.as_bytes().into(), Head::Action(number));
        }
        let own = |head: &[u8]| [head, &instance.0].concat().into_boxed_slice();
        known.insert(REGISTER.into(), Head::Register);
        known.insert(BROADCAST.into(), Head::Broadcast);
        known.insert(BEAT.into(), Head::Beat);
        known.insert(ANSWER.into(), Head::Answer);
        known.insert(own(REPLY), Head::Answer);
        known.insert(own(ECHO), Head::Echo);
        known.insert(PARTED.into(), Head::Parted);
        let colons = |head: &[u8]| memchr::memchr_iter(b':', head).count();
        let colons = known.keys().map(|head| colons(head)).max().unwrap_or_default();
        Ok(Self { known, colons })
    }

    /// What to subscribe to: each head with its colon. Beats come first: a hub tells who is there as it is asked,
    /// and a beat says who it is that a registration is of.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Vec<u8>> {
        let mut heads: Vec<&[u8]> = self.known.keys().map(AsRef::as_ref).collect();
        heads.sort_unstable_by_key(|head| (*head != BEAT, *head));
        heads.into_iter().map(|head| [head, b":".as_slice()].concat()).collect()
    }

    /// The head and the body of a message; `None` when it does not concern this service. Names may hold colons:
    /// the longest head that fits is meant.
    #[must_use]
    pub fn split<'a>(&self, message: &'a [u8]) -> Option<(Head, &'a [u8])> {
        let mut found = None;
        for at in memchr::memchr_iter(b':', message).take(self.colons + 1) {
            if let Some(head) = self.known.get(&message[..at]) {
                found = Some((*head, &message[at + 1..]));
            }
        }
        found
    }

    /// Whether the service has this action.
    #[must_use]
    pub fn has_action(&self, name: &str) -> bool {
        matches!(self.known.get(name.as_bytes()), Some(Head::Action(_)))
    }
}

/// Whether messages may go to a service or an action (`what`) of this name.
///
/// # Errors
/// `Configuration`, saying what is wrong with it.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    let wrong = if name.is_empty() {
        "is empty"
    } else if name.len() > MAX_NAME {
        "is longer than 255 bytes"
    } else if name.starts_with('<') {
        "begins with '<', which marks the hub's own messages"
    } else if name.chars().any(char::is_control) {
        "holds a control character"
    } else {
        return Ok(());
    };
    Err(Error::new(Code::Configuration, format!("the {what} name {name:?} cannot be used: it {wrong}")))
}
