//! A thousand nodes with twenty services each: what knowing them takes. A program of its own, since memory is that of
//! the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write;
use std::time::{Duration, Instant};

use ironbridge::mesh::balance::Dice;
use ironbridge::mesh::catalog::{Catalog, Choice, Heard, Options};
use ironbridge::mesh::packet::{Command, Heartbeat, Info, Packet, Serializer, Version, Writer, read};

const NODES: usize = 1000;

/// Twenty services with five actions and two events each, none the same on two nodes.
fn told(node: usize) -> String {
    let mut text = "[".to_owned();
    for service in 0..20 {
        let name = format!("service{service}");
        let comma = if service > 0 { "," } else { "" };
        write!(text, r#"{comma}{{"name":"{name}","fullName":"{name}","settings":{{"node":{node}}},"metadata":{{}},"actions":{{"#).unwrap();
        for action in 0..5 {
            let comma = if action > 0 { "," } else { "" };
            write!(
                text,
                r#"{comma}"{name}.action{action}":{{"params":{{"a":"number","b":{{"type":"number","convert":true}}}},"cache":{{"keys":["a","b"],"ttl":30}},"visibility":"published","rest":"GET /a","timeout":5000,"rawName":"action{action}","name":"{name}.action{action}"}}"#
            )
            .unwrap();
        }
        write!(text, r#"}},"events":{{"{name}.done":{{"name":"{name}.done"}},"{name}.*":{{"name":"{name}.*","group":"all"}}}}}}"#).unwrap();
    }
    text + "]"
}

fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_thousand_nodes_take_little_room_and_their_beats_little_time() {
    let now = Instant::now();
    let mut catalog = Catalog::new("me", Options::default(), now);
    let before = resident();
    for node in 0..NODES {
        let services = told(node);
        let info = Info {
            instance_id: Some("1".into()),
            seq: 1,
            services: Some(services.as_bytes()),
            ..Info::default()
        };
        catalog.info(Serializer::Json, &format!("node-{node}"), &info, now).unwrap();
    }
    let taken = resident().saturating_sub(before) >> 20;
    assert!(taken < 100, "{taken} MiB");
    let beats: Vec<Vec<u8>> = (0..NODES)
        .map(|node| {
            let mut out = Vec::new();
            Writer::new(Serializer::Json, Version::V4, &format!("node-{node}"))
                .heartbeat(&mut out, Heartbeat { cpu: Some(3.0) });
            out
        })
        .collect();
    let started = Instant::now();
    for beat in &beats {
        let received = read(Serializer::Json, Command::Heartbeat, beat, Some(Version::V4)).unwrap();
        let Packet::Heartbeat(heartbeat) = received.packet else { panic!() };
        assert_eq!(catalog.heartbeat(&received.sender, heartbeat.cpu, now), Heard::Known);
    }
    assert_eq!(catalog.check(now), []);
    // One round is due in ten seconds: a fiftieth of a core is 200 ms.
    assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
    assert_eq!(catalog.endpoints("service7.action3").unwrap().len(), NODES);
    assert!(matches!(catalog.choose("service7.action3", None, &mut Dice::default()), Choice::To(_)));
    assert_eq!(catalog.broadcast("service7.done", &[]).remote.len(), NODES);
}
