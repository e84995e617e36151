//! The thread that keeps a service at its hub: it joins, beats, writes what had to wait, notices the end, and joins
//! again. It runs no Python, so that a service whose loop is busy is not taken for dead.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error};
use crate::core::platform::readiness::{Events, Poller};
use crate::hub::socket::Socket;
use crate::hub::zmtp::{self, Event, Frames};

use super::session::{self, Session};
use super::{Notice, Shared};

/// Between two attempts to join: at first, and at most. A new hub is up within a second of the old one's death.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// At the next hub what waited stays here for as long as the others may take to be there again: a hub keeps nothing
/// for those who are not.
const SETTLE: Duration = Duration::from_millis(300);

/// Newcomers that come together hear one beat.
const SOON: Duration = Duration::from_millis(100);

const BELL: u64 = 0;
const HUB: u64 = 1;

/// Runs until the member is stopped.
pub(super) fn keep(shared: &Arc<Shared>) {
    let mut pause = FIRST_PAUSE;
    let mut told: Option<Error> = None;
    let mut number = 0;
    let mut hosts = false;
    while !shared.is_stopped() {
        if shared.is_behind() {
            shared.rest(LONGEST_PAUSE);
            continue;
        }
        match session::join(shared, number + 1) {
            Ok(session) => {
                number += 1;
                pause = FIRST_PAUSE;
                told = None;
                stay(shared, session, number);
            }
            Err(_) if shared.is_stopped() => return,
            Err(error) if number == 0 && is_lasting(&error) => {
                shared.tell(Notice::NotJoined { error, fatal: true });
                return;
            }
            Err(error) => {
                let stood = if is_lasting(&error) { Err(error.clone()) } else { shared.stand() };
                let error = match stood {
                    Ok(true) if !std::mem::replace(&mut hosts, true) => {
                        shared.tell(Notice::Hosts);
                        continue;
                    }
                    Ok(true) => error,
                    Ok(false) => {
                        hosts = false;
                        error
                    }
                    Err(error) => error,
                };
                let fatal = number == 0 && is_lasting(&error);
                if told.as_ref() != Some(&error) {
                    told = Some(error.clone());
                    shared.tell(Notice::NotJoined { error, fatal });
                }
                if fatal {
                    return;
                }
                shared.rest(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Whether another attempt cannot help. A service that was at its hub once tries on: it may come back as it was.
fn is_lasting(error: &Error) -> bool {
    matches!(error.code, Code::Configuration | Code::Authentication)
}

/// Keeps one connection until it ends.
fn stay(shared: &Shared, session: Session, number: u64) {
    let Session { outbound, mut control, inbound } = session;
    let own = [shared.writer.beat().to_vec(), shared.writer.register().to_vec()];
    if number == 1 {
        let count = {
            let mut outbox = shared.outbox();
            outbox.attach(Arc::clone(&outbound), &own);
            outbox.sent()
        };
        shared.begin(number);
        shared.tell(Notice::Joined { inbound, sent: count });
    } else {
        let mut frames = Vec::new();
        own.iter().for_each(|message| zmtp::message(&mut frames, &[message]));
        // Should it not get there, the watch below finds the connection broken.
        let _ = session::send(shared, &outbound, &frames, Deadline::after(SETTLE));
        shared.begin(number);
        shared.tell(Notice::Joined { inbound, sent: shared.outbox().sent() });
        shared.rest(SETTLE);
        shared.outbox().attach(Arc::clone(&outbound), &[]);
    }
    let ended = watch(shared, &outbound, &mut control, number);
    let sent = {
        let mut outbox = shared.outbox();
        outbox.detach();
        outbox.sent()
    };
    if !shared.is_stopped() {
        let error = match ended {
            Ok(()) => Error::new(Code::ConnectionLost, "the hub has closed the connection"),
            Err(error) => Error::io(Code::ConnectionLost, "the connection to the hub", &error),
        };
        shared.tell(Notice::Lost { error, sent });
    }
}

/// Beats and flushes until the hub ends the connection, or the member is stopped.
fn watch(shared: &Shared, outbound: &Socket, control: &mut Frames, number: u64) -> io::Result<()> {
    let poller = Poller::new()?;
    poller.add(&shared.keeper_bell, BELL, Events::IN)?;
    let mut wants_room = !flush(shared)?;
    let events = |wants_room| if wants_room { Events::IN | Events::OUT } else { Events::IN };
    poller.add(outbound, HUB, events(wants_room))?;
    let mut last_beat = Instant::now();
    let mut next_beat = last_beat + shared.config.beat;
    while shared.stays(number) {
        let wait = next_beat.saturating_duration_since(Instant::now());
        let ready = poller.wait(Some(wait))?;
        match ready {
            Some(ready) if ready.token == BELL => shared.keeper_bell.hush(),
            Some(ready) if ready.hangup => return Ok(()),
            Some(_) if !listen(shared, outbound, control)? => return Ok(()),
            _ => {}
        }
        if shared.beat_soon.swap(false, Ordering::AcqRel) {
            next_beat = next_beat.min(last_beat + SOON);
        }
        let now = Instant::now();
        if now >= next_beat {
            last_beat = now;
            next_beat = now + shared.config.beat;
            let mut outbox = shared.outbox();
            // Beats that nobody takes must not pile up.
            if outbox.is_empty() || !wants_room {
                outbox.add_own(shared.writer.beat());
                // Comes back once everything before it has passed the hub.
                let echo = shared.writer.echo(outbox.added());
                outbox.add_own(&echo);
            }
        }
        let full = !flush(shared)?;
        if full != wants_room {
            wants_room = full;
            poller.change(outbound, HUB, events(wants_room))?;
        }
    }
    Ok(())
}

/// Writes what waits; `false` when not all of it could be.
fn flush(shared: &Shared) -> io::Result<bool> {
    let (flushed, was_full, is_full) = {
        let mut outbox = shared.outbox();
        let was_full = outbox.is_full();
        (outbox.flush()?, was_full, outbox.is_full())
    };
    if flushed || (was_full && !is_full) {
        shared.tell_of_room();
    }
    Ok(flushed)
}

/// Reads what a hub says to those that only push: pings. `false` when it has closed.
fn listen(shared: &Shared, outbound: &Socket, control: &mut Frames) -> io::Result<bool> {
    match outbound.read(control.space(1024)) {
        Ok(0) => return Ok(false),
        Ok(count) => control.filled(count),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            return Ok(true);
        }
        Err(error) => return Err(error),
    }
    loop {
        let event = control.next().map_err(|error: Error| io::Error::other(error.message))?;
        match event {
            None => return Ok(true),
            Some(Event::Ping { context }) => {
                let mut pong = Vec::new();
                zmtp::pong(&mut pong, context);
                shared.outbox().add_raw(&pong);
            }
            Some(_) => {}
        }
    }
}
