//! A service that runs, met by callers whose frames are almost right.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use ironbridge::bridge::frame::MAGIC;
use ironbridge::bridge::hello::Mode;
use ironbridge::core::instances::CacheOptions;
use ironbridge::core::limits::Limits;

use crate::captures;
use crate::mutate::mutated;
use crate::place::{LONG, Place, Plan, Served};
use crate::raw::{good_hello, hello_bytes};
use crate::trials::{Chance, alone, how_many, without_growth};

/// Says these bytes, and reads until the service has nothing more to say.
fn say(served: &Served, bytes: &[u8]) {
    let mut socket = UnixStream::connect(&served.service.record.socket).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    // It may hang up while we speak.
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    let mut room = [0; 4096];
    loop {
        match socket.read(&mut room) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "the service neither answers nor hangs up");
                return;
            }
        }
    }
}

/// A service that takes small frames only: the allocator keeps what large ones needed for a while, and that would
/// hide what is looked for here.
fn small() -> Plan {
    Plan { limits: Limits { max_frame: 64 << 10, ..Limits::default() }, ..Plan::default() }
}

/// Still serves, with nothing left of those who came.
fn is_well(place: &Place, served: &Served) {
    let client = place.client();
    assert_eq!(client.call("echo", b"well"), b"well");
    client.engine.close();
    while served.count("/connections/open") > 0 {
        std::thread::yield_now();
    }
    assert_eq!(served.count("/in_flight"), 0);
}

#[test]
fn mutated_hellos_do_not_harm_a_service() {
    let _alone = alone();
    let corpus = captures::frames();
    let place = Place::new();
    let served = place.serve(small());
    let hello = hello_bytes(&good_hello(&served));
    without_growth(how_many() / 20, |number| {
        let mut chance = Chance::new(number);
        let other = chance.pick(&corpus);
        let mut bytes = match chance.below(10) {
            0 => mutated(&hello, other, &mut chance),
            _ => [&MAGIC[..], &mutated(&hello[MAGIC.len()..], other, &mut chance)].concat(),
        };
        bytes.extend(mutated(other, &hello, &mut chance));
        say(&served, &bytes);
    });
    is_well(&place, &served);
}

#[test]
fn mutated_frames_after_the_hello_do_not_harm_a_service() {
    let _alone = alone();
    // What a gate or a coroutine waits for never comes here.
    let endpoints = vec!["echo", "fail", "who", "note"];
    let cache = CacheOptions { capacity: 8, remembered: 64, ..CacheOptions::default() };
    let corpus = captures::frames();
    let place = Place::new();
    let served = place.serve(Plan { endpoints, cache, ..small() });
    without_growth(how_many() / 20, |number| {
        let mut chance = Chance::new(number);
        let mut hello = good_hello(&served);
        hello.mode = *chance.pick(&[Mode::OneCall, Mode::Multiplexed]);
        let mut socket = UnixStream::connect(&served.service.record.socket).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.write_all(&hello_bytes(&hello)).unwrap();
        let mut prefix = [0; 8];
        socket.read_exact(&mut prefix).unwrap();
        let mut welcome = vec![0; u32::from_le_bytes(prefix[..4].try_into().unwrap()) as usize];
        socket.read_exact(&mut welcome).unwrap();
        let mut bytes = Vec::new();
        for _ in 0..=chance.below(6) {
            let (frame, other) = (chance.pick(&corpus), chance.pick(&corpus));
            bytes.extend(mutated(frame, other, &mut chance));
        }
        let _ = socket.write_all(&bytes);
        let _ = socket.shutdown(Shutdown::Write);
        let mut said = Vec::new();
        if let Err(error) = socket.read_to_end(&mut said) {
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "the service neither answers nor hangs up");
        }
        // Events that nobody takes would be growth of the test's own.
        served.so_far();
    });
    is_well(&place, &served);
}
