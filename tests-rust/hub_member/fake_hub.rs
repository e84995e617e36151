//! A hub that does what a test says, step by step.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use ironbridge::core::platform::socket::{Interest, wait};
use ironbridge::hub::endpoint::Endpoint;
use ironbridge::hub::member::{Config, Inbound, Member, Notice, Read as Heard};
use ironbridge::hub::message::Instance;
use ironbridge::hub::zmtp::{self, Event, Frames, Handshake, Role};

/// Nothing takes so long unless it is broken.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) struct FakeHub {
    directory: tempfile::TempDir,
    sender: UnixListener,
    receiver: UnixListener,
}

/// A connection whose handshake is done.
pub(crate) struct Wire {
    pub(crate) stream: UnixStream,
    frames: Frames,
}

impl FakeHub {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listen = |name: &str| UnixListener::bind(directory.path().join(name)).unwrap();
        let (sender, receiver) = (listen("sender"), listen("receiver"));
        Self { directory, sender, receiver }
    }

    /// A service that looks for this hub.
    pub(crate) fn member(&self, change: impl FnOnce(&mut Config)) -> Member {
        let endpoint = |name: &str| Endpoint::Ipc(self.directory.path().join(name));
        let mut config = Config {
            name: "Alpha".into(),
            actions: vec!["save".into()],
            instance: Instance::from_text("00000000000000aa").unwrap(),
            presence: None,
            sender: endpoint("sender"),
            receiver: endpoint("receiver"),
            secret: None,
            beat: Duration::from_secs(1000),
            max_message: 1 << 20,
            outbox_bytes: 1 << 20,
            outbox_messages: 1000,
            handshake_timeout: LONG,
            host: None,
        };
        change(&mut config);
        let member = Member::new(config).unwrap();
        member.start().unwrap();
        member
    }

    /// A caller at the receiver: a service connects there first.
    pub(crate) fn knock_push(&self) -> UnixStream {
        self.receiver.accept().unwrap().0
    }

    pub(crate) fn knock_sub(&self) -> UnixStream {
        self.sender.accept().unwrap().0
    }

    /// Both of a service's connections.
    pub(crate) fn meet(&self) -> (Wire, Wire) {
        let push = Wire::greet(self.knock_push(), Role::Pull);
        (push, Wire::greet(self.knock_sub(), Role::Pub))
    }

    /// The same, until the service is there.
    pub(crate) fn admit(&self) -> (Wire, Wire) {
        let (mut push, mut sub) = self.meet();
        let echo = push.message();
        assert!(echo.starts_with(b"<e>00000000000000aa:"), "{}", String::from_utf8_lossy(&echo));
        sub.send(&echo);
        // Echoes that were sent meanwhile may come before what every session begins with.
        let mut first = push.message();
        while first.starts_with(b"<e>") {
            first = push.message();
        }
        assert!(first.starts_with(b"<hb>:"), "{}", String::from_utf8_lossy(&first));
        assert!(push.message().starts_with(b"<r>:"));
        (push, sub)
    }
}

impl Wire {
    fn greet(mut stream: UnixStream, role: Role) -> Self {
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut handshake = Handshake::new(role, b"", None, true);
        let mut frames = Frames::new(role, 1 << 30);
        let mut input = [0; 1024];
        loop {
            stream.write_all(&handshake.output()).unwrap();
            let count = stream.read(&mut input).unwrap();
            assert!(count > 0, "the service has left");
            let mut rest = &input[..count];
            while !rest.is_empty() {
                let (consumed, peer) = handshake.feed(rest).unwrap();
                rest = &rest[consumed..];
                if peer.is_some() {
                    stream.write_all(&handshake.output()).unwrap();
                    frames.extend(rest);
                    return Self { stream, frames };
                }
            }
        }
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Vec<u8> {
        loop {
            if let Some(event) = self.frames.next().unwrap() {
                if let Event::Message(message) = event {
                    return message.to_vec();
                }
                continue;
            }
            let count = self.stream.read(self.frames.space(4096)).unwrap();
            assert!(count > 0, "the service has left");
            self.frames.filled(count);
        }
    }

    pub(crate) fn send(&mut self, message: &[u8]) {
        let mut out = Vec::new();
        zmtp::message(&mut out, &[message]);
        self.stream.write_all(&out).unwrap();
    }
}

/// What is told to whoever runs a service.
pub(crate) struct Told<'a> {
    member: &'a Member,
    waiting: std::collections::VecDeque<Notice>,
}

impl<'a> Told<'a> {
    pub(crate) fn of(member: &'a Member) -> Self {
        Self { member, waiting: std::collections::VecDeque::new() }
    }

    pub(crate) fn next(&mut self) -> Notice {
        let end = Instant::now() + LONG;
        loop {
            if let Some(notice) = self.waiting.pop_front() {
                return notice;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(wait(self.member.bell(), Interest::Readable, left).unwrap(), "nothing was told");
            self.waiting.extend(self.member.notices());
        }
    }

    /// The next that is not about an attempt that failed.
    pub(crate) fn joined(&mut self) -> Inbound {
        loop {
            match self.next() {
                Notice::Joined { inbound, .. } => return inbound,
                Notice::NotJoined { fatal: false, .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Reads until the connection's end, and what was heard.
pub(crate) fn hear_out(inbound: &mut Inbound) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    loop {
        inbound
            .each(|message| {
                heard.push(message.to_vec());
                true
            })
            .unwrap();
        match inbound.read() {
            // A hub that had not read everything resets the connection.
            Ok(Heard::Closed) | Err(_) => return heard,
            Ok(Heard::Some) => {}
            Ok(Heard::Dry) => {
                assert!(wait(&*inbound, Interest::Readable, LONG).unwrap(), "it never ends");
            }
        }
    }
}
