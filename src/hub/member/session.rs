//! Joining a hub: both connections, their handshakes, the subscriptions, and an echo that comes back, so that
//! nothing which is said from then on can be missed.

use std::sync::Arc;
use std::time::Duration;

use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Result};
use crate::core::platform::socket::{Interest, wait};
use crate::hub::endpoint::Endpoint;
use crate::hub::message::ECHO;
use crate::hub::socket::Socket;
use crate::hub::zmtp::{self, Event, Frames, Handshake, Role};

use super::inbound::Inbound;
use super::{Config, Shared};

/// A place at a hub.
pub(super) struct Session {
    /// What is said leaves here.
    pub(super) outbound: Arc<Socket>,
    /// What the hub says there: pings at most.
    pub(super) control: Frames,
    /// What is heard comes here.
    pub(super) inbound: Inbound,
}

/// No wait is longer than this without a look at whether the member has been stopped.
const SLICE: Duration = Duration::from_millis(50);
/// Bytes of others' messages that come before the first echo. A hub that sends more is not the one that is pushed to.
const MOST_KEPT: usize = 16 << 20;
/// The first echo is waited for this long, each next one twice as long, up to `SLICE`: a hub's subscription takes
/// a moment to work.
const FIRST_ECHO: Duration = Duration::from_millis(2);

/// Joins the hub.
///
/// # Errors
/// `ServiceUnavailable` when there is none, or it does not do what a hub does within the deadline; what
/// [`Endpoint::dial`] and the handshake find wrong.
pub(super) fn join(shared: &Shared, number: u64) -> Result<Session> {
    let deadline = Deadline::after(shared.config.handshake_timeout);
    let (outbound, control) = connect(shared, &shared.config.receiver, Role::Push, deadline)?;
    let (socket, mut frames) = connect(shared, &shared.config.sender, Role::Sub, deadline)?;
    let mut wishes = Vec::new();
    for prefix in &shared.subscriptions {
        zmtp::subscribe(&mut wishes, prefix);
    }
    send(shared, &socket, &wishes, deadline)?;
    let mut kept = Frames::new(Role::Sub, shared.config.max_message);
    let mut pause = FIRST_ECHO;
    let mut echo = Vec::new();
    zmtp::message(&mut echo, &[&shared.writer.echo(0)]);
    let own = [ECHO, shared.writer.instance().as_str().as_bytes(), b":"].concat();
    'echoing: loop {
        send(shared, &outbound, &echo, deadline)?;
        let again = Deadline::after(pause).min_with(Some(deadline));
        pause = (pause * 2).min(SLICE);
        while !again.passed() {
            shared.check()?;
            if !wait(&socket, Interest::Readable, again.remaining()).is_ok_and(|ready| ready) {
                continue;
            }
            receive(&shared.config.sender, &socket, &mut frames)?;
            let mut back = false;
            while let Some(event) = frames.next()? {
                match event {
                    Event::Message(message) if message.starts_with(&own) => {
                        back = true;
                        // Whatever came with it stays where it is, for the loop.
                        break;
                    }
                    Event::Message(message) => {
                        if kept.unread().len() > MOST_KEPT {
                            return Err(split(shared));
                        }
                        let mut whole = Vec::new();
                        zmtp::message(&mut whole, &[message]);
                        kept.extend(&whole);
                    }
                    _ => {}
                }
            }
            if back {
                break 'echoing;
            }
        }
        if deadline.passed() {
            return Err(split(shared));
        }
    }
    kept.extend(frames.unread());
    Ok(Session { outbound: Arc::new(outbound), control, inbound: Inbound::new(socket, kept, number) })
}

/// The echo does not come back.
fn split(shared: &Shared) -> Error {
    let Config { sender, receiver, .. } = &shared.config;
    let text = format!(
        "what is sent to {receiver} does not come out of {sender}: are they the two ends of one hub?"
    );
    Error::new(Code::ServiceUnavailable, text)
}

fn connect(shared: &Shared, endpoint: &Endpoint, role: Role, deadline: Deadline) -> Result<(Socket, Frames)> {
    let socket = endpoint.dial(deadline)?;
    let instance = shared.writer.instance();
    let mut handshake =
        Handshake::new(role, instance.as_str().as_bytes(), shared.config.secret.as_ref(), false);
    let mut frames = Frames::new(role, shared.config.max_message);
    let mut input = [0; 1024];
    loop {
        send(shared, &socket, &handshake.output(), deadline)?;
        shared.check()?;
        if deadline.passed() {
            let text = format!("{endpoint} took the connection and does not speak ZeroMQ's protocol");
            return Err(Error::new(Code::ServiceUnavailable, text));
        }
        if !wait(&socket, Interest::Readable, SLICE.min(deadline.remaining())).is_ok_and(|ready| ready) {
            continue;
        }
        let mut rest: &[u8] = match socket.read(&mut input) {
            Ok(0) => return Err(ended(endpoint)),
            Ok(count) => &input[..count],
            Err(error) if is_passing(&error) => continue,
            Err(error) => return Err(broken(endpoint, &error)),
        };
        while !rest.is_empty() {
            let (consumed, peer) = handshake.feed(rest)?;
            rest = rest.get(consumed..).unwrap_or_default();
            if peer.is_some() {
                send(shared, &socket, &handshake.output(), deadline)?;
                frames.extend(rest);
                return Ok((socket, frames));
            }
            if consumed == 0 {
                break;
            }
        }
    }
}

/// Sends bytes that are frames already, whole.
///
/// # Errors
/// `ServiceUnavailable` when the hub takes nothing, `ConnectionLost` when it has gone.
pub(super) fn send(shared: &Shared, socket: &Socket, mut bytes: &[u8], deadline: Deadline) -> Result<()> {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                shared.check()?;
                if deadline.passed() {
                    let text = "the hub does not read what is sent to it";
                    return Err(Error::new(Code::ServiceUnavailable, text));
                }
                let _ = wait(socket, Interest::Writable, SLICE.min(deadline.remaining()));
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(broken(&shared.config.receiver, &error)),
        }
    }
    Ok(())
}

fn receive(endpoint: &Endpoint, socket: &Socket, frames: &mut Frames) -> Result<()> {
    match socket.read(frames.space(4096)) {
        Ok(0) => Err(ended(endpoint)),
        Ok(count) => {
            frames.filled(count);
            Ok(())
        }
        Err(error) if is_passing(&error) => Ok(()),
        Err(error) => Err(broken(endpoint, &error)),
    }
}

fn is_passing(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted)
}

fn ended(endpoint: &Endpoint) -> Error {
    Error::new(Code::ServiceUnavailable, format!("{endpoint} has closed the connection"))
}

fn broken(endpoint: &Endpoint, error: &std::io::Error) -> Error {
    Error::io(Code::ServiceUnavailable, &format!("talking to {endpoint}"), error)
}
