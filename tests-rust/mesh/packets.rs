//! Packets as Moleculer writes them: what was captured is read, and ours have the same bytes.

use std::borrow::Cow;

use ironbridge::mesh::packet::{
    Command, Event, Heartbeat, Info, Packet, Ping, Pong, Request, Response, Serializer, Unread, Version,
    Writer, read, to_msgpack,
};

/// Captured from 0.14.36 and 0.15.2, shortened.
const V4: [(Command, &str); 14] = [
    (Command::Discover, r#"{"ver":"4","sender":"node-a"}"#),
    (Command::Disconnect, r#"{"ver":"4","sender":"node-a"}"#),
    (Command::Heartbeat, r#"{"cpu":0,"ver":"4","sender":"node-b"}"#),
    (
        Command::Info,
        r#"{"services":[{"name":"math","version":2,"fullName":"v2.math"}],"ipList":["192.0.2.2"],"hostname":"vm","client":{"type":"nodejs","version":"0.14.36","langVersion":"v20.20.2"},"config":{},"instanceID":"118b8af8-0047-495d-8679-ab6617c3e8b7","metadata":{"region":"eu"},"seq":2,"ver":"4","sender":"node-b"}"#,
    ),
    (Command::Ping, r#"{"time":1795173934377,"id":"dc26","ver":"4","sender":"node-a"}"#),
    (
        Command::Pong,
        r#"{"time":1795173934377,"id":"dc26","arrived":1795173934394,"ver":"4","sender":"node-b"}"#,
    ),
    (
        Command::Request,
        r#"{"id":"9af4336e","action":"v2.math.add","params":{"a":1,"b":"2"},"meta":{"user":"bob"},"timeout":3000,"level":1,"tracing":null,"parentID":null,"requestID":"9af4336e","caller":null,"stream":false,"ver":"4","sender":"node-a"}"#,
    ),
    (
        Command::Request,
        r#"{"id":"9af4336e","action":"v2.math.add","params":{"via":"relay"},"meta":{"u":1},"timeout":9999.83935,"level":2,"tracing":true,"parentID":"d1c2","requestID":"d1c2","caller":"mail","stream":true,"seq":3,"ver":"4","sender":"node-a"}"#,
    ),
    (
        Command::Response,
        r#"{"id":"9af4336e","meta":{"user":"bob","srv":"node-b"},"success":true,"data":3,"ver":"4","sender":"node-b"}"#,
    ),
    (Command::Response, r#"{"id":"9af4336e","meta":{},"success":true,"ver":"4","sender":"node-b"}"#),
    (
        Command::Response,
        r#"{"id":"fa6f4c07","meta":{},"success":false,"data":null,"error":{"name":"MoleculerClientError","message":"Bad thing","nodeID":"node-b","code":422,"type":"BAD_THING","retryable":false,"stack":"...","data":{"field":"a"}},"ver":"4","sender":"node-b"}"#,
    ),
    (
        Command::Response,
        r#"{"id":"4d3c","meta":{},"success":true,"data":{"type":"Buffer","data":[99,104]},"stream":true,"seq":1,"ver":"4","sender":"node-b"}"#,
    ),
    (
        Command::Event,
        r#"{"id":"1fca","event":"user.created","data":{"id":1},"groups":["math","mail"],"broadcast":false,"meta":{"m":1},"level":1,"tracing":null,"parentID":null,"requestID":"6db8","caller":null,"needAck":null,"ver":"4","sender":"node-a"}"#,
    ),
    (
        Command::Event,
        r#"{"id":"1fca","event":"user.created","data":null,"broadcast":true,"meta":{},"level":1,"tracing":null,"parentID":null,"requestID":"6db8","caller":null,"needAck":null,"ver":"4","sender":"node-a"}"#,
    ),
];

const V5: [(Command, &str); 3] = [
    (
        Command::Request,
        r#"{"id":"a","action":"files.save","params":{"fn":"f.txt"},"meta":{},"headers":{"h1":"v"},"timeout":0,"level":1,"tracing":null,"parentID":null,"requestID":"a","caller":null,"stream":true,"seq":0,"ver":"5","sender":"node-a"}"#,
    ),
    (
        Command::Response,
        r#"{"id":"a","meta":{},"headers":{},"success":true,"data":1,"ver":"5","sender":"node-b"}"#,
    ),
    (
        Command::Event,
        r#"{"id":"1","event":"e","data":1,"groups":["g"],"broadcast":false,"meta":{},"headers":{},"level":1,"tracing":null,"parentID":null,"requestID":"6","caller":null,"needAck":null,"ver":"5","sender":"n"}"#,
    ),
];

fn written(serializer: Serializer, version: Version, sender: &str, packet: &Packet<'_>) -> Vec<u8> {
    let mut out = b"before".to_vec();
    Writer::new(serializer, version, sender).write(&mut out, packet);
    assert_eq!(&out[..6], b"before", "packets are appended");
    out.split_off(6)
}

#[test]
fn captured_packets_are_read_and_written_again_byte_for_byte() {
    for (version, captured) in [(Version::V4, &V4[..]), (Version::V5, &V5)] {
        for (command, text) in captured {
            let received = read(Serializer::Json, *command, text.as_bytes(), Some(version)).unwrap();
            assert_eq!(received.packet.command(), *command);
            let again = written(Serializer::Json, version, &received.sender, &received.packet);
            assert_eq!(String::from_utf8(again).unwrap(), *text);
        }
    }
}

#[test]
fn the_same_packets_in_messagepack_say_the_same() {
    for (version, captured) in [(Version::V4, &V4[..]), (Version::V5, &V5)] {
        for (command, text) in captured {
            let packed = to_msgpack(text.as_bytes()).unwrap();
            let received = read(Serializer::MsgPack, *command, &packed, Some(version)).unwrap();
            let again = written(Serializer::MsgPack, version, &received.sender, &received.packet);
            let value: serde_json::Value = rmp_serde::from_slice(&again).unwrap();
            assert_eq!(value, serde_json::from_str::<serde_json::Value>(text).unwrap());
        }
    }
}

#[test]
fn every_field_is_where_it_belongs() {
    let received = read(Serializer::Json, Command::Request, V4[7].1.as_bytes(), Some(Version::V4)).unwrap();
    assert_eq!(received.sender, "node-a");
    let wanted = Request {
        id: "9af4336e".into(),
        action: "v2.math.add".into(),
        params: Some(br#"{"via":"relay"}"#),
        meta: Some(br#"{"u":1}"#),
        headers: None,
        timeout_ms: Some(9999.83935),
        level: 2,
        tracing: Some(true),
        parent_id: Some("d1c2".into()),
        request_id: Some("d1c2".into()),
        caller: Some("mail".into()),
        stream: true,
        seq: Some(3),
    };
    assert_eq!(received.packet, Packet::Request(wanted));
    let Packet::Request(Request { id: Cow::Borrowed(_), action: Cow::Borrowed(_), .. }) = received.packet
    else {
        panic!("a name without escapes is copied");
    };
}

#[test]
fn the_least_that_moleculer_accepts_is_accepted() {
    let least =
        |command, text: &'static str| read(Serializer::Json, command, text.as_bytes(), None).unwrap().packet;
    let request = Request { id: "1".into(), action: "a.b".into(), level: 1, ..Request::default() };
    assert_eq!(
        least(Command::Request, r#"{"id":"1","action":"a.b","ver":"4","sender":"n"}"#),
        Packet::Request(request.clone())
    );
    // Null, or what it should not be, is as good as absent; a key that nobody knows is passed over.
    assert_eq!(
        least(
            Command::Request,
            r#"{"ver":"4","x":[{"y":"]}"}],"id":"1","action":"a.b","meta":null,"timeout":null,"level":"x","tracing":null,
               "parentID":7,"requestID":null,"stream":null,"seq":null,"sender":"n"}"#
        ),
        Packet::Request(request)
    );
    assert_eq!(least(Command::Ping, r#"{"sender":"n"}"#), Packet::Ping(Ping::default()));
    assert_eq!(
        least(Command::Heartbeat, r#"{"cpu":null,"sender":"n"}"#),
        Packet::Heartbeat(Heartbeat::default())
    );
    assert_eq!(
        least(Command::Info, r#"{"seq":null,"sender":"n"}"#),
        Packet::Info(Info { seq: 1, ..Info::default() })
    );
    let event = Event { event: "e".into(), level: 1, ..Event::default() };
    assert_eq!(least(Command::Event, r#"{"event":"e","groups":null,"sender":"n"}"#), Packet::Event(event));
}

#[test]
fn null_and_undefined_are_told_apart() {
    let data = |text: &'static str| {
        let received = read(Serializer::Json, Command::Response, text.as_bytes(), None).unwrap();
        let Packet::Response(Response { data, .. }) = received.packet else { panic!() };
        data
    };
    assert_eq!(data(r#"{"id":"1","success":true,"data":null,"sender":"n"}"#), Some(&b"null"[..]));
    assert_eq!(data(r#"{"id":"1","success":true,"sender":"n"}"#), None);
}

#[test]
fn a_packet_of_another_version_is_told_with_its_sender() {
    let refused =
        |text: &str| read(Serializer::Json, Command::Info, text.as_bytes(), Some(Version::V4)).unwrap_err();
    let version = |sender: Option<&str>, received: Option<&str>| Unread::Version {
        command: Command::Info,
        sender: sender.map(str::to_owned),
        actual: Version::V4,
        received: received.map(str::to_owned),
    };
    assert_eq!(refused(r#"{"ver":"5","sender":"b"}"#), version(Some("b"), Some("\"5\"")));
    assert_eq!(refused(r#"{"ver":4,"sender":"b"}"#), version(Some("b"), Some("4")), "a number is no version");
    assert_eq!(refused(r#"{"sender":"b"}"#), version(Some("b"), None));
    assert_eq!(refused("{}"), version(None, None));
    assert_eq!(
        refused(r#"{"ver":"5","sender":"b"}"#).to_string(),
        "INFO of b in protocol \"5\", where 4 is spoken: all nodes of a mesh must speak the same"
    );
    // Where the check is off, all are read.
    assert!(read(Serializer::Json, Command::Info, br#"{"ver":"5","sender":"b"}"#, None).is_ok());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let long = format!(r#"{{"id":"{}","action":"a","sender":"n"}}"#, "x".repeat(5000));
    for (command, text) in [
        (Command::Discover, "[]"),
        (Command::Discover, "{"),
        (Command::Discover, ""),
        (Command::Discover, r#"{"ver":"4"}"#),
        (Command::Discover, r#"{"sender":""}"#),
        (Command::Request, r#"{"id":"1","sender":"n"}"#),
        (Command::Request, r#"{"id":7,"action":"a","sender":"n"}"#),
        (Command::Request, &long),
        (Command::Response, r#"{"success":true,"sender":"n"}"#),
        (Command::Event, r#"{"id":"1","sender":"n"}"#),
        (Command::Event, r#"{"event":"e","groups":"g","sender":"n"}"#),
        (Command::Event, r#"{"event":"e","groups":["g",1],"sender":"n"}"#),
    ] {
        let refused = read(Serializer::Json, command, text.as_bytes(), None).unwrap_err();
        assert!(
            matches!(refused, Unread::Malformed { command: said, .. } if said == command),
            "{text}: {refused}"
        );
    }
}

#[test]
fn a_payload_is_written_straight_into_its_packet_or_nothing_is() {
    for serializer in [Serializer::Json, Serializer::MsgPack] {
        let writer = Writer::new(serializer, Version::V4, "n");
        let payload: &[u8] = if serializer == Serializer::Json { b"[1]" } else { &[0x91, 1] };
        let request = Request {
            id: "1".into(),
            action: "a".into(),
            params: Some(payload),
            level: 1,
            ..Request::default()
        };
        let (mut given, mut direct) = (Vec::new(), Vec::new());
        writer.request(&mut given, &request);
        writer
            .request_with(&mut direct, &request, |out| {
                out.extend_from_slice(payload);
                Ok::<_, ()>(())
            })
            .unwrap();
        assert_eq!(given, direct);
        let response = Response { id: "1".into(), success: true, data: Some(payload), ..Response::default() };
        let (mut given, mut direct) = (Vec::new(), b"kept".to_vec());
        writer.response(&mut given, &response);
        let failed = writer.response_with(&mut direct, &response, |out| {
            out.push(b'[');
            Err("no such value")
        });
        assert_eq!((failed, &direct[..]), (Err("no such value"), &b"kept"[..]));
        writer
            .response_with(&mut direct, &response, |out| {
                out.extend_from_slice(payload);
                Ok::<_, ()>(())
            })
            .unwrap();
        assert_eq!(direct, [b"kept", &given[..]].concat());
    }
}

#[test]
fn numbers_are_written_as_javascript_writes_them() {
    let timeout = |number: f64| {
        let ping = Pong { time: Some(number), ..Pong::default() };
        let out = written(Serializer::Json, Version::V4, "n", &Packet::Pong(ping));
        String::from_utf8(out).unwrap()
    };
    for (number, text) in [
        (0.0, "0"),
        (5000.0, "5000"),
        (-3.0, "-3"),
        (0.5, "0.5"),
        (9999.83935, "9999.83935"),
        (f64::NAN, "null"),
        (f64::INFINITY, "null"),
    ] {
        assert_eq!(timeout(number), format!(r#"{{"time":{text},"ver":"4","sender":"n"}}"#));
    }
}
