//! Packets of every kind come back as they went, and bytes of any kind are read or refused.

use ironbridge::mesh::packet::{
    Command, Event, Heartbeat, Info, Packet, Ping, Pong, Request, Response, Serializer, Version, Writer, read,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A payload, in both serializers.
fn payload() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC*".prop_map(Into::into),
    ];
    let nested = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            vec(("[a-z\"\\\\{}]{0,4}", inner), 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    });
    nested.prop_map(|value| (serde_json::to_vec(&value).unwrap(), rmp_serde::to_vec(&value).unwrap()))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9.-]{1,12}", any::<String>()]
}

#[derive(Clone, Debug)]
struct Parts {
    names: [String; 4],
    some: [Option<String>; 4],
    payloads: [Option<(Vec<u8>, Vec<u8>)>; 4],
    groups: Option<Vec<String>>,
    numbers: [Option<f64>; 3],
    seq: Option<u64>,
    level: u32,
    flags: [bool; 2],
    options: [Option<bool>; 2],
}

fn parts() -> impl Strategy<Value = Parts> {
    let payloads =
        [option::of(payload()), option::of(payload()), option::of(payload()), option::of(payload())];
    let some = [option::of(text()), option::of(text()), option::of(text()), option::of(text())];
    let number = || option::of(prop_oneof![0.0..1e13, (0..1_000_000_u32).prop_map(f64::from), -50.0..0.0]);
    (
        ([text(), text(), text(), text()], some, payloads, option::of(vec(text(), 0..4))),
        ([number(), number(), number()], option::of(0..1_u64 << 52), 1..u32::MAX),
        ([any::<bool>(), any::<bool>()], [any::<Option<bool>>(), any::<Option<bool>>()]),
    )
        .prop_map(|((names, some, payloads, groups), (numbers, seq, level), (flags, options))| Parts {
            names,
            some,
            payloads,
            groups,
            numbers,
            seq,
            level,
            flags,
            options,
        })
}

fn packet<'a>(parts: &'a Parts, command: Command, serializer: Serializer) -> Packet<'a> {
    let some = |place: usize| parts.some[place].as_deref().map(Into::into);
    let raw = |place: usize| {
        parts.payloads[place].as_ref().map(|(json, packed)| match serializer {
            Serializer::Json => json.as_slice(),
            Serializer::MsgPack => packed.as_slice(),
        })
    };
    let null: &[u8] = if serializer == Serializer::Json { b"null" } else { &[0xc0] };
    let object: &[u8] = if serializer == Serializer::Json { b"{}" } else { &[0x80] };
    // Where null means absent, absent is what comes back; where it means an empty object, that.
    let present = |place: usize| raw(place).filter(|raw| *raw != null);
    let or_empty = |place: usize| Some(present(place).unwrap_or(object));
    let [id, name, ..] = &parts.names;
    let [first, second, third] = parts.numbers;
    match command {
        Command::Discover => Packet::Discover,
        Command::Disconnect => Packet::Disconnect,
        Command::Heartbeat => Packet::Heartbeat(Heartbeat { cpu: first }),
        Command::Ping => Packet::Ping(Ping { id: some(0), time: first }),
        Command::Pong => Packet::Pong(Pong { id: some(0), time: first, arrived: second }),
        Command::Info => Packet::Info(Info {
            services: present(0),
            ip_list: present(1),
            hostname: some(0),
            client: or_empty(2),
            config: or_empty(3),
            instance_id: some(1),
            metadata: or_empty(2),
            seq: parts.seq.unwrap_or(1).max(1),
        }),
        Command::Request => Packet::Request(Request {
            id: id.into(),
            action: name.into(),
            params: raw(0),
            meta: or_empty(1),
            headers: or_empty(2),
            timeout_ms: third,
            level: parts.level,
            tracing: parts.options[0],
            parent_id: some(0),
            request_id: some(1),
            caller: some(2),
            stream: parts.flags[0],
            seq: parts.seq,
        }),
        Command::Response => Packet::Response(Response {
            id: id.into(),
            meta: or_empty(1),
            headers: or_empty(2),
            success: parts.flags[0],
            data: raw(0),
            error: present(3),
            stream: parts.options[1],
            seq: parts.options[1].and(parts.seq),
        }),
        Command::Event => Packet::Event(Event {
            id: some(3),
            event: name.into(),
            data: raw(0),
            groups: parts.groups.as_ref().map(|groups| groups.iter().map(Into::into).collect()),
            broadcast: parts.flags[1],
            meta: or_empty(1),
            headers: or_empty(2),
            level: parts.level,
            tracing: parts.options[0],
            parent_id: some(0),
            request_id: some(1),
            caller: some(2),
        }),
    }
}

proptest! {
    #[test]
    fn packets_come_back_as_they_went(parts in parts()) {
        for serializer in [Serializer::Json, Serializer::MsgPack] {
            let writer = Writer::new(serializer, Version::V5, &format!("n{}", parts.names[3]));
            for command in Command::ALL {
                let sent = packet(&parts, command, serializer);
                let mut bytes = Vec::new();
                writer.write(&mut bytes, &sent);
                if serializer == Serializer::Json {
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
                } else {
                    prop_assert!(rmp_serde::from_slice::<serde_json::Value>(&bytes).is_ok());
                }
                let received = read(serializer, command, &bytes, Some(Version::V5)).unwrap();
                prop_assert_eq!(received.sender.strip_prefix('n'), Some(&*parts.names[3]));
                prop_assert_eq!(&received.packet, &sent);
                for cut in [bytes.len() - 1, bytes.len() / 2, 1, 0] {
                    prop_assert!(read(serializer, command, &bytes[..cut], None).is_err(), "a part of it is read");
                }
                bytes.push(b'}');
                prop_assert!(read(serializer, command, &bytes, None).is_err(), "what follows it is not seen");
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(
        parts in parts(), noise in vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), byte: u8,
    ) {
        for serializer in [Serializer::Json, Serializer::MsgPack] {
            for command in Command::ALL {
                let _ = read(serializer, command, &noise, None);
                let mut bytes = Vec::new();
                Writer::new(serializer, Version::V4, "n").write(&mut bytes, &packet(&parts, command, serializer));
                let at = at.index(bytes.len());
                bytes[at] = byte;
                let _ = read(serializer, command, &bytes, Some(Version::V4));
            }
        }
    }
}
