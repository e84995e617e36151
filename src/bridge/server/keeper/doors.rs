//! Letting callers in: the doors, and the handshakes that are under way.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bridge::frame::Reader;
use crate::bridge::hello::{Hello, Mode};
use crate::bridge::stream::Stream;
use crate::bridge::tls::TlsStream;
use crate::core::observe::{ConnectionEvent, Observer};
use crate::core::platform::readiness::Events;

use super::super::connection::Connection;
use super::super::greeting::{Greeting, Host as GreetingHost, Progress};
use super::super::host::Host;
use super::{FIRST_GREETING, Keeping, TCP};

/// What a wrong token costs.
const INTRUDER_DELAY: Duration = Duration::from_secs(1);
/// Callers in their handshake at once.
const MOST_GREETINGS: usize = 1024;

impl<H: Host> Keeping<H> {
    pub(super) fn accept_unix(&mut self, token: u64) {
        while let Some(listener) = self.listeners.get(&token) {
            match listener.accept() {
                Ok((socket, _)) => self.receive(Stream::unix(socket)),
                Err(error) => return self.accept_failed(&error),
            }
        }
    }

    pub(super) fn accept_tcp(&mut self) {
        while let Some(door) = &self.keeper.tcp {
            let socket = match door.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) => return self.accept_failed(&error),
            };
            // What fails here has gone again already.
            let stream = match &door.tls {
                Some(tls) => {
                    TlsStream::accept(socket, Arc::clone(tls)).ok().map(|tls| Stream::Tls(Box::new(tls)))
                }
                None => Stream::tcp(socket).ok(),
            };
            if let Some(stream) = stream {
                self.receive(stream);
            }
        }
    }

    fn accept_failed(&mut self, error: &io::Error) {
        // Anything else means that nobody waits, or that somebody went away while waiting.
        if let Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS) = error.raw_os_error() {
            self.keeper.engine.host.log(&format!(
                "cannot accept another caller: {error}; raise the limit of open files (ulimit -n)"
            ));
            self.watch_doors(Events::empty());
            self.pause = Some(Instant::now() + Duration::from_millis(100));
        }
    }

    pub(super) fn watch_doors(&self, events: Events) {
        for (token, listener) in &self.listeners {
            let _ = self.poller.change(listener, *token, events);
        }
        if let Some(door) = &self.keeper.tcp {
            let _ = self.poller.change(&door.listener, TCP, events);
        }
    }

    fn receive(&mut self, stream: Stream) {
        if self.greetings.len() >= MOST_GREETINGS {
            return;
        }
        let _ = rustix::io::ioctl_fionbio(stream.fd(), true);
        let token = FIRST_GREETING + self.next;
        self.next += 1;
        let greeting = Greeting::new(stream, Instant::now() + self.keeper.engine.limits.handshake_timeout);
        if self.poller.add(greeting.stream.fd(), token, Events::IN | Events::RDHUP).is_ok() {
            self.greetings.insert(token, greeting);
            self.greet(token);
        }
    }

    pub(super) fn greet(&mut self, token: u64) {
        let Some(greeting) = self.greetings.get_mut(&token) else { return };
        let engine = &self.keeper.engine;
        let moment = engine.instances.moment();
        let host = GreetingHost {
            welcome: &self.keeper.welcome,
            token: self.keeper.tcp.as_ref().map(|door| &door.token),
            moment,
            full: engine.connections.len() >= engine.limits.max_connections,
        };
        match greeting.advance(&host) {
            Progress::Wait => {}
            Progress::Done(hello) => {
                if let Some(greeting) = self.take_greeting(token) {
                    self.admit(greeting.stream, &hello, moment);
                }
            }
            Progress::Refused if greeting.is_intruder() => {
                engine.observers.connection(token, ConnectionEvent::Refused);
                // Guessing must be slow; and what it sends meanwhile wakes nobody.
                greeting.until = Instant::now() + INTRUDER_DELAY;
                self.poller.remove(greeting.stream.fd());
            }
            Progress::Refused => {
                engine.observers.connection(token, ConnectionEvent::Refused);
                greeting.tell_refusal();
                self.take_greeting(token);
            }
            Progress::Gone => {
                self.take_greeting(token);
            }
        }
    }

    fn take_greeting(&mut self, token: u64) -> Option<Greeting> {
        let greeting = self.greetings.remove(&token)?;
        self.poller.remove(greeting.stream.fd());
        Some(greeting)
    }

    pub(super) fn expire_greetings(&mut self, now: Instant) {
        if self.greetings.values().all(|greeting| greeting.until > now) {
            return;
        }
        let late: Vec<u64> = self
            .greetings
            .iter()
            .filter(|(_, greeting)| greeting.until <= now)
            .map(|(token, _)| *token)
            .collect();
        for token in late {
            if let Some(mut greeting) = self.take_greeting(token) {
                greeting.tell_refusal();
            }
        }
    }

    fn admit(&self, stream: Stream, hello: &Hello, moment: u64) {
        let engine = &self.keeper.engine;
        let ours = &self.keeper.welcome.nonce;
        let met = hello.since.as_ref().filter(|(nonce, _)| nonce == ours).map_or(moment, |met| met.1);
        let chunk = match hello.mode {
            Mode::OneCall => 4 << 10,
            Mode::Multiplexed => 64 << 10,
        };
        let max_frame = usize::try_from(hello.max_frame).unwrap_or(usize::MAX);
        engine.admit(Arc::new(Connection::new(
            engine.new_token(),
            stream,
            Reader::new(engine.limits.max_frame, chunk),
            (hello.mode, hello.lane),
            max_frame,
            met.min(moment),
        )));
    }
}
