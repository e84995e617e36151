//! One question to one daemon, on a connection of its own: what `ironbridge ps` asks each.

use std::time::Duration;

use crate::bridge::frame::{self, ReplyEnvelope, RequestEnvelope, Vectors, builtin};
use crate::bridge::hello::{Lane, Mode};
use crate::bridge::lease::LeaseRecord;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Result};
use crate::core::limits::Limits;

use super::Interrupt;
use super::channel::{Channel, Outgoing};
use super::dial::{self, Introduction};

/// An empty array in msgpack.
const NO_ARGUMENTS: u8 = 0x90;

/// A daemon's statistics, as a JSON document.
///
/// # Errors
/// `ServiceUnavailable`, `DeadlineExceeded` or `ConnectionLost` when it does not answer in time or has ended;
/// `Cancelled` when interrupted.
pub fn statistics(lease: &LeaseRecord, deadline: Deadline, interrupt: Interrupt<'_>) -> Result<String> {
    let limits = Limits::default();
    let introduction = Introduction {
        service: &lease.service,
        nonce: Some(&lease.nonce),
        worker: None,
        since: None,
        mode: Mode::OneCall,
        lane: Lane::Plain,
        token: None,
        limits: &limits,
    };
    let stream = dial::unix(&lease.socket, deadline, interrupt)?;
    let dialled = dial::introduce::<Vec<u8>>(stream, introduction, 4096, deadline, interrupt)?;
    let mut channel = Channel::new(dialled.stream, dialled.reader, dialled.welcome, Duration::ZERO, 0);

    let mut question = Outgoing::<Vec<u8>>::default();
    let envelope =
        RequestEnvelope { call: 1, remaining: deadline.to_wire(), instance: 0, endpoint: builtin::STATS };
    let open = frame::begin_request(&mut question.head, 0, &envelope);
    question.head.push(NO_ARGUMENTS);
    open.finish_small(&mut question.head);
    channel.send(&question, deadline, interrupt)?;

    let answer = channel.receive_reply(&Vectors, deadline, interrupt)?;
    let reply = ReplyEnvelope::read(answer.envelope())?;
    if reply.code != Code::Ok {
        return Err(Error::new(
            reply.code,
            format!("service {:?} did not tell its statistics", lease.service),
        ));
    }
    rmp_serde::from_slice(answer.payload())
        .map_err(|error| Error::protocol(format!("statistics that are no text: {error}")))
}
