//! A service that ends and comes back, as its clients see it.

use std::time::Duration;

use ironbridge::bridge::client::blocking::CallOptions;
use ironbridge::core::error::{Code, Fate};

use crate::host::Event;
use crate::place::{LONG, Place, Plan, within};

#[test]
fn the_next_call_finds_the_service_that_came_back_by_its_new_numbers() {
    let place = Place::new();
    let first = place.serve(Plan::default());
    let client = place.client();
    assert_eq!(client.call("echo", b"before"), b"before");
    let nonce = first.service.record.nonce;
    first.stop();
    let reordered = vec!["later", "gate", "who", "note", "fail", "echo", "flood"];
    let second = place.serve(Plan { endpoints: reordered, ..Plan::default() });
    assert_ne!(second.service.record.nonce, nonce);
    assert_eq!(client.call("echo", b"after"), b"after");
    assert_eq!(client.call("who", b""), b"1 arguments");
    assert_eq!(client.fail("fail", b"").message, "it fails");
    assert_eq!(second.so_far(), [Event::Built(b"arguments".to_vec())]);
}

#[test]
fn an_endpoint_that_the_new_service_does_not_have_is_not_called_by_its_old_number() {
    let place = Place::new();
    let first = place.serve(Plan::default());
    let client = place.client();
    client.call("note", b"");
    first.stop();
    let second =
        place.serve(Plan { endpoints: vec!["fail", "echo", "who", "flood", "gate"], ..Plan::default() });
    let error = client.fail("note", b"");
    assert_eq!((error.code, error.fate), (Code::EndpointNotFound, Fate::NotSent));
    assert_eq!(second.so_far(), []);
}

#[test]
fn while_nobody_serves_calls_fail_unsent_and_later_ones_work() {
    let place = Place::new();
    let first = place.serve(Plan::default());
    let client = place.client();
    client.call("echo", b"");
    first.stop();
    for _ in 0..3 {
        let error = client.fail("echo", b"");
        assert_eq!((error.code, error.fate), (Code::ServiceNotFound, Fate::NotSent));
    }
    let _second = place.serve(Plan::default());
    assert_eq!(client.call("echo", b"back"), b"back");
}

#[test]
fn a_call_that_was_running_when_the_service_ended_has_an_unknown_outcome() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let client = place.client();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| client.reply("gate", b"caught", within(LONG)));
        served.expect(&Event::Began(b"caught".to_vec()));
        // What a kill does to its connections.
        let engine = served.service.engine();
        served.service.drain(Some(Duration::ZERO));
        served.expect(&Event::GivenUp(b"caught".to_vec()));
        assert!(engine.active() <= 1);
        match call.join().unwrap() {
            // It saw that it was given up, and ended in time to answer.
            Ok(reply) => assert_eq!(reply.payload, b"caught"),
            Err(error) => assert_eq!((error.code, error.fate), (Code::ConnectionLost, Fate::Unknown)),
        }
    });
}

#[test]
fn an_idempotent_call_is_tried_again_at_the_service_that_came_back() {
    let place = Place::new();
    let first = place.serve(Plan::default());
    let client = place.client();
    client.call("echo", b"");
    first.stop();
    let _second = place.serve(Plan::default());
    let options = CallOptions { idempotent: true, ..within(LONG) };
    assert_eq!(client.reply("echo", b"again", options).unwrap().payload, b"again");
}

#[test]
fn a_client_waits_for_a_service_that_comes_later() {
    let place = Place::new();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| place.client().call("echo", b"at last"));
        let _served = place.serve(Plan::default());
        assert_eq!(waiting.join().unwrap(), b"at last");
    });
}
