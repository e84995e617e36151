//! One call as it came, and its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::message::Delivery;
use lapin::types::ShortString;
use tokio::sync::mpsc;

use super::{Command, How, Settlement};
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Fate};
use crate::fabric::wire::{self, Kind};

/// A call from another service.
pub struct Request {
    /// The method's routing key.
    pub method: Arc<str>,
    /// The arguments, encoded.
    pub body: Vec<u8>,
    /// How.
    pub content_type: Option<String>,
    /// When its caller waits no longer.
    pub deadline: Option<Deadline>,
    /// It may have been begun before: by a server that is gone, or here before the connection was lost.
    pub redelivered: bool,
    /// It may be given back to the broker before it has begun.
    pub may_move: bool,
    /// What its caller calls it.
    pub correlation_id: Option<String>,
    /// Who calls, as far as it says so.
    pub caller: Option<String>,
    /// Where its answer goes.
    pub answer: Answer,
}

/// Where a call came from.
pub(super) struct Origin {
    session: u64,
    tag: u64,
    reply_to: Option<ShortString>,
    correlation_id: Option<ShortString>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Origin {
    pub(super) fn new(session: u64, delivery: &Delivery, commands: &mpsc::UnboundedSender<Command>) -> Self {
        let properties = &delivery.properties;
        Self {
            session,
            tag: delivery.delivery_tag,
            reply_to: properties.reply_to().clone(),
            correlation_id: properties.correlation_id().clone(),
            commands: commands.clone(),
        }
    }
}

/// The one answer of a call. Dropped unused, the call goes back to the broker.
pub struct Answer(Option<Origin>);

impl Answer {
    /// Answers.
    pub fn send(mut self, kind: Kind, content_type: &str, body: Vec<u8>) {
        let Some(origin) = self.0.take() else { return };
        let how = match &origin.reply_to {
            Some(reply_to) => {
                let id = origin.correlation_id.clone();
                How::Answered(Box::new(wire::answer(kind, content_type, reply_to.clone(), id, body)))
            }
            // Nobody wants an answer.
            None => How::Dropped,
        };
        origin.settle(how);
    }

    /// Ends the call without an answer: its caller waits no longer.
    pub fn expire(mut self) {
        if let Some(origin) = self.0.take() {
            origin.settle(How::Expired);
        }
    }

    /// Ends what is no call.
    fn refuse(mut self) {
        if let Some(origin) = self.0.take() {
            origin.settle(How::Dropped);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(origin) = self.0.take() {
            origin.settle(How::GivenBack);
        }
    }
}

impl Origin {
    /// Answers a call that is not even read.
    pub(super) fn refuse(self, error: &Error) {
        Answer(Some(self)).send(Kind::Error, wire::JSON, wire::engine_error(error));
    }

    fn settle(self, how: How) {
        let _ = self.commands.send(Command::Settle(Settlement { session: self.session, tag: self.tag, how }));
    }
}

/// A delivery as a call.
///
/// # Errors
/// What is wrong with it; `None` when that was answered, or when its caller waits no longer.
pub(super) fn read(
    delivery: Delivery,
    method: &Arc<str>,
    redeliver: bool,
    origin: Origin,
) -> Result<Request, Option<Error>> {
    let properties = &delivery.properties;
    let answer = Answer(Some(origin));
    if !wire::is_call(properties) {
        let kind = properties.kind().as_ref().map_or("none", ShortString::as_str).to_owned();
        answer.refuse();
        let text = format!("a message of type {kind:?} instead of \"call\" was dropped");
        return Err(Some(Error::new(Code::Protocol, text)));
    }
    if delivery.redelivered && !redeliver {
        let text = format!("a server went away while it ran {method}(), which is not to be run again");
        let error = Error::new(Code::ConnectionLost, text).with_fate(Fate::Unknown);
        answer.send(Kind::Error, wire::JSON, wire::engine_error(&error));
        return Err(None);
    }
    let deadline = properties
        .expiration()
        .as_ref()
        .and_then(|time| time.as_str().parse().ok())
        .map(|time: u64| Deadline::after_at(Instant::now(), Duration::from_millis(time)));
    Ok(Request {
        method: Arc::clone(method),
        content_type: properties.content_type().as_ref().map(ToString::to_string),
        deadline,
        redelivered: delivery.redelivered,
        may_move: redeliver,
        correlation_id: properties.correlation_id().as_ref().map(ToString::to_string),
        caller: wire::caller(properties),
        body: delivery.data,
        answer,
    })
}
