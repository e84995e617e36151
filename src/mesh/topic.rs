//! Names of topics: `MOL[-namespace].COMMAND[.node]`.

use super::packet::Command;

/// The commands that a node listens to, in the order in which Moleculer subscribes; whether to those for it alone.
const SUBSCRIPTIONS: [(Command, bool); 12] = [
    (Command::Event, true),
    (Command::Request, true),
    (Command::Response, true),
    (Command::Discover, false),
    (Command::Discover, true),
    (Command::Info, false),
    (Command::Info, true),
    (Command::Disconnect, false),
    (Command::Heartbeat, false),
    (Command::Ping, false),
    (Command::Ping, true),
    (Command::Pong, true),
];

/// Requests and events that the transporter hands to one of many.
const BALANCED_REQUEST: &str = "REQB";
const BALANCED_EVENT: &str = "EVENTB";

/// The topics of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// `MOL`, or `MOL-namespace`.
    prefix: String,
}

/// What a topic says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic<'a> {
    /// What the packet is for.
    pub command: Command,
    /// For whom it is; `None` for all.
    pub to: Option<To<'a>>,
}

/// For whom a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To<'a> {
    /// The node of this id.
    Node(&'a str),
    /// One of those that serve an action, or a group and an event: `GROUP.EVENT`. Where either has a dot, only they
    /// know which is which.
    Any(&'a str),
}

impl Topics {
    /// Those of a namespace; an empty one is none.
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        let prefix = if namespace.is_empty() { "MOL".to_owned() } else { format!("MOL-{namespace}") };
        Self { prefix }
    }

    /// What they all begin with: keys of caches do too.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The topic of a command, to one node or all.
    #[must_use]
    pub fn topic(&self, command: Command, node: Option<&str>) -> String {
        let mut topic = String::with_capacity(self.prefix.len() + 12 + node.map_or(0, str::len));
        self.write(&mut topic, command, node);
        topic
    }

    /// Appends the topic of a command, to one node or all.
    pub fn write(&self, out: &mut String, command: Command, node: Option<&str>) {
        for part in [&self.prefix, ".", command.name()] {
            out.push_str(part);
        }
        if let Some(node) = node {
            out.push('.');
            out.push_str(node);
        }
    }

    /// What the node of this id subscribes to, in Moleculer's order.
    #[must_use]
    pub fn subscriptions(&self, me: &str) -> [String; 12] {
        SUBSCRIPTIONS.map(|(command, targeted)| self.topic(command, targeted.then_some(me)))
    }

    /// Where calls of an action go that the transporter balances.
    #[must_use]
    pub fn balanced_request(&self, action: &str) -> String {
        format!("{}.{BALANCED_REQUEST}.{action}", self.prefix)
    }

    /// Where events go that the transporter balances among the services of a group.
    #[must_use]
    pub fn balanced_event(&self, group: &str, event: &str) -> String {
        format!("{}.{BALANCED_EVENT}.{group}.{event}", self.prefix)
    }

    /// The subject at NATS under which such events are heard: from `**` on, it takes all.
    #[must_use]
    pub fn balanced_subject(&self, group: &str, pattern: &str) -> String {
        let mut subject = self.balanced_event(group, pattern);
        if let Some(at) = subject.find("**") {
            subject.truncate(at);
            subject.push('>');
        }
        subject
    }

    /// Takes a topic apart; `None` for those that are not of this namespace, or no command.
    #[must_use]
    pub fn parse<'t>(&self, topic: &'t str) -> Option<Topic<'t>> {
        let rest = topic.strip_prefix(&self.prefix)?.strip_prefix('.')?;
        let (name, to) = match rest.split_once('.') {
            Some((name, to)) => (name, Some(to)),
            None => (rest, None),
        };
        match name {
            BALANCED_REQUEST => Some(Topic { command: Command::Request, to: Some(To::Any(to?)) }),
            BALANCED_EVENT => Some(Topic { command: Command::Event, to: Some(To::Any(to?)) }),
            name => Some(Topic { command: Command::named(name)?, to: to.map(To::Node) }),
        }
    }
}
