//! One PUSH connection to a hub, and one or more SUB connections.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ironbridge::hub::zmtp::{Event, Frames, Handshake, Role, message, subscribe};
use tokio::runtime::Runtime;
use zeromq::{PushSocket, Socket, SocketRecv, SocketSend, SubSocket};

use crate::Failure;

pub(crate) trait Clients {
    /// Sends a message so many times.
    fn send(&mut self, message: &[u8], times: usize) -> Result<(), Failure>;

    /// Waits for at least so many at each subscriber, and tells how many have come to all.
    fn receive(&mut self, least: usize) -> Result<usize, Failure>;

    /// Takes what has come within a moment.
    fn settle(&mut self) -> Result<usize, Failure>;

    /// Sends until something comes back: nothing tells when a subscription holds.
    fn meet(&mut self, message: &[u8]) -> Result<(), Failure> {
        loop {
            self.send(message, 1)?;
            if self.settle()? > 0 {
                return Ok(());
            }
        }
    }
}

pub(crate) struct Native {
    push: UnixStream,
    subs: Vec<Sub>,
    out: Vec<u8>,
}

/// One that listens.
struct Sub {
    stream: UnixStream,
    frames: Frames,
    /// What it has heard before the others did.
    ahead: usize,
}

impl Native {
    pub(crate) fn connect(sender: &str, receiver: &str, subscribers: usize) -> Result<Self, Failure> {
        let (push, _) = meet(receiver, Role::Push)?;
        let mut out = Vec::new();
        subscribe(&mut out, b"");
        let mut subs = Vec::new();
        for _ in 0..subscribers {
            let (mut stream, frames) = meet(sender, Role::Sub)?;
            stream.write_all(&out)?;
            subs.push(Sub { stream, frames, ahead: 0 });
        }
        Ok(Self { push, subs, out })
    }
}

impl Sub {
    fn receive(&mut self, least: usize) -> Result<(), Failure> {
        loop {
            while let Some(event) = self.frames.next()? {
                self.ahead += usize::from(matches!(event, Event::Message(_)));
            }
            if self.ahead >= least {
                return Ok(());
            }
            let count = self.stream.read(self.frames.space(64 << 10))?;
            if count == 0 {
                return Err("the hub has hung up".into());
            }
            self.frames.filled(count);
        }
    }
}

fn meet(place: &str, role: Role) -> Result<(UnixStream, Frames), Failure> {
    let mut stream = UnixStream::connect(place.trim_start_matches("ipc://"))?;
    let mut handshake = Handshake::new(role, b"", None, false);
    let mut frames = Frames::new(role, 1 << 20);
    let mut room = [0; 1024];
    loop {
        stream.write_all(&handshake.output())?;
        let count = stream.read(&mut room)?;
        if let (used, Some(_)) = handshake.feed(&room[..count])? {
            stream.write_all(&handshake.output())?;
            frames.extend(&room[used..count]);
            return Ok((stream, frames));
        }
    }
}

impl Clients for Native {
    fn send(&mut self, body: &[u8], times: usize) -> Result<(), Failure> {
        self.out.clear();
        for _ in 0..times {
            message(&mut self.out, &[body]);
        }
        Ok(self.push.write_all(&self.out)?)
    }

    fn receive(&mut self, least: usize) -> Result<usize, Failure> {
        for sub in &mut self.subs {
            sub.receive(least)?;
        }
        let all = self.subs.iter().map(|sub| sub.ahead).min().unwrap_or(0);
        self.subs.iter_mut().for_each(|sub| sub.ahead -= all);
        Ok(all)
    }

    fn settle(&mut self) -> Result<usize, Failure> {
        let set = |subs: &[Sub], time| subs.iter().try_for_each(|sub| sub.stream.set_read_timeout(time));
        set(&self.subs, Some(Duration::from_millis(50)))?;
        let received = self.receive(1).unwrap_or(0);
        set(&self.subs, None)?;
        Ok(received)
    }
}

pub(crate) struct Library {
    runtime: Runtime,
    push: PushSocket,
    sub: SubSocket,
}

impl Library {
    pub(crate) fn connect(sender: &str, receiver: &str) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (push, sub) = runtime.block_on(async {
            let (mut push, mut sub) = (PushSocket::new(), SubSocket::new());
            push.connect(receiver).await?;
            sub.connect(sender).await?;
            sub.subscribe("").await?;
            Ok::<_, zeromq::ZmqError>((push, sub))
        })?;
        Ok(Self { runtime, push, sub })
    }
}

impl Clients for Library {
    fn send(&mut self, body: &[u8], times: usize) -> Result<(), Failure> {
        let body = bytes::Bytes::copy_from_slice(body);
        self.runtime.block_on(async {
            for _ in 0..times {
                self.push.send(body.clone().into()).await?;
            }
            Ok(())
        })
    }

    fn receive(&mut self, least: usize) -> Result<usize, Failure> {
        self.runtime.block_on(async {
            for _ in 0..least {
                self.sub.recv().await?;
            }
            Ok(least)
        })
    }

    fn settle(&mut self) -> Result<usize, Failure> {
        let moment = Duration::from_millis(50);
        let came = self.runtime.block_on(async { tokio::time::timeout(moment, self.sub.recv()).await });
        Ok(usize::from(came.is_ok()))
    }
}
