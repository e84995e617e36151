//! What a failure at the broker means: who is at fault, what to do, and whether trying again helps.

use std::io;

use lapin::ErrorKind;
use lapin::protocol::AMQPError;

use super::address::Address;
use crate::core::error::{Code, Error};

/// Whether trying again helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It passes: on a new connection or channel, after a while.
    Retry,
    /// It fails the same way until somebody changes something.
    Final,
}

/// What is done until the broker has let this client in.
pub(super) const CONNECTING: &str = "connecting";

/// What the AMQP client's error means to the user. `doing` is what failed, such as `declaring the
/// exchange x`.
#[must_use]
pub fn classify(error: &lapin::Error, doing: &str, at: &Address) -> (Error, Cause) {
    use Cause::{Final, Retry};
    let (code, cause, why) = match error.kind() {
        ErrorKind::ProtocolError(told) => protocol(told, at),
        ErrorKind::IOError(error) => match inner(error) {
            Some(Inner::Ours(error)) => return (error.clone(), cause_of(error.code)),
            Some(Inner::Tls(error)) => return (at.mistrusted(error), Final),
            None if doing == CONNECTING && !at.tls() => (
                Code::ConnectionLost,
                Retry,
                format!("the connection ended: {error}; if this is a port for TLS, write amqps://"),
            ),
            None => (Code::ConnectionLost, Retry, format!("the connection ended: {error}")),
        },
        ErrorKind::MissingHeartbeatError => {
            (Code::ConnectionLost, Retry, "the broker has been silent for too long".to_owned())
        }
        ErrorKind::InvalidChannel(_)
        | ErrorKind::InvalidChannelState(..)
        | ErrorKind::InvalidConnectionState(_) => {
            (Code::ConnectionLost, Retry, format!("the connection ended: {error}"))
        }
        ErrorKind::ChannelsLimitReached => (
            Code::Overloaded,
            Retry,
            "the broker allows no more channels on this connection (its channel_max)".to_owned(),
        ),
        ErrorKind::ParsingError(_) => {
            let tls = if at.tls() { "" } else { ", and write amqps:// where it is one for TLS" };
            (Code::Protocol, Retry, format!("what answers does not speak AMQP: check the port{tls}"))
        }
        ErrorKind::InvalidProtocolVersion(_) => {
            (Code::Configuration, Final, format!("{error}, and this speaks 0-9-1: use RabbitMQ"))
        }
        ErrorKind::AuthProviderError(_) => (Code::Authentication, Final, error.to_string()),
        ErrorKind::SerialisationError(_) => (Code::Payload, Final, error.to_string()),
        ErrorKind::RuntimeShutdownError(_) => (Code::Cancelled, Final, "this process is ending".to_owned()),
        _ => (Code::Protocol, Final, error.to_string()),
    };
    (Error::new(code, format!("{doing} (broker {at}): {why}")), cause)
}

/// What the broker said, by its number and, where one number means many things, by its words.
fn protocol(told: &AMQPError, at: &Address) -> (Code, Cause, String) {
    use Cause::{Final, Retry};
    let words = told.get_message().as_str().trim_end_matches('.');
    let has = |part: &str| words.contains(part);
    let (code, cause, advice) = match told.get_id() {
        403 if has("in exclusive use") => (Code::ServiceUnavailable, Retry, "another consumer holds it".to_owned()),
        403 if has("Login was refused") || has("login refused") || has("can only connect via localhost") => {
            let text = "check the user's name and password; guest is let in from the broker's own machine only";
            (Code::Authentication, Final, text.to_owned())
        }
        403 => (Code::Authentication, Final, format!("ask for user {:?} to be permitted this", at.user())),
        530 if has("is down") || has("limit") => (Code::ServiceUnavailable, Retry, "it may be let in later".to_owned()),
        530 | 402 if has("vhost") => (
            Code::Configuration,
            Final,
            format!("check the URI's vhost {:?}, and that user {:?} may use it", at.vhost(), at.user()),
        ),
        406 if has("timed out") => (
            Code::ConnectionLost,
            Retry,
            "what is not acknowledged in the broker's consumer_timeout is taken back".to_owned(),
        ),
        406 if has("delivery tag") || has("fast reply consumer") => {
            (Code::ConnectionLost, Retry, "it belongs to a channel that has ended".to_owned())
        }
        406 if has("size") && has("larger") => (Code::Payload, Final, "send less at once".to_owned()),
        311 => (Code::Payload, Final, "send less at once".to_owned()),
        406 => (
            Code::Configuration,
            Final,
            "it is there already, with other properties: delete it at the broker if nobody needs it, or choose \
             another name"
                .to_owned(),
        ),
        404 | 312 | 313 => (Code::ServiceUnavailable, Retry, "it is not there, or no more".to_owned()),
        405 => (Code::ServiceUnavailable, Retry, "another connection holds it; it is free when that ends".to_owned()),
        320 => (Code::ConnectionLost, Retry, "the broker or its operator ended the connection".to_owned()),
        506 => (Code::Overloaded, Retry, "the broker is short of something: see its log".to_owned()),
        541 => (Code::ServiceUnavailable, Retry, "see the broker's log".to_owned()),
        530 | 402 | 503 | 540 => (Code::Configuration, Final, "this broker does not do it".to_owned()),
        _ => (Code::Protocol, Retry, "see the broker's log".to_owned()),
    };
    (code, cause, format!("{words}: {advice}"))
}

/// Whether trying again mends an error of ours.
fn cause_of(code: Code) -> Cause {
    match code {
        Code::Configuration | Code::Authentication | Code::Payload | Code::Cancelled => Cause::Final,
        _ => Cause::Retry,
    }
}

enum Inner<'a> {
    Ours(&'a Error),
    Tls(&'a rustls::Error),
}

fn inner(error: &io::Error) -> Option<Inner<'_>> {
    let inner = error.get_ref()?;
    if let Some(error) = inner.downcast_ref::<Error>() {
        return Some(Inner::Ours(error));
    }
    inner.downcast_ref::<rustls::Error>().map(Inner::Tls)
}
