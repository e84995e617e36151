//! Calls of a blocking client.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ironbridge::bridge::client::blocking::{CallOptions, INSTANCE};
use ironbridge::bridge::frame::RequestEnvelope;
use ironbridge::bridge::schema::Endpoint;
use ironbridge::core::deadline::Deadline;
use ironbridge::core::error::{Code, Fate};
use ironbridge::core::limits::Limits;

use crate::host::Event;
use crate::place::{LONG, Place, Plan, Reply, within};
use crate::raw::request;

#[test]
fn a_call_brings_back_what_was_sent() {
    let place = Place::new();
    let _served = place.serve(Plan::default());
    let client = place.client();
    for size in [0, 1, 100, 4_000, 5_000, 70_000, 3 << 20] {
        let payload = vec![42; size];
        assert_eq!(client.call("echo", &payload), payload);
    }
}

#[test]
fn large_buffers_travel_beside_the_payload() {
    let place = Place::new();
    let _served = place.serve(Plan::default());
    let buffers = vec![vec![1; 3 << 20], Vec::new(), vec![2; 5], vec![3; 100_000]];
    let sent = (b"beside".to_vec(), buffers.clone());
    let reply = place.client().exchange("echo", sent, within(LONG), &|| false).unwrap().unwrap();
    assert_eq!(reply.payload, b"beside");
    assert_eq!(reply.buffers, buffers);
}

#[test]
fn a_failure_is_told_with_its_code_and_has_run() {
    let place = Place::new();
    let _served = place.serve(Plan::default());
    let error = place.client().fail("fail", b"");
    assert_eq!((error.code, error.fate), (Code::RemoteExecution, Fate::Executed));
    assert_eq!(error.message, "it fails");
}

#[test]
fn an_unknown_name_is_told_with_the_nearest() {
    let place = Place::new();
    let _served = place.serve(Plan::default());
    let error = place.client().fail("ecko", b"");
    assert_eq!((error.code, error.fate), (Code::EndpointNotFound, Fate::NotSent));
    assert!(error.message.contains("did you mean \"echo\"?"), "{error}");
}

#[test]
fn nobody_serves_a_name_that_was_never_taken() {
    let place = Place::new();
    let error = place.client_with(b"", Limits::default()).err();
    // Connecting waits its time for the service to come.
    assert_eq!(error.unwrap().code, Code::ServiceNotFound);
}

#[test]
fn a_deadline_ends_the_wait_and_the_service_is_told() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let client = place.client();
    let error = client.reply("gate", b"stubborn", within(Duration::from_millis(60))).unwrap_err();
    assert_eq!((error.code, error.fate), (Code::DeadlineExceeded, Fate::Unknown));
    served.expect(&Event::Began(b"stubborn".to_vec()));
    served.expect(&Event::GivenUp(b"stubborn".to_vec()));
    assert_eq!(client.call("echo", b"and on"), b"and on");
}

#[test]
fn a_signal_ends_the_wait_and_the_service_is_told() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let client = place.client();
    let asked = AtomicBool::new(false);
    let once = || asked.swap(true, Ordering::Relaxed);
    let sent = (b"stop me".to_vec(), Vec::new());
    let error = client.exchange("gate", sent, within(LONG), &once).unwrap_err();
    assert_eq!((error.code, error.fate), (Code::Cancelled, Fate::Unknown));
    served.expect(&Event::Began(b"stop me".to_vec()));
    served.expect(&Event::GivenUp(b"stop me".to_vec()));
}

#[test]
fn a_one_way_call_does_not_hold_up_the_next() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let client = place.client();
    let one_way = CallOptions { one_way: true, ..within(LONG) };
    let sent = (b"alone".to_vec(), Vec::new());
    assert!(client.exchange("gate", sent, one_way, &|| false).unwrap().is_none());
    served.expect(&Event::Began(b"alone".to_vec()));
    assert_eq!(client.call("echo", b"next"), b"next");
    // Its caller may even go: it is not asked to stop.
    client.engine.close();
    assert_eq!(client.call("echo", b"again"), b"again");
    while served.count("/connections/open") > 1 {
        std::thread::yield_now();
    }
    assert_eq!(served.so_far(), []);
}

#[test]
fn a_batch_is_answered_in_order() {
    let place = Place::new();
    let _served = place.serve(Plan::default());
    let client = place.client();
    let home = client.engine.refresh(Deadline::after(LONG), &|| false).unwrap();
    let frames: Vec<_> = (0..2_000_u32)
        .map(|number| {
            let envelope = RequestEnvelope { call: 1, remaining: 0, instance: INSTANCE, endpoint: 0 };
            let payload = number.to_le_bytes().repeat(if number % 500 == 0 { 50_000 } else { 1 });
            request(&envelope, 0, &payload)
        })
        .collect();
    let route = Endpoint { id: 0, coroutine: false, instance: false };
    let mut numbers = Vec::new();
    client
        .engine
        .exchange_all(&home, route, &frames, within(LONG), &|| false, |frame| {
            let payload = Reply::of(frame).payload;
            numbers.push(u32::from_le_bytes(payload[..4].try_into().unwrap()));
        })
        .unwrap();
    assert!(numbers.into_iter().eq(0..2_000));
}

