//! Messages: heads, bodies, and what a peer that searches the text would make of them.

use std::time::Duration;

use ironbridge::core::error::Code;
use ironbridge::hub::message::{
    BROADCAST, Facts, Head, Heads, Instance, Wanted, Writer, call_id, finish, own_call, read,
};

fn instance() -> Instance {
    Instance::from_text("0123456789abcdef").unwrap()
}

fn heads(name: &str, actions: &[&str]) -> Heads {
    let actions: Vec<String> = actions.iter().map(|action| (*action).to_owned()).collect();
    Heads::new(name, &actions, instance()).unwrap()
}

fn writer() -> Writer {
    Writer::new("Alpha", &["b".to_owned(), "a".to_owned()], instance(), Duration::from_secs(2))
}

#[test]
fn a_head_is_matched_from_the_start_and_whole() {
    let heads = heads("Db", &["save"]);
    assert_eq!(heads.split(b"save:{}"), Some((Head::Action(0), b"{}".as_slice())));
    assert_eq!(heads.split(b"Db:{}"), Some((Head::Response, b"{}".as_slice())));
    assert_eq!(heads.split(b"MyDb:{}"), None);
    assert_eq!(heads.split(b"Dbx:{}"), None);
    assert_eq!(heads.split(b"other:{\"d\":\"<r>:\"}"), None);
    assert_eq!(heads.split(b"save"), None);
    assert_eq!(heads.split(b""), None);
}

#[test]
fn names_may_hold_colons() {
    let heads = heads("Db", &["db:save", "db"]);
    assert_eq!(heads.split(b"db:save:{}"), Some((Head::Action(0), b"{}".as_slice())));
    assert_eq!(heads.split(b"db:{\"a\":1}"), Some((Head::Action(1), b"{\"a\":1}".as_slice())));
}

#[test]
fn names_that_could_not_be_told_apart_are_refused() {
    for (name, action) in [("", "a"), ("<r>", "a"), ("Db", ""), ("Db", "<b>"), ("Db", "Db"), ("Db", "a\n")] {
        let refused = Heads::new(name, &[action.to_owned()], instance());
        assert_eq!(refused.unwrap_err().code, Code::Configuration, "{name:?} with {action:?}");
    }
    assert!(Heads::new(&"x".repeat(256), &[], instance()).is_err());
}

#[test]
fn every_head_is_subscribed_to_with_its_colon() {
    let subscriptions = heads("Db", &["save"]).subscriptions();
    assert_eq!(subscriptions[0], b"<hb>:");
    for wanted in ["<r>:", "<b>:", "<hb>:", "<p>:", "<ares>:", "Db:", "save:", "<c>0123456789abcdef:"] {
        assert!(subscriptions.iter().any(|subscription| subscription == wanted.as_bytes()), "{wanted}");
    }
    assert!(subscriptions.iter().all(|subscription| subscription.ends_with(b":")));
}

#[test]
fn messages_have_the_keys_that_peers_know() {
    let mut out = Vec::new();
    writer().begin(&mut out, BROADCAST);
    out.extend_from_slice(b"[1]");
    finish(&mut out, 4);
    assert_eq!(out, br#"<b>:{"s":"Alpha","d":[1]}"#);
    assert_eq!(writer().register(), br#"<r>:{"s":"Alpha","a":["a","b"]}"#);
}

#[test]
fn every_message_of_ours_has_a_sender_and_data() {
    // Peers complain of each that has not.
    let own = [writer().beat().to_vec(), writer().echo(3), writer().parting()];
    for message in own {
        let at = message.iter().position(|byte| *byte == b'{').unwrap();
        let body: serde_json::Value = serde_json::from_slice(&message[at..]).unwrap();
        assert_eq!(body["s"], "Alpha");
        assert!(body.as_object().unwrap().contains_key("d"));
    }
}

#[test]
fn data_that_looks_like_a_head_is_escaped_and_means_the_same() {
    let mut out = Vec::new();
    writer().begin(&mut out, BROADCAST);
    out.extend_from_slice(br#"{"x":"<r>:<b>:","y":"a<b"}"#);
    finish(&mut out, 4);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("<b>:") && !text[4..].contains('<'), "{text}");
    let body: serde_json::Value = serde_json::from_str(&text[4..]).unwrap();
    assert_eq!(body["d"], serde_json::json!({ "x": "<r>:<b>:", "y": "a<b" }));
}

#[test]
fn data_with_a_lone_angle_is_left_alone() {
    let mut out = b"<b>:{\"d\":\"a<b\"".to_vec();
    finish(&mut out, 4);
    assert_eq!(out, b"<b>:{\"d\":\"a<b\"}");
}

#[test]
fn a_request_says_who_waits_and_how_long() {
    let mut out = Vec::new();
    let wanted = Wanted { call: 7, timeout: Duration::from_millis(1500) };
    writer().begin_request(&mut out, b"save", wanted);
    out.extend_from_slice(b"null");
    finish(&mut out, 5);
    let (facts, data) = read(&out[5..]).unwrap();
    let request = facts.request.unwrap();
    assert_eq!(data, b"null");
    assert_eq!(request.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(request.to, Some(instance()));
    assert_eq!(own_call(&request.id, instance()), Some(7));
}

#[test]
fn an_answer_goes_to_whoever_asked() {
    let id = format!("\"{}\"", call_id(instance(), 7));
    let mut ours = Vec::new();
    writer().begin_answer(&mut ours, id.as_bytes(), Some(instance()), b"{}");
    assert!(ours.starts_with(b"<c>0123456789abcdef:"));
    ours.extend_from_slice(b"null}");
    // Whoever collects answers knows by it whose are still to come.
    assert_eq!(read(&ours[20..]).unwrap().0.instance, Some(instance()));
    let mut theirs = Vec::new();
    writer().begin_answer(&mut theirs, b"\"ba4e\"", None, br#"{"type":"E","error":"no"}"#);
    theirs.extend_from_slice(b"null}");
    let (facts, _) = read(&theirs[7..]).unwrap();
    let answer = facts.answer.unwrap();
    assert_eq!(&*answer.id, b"\"ba4e\"");
    assert_eq!(answer.error.as_deref(), Some(br#"{"type":"E","error":"no"}"#.as_slice()));
    assert_eq!(own_call(&answer.id, instance()), None);
}

#[test]
fn a_body_of_the_original_is_read_with_its_spaces_and_escapes() {
    let body = br#"{"s": "Alpha", "d": {"x": "\u00e9"}, "areq": {"i": "8ba8", "timeout": null}}"#;
    let (facts, data) = read(body).unwrap();
    assert_eq!(facts.service, "Alpha");
    assert_eq!(data, br#"{"x": "\u00e9"}"#);
    assert_eq!(facts.request.unwrap().timeout, None);
    assert_eq!(
        read(br#"{"s":"A","d":1,"areq":null}"#).unwrap().0,
        Facts { service: "A".into(), ..Facts::default() }
    );
}

#[test]
fn bodies_that_say_nothing_are_errors() {
    let long = format!("{{\"s\":{:?}}}", "x".repeat(256));
    assert!(read(long.as_bytes()).is_err(), "a name longer than any");
    for body in [&b"[]"[..], b"{}", b"{\"d\":1}", b"{\"s\":1}", b"", b"\xff", b"{\"s\":\"A\",\"areq\":3}"] {
        assert!(read(body).is_err(), "{}", String::from_utf8_lossy(body));
    }
}
