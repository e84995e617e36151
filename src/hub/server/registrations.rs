//! Which services have told of themselves on a connection: told again to subscribers who come later, and said to
//! be gone when the connection ends.

use crate::core::json;
use crate::hub::message::{self, BEAT, PARTED, REGISTER};

/// A longer message is forwarded and not remembered.
const LONGEST: usize = 64 << 10;

/// What one connection has told.
#[derive(Default)]
pub(super) struct Registrations {
    known: Vec<Registration>,
}

/// One service of a connection.
struct Registration {
    /// Who it is; none when its bodies are in a format of its own.
    who: Option<Who>,
    /// Its last beat and its registration, whole.
    beat: Option<Box<[u8]>>,
    register: Option<Box<[u8]>>,
}

/// A service, as its messages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    service: String,
    /// Ours have one, originals have none.
    instance: Option<message::Instance>,
}

impl Who {
    /// The message that says that it has gone. Peers touch whoever a message names, and complain of one without
    /// data.
    pub(super) fn gone(&self) -> Vec<u8> {
        let mut said = [PARTED, b":{\"s\":"].concat();
        json::write_text(&mut said, &self.service);
        said.extend_from_slice(b",\"d\":null,\"k\":\"gone\"");
        if let Some(instance) = self.instance {
            said.extend_from_slice(b",\"i\":\"");
            said.extend_from_slice(instance.as_str().as_bytes());
            said.push(b'"');
        }
        said.push(b'}');
        said
    }
}

/// The body of a message with this head.
fn body<'a>(message: &'a [u8], head: &[u8]) -> Option<&'a [u8]> {
    message.strip_prefix(head)?.strip_prefix(b":")
}

/// Whether whoever subscribes so is to be told what was remembered.
pub(super) fn concerned(prefix: &[u8]) -> bool {
    [REGISTER, BEAT].iter().any(|head| head.starts_with(prefix) || body(prefix, head).is_some())
}

impl Registrations {
    /// Looks at a message that the connection sent, and remembers what it says of its sender.
    pub(super) fn note(&mut self, message: &[u8], most: usize) {
        if message.len() > LONGEST {
            return;
        }
        let who = |body| {
            let (facts, _) = message::read(body).ok()?;
            Some(Who { service: facts.service.into_owned(), instance: facts.instance })
        };
        if let Some(body) = body(message, REGISTER) {
            if let Some(known) = self.of(who(body), most) {
                known.register = Some(message.into());
            }
        } else if let Some(body) = body(message, BEAT) {
            if let Some(known) = self.of(who(body), most) {
                known.beat = Some(message.into());
            }
        } else if let Some(body) = body(message, PARTED) {
            let who = who(body);
            self.known.retain(|known| match (&known.who, &who) {
                (Some(known), Some(who)) => known.service != who.service,
                // What cannot be read is the same service's: a connection has seldom more than one.
                _ => false,
            });
        }
    }

    /// What is known of a service. Its registration names no instance, and its beats do.
    fn of(&mut self, who: Option<Who>, most: usize) -> Option<&mut Registration> {
        let same = |known: &Registration| match (&known.who, &who) {
            (Some(known), Some(who)) => known.service == who.service,
            (None, None) => true,
            _ => false,
        };
        let place = match self.known.iter().position(same) {
            Some(place) => place,
            None if self.known.len() < most => {
                self.known.push(Registration { who: who.clone(), beat: None, register: None });
                self.known.len() - 1
            }
            None => return None,
        };
        let known = self.known.get_mut(place)?;
        if let (Some(known), Some(Who { instance: Some(instance), .. })) = (&mut known.who, who) {
            known.instance = Some(instance);
        }
        Some(known)
    }

    /// The messages to be told again: who it is, then that it is there.
    pub(super) fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.known.iter().flat_map(|known| [&known.beat, &known.register]).filter_map(Option::as_deref)
    }

    /// Who would go with this connection.
    pub(super) fn services(&self) -> impl Iterator<Item = &Who> {
        self.known.iter().filter_map(|known| known.who.as_ref())
    }

    /// Whether this very instance is here too: it has connected anew before its old connection ended.
    pub(super) fn has(&self, who: &Who) -> bool {
        who.instance.is_some() && self.services().any(|other| other == who)
    }

    pub(super) fn count(&self) -> usize {
        self.known.iter().filter(|known| known.register.is_some()).count()
    }
}
