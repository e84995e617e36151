//! The service's part of the handshake, a step at a time: nobody waits here.

use std::io;
use std::time::Instant;

use serde_bytes::ByteBuf;

use crate::bridge::auth::{self, Token};
use crate::bridge::frame::{Frame, Kind, Reader, Vectors};
use crate::bridge::hello::{self, Challenge, Hello, Proof, Refuse, Welcome};
use crate::bridge::stream::Stream;
use crate::core::error::{Code, Error, Result};

/// A caller that has connected and not finished its hello.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) stream: Stream,
    reader: Reader<Vec<u8>>,
    out: Vec<u8>,
    step: Step,
    /// When it must be done; for a refused caller, when it is told.
    pub(super) until: Instant,
    needs_token: bool,
}

#[derive(Debug)]
enum Step {
    Magic,
    Hello,
    Proof(Box<Hello>, [u8; 32]),
    Refused(Error),
}

/// What a service says of itself to each caller.
#[derive(Debug)]
pub(super) struct Host<'a> {
    pub(super) welcome: &'a Welcome,
    pub(super) token: Option<&'a Token>,
    pub(super) moment: u64,
    pub(super) full: bool,
}

/// How a step ended.
#[derive(Debug)]
pub(super) enum Progress {
    /// The caller has to say more.
    Wait,
    /// It is welcome.
    Done(Box<Hello>),
    /// It is refused, once its delay is over.
    Refused,
    /// It has gone.
    Gone,
}

impl Greeting {
    pub(super) fn new(stream: Stream, until: Instant) -> Self {
        let needs_token = !matches!(stream, Stream::Unix(_));
        let reader = Reader::new(hello::MAX_FRAME, 2048);
        Self { stream, reader, out: Vec::new(), step: Step::Magic, until, needs_token }
    }

    /// Whether it waits to be told that it is refused.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.step, Step::Refused(_))
    }

    /// Goes on as far as what has arrived allows.
    pub(super) fn advance(&mut self, host: &Host<'_>) -> Progress {
        if self.is_refused() {
            return Progress::Refused;
        }
        match self.try_advance(host) {
            Ok(progress) => progress,
            Err(error) => {
                self.step = Step::Refused(error);
                Progress::Refused
            }
        }
    }

    /// Whether a refusal is for a wrong token, which costs the caller a delay.
    pub(super) fn is_intruder(&self) -> bool {
        matches!(&self.step, Step::Refused(error) if error.code == Code::Authentication)
    }

    /// Tells a refused caller why, as far as it still listens.
    pub(super) fn tell_refusal(&mut self) {
        let Step::Refused(error) = &self.step else { return };
        let refuse = Refuse { code: error.code as u16, message: error.message.clone() };
        self.out.clear();
        if hello::write(&mut self.out, Kind::Refuse, &refuse).is_ok() {
            let _ = self.stream.write(&self.out);
            let _ = self.stream.flush();
        }
    }

    fn try_advance(&mut self, host: &Host<'_>) -> Result<Progress> {
        loop {
            if let Step::Magic = self.step {
                if self.reader.take_magic()? {
                    self.step = Step::Hello;
                    continue;
                }
            } else if let Some(frame) = self.reader.next_frame(&Vectors)? {
                if let Some(hello) = self.take(&frame, host)? {
                    return Ok(Progress::Done(hello));
                }
                continue;
            }
            match self.stream.read(self.reader.space()) {
                Ok(0) => return Ok(Progress::Gone),
                Ok(count) => self.reader.filled(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Wait),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(Progress::Gone),
            }
        }
    }

    fn take(&mut self, frame: &Frame<Vec<u8>>, host: &Host<'_>) -> Result<Option<Box<Hello>>> {
        match std::mem::replace(&mut self.step, Step::Hello) {
            Step::Proof(hello, server_nonce) => {
                let proof: Proof = hello::read(frame, Kind::Proof)?;
                let token = host.token.ok_or_else(wrong_token)?;
                let client_nonce = auth::nonce_from(&hello.client_nonce)?;
                let expected = auth::client_proof(token, &client_nonce, &server_nonce);
                if !auth::verify(&expected, &proof.proof) {
                    return Err(wrong_token());
                }
                let own = auth::server_proof(token, &client_nonce, &server_nonce);
                self.welcome(host, Some(ByteBuf::from(own)))?;
                Ok(Some(hello))
            }
            _ => {
                let hello: Hello = hello::read(frame, Kind::Hello)?;
                check(&hello, host)?;
                if !self.needs_token {
                    self.welcome(host, None)?;
                    return Ok(Some(Box::new(hello)));
                }
                let server_nonce = auth::nonce()?;
                let challenge = Challenge { server_nonce: ByteBuf::from(server_nonce) };
                self.step = Step::Proof(Box::new(hello), server_nonce);
                self.send(Kind::Challenge, &challenge)?;
                Ok(None)
            }
        }
    }

    fn welcome(&mut self, host: &Host<'_>, proof: Option<ByteBuf>) -> Result<()> {
        self.send(Kind::Welcome, &Welcome { proof, moment: host.moment, ..host.welcome.clone() })
    }

    /// A handshake's message fits any socket's buffer; one that does not take it is no caller.
    fn send(&mut self, kind: Kind, message: &impl serde::Serialize) -> Result<()> {
        self.out.clear();
        hello::write(&mut self.out, kind, message)?;
        match self.stream.write(&self.out) {
            Ok(count) if count == self.out.len() => {
                let _ = self.stream.flush();
                Ok(())
            }
            _ => Err(Error::new(Code::ConnectionLost, "the caller does not read")),
        }
    }
}

fn check(hello: &Hello, host: &Host<'_>) -> Result<()> {
    hello::agree(hello.versions)?;
    let ours = host.welcome;
    if hello.service != ours.service {
        return Err(Error::new(
            Code::ServiceNotFound,
            format!("here is service {:?}, not {:?}", ours.service, hello.service),
        ));
    }
    if hello.nonce.as_ref().is_some_and(|nonce| **nonce != *ours.nonce) {
        return Err(Error::new(
            Code::ServiceUnavailable,
            "another process answers here than the lease names",
        ));
    }
    if let Some(wanted) = hello.worker.filter(|wanted| *wanted != ours.worker) {
        let text = format!("here is worker {} of service {:?}, not {wanted}", ours.worker, ours.service);
        return Err(Error::new(Code::ServiceUnavailable, text));
    }
    if host.full {
        return Err(Error::new(
            Code::Overloaded,
            format!(
                "service {:?} has all the connections it may have (IRONBRIDGE_MAX_CONNECTIONS)",
                ours.service
            ),
        ));
    }
    Ok(())
}

fn wrong_token() -> Error {
    Error::new(
        Code::Authentication,
        "the token is wrong: use the one that the service printed when it started",
    )
}
