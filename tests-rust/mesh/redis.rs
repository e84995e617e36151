//! Redis's protocol: whatever way it is cut, and within its bounds.

use ironbridge::core::error::Code;
use ironbridge::core::redis::resp::{self, Decoder, Event};
use proptest::collection::vec;
use proptest::prelude::*;

const MAX: usize = 1 << 16;

/// Feeds bytes in pieces; tells each event as text.
fn read(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut decoder = Decoder::new(MAX);
    let mut seen = Vec::new();
    for part in bytes.chunks(piece) {
        let space = decoder.space(part.len());
        space[..part.len()].copy_from_slice(part);
        decoder.filled(part.len());
        while let Some(event) = decoder.next().unwrap() {
            seen.push(format!("{event:?}"));
        }
    }
    seen
}

fn told(events: &[Event<'_>]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

fn message(channel: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    resp::command(&mut bytes, &[b"message", channel.as_bytes(), payload]);
    bytes
}

#[test]
fn what_a_server_says_is_understood_however_it_is_cut() {
    let said = [
        &b"+OK\r\n+PONG\r\n-NOAUTH Authentication required.\r\n:3\r\n$2\r\n\r\n\r\n$-1\r\n*-1\r\n"[..],
        b"*3\r\n$9\r\nsubscribe\r\n$8\r\nMOL.INFO\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n",
        b"*2\r\n$4\r\npong\r\n$0\r\n\r\n*2\r\n*2\r\n:1\r\n$1\r\na\r\n+x\r\n*0\r\n",
        &message("MOL.RES.n", b"{}\r\n"),
    ]
    .concat();
    let wanted = told(&[
        Event::Status(b"OK"),
        Event::Pong,
        Event::Error(b"NOAUTH Authentication required."),
        Event::Integer(3),
        Event::Bulk(Some(b"\r\n")),
        Event::Bulk(None),
        Event::Bulk(None),
        Event::Subscribed { channel: b"MOL.INFO", count: 1 },
        Event::Unsubscribed { channel: b"", count: 0 },
        Event::Other,
        Event::Other,
        Event::Other,
        Event::Message { channel: b"MOL.RES.n", payload: b"{}\r\n" },
    ]);
    for piece in [1, 2, 3, 7, said.len()] {
        let mut seen = read(&said, piece);
        // A pong in the subscribed state has a text of its own.
        let pong = seen.iter().rposition(|event| event == "Pong").unwrap();
        if pong > 1 {
            seen[pong] = "Other".to_owned();
        }
        assert_eq!(seen, wanted, "in pieces of {piece}");
    }
}

#[test]
fn a_pong_is_one_in_either_state() {
    assert_eq!(read(b"+PONG\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n", 100), ["Pong", "Pong"]);
}

#[test]
fn a_message_over_the_bound_is_passed_over_and_told() {
    let large = vec![b'x'; MAX + 1];
    let bytes = [message("a", b"before"), message("MOL.REQ.n", &large), message("b", b"after")].concat();
    let wanted = told(&[
        Event::Message { channel: b"a", payload: b"before" },
        Event::Oversized { channel: b"MOL.REQ.n", length: large.len() as u64 },
        Event::Message { channel: b"b", payload: b"after" },
    ]);
    for piece in [1, 10, 1000, bytes.len()] {
        assert_eq!(read(&bytes, piece), wanted, "in pieces of {piece}");
    }
    assert_eq!(read(&message("a", &large[..MAX]), 5000).len(), 1, "the bound itself is none over it");
}

#[test]
fn room_grows_with_what_has_arrived_only() {
    let mut decoder = Decoder::new(512 << 20);
    decoder.extend(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$536870000\r\n");
    let mut arrived = 50;
    while arrived < 1 << 20 {
        let space = decoder.space(4096);
        assert!(space.len() <= arrived.max(4096) + 4096, "{} bytes of room after {arrived}", space.len());
        decoder.filled(4096);
        arrived += 4096;
        assert!(decoder.next().unwrap().is_none());
    }
}

#[test]
fn what_is_not_redis_is_refused_at_once() {
    let refused = |bytes: &[u8]| {
        let mut decoder = Decoder::new(MAX);
        decoder.extend(bytes);
        loop {
            match decoder.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it waits for more of {:?}", String::from_utf8_lossy(bytes)),
                Err(error) => return error.code,
            }
        }
    };
    for bytes in [
        &b"HTTP/1.1 400\r\n"[..],
        b"$x\r\n",
        b":1x\r\n",
        b"$-2\r\n",
        b"*-5\r\n",
        b"$1\r\nabc",
        b"+a\n",
        b":\r\n",
    ] {
        assert_eq!(refused(bytes), Code::Protocol, "{:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(refused(&[b'+'; 70_000]), Code::Protocol, "a line without an end");
    for bytes in
        [&b"*99999999\r\n"[..], b"$99999999\r\n", b"*2\r\n$4\r\nkeys\r\n$99999999\r\n", b"*1\r\n*9999999\r\n"]
    {
        assert_eq!(refused(bytes), Code::Payload, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn commands_are_written_as_redis_reads_them() {
    let mut out = Vec::new();
    resp::auth(&mut out, None, "secret");
    resp::auth(&mut out, Some("bob"), "secret");
    resp::select(&mut out, 15);
    resp::subscribe(&mut out, ["MOL.INFO", "MOL.REQ.n"].into_iter());
    resp::unsubscribe(&mut out);
    resp::publish(&mut out, "MOL.INFO", b"{}");
    resp::ping(&mut out);
    let wanted = concat!(
        "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*3\r\n$4\r\nAUTH\r\n$3\r\nbob\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$2\r\n15\r\n",
        "*3\r\n$9\r\nSUBSCRIBE\r\n$8\r\nMOL.INFO\r\n$9\r\nMOL.REQ.n\r\n*1\r\n$11\r\nUNSUBSCRIBE\r\n",
        "*3\r\n$7\r\nPUBLISH\r\n$8\r\nMOL.INFO\r\n$2\r\n{}\r\n*1\r\n$4\r\nPING\r\n",
    );
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
}

proptest! {
    #[test]
    fn messages_arrive_whole_however_they_are_cut(
        messages in vec(("[A-Z.]{1,12}", vec(any::<u8>(), 0..600)), 1..20), piece in 1_usize..3000,
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|(channel, payload)| message(channel, payload)).collect();
        let wanted: Vec<_> = messages
            .iter()
            .map(|(channel, payload)| format!("{:?}", Event::Message { channel: channel.as_bytes(), payload }))
            .collect();
        prop_assert_eq!(read(&bytes, piece), wanted);
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(
        noise in vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), byte: u8,
        text in "[*$:+>-]?(-?[0-9]{1,20})?(\r\n)?[*$:+-]?[0-9]{0,3}\r\n[a-z]{0,5}\r\n",
    ) {
        let mut changed = message("channel", &noise);
        let at = at.index(changed.len());
        changed[at] = byte;
        for bytes in [&noise[..], &changed, text.as_bytes()] {
            let mut decoder = Decoder::new(MAX);
            decoder.extend(bytes);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
