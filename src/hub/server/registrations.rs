//! Which services have registered on a connection: told to subscribers who come later, and withdrawn when the
//! connection ends.

use serde::Deserialize;
use serde_json::Value;

/// What registrations begin with.
pub(super) const REGISTRATION: &[u8] = b"<r>:";
/// What presence begins with that is told to all.
pub(super) const PRESENCE: &[u8] = b"<p>:";
/// A longer registration is forwarded and not remembered.
const LONGEST: usize = 64 << 10;

/// What one connection has registered.
#[derive(Default)]
pub(super) struct Registrations {
    known: Vec<Registration>,
}

struct Registration {
    /// The whole message, to be told again; none when only presence was seen.
    message: Option<Box<[u8]>>,
    /// Who it is, when the body could be read: a service may write it in a format of its own.
    who: Option<Who>,
}

/// A service, as its messages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) service: String,
    /// Ours have one, originals have none.
    pub(super) instance: Option<String>,
    actions: Option<Value>,
}

#[derive(Deserialize)]
struct Body {
    s: String,
    #[serde(default)]
    i: Option<String>,
    #[serde(default)]
    a: Option<Value>,
    #[serde(default)]
    k: Option<String>,
}

impl Who {
    fn of(body: Body) -> Self {
        Self { service: body.s, instance: body.i, actions: body.a }
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.service, &self.instance) == (&other.service, &other.instance)
    }

    /// The message that says that it has gone.
    pub(super) fn gone(&self) -> Vec<u8> {
        let mut body = serde_json::Map::new();
        body.insert("s".into(), self.service.clone().into());
        if let Some(instance) = &self.instance {
            body.insert("i".into(), instance.clone().into());
        }
        if let Some(actions) = &self.actions {
            body.insert("a".into(), actions.clone());
        }
        body.insert("k".into(), "gone".into());
        body.insert("t".into(), 0.into());
        [PRESENCE, Value::Object(body).to_string().as_bytes()].concat()
    }
}

impl Registrations {
    /// Looks at a message that the connection sent, and remembers what it says of its sender.
    pub(super) fn note(&mut self, message: &[u8], most: usize) {
        if message.len() > LONGEST {
            return;
        }
        if let Some(body) = message.strip_prefix(REGISTRATION) {
            let who = serde_json::from_slice::<Body>(body).ok().map(Who::of);
            self.put(Registration { message: Some(message.into()), who }, most);
        } else if let Some(body) = message.strip_prefix(PRESENCE)
            && let Ok(body) = serde_json::from_slice::<Body>(body)
        {
            let ends = body.k.as_deref() == Some("gone");
            let who = Who::of(body);
            let known = |other: &Registration| other.who.as_ref().is_some_and(|other| other.is_same(&who));
            if ends {
                // What cannot be read is the same service's, when it is the only one here.
                let only = self.known.iter().all(|other| other.who.is_none() || known(other));
                self.known.retain(|other| !(known(other) || only && other.who.is_none()));
            } else if !self.known.iter().any(known) {
                self.put(Registration { message: None, who: Some(who) }, most);
            }
        }
    }

    fn put(&mut self, new: Registration, most: usize) {
        let same = |other: &Registration| match (&new.who, &other.who) {
            (Some(new), Some(other)) => new.is_same(other),
            (None, None) => new.message == other.message,
            _ => false,
        };
        if let Some(old) = self.known.iter_mut().find(|other| same(other)) {
            *old = new;
        } else if self.known.len() < most {
            self.known.push(new);
        }
    }

    /// The messages to be told again.
    pub(super) fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.known.iter().filter_map(|known| known.message.as_deref())
    }

    /// Who would go with this connection.
    pub(super) fn services(&self) -> impl Iterator<Item = &Who> {
        self.known.iter().filter_map(|known| known.who.as_ref())
    }

    /// Whether this very instance is here too: it has connected anew before its old connection ended.
    pub(super) fn has(&self, who: &Who) -> bool {
        who.instance.is_some() && self.services().any(|other| other.is_same(who))
    }

    pub(super) fn count(&self) -> usize {
        self.known.iter().filter(|known| known.message.is_some()).count()
    }
}
