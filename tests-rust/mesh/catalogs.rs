//! The registry: who is there, as they tell and as the time tells.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ironbridge::mesh::balance::Dice;
use ironbridge::mesh::catalog::{Catalog, Change, Choice, Heard, Options, Refused, Visibility};
use ironbridge::mesh::packet::{Info, Serializer, to_msgpack};

pub(crate) fn catalog(options: Options) -> (Catalog, Instant) {
    let now = Instant::now();
    let mut catalog = Catalog::new("me", options, now);
    catalog.set_local(|node| node.instance_id = Some("mine".into()));
    (catalog, now)
}

/// A list of services, each with one action of its name.
pub(crate) fn services(names: &[&str]) -> String {
    let each = names.iter().map(|name| {
        format!(r#"{{"name":"{name}","actions":{{"k":{{"name":"{name}.do"}}}},"events":{{"e":{{"name":"{name}.done"}}}}}}"#)
    });
    format!("[{}]", each.collect::<Vec<_>>().join(","))
}

pub(crate) fn info<'a>(instance: &'a str, seq: u64, services: &'a str) -> Info<'a> {
    Info { instance_id: Some(instance.into()), seq, services: Some(services.as_bytes()), ..Info::default() }
}

pub(crate) fn tell(catalog: &mut Catalog, sender: &str, info: &Info<'_>, now: Instant) -> Vec<Change> {
    catalog.info(Serializer::Json, sender, info, now).unwrap()
}

fn chosen(catalog: &mut Catalog, action: &str) -> Option<String> {
    match catalog.choose(action, None, &mut Dice::default()) {
        Choice::To(endpoint) => Some(endpoint.node.to_string()),
        _ => None,
    }
}

fn connected(node: &str, reconnected: bool) -> Change {
    Change::Connected { node: node.into(), reconnected }
}

const CHANGED: Change = Change::ServicesChanged { local: false };

#[test]
fn a_node_that_tells_of_itself_is_there_with_what_it_serves() {
    let (mut catalog, now) = catalog(Options::default());
    assert_eq!(
        tell(&mut catalog, "a", &info("1", 1, &services(&["math"])), now),
        [CHANGED, connected("a", false)]
    );
    assert_eq!(chosen(&mut catalog, "math.do").as_deref(), Some("a"));
    assert!(catalog.has_service("math") && !catalog.has_service("maths"));
    let node = catalog.node("a").unwrap();
    assert!(node.available && !node.local && node.seq == 1);
}

#[test]
fn services_are_read_again_when_seq_grows_the_run_is_another_or_the_node_was_away() {
    let (mut catalog, now) = catalog(Options::default());
    let updated = Change::Updated { node: "a".into() };
    tell(&mut catalog, "a", &info("1", 2, &services(&["one"])), now);
    // The same number, and one before it: passed over.
    for seq in [2, 1] {
        assert_eq!(
            tell(&mut catalog, "a", &info("1", seq, &services(&["two"])), now),
            std::slice::from_ref(&updated)
        );
        assert_eq!(chosen(&mut catalog, "two.do"), None);
    }
    assert_eq!(tell(&mut catalog, "a", &info("1", 3, &services(&["two"])), now), [CHANGED, updated.clone()]);
    assert_eq!(
        (chosen(&mut catalog, "one.do"), chosen(&mut catalog, "two.do").as_deref()),
        (None, Some("a"))
    );
    // It was started anew.
    assert_eq!(tell(&mut catalog, "a", &info("2", 1, &services(&["three"])), now), [CHANGED, updated]);
    assert_eq!((catalog.node("a").unwrap().seq, chosen(&mut catalog, "three.do").is_some()), (1, true));
    // It was away.
    catalog.disconnect("a", now);
    assert_eq!(catalog.node("a").unwrap().seq, 2, "what it tells next counts");
    let back = tell(&mut catalog, "a", &info("2", 1, &services(&["four"])), now);
    assert_eq!(back, [CHANGED, connected("a", true)]);
    assert!(chosen(&mut catalog, "four.do").is_some());
}

#[test]
fn an_info_without_services_says_nothing_of_them() {
    let (mut catalog, now) = catalog(Options::default());
    tell(&mut catalog, "a", &info("1", 1, &services(&["math"])), now);
    let silent = Info { services: None, ..info("1", 9, "") };
    assert_eq!(tell(&mut catalog, "a", &silent, now), [Change::Updated { node: "a".into() }]);
    assert!(chosen(&mut catalog, "math.do").is_some());
    // An empty list says that there are none: a node that is about to stop says so.
    tell(&mut catalog, "a", &info("1", 10, "[]"), now);
    assert_eq!(chosen(&mut catalog, "math.do"), None);
    assert!(matches!(catalog.choose("math.do", None, &mut Dice::default()), Choice::Unavailable));
    assert!(matches!(catalog.choose("math.never", None, &mut Dice::default()), Choice::Unknown));
}

#[test]
fn a_change_within_a_service_is_taken_over() {
    let (mut catalog, now) = catalog(Options::default());
    let with =
        |actions: &str, events: &str| format!(r#"[{{"name":"s","actions":{actions},"events":{events}}}]"#);
    let first = with(
        r#"{"1":{"name":"s.a"},"2":{"name":"s.b","timeout":1}}"#,
        r#"{"1":{"name":"x"},"2":{"name":"y"}}"#,
    );
    let second =
        with(r#"{"2":{"name":"s.b","timeout":2},"3":{"name":"s.c"}}"#, r#"{"2":{"name":"y","group":"g"}}"#);
    tell(&mut catalog, "a", &info("1", 1, &first), now);
    tell(&mut catalog, "a", &info("1", 2, &second), now);
    assert_eq!((chosen(&mut catalog, "s.a"), chosen(&mut catalog, "s.c").as_deref()), (None, Some("a")));
    let Choice::To(endpoint) = catalog.at_node("s.b", "a") else { panic!() };
    assert_eq!(endpoint.action().unwrap().timeout_ms, Some(2.0));
    let groups = |event: &str| catalog.broadcast(event, &[]).remote.len();
    assert_eq!((groups("x"), groups("y")), (0, 1));
    assert_eq!(catalog.broadcast("y", &["s"]).remote.len(), 0, "it listens in another group now");
}

#[test]
fn signs_of_life_keep_a_node_and_silence_loses_it() {
    let (mut catalog, now) = catalog(Options::default());
    let after = |seconds| now + Duration::from_secs(seconds);
    tell(&mut catalog, "a", &info("1", 1, &services(&["math"])), now);
    tell(&mut catalog, "b", &info("1", 1, "[]"), now);
    assert_eq!(catalog.heartbeat("a", Some(12.0), after(20)), Heard::Known);
    assert_eq!(catalog.node("a").unwrap().cpu, Some(12.0));
    assert_eq!(catalog.heartbeat("a", None, after(20)), Heard::Known);
    assert_eq!(catalog.node("a").unwrap().cpu, Some(12.0), "a beat that does not say keeps what was known");
    assert_eq!(catalog.check(after(30)), []);
    let lost = |node: &str| Change::Disconnected { node: node.into(), unexpected: true };
    assert_eq!(catalog.check(after(31)), [lost("b")]);
    assert_eq!(catalog.check(after(50)), []);
    assert_eq!(catalog.check(after(51)), [lost("a"), CHANGED]);
    assert_eq!(chosen(&mut catalog, "math.do"), None);
    assert_eq!(catalog.check(after(52)), [], "it is told once");
}

#[test]
fn a_beat_of_a_stranger_or_of_one_that_has_left_asks_who_it_is() {
    let (mut catalog, now) = catalog(Options::default());
    assert_eq!(catalog.heartbeat("a", None, now), Heard::Discover);
    assert!(catalog.node("a").is_none());
    tell(&mut catalog, "a", &info("1", 1, "[]"), now);
    catalog.disconnect("a", now);
    assert_eq!(catalog.heartbeat("a", None, now), Heard::Discover);
    assert!(!catalog.node("a").unwrap().available);
    assert_eq!(catalog.heartbeat("me", None, now), Heard::Own);
}

#[test]
fn a_node_that_leaves_is_kept_for_a_while_and_then_forgotten() {
    let options = Options { forget_after: Some(Duration::from_secs(60)), ..Options::default() };
    let (mut catalog, now) = catalog(options);
    let after = |seconds| now + Duration::from_secs(seconds);
    tell(&mut catalog, "a", &info("1", 1, &services(&["math"])), now);
    let left = Change::Disconnected { node: "a".into(), unexpected: false };
    assert_eq!(catalog.disconnect("a", after(10)), [left, CHANGED]);
    assert_eq!(catalog.disconnect("a", after(11)), [], "it has left already");
    assert_eq!(catalog.check(after(70)), []);
    assert!(catalog.node("a").is_some_and(|node| node.offline_since == Some(after(10))));
    assert_eq!(catalog.check(after(71)), [Change::Removed { node: "a".into() }]);
    assert!(catalog.node("a").is_none());
    // Its place may be another's now.
    tell(&mut catalog, "b", &info("1", 1, &services(&["math"])), after(72));
    assert_eq!(chosen(&mut catalog, "math.do").as_deref(), Some("b"));
}

#[test]
fn both_checks_can_be_turned_off() {
    let options = Options { check_heartbeats: false, forget_after: None, ..Options::default() };
    let (mut catalog, now) = catalog(options);
    tell(&mut catalog, "a", &info("1", 1, "[]"), now);
    tell(&mut catalog, "b", &info("1", 1, "[]"), now);
    catalog.disconnect("b", now);
    assert_eq!(catalog.check(now + Duration::from_secs(1_000_000)), []);
    assert_eq!(catalog.nodes().count(), 3);
}

#[test]
fn silence_while_the_way_was_cut_says_nothing() {
    let (mut catalog, now) = catalog(Options::default());
    let after = |seconds| now + Duration::from_secs(seconds);
    tell(&mut catalog, "a", &info("1", 1, "[]"), now);
    catalog.resumed(after(100));
    assert_eq!(catalog.check(after(130)), []);
    assert_eq!(catalog.check(after(131)).len(), 1);
}

#[test]
fn this_node_s_own_packets_change_nothing_and_another_with_its_id_is_told() {
    let (mut catalog, now) = catalog(Options::default());
    let mut heard =
        |instance| catalog.info(Serializer::Json, "me", &info(instance, 5, "[]"), now).unwrap_err();
    assert_eq!(heard("mine"), Refused::Own);
    assert_eq!(heard("theirs"), Refused::Conflict { instance_id: "theirs".into() });
    assert_eq!(catalog.disconnect("me", now), []);
    assert!(catalog.nodes().next().is_some_and(|node| node.local && node.available));
}

#[test]
fn this_node_s_services_are_numbered_when_they_are_told_and_not_before() {
    let (mut catalog, _) = catalog(Options::default());
    assert_eq!(catalog.info_seq(), 1);
    assert_eq!(
        catalog.set_local_services(services(&["a"]).as_bytes()),
        [Change::ServicesChanged { local: true }]
    );
    catalog.set_local_services(services(&["a", "b"]).as_bytes());
    assert_eq!((catalog.info_seq(), catalog.info_seq()), (2, 2));
    let mut told = Vec::new();
    catalog.nodes().next().unwrap().write_services(&mut told);
    assert_eq!(String::from_utf8(told).unwrap(), services(&["a", "b"]));
    catalog.set_local_services(b"[]");
    assert_eq!(catalog.info_seq(), 3);
    assert_eq!(chosen(&mut catalog, "a.do"), None);
}

#[test]
fn what_a_service_tells_is_at_hand() {
    let (mut catalog, now) = catalog(Options::default());
    let told = r#"[{"name":"math","version":2,"settings":{"prec":2},"metadata":{"x":[1]},"dependencies":["db"],
        "actions":{"v2.math.add":{"params":{"a":"number"},"visibility":"public","timeout":5000,
            "retryPolicy":{"enabled":true,"retries":2},"circuitBreaker":{"enabled":false},"strategy":"Shard",
            "strategyOptions":{"shardKey":"a"},"rawName":"add","name":"v2.math.add"}},
        "events":[{"name":"order.**","group":"billing"},{"name":"user.created"}]},
        {"name":"b","version":"beta"},{"name":"c","version":null,"fullName":"own.c"}]"#;
    tell(&mut catalog, "a", &info("1", 1, told), now);
    let services = catalog.node("a").unwrap().services.clone();
    let names: Vec<_> = services.iter().map(|service| &*service.full_name).collect();
    assert_eq!(names, ["v2.math", "beta.b", "own.c"]);
    let math = &services[0];
    assert_eq!((math.version(), math.settings()), (Some(&b"2"[..]), Some(&br#"{"prec":2}"#[..])));
    assert_eq!(math.metadata(), Some(&br#"{"x":[1]}"#[..]));
    let groups: Vec<_> = math.events.iter().map(|event| (&*event.pattern, &*event.group)).collect();
    assert_eq!(
        groups,
        [("order.**", "billing"), ("user.created", "math")],
        "the group is the name without version"
    );
    assert_eq!(math.listener_schema(&math.events[1]), br#"{"name":"user.created"}"#);
    let Choice::To(endpoint) = catalog.at_node("v2.math.add", "a") else { panic!() };
    let action = endpoint.action().unwrap();
    assert_eq!((action.timeout_ms, action.visibility), (Some(5000.0), Visibility::Public));
    assert_eq!(math.retry_policy(action), Some(&br#"{"enabled":true,"retries":2}"#[..]));
    assert_eq!(math.circuit_breaker(action), Some(&br#"{"enabled":false}"#[..]));
    assert!(
        math.schema(action).starts_with(br#"{"params""#)
            && math.schema(action).ends_with(br#""v2.math.add"}"#)
    );
    assert_eq!(catalog.strategy("v2.math.add").map(|strategy| strategy.name()), Some("Shard"));
}

#[test]
fn actions_that_are_not_for_others_are_not_called_there() {
    let (mut catalog, now) = catalog(Options::default());
    let told = r#"[{"name":"s","actions":{"1":{"name":"s.open"},"2":{"name":"s.near","visibility":"protected"},
        "3":{"name":"s.own","visibility":"private"},"4":{"name":"s.odd","visibility":"what"}}}]"#;
    tell(&mut catalog, "a", &info("1", 1, told), now);
    let reach = |catalog: &mut Catalog| {
        ["s.open", "s.near", "s.own", "s.odd"].map(|name| chosen(catalog, name).is_some())
    };
    assert_eq!(reach(&mut catalog), [true, false, false, false]);
    catalog.set_local_services(told.as_bytes());
    assert_eq!(reach(&mut catalog), [true, true, false, false]);
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_taken() {
    let (mut catalog, now) = catalog(Options::default());
    let told = r#"[7,{"actions":{}},{"name":"bad","actions":{"x":{oops}}},{"name":"good","actions":{"k":{"name":"good.do"},"l":{},"m":5}}]"#;
    let unread = |why| Change::Unread { node: "a".into(), why };
    let changes = tell(&mut catalog, "a", &info("1", 1, told), now);
    assert_eq!(
        changes,
        [
            unread("a service that is no object"),
            unread("a service without a name"),
            unread("a service that cannot be read"),
            CHANGED,
            connected("a", false)
        ]
    );
    assert_eq!(chosen(&mut catalog, "good.do").as_deref(), Some("a"));
    let changes = tell(&mut catalog, "a", &info("1", 2, r#"{"not":"a list"}"#), now);
    assert_eq!(changes[0], unread("services that are no list"));
}

#[test]
fn bounds_are_kept() {
    let (mut catalog, now) = catalog(Options { max_nodes: 2, max_services: 100, ..Options::default() });
    tell(&mut catalog, "a", &info("1", 1, "[]"), now);
    let refused = catalog.info(Serializer::Json, "b", &info("1", 1, "[]"), now);
    assert_eq!(refused, Err(Refused::Full { most: 2 }));
    let large = services(&["a", "b", "c"]);
    let refused = catalog.info(Serializer::Json, "a", &info("1", 2, &large), now);
    assert_eq!(refused, Err(Refused::TooLarge { most: 100 }));
}

#[test]
fn a_node_that_speaks_messagepack_tells_the_same() {
    let (mut catalog, now) = catalog(Options::default());
    let packed = to_msgpack(services(&["math"]).as_bytes()).unwrap();
    let client = to_msgpack(br#"{"type":"nodejs"}"#).unwrap();
    let info = Info {
        instance_id: Some("1".into()),
        seq: 1,
        services: Some(&packed),
        client: Some(&client),
        ..Info::default()
    };
    catalog.info(Serializer::MsgPack, "a", &info, now).unwrap();
    assert_eq!(chosen(&mut catalog, "math.do").as_deref(), Some("a"));
    assert_eq!(catalog.node("a").unwrap().client.as_deref(), Some(&br#"{"type":"nodejs"}"#[..]));
}

#[test]
fn nodes_that_tell_the_same_share_it() {
    let (mut catalog, now) = catalog(Options::default());
    for node in ["a", "b"] {
        tell(&mut catalog, node, &info("1", 1, &services(&["math"])), now);
    }
    let service = |node: &str| catalog.node(node).unwrap().services[0].clone();
    assert!(Arc::ptr_eq(&service("a"), &service("b")));
}

#[test]
fn names_that_come_and_go_are_not_kept_for_ever() {
    let (mut catalog, now) = catalog(Options::default());
    for turn in 0..10_000_u64 {
        let name = format!("s{turn}");
        tell(&mut catalog, "a", &info("1", turn + 1, &services(&[&name])), now);
    }
    assert!(catalog.actions().count() < 5_000 && catalog.events().count() < 5_000);
    assert_eq!(chosen(&mut catalog, "s9999.do").as_deref(), Some("a"));
}