#[test]
fn one_client_serves_many_threads() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let client = place.client();
    std::thread::scope(|scope| {
        for thread in 0..64_u32 {
            let client = &client;
            scope.spawn(move || {
                for number in 0..50_u32 {
                    let payload = [thread.to_le_bytes(), number.to_le_bytes()].concat();
                    assert_eq!(client.call("echo", &payload), payload);
                }
            });
        }
    });
    assert_eq!(served.count("/calls"), 64 * 50);
    assert_eq!(served.count("/in_flight"), 0);
}

#[test]
fn a_coroutine_is_awaited_by_a_blocking_caller() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let client = place.client();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.call("later", b""));
        let Event::Spawned(call) = served.next() else { panic!() };
        served.host.finish_later(call, b"done");
        assert_eq!(waiting.join().unwrap(), b"done");
    });
}

#[test]
fn a_coroutine_whose_caller_goes_is_cancelled() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let client = place.client();
    let error = client.reply("later", b"", within(Duration::from_millis(60))).unwrap_err();
    assert_eq!(error.code, Code::DeadlineExceeded);
    assert!(matches!(served.next(), Event::Spawned(_)));
    assert!(matches!(served.next(), Event::Cancelled(_)));
}

#[test]
fn a_service_tells_of_itself() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let client = place.client();
    client.call("echo", b"");
    let text = client.call("$stats", b"");
    let text = rmp::decode::read_str_from_slice(&text).unwrap().0;
    let statistics: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(statistics["calls"], 1);
    let schema = client.call("$describe", b"");
    assert_eq!(rmp::decode::read_str_from_slice(&schema).unwrap().0, served.service.engine().schema);
    client.call("$stop", b"");
    served.ended();
}

/// Requests numbered from 0, as a batch sends them.
fn batch(endpoint: u16, instance: u32, count: u32) -> Vec<Vec<u8>> {
    let envelope = RequestEnvelope { call: 1, remaining: 0, instance, endpoint };
    (0..count).map(|number| request(&envelope, 0, &number.to_le_bytes())).collect()
}

#[test]
fn a_batch_goes_on_after_its_first_call_waited_for_an_instance() {
    let place = Place::new();
    let served = place.serve(Plan::default());
    let client = place.client_with(b"slow", Limits::default()).unwrap();
    let home = client.engine.refresh(Deadline::after(LONG), &|| false).unwrap();
    let (frames, route) = (batch(2, INSTANCE, 60), Endpoint { id: 2, coroutine: false, instance: true });
    std::thread::scope(|scope| {
        let builder = scope.spawn(|| place.client_with(b"slow", Limits::default()).unwrap().call("who", b""));
        served.expect(&Event::Began(b"slow".to_vec()));
        let waiter = scope.spawn(|| {
            let mut replies = 0;
            client
                .engine
                .exchange_all(&home, route, &frames, within(LONG), &|| false, |_| replies += 1)
                .unwrap();
            replies
        });
        while served.count("/cache/waited") == 0 {
            std::thread::yield_now();
        }
        served.host.open_gate();
        assert_eq!(builder.join().unwrap(), b"1 slow");
        assert_eq!(waiter.join().unwrap(), 60);
    });
}

#[test]
fn a_batch_goes_on_after_the_keeper_read_its_first_call() {
    let place = Place::new();
    let served = place.serve(Plan { threads: 1, ..Plan::default() });
    let (busy, client) = (place.client(), place.client());
    let home = client.engine.refresh(Deadline::after(LONG), &|| false).unwrap();
    let (frames, route) = (batch(0, 0, 60), Endpoint { id: 0, coroutine: false, instance: false });
    std::thread::scope(|scope| {
        scope.spawn(|| busy.call("gate", b"busy"));
        served.expect(&Event::Began(b"busy".to_vec()));
        let waiter = scope.spawn(|| {
            let mut replies = 0;
            client
                .engine
                .exchange_all(&home, route, &frames, within(LONG), &|| false, |_| replies += 1)
                .unwrap();
            replies
        });
        while served.service.engine().waiting() == 0 {
            std::thread::yield_now();
        }
        served.host.open_gate();
        assert_eq!(waiter.join().unwrap(), 60);
    });
}

#[test]
fn long_batches_and_single_calls_take_turns_on_one_worker() {
    let place = Place::new();
    let _served = place.serve(Plan { threads: 1, ..Plan::default() });
    // Each takes its time, and all that are sent fit where the service reads them to.
    let frames = batch(5, 0, 60);
    let route = Endpoint { id: 5, coroutine: false, instance: false };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let client = place.client();
                let home = client.engine.refresh(Deadline::after(LONG), &|| false).unwrap();
                let mut replies = 0;
                client
                    .engine
                    .exchange_all(&home, route, &frames, within(LONG), &|| false, |_| replies += 1)
                    .unwrap();
                assert_eq!(replies, 60);
            });
            scope.spawn(|| {
                let client = place.client();
                for _ in 0..200 {
                    assert_eq!(client.call("echo", b"single"), b"single");
                }
            });
        }
    });
}
