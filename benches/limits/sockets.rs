//! Ping-pong over a stream socket, blocking or polling first.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use ironbridge::core::polling::Gate;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::lane::Options;
use crate::samples::{Samples, collect};

/// One end: whole messages of one size, in and out.
struct End {
    socket: OwnedFd,
    gate: Gate,
    budget: Duration,
}

impl End {
    fn new(socket: OwnedFd, options: &Options) -> Self {
        Self { socket, gate: Gate::default(), budget: options.lane.budget() }
    }

    fn send(&self, mut message: &[u8]) -> io::Result<()> {
        while !message.is_empty() {
            let sent = send(&self.socket, message, SendFlags::NOSIGNAL)?;
            message = &message[sent..];
        }
        Ok(())
    }

    /// Fills `message`; false when the other end has gone.
    fn receive(&mut self, message: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < message.len() {
            let rest = &mut message[filled..];
            let socket = &self.socket;
            let looked = self
                .gate
                .poll(self.budget, || recv(socket, &mut *rest, RecvFlags::DONTWAIT).map_err(Into::into))?;
            let got = match looked {
                Some((got, _)) => got,
                None => recv(&self.socket, &mut *rest, RecvFlags::empty())?.0,
            };
            if got == 0 {
                return Ok(false);
            }
            filled += got;
        }
        Ok(true)
    }
}

pub(crate) fn ping(socket: OwnedFd, options: &Options) -> io::Result<Samples> {
    let mut end = End::new(socket, options);
    let mut message = vec![7_u8; options.size];
    collect(options.time, || {
        end.send(&message)?;
        if end.receive(&mut message)? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    })
}

pub(crate) fn pong(socket: OwnedFd, options: &Options) -> io::Result<()> {
    let mut end = End::new(socket, options);
    let mut message = vec![0_u8; options.size];
    while end.receive(&mut message)? {
        end.send(&message)?;
    }
    Ok(())
}
