//! Where a call goes, and where an event goes.

use std::time::Instant;

use ironbridge::mesh::balance::Dice;
use ironbridge::mesh::catalog::{Catalog, Choice, Delivery, Options};
use proptest::prelude::*;

use crate::catalogs::{catalog, info, services, tell};

fn serve(catalog: &mut Catalog, nodes: &[&str], what: &str) {
    for node in nodes {
        tell(catalog, node, &info("1", 1, what), Instant::now());
    }
}

fn nodes(catalog: &mut Catalog, action: &str, times: usize) -> Vec<String> {
    let mut dice = Dice::default();
    (0..times)
        .map(|_| match catalog.choose(action, None, &mut dice) {
            Choice::To(endpoint) => endpoint.node.to_string(),
            Choice::Unknown => "unknown".to_owned(),
            Choice::Unavailable => "unavailable".to_owned(),
        })
        .collect()
}

#[test]
fn calls_go_round() {
    let (mut catalog, _) = catalog(Options::default());
    serve(&mut catalog, &["a", "b", "c"], &services(&["s"]));
    assert_eq!(nodes(&mut catalog, "s.do", 6), ["a", "b", "c", "a", "b", "c"]);
    catalog.disconnect("b", Instant::now());
    assert_eq!(nodes(&mut catalog, "s.do", 4), ["a", "c", "a", "c"]);
}

#[test]
fn this_node_is_called_first_unless_that_is_turned_off() {
    for (prefer_local, wanted) in [(true, ["me", "me", "me"]), (false, ["a", "me", "a"])] {
        let (mut catalog, _) = catalog(Options { prefer_local, ..Options::default() });
        serve(&mut catalog, &["a"], &services(&["s", "$node"]));
        catalog.set_local_services(services(&["s", "$node"]).as_bytes());
        assert_eq!(nodes(&mut catalog, "s.do", 3), wanted);
        assert_eq!(nodes(&mut catalog, "$node.do", 2), ["me", "me"], "each node answers for itself");
    }
}

