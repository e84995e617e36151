//! Topics have the names that Moleculer gives them.

use ironbridge::mesh::packet::Command;
use ironbridge::mesh::topic::{To, Topic, Topics};
use proptest::prelude::*;

#[test]
fn a_node_subscribes_to_what_moleculer_subscribes_to_in_its_order() {
    let wanted = [
        "MOL.EVENT.n.1",
        "MOL.REQ.n.1",
        "MOL.RES.n.1",
        "MOL.DISCOVER",
        "MOL.DISCOVER.n.1",
        "MOL.INFO",
        "MOL.INFO.n.1",
        "MOL.DISCONNECT",
        "MOL.HEARTBEAT",
        "MOL.PING",
        "MOL.PING.n.1",
        "MOL.PONG.n.1",
    ];
    assert_eq!(Topics::new("").subscriptions("n.1"), wanted);
    let dev = wanted.map(|topic| topic.replacen("MOL", "MOL-dev", 1));
    assert_eq!(Topics::new("dev").subscriptions("n.1"), dev);
}

#[test]
fn balanced_topics_are_those_seen_at_nats() {
    let topics = Topics::new("");
    assert_eq!(topics.balanced_request("v2.math.add"), "MOL.REQB.v2.math.add");
    assert_eq!(topics.balanced_event("math", "user.created"), "MOL.EVENTB.math.user.created");
    assert_eq!(topics.balanced_subject("math", "user.created"), "MOL.EVENTB.math.user.created");
    assert_eq!(topics.balanced_subject("billing", "order.**"), "MOL.EVENTB.billing.order.>");
    assert_eq!(topics.balanced_subject("billing", "order.*.paid"), "MOL.EVENTB.billing.order.*.paid");
    let request = Topic { command: Command::Request, to: Some(To::Any("v2.math.add")) };
    assert_eq!(topics.parse("MOL.REQB.v2.math.add"), Some(request));
    let event = Topic { command: Command::Event, to: Some(To::Any("math.user.created")) };
    assert_eq!(topics.parse("MOL.EVENTB.math.user.created"), Some(event));
}

#[test]
fn topics_of_others_are_none_of_ours() {
    let (plain, dev) = (Topics::new(""), Topics::new("dev"));
    assert_eq!(plain.parse("MOL-dev.INFO"), None);
    assert_eq!(dev.parse("MOL.INFO"), None);
    assert_eq!(dev.parse("MOL-dev2.INFO"), None);
    for topic in ["", "MOL", "MOL.", "MOL.NEWS", "MOL.REQB", "MOL.info", "mol.INFO", "XMOL.INFO"] {
        assert_eq!(plain.parse(topic), None, "{topic}");
    }
}

proptest! {
    #[test]
    fn topics_come_back_as_they_went(namespace in "[a-z.-]{0,8}", node in option(), place in 0..Command::ALL.len()) {
        let (topics, command) = (Topics::new(&namespace), Command::ALL[place]);
        let topic = topics.topic(command, node.as_deref());
        let to = node.as_deref().map(To::Node);
        prop_assert_eq!(topics.parse(&topic), Some(Topic { command, to }), "{}", topic);
    }
}

/// Ids of nodes: with dots, as host names have.
fn option() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-zA-Z0-9.-]{1,16}")
}
