//! Log records: what leaves, and which of them a follower is sent.

use ironbridge::fabric::logs::{self, Following};

use super::config::{bindings, config, shown, texts};

fn followed(level: Option<&str>, kind: Option<&str>, id: Option<&str>) -> Vec<String> {
    let own = |text: Option<&str>| text.map(str::to_owned);
    let following = Following { domain: "home".to_owned(), level: own(level), kind: own(kind), id: own(id) };
    let queue = following.queue();
    assert!(
        queue.name.is_empty() && queue.options.exclusive && queue.no_ack,
        "a queue of the follower's own"
    );
    bindings(&queue)
}

#[test]
fn without_a_level_all_records_of_the_domain_are_followed() {
    assert_eq!(followed(None, None, None), ["home.log.records: x-match=all"]);
}

#[test]
fn the_lowest_level_is_all_of_them_those_of_the_user_s_own_too() {
    assert_eq!(followed(Some("DEBUG"), None, None), ["home.log.records: x-match=all"]);
}

#[test]
fn from_a_level_on_the_broker_passes_on_those_above_it() {
    assert_eq!(
        followed(Some("WARNING"), None, None),
        [
            "home.log.records: level_name=WARNING x-match=all",
            "home.log.records: level_name=ERROR x-match=all",
            "home.log.records: level_name=CRITICAL x-match=all",
        ]
    );
    assert_eq!(followed(Some("CRITICAL"), None, None), ["home.log.records: level_name=CRITICAL x-match=all"]);
}

#[test]
fn a_service_s_records_are_followed_alone() {
    assert_eq!(
        followed(Some("ERROR"), Some("camera"), Some("left")),
        [
            "home.log.records: level_name=ERROR service_id=left service_type=camera x-match=all",
            "home.log.records: level_name=CRITICAL service_id=left service_type=camera x-match=all",
        ]
    );
    assert_eq!(followed(None, Some("camera"), None), ["home.log.records: service_type=camera x-match=all"]);
}

#[test]
fn a_record_says_its_level_and_its_service_whatever_else_it_says() {
    let said = texts(&[("logger", "shop"), ("service_id", "forged"), ("level_name", "forged")]);
    let message = logs::message(&config(), "WARNING", said, b"\"text\"".to_vec());
    assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), ("home.log.records", ""));
    assert!(!message.mandatory, "records that nobody follows are not returned");
    assert_eq!(message.body, b"\"text\"");
    let headers = message.properties.headers().as_ref().unwrap();
    assert_eq!(
        shown(headers),
        ["level_name=WARNING", "logger=shop", "service_id=left", "service_type=camera"]
    );
    assert_eq!(message.properties.content_type().as_ref().unwrap().as_str(), "application/json");
    assert_eq!(*message.properties.delivery_mode(), Some(1));
}