#[test]
fn one_that_is_not_to_be_called_is_left_out_until_it_may_be_again() {
    let (mut catalog, _) = catalog(Options::default());
    serve(&mut catalog, &["a", "b", "c"], &services(&["s"]));
    catalog.set_usable("s.do", "b", false);
    assert_eq!(nodes(&mut catalog, "s.do", 4), ["a", "c", "a", "c"]);
    // Whoever asks for it gets it: a circuit breaker tries it so.
    assert!(matches!(catalog.at_node("s.do", "b"), Choice::To(_)));
    for node in ["a", "c"] {
        catalog.set_usable("s.do", node, false);
    }
    assert_eq!(nodes(&mut catalog, "s.do", 1), ["unavailable"]);
    catalog.set_usable("s.do", "b", true);
    assert_eq!(nodes(&mut catalog, "s.do", 2), ["b", "b"]);
    let told = catalog.endpoints("s.do").unwrap();
    assert_eq!(told.iter().map(|(_, usable)| *usable).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn a_local_service_that_is_not_to_be_called_leaves_the_call_to_others() {
    let (mut catalog, _) = catalog(Options::default());
    serve(&mut catalog, &["a"], &services(&["s"]));
    catalog.set_local_services(services(&["s"]).as_bytes());
    catalog.set_usable("s.do", "me", false);
    assert_eq!(nodes(&mut catalog, "s.do", 2), ["a", "a"]);
    assert!(matches!(catalog.choose_local("s.do", None, &mut Dice::default()), Choice::Unavailable));
}

#[test]
fn a_call_for_one_node_goes_there_or_nowhere() {
    let (mut catalog, _) = catalog(Options::default());
    serve(&mut catalog, &["a", "b"], &services(&["s"]));
    let at = |node: &str| match catalog.at_node("s.do", node) {
        Choice::To(endpoint) => Some(endpoint.node.to_string()),
        _ => None,
    };
    assert_eq!((at("b").as_deref(), at("c"), at("me")), (Some("b"), None, None));
}

#[test]
fn a_call_that_was_sent_here_stays_here() {
    let (mut catalog, _) = catalog(Options { prefer_local: false, ..Options::default() });
    serve(&mut catalog, &["a"], &services(&["s", "t"]));
    catalog.set_local_services(services(&["s"]).as_bytes());
    let mut here = |action: &str| catalog.choose_local(action, None, &mut Dice::default());
    assert!(matches!(here("s.do"), Choice::To(endpoint) if endpoint.local));
    assert!(matches!(here("t.do"), Choice::Unknown), "another node serves it");
}

#[test]
fn a_key_leads_to_the_same_node_each_time() {
    let (mut catalog, _) = catalog(Options::default());
    let sharded = r#"[{"name":"s","actions":{"k":{"name":"s.do","strategy":"Shard","strategyOptions":{"shardKey":"id"}}}}]"#;
    serve(&mut catalog, &["node-c", "node-a", "node-b"], sharded);
    let mut owner = |key: &str| match catalog.choose("s.do", Some(key), &mut Dice::default()) {
        Choice::To(endpoint) => endpoint.node.to_string(),
        _ => panic!(),
    };
    assert_eq!(["1", "bob", "user-1", "1"].map(&mut owner), ["node-c", "node-a", "node-b", "node-c"]);
}

#[test]
fn the_nearest_and_the_least_busy_are_known_from_what_was_heard() {
    let (mut catalog, now) = catalog(Options::default());
    let told = r#"[{"name":"s","actions":{"1":{"name":"s.near","strategy":"Latency"},"2":{"name":"s.idle","strategy":"CpuUsage"}}}]"#;
    for (node, cpu, elapsed) in [("a", 90.0, 500.0), ("b", 40.0, 100.0), ("c", 20.0, 900.0)] {
        let mut info = info("1", 1, told);
        info.hostname = Some(format!("host-{node}").into());
        tell(&mut catalog, node, &info, now);
        catalog.heartbeat(node, Some(cpu), now);
        catalog.pong(node, elapsed);
    }
    assert_eq!(nodes(&mut catalog, "s.near", 1), ["b"]);
    assert_eq!(nodes(&mut catalog, "s.idle", 1), ["c"]);
    assert_eq!(catalog.latencies().targets(&mut Dice::default()).len(), 3);
    catalog.disconnect("b", now);
    assert_eq!(catalog.latencies().average("host-b"), None);
}

fn listening(name: &str, events: &[(&str, Option<&str>)]) -> String {
    let events: Vec<String> = events
        .iter()
        .enumerate()
        .map(|(place, (pattern, group))| {
            let group = group.map(|group| format!(r#","group":"{group}""#)).unwrap_or_default();
            format!(r#""{place}":{{"name":"{pattern}"{group}}}"#)
        })
        .collect();
    format!(r#"[{{"name":"{name}","events":{{{}}}}}]"#, events.join(","))
}

/// Where an event goes, as text: `node:group+group`, and `here:service/pattern`.
fn told(delivery: &Delivery) -> Vec<String> {
    let here = delivery
        .local
        .iter()
        .map(|reached| format!("here:{}/{}", reached.service.full_name, reached.listener().unwrap().pattern));
    let there = delivery.remote.iter().map(|(node, groups)| format!("{node}:{}", groups.join("+")));
    here.chain(there).collect()
}

fn emit(catalog: &mut Catalog, event: &str, groups: &[&str]) -> Vec<String> {
    told(&catalog.emit(event, groups, None, &mut Dice::default()))
}

#[test]
fn an_event_goes_to_one_of_each_group_in_one_packet_for_each_node() {
    let (mut catalog, now) = catalog(Options::default());
    tell(
        &mut catalog,
        "a",
        &info("1", 1, &listening("mail", &[("user.created", None), ("user.*", Some("audit"))])),
        now,
    );
    tell(&mut catalog, "b", &info("1", 1, &listening("mail", &[("user.created", None)])), now);
    tell(&mut catalog, "c", &info("1", 1, &listening("billing", &[("order.**", None)])), now);
    assert_eq!(emit(&mut catalog, "user.created", &[]), ["a:mail+audit"]);
    assert_eq!(emit(&mut catalog, "user.created", &[]), ["b:mail", "a:audit"]);
    assert_eq!(emit(&mut catalog, "user.created", &["audit"]), ["a:audit"]);
    assert_eq!(emit(&mut catalog, "user.created", &["billing"]), [""; 0]);
    assert_eq!(emit(&mut catalog, "order.a.b", &[]), ["c:billing"]);
    assert_eq!(emit(&mut catalog, "nobody.listens", &[]), [""; 0]);
}

#[test]
fn a_local_service_gets_its_group_s_event_without_a_packet() {
    let (mut catalog, now) = catalog(Options::default());
    catalog.set_local_services(listening("mail", &[("user.created", None)]).as_bytes());
    tell(&mut catalog, "a", &info("1", 1, &listening("mail", &[("user.created", None)])), now);
    tell(&mut catalog, "b", &info("1", 1, &listening("audit", &[("user.*", None)])), now);
    assert_eq!(emit(&mut catalog, "user.created", &[]), ["here:mail/user.created", "b:audit"]);
}

#[test]
fn a_node_with_two_patterns_of_a_group_handles_each_once() {
    let (mut catalog, now) = catalog(Options::default());
    let both = listening("mail", &[("user.created", None), ("user.*", None)]);
    for node in ["a", "b"] {
        tell(&mut catalog, node, &info("1", 1, &both), now);
    }
    // It matches again whatever it gets: a packet to the other as well would be handled twice.
    assert_eq!(emit(&mut catalog, "user.created", &[]), ["a:mail"]);
    assert_eq!(emit(&mut catalog, "user.created", &[]), ["b:mail"]);
    catalog.set_local_services(both.as_bytes());
    let here = catalog.received("user.created", &["mail"], false, &mut Dice::default());
    assert_eq!(here.len(), 2, "one handler of each pattern");
}

#[test]
fn a_broadcast_goes_to_every_node_once_and_to_all_services_here() {
    let (mut catalog, now) = catalog(Options::default());
    let both = listening("mail", &[("user.created", None), ("user.*", Some("audit"))]);
    for node in ["a", "b"] {
        tell(&mut catalog, node, &info("1", 1, &both), now);
    }
    tell(&mut catalog, "c", &info("1", 1, &listening("other", &[("x", None)])), now);
    catalog.set_local_services(both.as_bytes());
    let all = ["here:mail/user.created", "here:mail/user.*", "a:", "b:"];
    assert_eq!(told(&catalog.broadcast("user.created", &[])), all);
    assert_eq!(told(&catalog.broadcast("user.created", &["audit"])), ["here:mail/user.*", "a:", "b:"]);
    catalog.disconnect("a", now);
    assert_eq!(told(&catalog.broadcast("user.updated", &[])), ["here:mail/user.*", "b:"]);
}

#[test]
fn a_received_event_is_matched_again_within_its_groups() {
    let (mut catalog, now) = catalog(Options { prefer_local: false, ..Options::default() });
    let two = [listening("mail", &[("user.*", None)]), listening("audit", &[("user.created", Some("log"))])];
    catalog.set_local_services(two.join(",").replace("],[", ",").as_bytes());
    tell(&mut catalog, "a", &info("1", 1, &two[0]), now);
    let mut here = |event: &str, groups: &[&str], broadcast| {
        let reached = catalog.received(event, groups, broadcast, &mut Dice::default());
        reached.iter().map(|reached| reached.service.name.to_string()).collect::<Vec<_>>()
    };
    for broadcast in [false, true] {
        assert_eq!(here("user.created", &[], broadcast), ["mail", "audit"]);
        assert_eq!(here("user.created", &["log"], broadcast), ["audit"]);
        assert_eq!(here("user.updated", &["log"], broadcast), [""; 0]);
    }
}

#[test]
fn services_of_two_versions_share_a_group() {
    let (mut catalog, _) = catalog(Options::default());
    let version = |number| {
        format!(r#"{{"name":"mail","version":{number},"events":{{"e":{{"name":"user.created"}}}}}}"#)
    };
    catalog.set_local_services(format!("[{},{}]", version(1), version(2)).as_bytes());
    let mut names = |broadcast| {
        let reached = catalog.received("user.created", &["mail"], broadcast, &mut Dice::default());
        reached.iter().map(|reached| reached.service.full_name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!([names(false), names(false)].concat(), ["v1.mail", "v2.mail"], "one of them, in turn");
    assert_eq!(names(true), ["v1.mail", "v2.mail"]);
}

#[test]
fn groups_are_known_for_transporters_that_balance() {
    let (mut catalog, now) = catalog(Options::default());
    tell(
        &mut catalog,
        "a",
        &info("1", 1, &listening("mail", &[("a.*", None), ("a.b", None), ("**", Some("log"))])),
        now,
    );
    let groups = |event: &str| catalog.groups(event).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        (groups("a.b"), groups("x")),
        (vec!["mail".to_owned(), "log".to_owned()], vec!["log".to_owned()])
    );
}

proptest! {
    /// Whatever nodes say and however they go, nobody is sent to who is not there or does not listen.
    #[test]
    fn nobody_is_sent_to_who_is_not_there(steps in prop::collection::vec((0..4_u8, 0..4_usize, 0..8_usize), 1..40)) {
        let (mut catalog, now) = catalog(Options::default());
        let all = ["a", "b", "c", "me"];
        let sets: Vec<String> = (0..8_usize)
            .map(|bits| {
                let names: Vec<&str> = ["x", "y", "z"].into_iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| name).collect();
                services(&names)
            })
            .collect();
        let mut serving: [Option<usize>; 4] = [None, None, None, Some(0)];
        for (seq, (step, node, set)) in (1..).zip(steps) {
            match (step, all[node]) {
                (0, "me") => {}
                (0, name) => {
                    catalog.disconnect(name, now);
                    serving[node] = None;
                }
                (_, "me") => {
                    catalog.set_local_services(sets[set].as_bytes());
                    serving[node] = Some(set);
                }
                (_, name) => {
                    tell(&mut catalog, name, &info("1", seq * 2, &sets[set]), now);
                    serving[node] = Some(set);
                }
            }
            for (bit, name) in ["x", "y", "z"].into_iter().enumerate() {
                let servers: Vec<&str> = (0..4).filter(|node| serving[*node].is_some_and(|set| set >> bit & 1 == 1)).map(|node| all[node]).collect();
                let mut known: Vec<String> = catalog
                    .endpoints(&format!("{name}.do"))
                    .unwrap_or_default()
                    .iter()
                    .map(|(endpoint, _)| endpoint.node.to_string())
                    .collect();
                known.sort_unstable();
                prop_assert_eq!(&known, &servers);
                let delivery = catalog.broadcast(&format!("{name}.done"), &[]);
                let reached = delivery.remote.len() + usize::from(!delivery.local.is_empty());
                prop_assert_eq!(reached, servers.len());
                let chosen = catalog.choose(&format!("{name}.do"), None, &mut Dice::default());
                prop_assert_eq!(matches!(chosen, Choice::To(_)), !servers.is_empty());
                let emitted = catalog.emit(&format!("{name}.done"), &[], None, &mut Dice::default());
                prop_assert_eq!(emitted.remote.len() + emitted.local.len(), usize::from(!servers.is_empty()));
            }
        }
    }
}
