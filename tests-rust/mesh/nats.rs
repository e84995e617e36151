//! NATS's protocol: whatever way it is cut, and within its bounds.

use ironbridge::core::error::Code;
use ironbridge::mesh::nats::{self, Connect, Decoder, Event, ServerInfo, check_subject};
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
    assert!(decoder.is_empty());
    seen
}

fn told(events: &[Event<'_>]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

fn message(subject: &str, sid: u64, payload: &[u8]) -> Vec<u8> {
    let head = format!("MSG {subject} {sid} {}\r\n", payload.len());
    [head.as_bytes(), payload, b"\r\n"].concat()
}

#[test]
fn what_a_server_says_is_understood_however_it_is_cut() {
    let said = [
        &b"INFO {\"server_id\":\"N\",\"version\":\"2.10.1\",\"max_payload\":1048576,\"headers\":true,\"new\":{},\"connect_urls\":[\"a:1\"]} \r\n"
            [..],
        b"PING\r\nPONG\r\n+OK\r\n-ERR 'Authorization Violation'\r\nping\r\n",
        b"MSG MOL.INFO 3 2\r\n{}\r\nMSG\tMOL.PING  4 answer.here 0\r\n\r\n",
        b"HMSG MOL.X 5 12 14\r\nNATS/1.0\r\n\r\n{}\r\n",
        &message("MOL.RES.n", 12, b"a\r\nMSG b"),
    ]
    .concat();
    let info = ServerInfo {
        server_id: "N".into(),
        version: "2.10.1".into(),
        max_payload: 1 << 20,
        headers: true,
        connect_urls: vec!["a:1".into()],
        ..ServerInfo::default()
    };
    let event =
        |subject, sid, reply, headers, payload| Event::Message { subject, sid, reply, headers, payload };
    let wanted = told(&[
        Event::Info(Box::new(info)),
        Event::Ping,
        Event::Pong,
        Event::Ok,
        Event::Error(b"Authorization Violation"),
        Event::Ping,
        event(b"MOL.INFO", 3, None, b"", b"{}"),
        event(b"MOL.PING", 4, Some(b"answer.here"), b"", b""),
        event(b"MOL.X", 5, None, b"NATS/1.0\r\n\r\n", b"{}"),
        event(b"MOL.RES.n", 12, None, b"", b"a\r\nMSG b"),
    ]);
    for piece in [1, 2, 3, 7, said.len()] {
        assert_eq!(read(&said, piece), wanted, "in pieces of {piece}");
    }
}

#[test]
fn a_message_over_the_bound_is_passed_over_and_told() {
    let large = vec![b'\n'; MAX + 1];
    let bytes =
        [message("a", 1, b"before"), message("MOL.REQ.n", 2, &large), message("b", 3, b"after")].concat();
    for piece in [1, 10, 1000, bytes.len()] {
        let seen = read(&bytes, piece);
        let oversized = Event::Oversized { subject: b"MOL.REQ.n", sid: 2, length: large.len() as u64 };
        assert_eq!((seen.len(), &seen[1]), (3, &format!("{oversized:?}")), "in pieces of {piece}");
    }
}

#[test]
fn room_grows_with_what_has_arrived_only() {
    let mut decoder = Decoder::new(512 << 20);
    decoder.extend(b"MSG a 1 536870000\r\n");
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
fn what_is_not_nats_is_refused_at_once() {
    for bytes in [
        &b"HTTP/1.1 400\r\n"[..],
        b"INFO nonsense\r\n",
        b"MSG\r\n",
        b"MSG a\r\n",
        b"MSG a b 1\r\n",
        b"MSG a 1 b c d e f\r\n",
        b"MSG a 1 -1\r\n",
        b"MSG a 1 99999999999999999999\r\n",
        b"HMSG a 1 9 2\r\n",
        b"MSG a 1 1\r\nabc",
        b"\r\n",
        &[b'I'; 300_000],
    ] {
        let mut decoder = Decoder::new(MAX);
        decoder.extend(bytes);
        let error = decoder.next().unwrap_err();
        assert_eq!(error.code, Code::Protocol, "{error}");
    }
}

#[test]
fn commands_are_written_as_nats_reads_them() {
    let mut out = Vec::new();
    nats::subscribe(&mut out, "MOL.INFO", None, 1).unwrap();
    nats::subscribe(&mut out, "MOL.EVENTB.billing.order.>", Some("billing"), 2).unwrap();
    nats::unsubscribe(&mut out, 2);
    nats::publish(&mut out, "MOL.INFO.n-1", b"{}").unwrap();
    nats::publish(&mut out, "MOL.DISCOVER", b"").unwrap();
    nats::ping(&mut out);
    nats::pong(&mut out);
    let wanted = "SUB MOL.INFO 1\r\nSUB MOL.EVENTB.billing.order.> billing 2\r\nUNSUB 2\r\n\
                  PUB MOL.INFO.n-1 2\r\n{}\r\nPUB MOL.DISCOVER 0\r\n\r\nPING\r\nPONG\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
}

#[test]
fn a_client_tells_what_it_is() {
    let mut out = Vec::new();
    nats::connect(
        &mut out,
        &Connect { name: "n", user: Some("bob"), pass: Some("\"x\""), ..Connect::default() },
    );
    let text = String::from_utf8(out).unwrap();
    let told: serde_json::Value = serde_json::from_str(text.strip_prefix("CONNECT ").unwrap()).unwrap();
    assert!(
        text.ends_with("}\r\n") && told["name"] == "n" && told["user"] == "bob" && told["pass"] == "\"x\""
    );
    assert!(told["verbose"] == false && told["echo"] == true && told["protocol"] == 1);
    assert!(told.get("auth_token").is_none());
}

#[test]
fn no_name_can_become_a_command() {
    for subject in
        ["", "a b", "a\r\nPUB b 0", "a..b", ".a", "a.", "a\tb", "MOL.REQ.*", "MOL.>", &"x".repeat(4000)]
    {
        let mut out = Vec::new();
        let error = nats::publish(&mut out, subject, b"x").unwrap_err();
        assert_eq!((error.code, out.len()), (Code::Configuration, 0), "{error}");
    }
    assert!(nats::subscribe(&mut Vec::new(), "MOL.X", Some("a b"), 1).is_err());
    assert!(
        check_subject("MOL.EVENTB.g.order.>", true).is_ok() && check_subject("MOL.REQ.a*b", false).is_ok()
    );
}

proptest! {
    #[test]
    fn messages_arrive_whole_however_they_are_cut(
        messages in vec(("[A-Z]{1,5}(\\.[A-Z]{1,5}){0,3}", any::<u32>(), vec(any::<u8>(), 0..600)), 1..20), piece in 1_usize..3000,
    ) {
        let bytes: Vec<u8> =
            messages.iter().flat_map(|(subject, sid, payload)| message(subject, (*sid).into(), payload)).collect();
        let wanted: Vec<_> = messages
            .iter()
            .map(|(subject, sid, payload)| {
                let (subject, sid) = (subject.as_bytes(), (*sid).into());
                format!("{:?}", Event::Message { subject, sid, reply: None, headers: b"", payload })
            })
            .collect();
        prop_assert_eq!(read(&bytes, piece), wanted);
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(
        noise in vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), byte: u8,
        text in "(H?MSG|INFO|PING|-ERR)[ a-z0-9{}\":]{0,20}\r\n[a-z]{0,5}\r\n",
    ) {
        let mut changed = message("subject", 1, &noise);
        let at = at.index(changed.len());
        changed[at] = byte;
        for bytes in [&noise[..], &changed, text.as_bytes()] {
            let mut decoder = Decoder::new(MAX);
            decoder.extend(bytes);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
