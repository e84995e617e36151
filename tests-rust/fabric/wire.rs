//! Calls and answers: as services of other make send them, and what is made of theirs.

use std::time::Duration;

use ironbridge::core::deadline::Deadline;
use ironbridge::core::done::Done;
use ironbridge::core::error::{Code, Error, Fate};
use ironbridge::fabric::calls::{Call, Target};
use ironbridge::fabric::publishing::Message;
use ironbridge::fabric::wire::{self, Kind};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::ShortString;

use super::config::{shown, texts};

fn call(deadline: Deadline) -> Message {
    let target = Target {
        exchange: "home.api.camera.left".to_owned(),
        method: "shoot".to_owned(),
        service: "home.camera.left".to_owned(),
    };
    let body = br#"{"at": 1}"#.to_vec();
    let (content_type, done) = (wire::JSON, Done::nobody());
    let mut call = Call { target, body, content_type, deadline, idempotent: false, done };
    wire::call(17, &mut call, "home.bell.door")
}

fn text(text: Option<&ShortString>) -> &str {
    text.map_or("", |text| text.as_str())
}

#[test]
fn a_call_goes_to_its_method_s_queue_and_comes_back_when_there_is_none() {
    let message = call(Deadline::after(Duration::from_secs(60)));
    assert_eq!(message.exchange.as_str(), "home.api.camera.left");
    assert_eq!(message.routing_key.as_str(), "home.api.camera.left::shoot");
    assert!(message.mandatory);
    assert_eq!(message.body, br#"{"at": 1}"#);
    let properties = &message.properties;
    assert_eq!(text(properties.content_type().as_ref()), "application/json");
    assert_eq!(text(properties.kind().as_ref()), "call");
    assert_eq!(text(properties.reply_to().as_ref()), "amq.rabbitmq.reply-to");
    assert_eq!((*properties.delivery_mode(), *properties.priority()), (Some(1), Some(5)));
    assert_eq!(shown(properties.headers().as_ref().unwrap()), ["From=home.bell.door"]);
    assert!(properties.timestamp().is_some() && properties.message_id().is_some());
    assert_eq!(wire::number(properties.correlation_id().as_ref().unwrap()), Some(17));
}

#[test]
fn a_call_carries_what_is_left_of_its_time_and_never_none() {
    let left = |deadline| text(call(deadline).properties.expiration().as_ref()).parse::<u64>().unwrap();
    assert!((50_000..=60_000).contains(&left(Deadline::after(Duration::from_secs(60)))));
    assert_eq!(
        left(Deadline::after(Duration::ZERO)),
        1,
        "0 would be dropped where nobody waits at the queue"
    );
}

#[test]
fn an_answer_s_correlation_id_that_is_not_ours_is_nobody_s() {
    for other in ["", "0261eead-27b5-4a0e-9f6b-000000000000", "-1", "1e3", "99999999999999999999999"] {
        assert_eq!(wire::number(&other.into()), None, "{other}");
    }
}

#[test]
fn a_message_without_a_type_is_a_call_too_and_an_answer_is_none() {
    let of = |kind: &str| BasicProperties::default().with_type(kind.into());
    assert!(
        wire::is_call(&BasicProperties::default()) && wire::is_call(&of("call")) && wire::is_call(&of("x"))
    );
    assert!(!wire::is_call(&of("result")) && !wire::is_call(&of("error")));
}

#[test]
fn who_calls_is_what_its_headers_say() {
    assert_eq!(wire::caller(&BasicProperties::default()), None);
    let said = BasicProperties::default().with_headers(texts(&[("From", "home.bell.door")]));
    assert_eq!(wire::caller(&said).as_deref(), Some("home.bell.door"));
}

#[test]
fn an_answer_goes_to_its_caller_alone_and_says_which_call_it_is_for() {
    let answer =
        wire::answer(Kind::Result, wire::JSON, "amq_1".into(), Some("0261eead".into()), b"8".to_vec());
    assert_eq!((answer.exchange.as_str(), answer.routing_key.as_str()), ("", "amq_1"));
    assert!(!answer.mandatory, "a caller that is gone needs no answer");
    assert_eq!(text(answer.properties.kind().as_ref()), "result");
    assert_eq!(text(answer.properties.correlation_id().as_ref()), "0261eead");
    assert!(answer.properties.headers().as_ref().is_some_and(|headers| headers.inner().is_empty()));
    let error = wire::answer(Kind::Error, wire::JSON, "amq_1".into(), None, Vec::new());
    assert_eq!(text(error.properties.kind().as_ref()), "error");
    assert!(error.properties.correlation_id().is_none());
}

fn came(kind: Option<&str>, body: &[u8]) -> Delivery {
    let mut delivery = Delivery::mock(1, "".into(), "amq_1".into(), false, body.to_vec());
    delivery.properties = BasicProperties::default().with_content_type(wire::JSON.into());
    if let Some(kind) = kind {
        delivery.properties = delivery.properties.with_type(kind.into());
    }
    delivery
}

#[test]
fn an_answer_is_read_as_a_result_or_an_error_and_anything_else_is_refused() {
    for (kind, expected) in [("result", Kind::Result), ("error", Kind::Error)] {
        let reply = wire::reply(came(Some(kind), b"8")).unwrap();
        assert_eq!((reply.kind, reply.body.as_slice()), (expected, &b"8"[..]));
        assert_eq!(reply.content_type.as_deref(), Some(wire::JSON));
    }
    for kind in [None, Some("call"), Some("other")] {
        let error = wire::reply(came(kind, b"8")).unwrap_err();
        assert_eq!(error.code, Code::Protocol);
        assert!(error.message.contains(kind.unwrap_or("none")), "{error}");
    }
}

#[test]
fn an_error_of_the_engine_is_one_that_services_of_other_make_read_too() {
    let told = |code| {
        let error = Error::new(code, "too \"many\"\nat once: 日本").with_fate(Fate::Rejected);
        serde_json::from_slice::<serde_json::Value>(&wire::engine_error(&error)).unwrap()
    };
    // They look for a class of this name among Python's own.
    for (code, number, kind) in [
        (Code::Overloaded, 8, "RuntimeError"),
        (Code::DeadlineExceeded, 5, "TimeoutError"),
        (Code::ConnectionLost, 6, "ConnectionError"),
        (Code::ServiceUnavailable, 7, "ConnectionError"),
        (Code::EndpointNotFound, 4, "AttributeError"),
    ] {
        let expected = serde_json::json!({"error": {
            "type": kind,
            "message": "too \"many\"\nat once: 日本",
            "args": ["too \"many\"\nat once: 日本"],
            "code": number,
            "fate": 3,
        }});
        assert_eq!(told(code), expected);
    }
}
