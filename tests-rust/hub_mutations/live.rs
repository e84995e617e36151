//! A hub that runs, met by callers whose bytes are almost right.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use ironbridge::hub::endpoint::Endpoint;
use ironbridge::hub::limits::HubLimits;
use ironbridge::hub::server::{Server, ServerOptions};
use ironbridge::hub::zmtp::{Event, Frames, Handshake, Role, message, subscribe};

use crate::mutate::{frames, mutated};
use crate::trials::{Chance, alone, how_many, without_growth};

const LONG: Duration = Duration::from_secs(20);
const MAX_MESSAGE: usize = 64 << 10;

fn start(directory: &Path) -> Server {
    let limits = HubLimits { max_message: MAX_MESSAGE, subscriber_buffer: 256 << 10, ..HubLimits::default() };
    let [sender, receiver] = ["sender", "receiver"].map(|name| Endpoint::Ipc(directory.join(name)));
    Server::start(ServerOptions { sender, receiver, limits, secret: None }).unwrap()
}

fn connect(directory: &Path, role: Role) -> UnixStream {
    let door = if role == Role::Sub { "sender" } else { "receiver" };
    let stream = UnixStream::connect(directory.join(door)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// What a client says that shakes hands well; the hub need not have answered.
fn handshake(role: Role) -> Vec<u8> {
    let mut client = Handshake::new(role, b"", None, false);
    let mut hub = Handshake::new(role.counterpart(), b"", None, true);
    let mut said = client.output();
    let _ = hub.feed(&said);
    client.feed(&hub.output()).unwrap();
    said.extend(client.output());
    said
}

/// Says these bytes, and reads until the hub hangs up, which it must.
fn say(mut stream: UnixStream, bytes: &[u8]) {
    // It may hang up while we speak.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut room = [0; 4096];
    loop {
        match stream.read(&mut room) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "the hub neither answers nor hangs up");
                return;
            }
        }
    }
}

/// Still forwards, with nothing left of those who came.
fn is_well(directory: &Path, server: &Server) {
    while server.stats().publishers > 0 || !server.stats().subscribers.is_empty() {
        std::thread::yield_now();
    }
    let (mut push, mut sub) = (connect(directory, Role::Push), connect(directory, Role::Sub));
    let mut wish = handshake(Role::Sub);
    subscribe(&mut wish, b"well");
    sub.write_all(&wish).unwrap();
    while server.stats().subscribers.first().is_none_or(|sub| sub.subscriptions == 0) {
        std::thread::yield_now();
    }
    let mut said = handshake(Role::Push);
    message(&mut said, &[b"well?"]);
    push.write_all(&said).unwrap();
    let mut shaking = Handshake::new(Role::Sub, b"", None, false);
    let mut heard = Frames::new(Role::Sub, MAX_MESSAGE);
    let mut met = false;
    loop {
        let mut room = [0; 1024];
        let count = sub.read(&mut room).unwrap();
        let mut used = 0;
        if !met {
            let (taken, peer) = shaking.feed(&room[..count]).unwrap();
            (used, met) = (taken, peer.is_some());
        }
        heard.extend(&room[used..count]);
        if let Some(event) = heard.next().unwrap() {
            assert_eq!(event, Event::Message(b"well?"));
            return;
        }
    }
}

#[test]
fn mutated_callers_do_not_harm_a_hub() {
    let _alone = alone();
    let corpus = frames();
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path());
    let hellos = [handshake(Role::Push), handshake(Role::Sub)];
    without_growth(how_many() / 20, |number| {
        let mut chance = Chance::new(number);
        let role = *chance.pick(&[Role::Push, Role::Sub]);
        let hello = chance.pick(&hellos).clone();
        let mut bytes = match chance.below(10) {
            0..3 => mutated(&hello, chance.pick(&corpus).as_slice(), &mut chance),
            _ => hello,
        };
        for _ in 0..=chance.below(8) {
            let (frame, other) = (chance.pick(&corpus), chance.pick(&corpus));
            bytes.extend(mutated(frame, other, &mut chance));
        }
        say(connect(directory.path(), role), &bytes);
    });
    let counts = server.stats().counts;
    assert!(counts.connections > how_many() as u64 / 100 && counts.refused.malformed > 0, "{counts:?}");
    assert!(counts.messages_in > how_many() as u64 / 100, "{counts:?}");
    is_well(directory.path(), &server);
}
