//! Data: what leaves, who takes it from which queue, and which options contradict each other.

use std::time::Duration;

use ironbridge::core::error::Code;
use ironbridge::fabric::consume::{Offset, QueueSpec};
use ironbridge::fabric::data::{self, Envelope, Retention, Subscription};
use lapin::types::{AMQPValue, FieldTable};

use super::config::{bindings, config, shown, texts};

fn subscription() -> Subscription {
    Subscription {
        name: "accounting".to_owned(),
        headers: texts(&[("topic", "order")]),
        any: false,
        domain: "home".to_owned(),
        durable: false,
        dead_letter: false,
        max_deliveries: None,
        prefetch: 200,
        no_ack: false,
        queue: None,
        stream: None,
    }
}

fn queue(change: impl FnOnce(&mut Subscription)) -> QueueSpec {
    let mut subscription = subscription();
    change(&mut subscription);
    subscription.queue(&config()).unwrap()
}

fn refused(change: impl FnOnce(&mut Subscription)) -> String {
    let mut subscription = subscription();
    change(&mut subscription);
    let error = subscription.queue(&config()).unwrap_err();
    assert_eq!(error.code, Code::Configuration, "{error}");
    error.message
}

#[test]
fn subscribers_of_one_name_share_a_queue_that_goes_with_the_last_of_them() {
    let queue = queue(|_| {});
    assert_eq!(queue.name, "home.data.accounting");
    assert!(queue.options.auto_delete && !queue.options.durable && !queue.options.exclusive);
    assert!(shown(&queue.arguments).is_empty());
    assert_eq!(bindings(&queue), ["home.data: topic=order x-match=all"]);
    assert_eq!((queue.prefetch, queue.no_ack), (200, false));
    assert!(queue.companions.is_empty() && queue.offset.is_none() && queue.filter.is_none());
}

#[test]
fn any_of_the_headers_another_domain_and_a_queue_s_own_name_are_as_they_are_said() {
    let queue = queue(|of| {
        of.any = true;
        of.domain = "garden".to_owned();
        of.queue = Some("accounting".to_owned());
        of.no_ack = true;
    });
    assert_eq!(queue.name, "accounting");
    assert_eq!(bindings(&queue), ["garden.data: topic=order x-match=any"]);
    assert!(queue.no_ack);
}

#[test]
fn how_to_match_may_stand_among_the_headers_as_services_of_other_make_say_it() {
    let headers = texts(&[("topic", "order"), ("x-match", "any")]);
    let queue = queue(|of| of.headers = headers.clone());
    assert_eq!(bindings(&queue), ["home.data: topic=order x-match=any"]);

    let reading =
        Subscription { headers, stream: Some(("orders".to_owned(), Offset::Next)), ..subscription() };
    let filter = reading.queue(&config()).unwrap().filter.unwrap();
    assert!(filter.matches(Some(&texts(&[("topic", "order")]))));
    assert!(!filter.matches(Some(&texts(&[("x-match", "any")]))), "it is no header to be found");
}

#[test]
fn a_durable_queue_stays_and_counts_deliveries() {
    let queue = queue(|of| of.durable = true);
    assert!(queue.options.durable && !queue.options.auto_delete);
    assert_eq!(shown(&queue.arguments), ["x-queue-type=quorum"]);
}

#[test]
fn the_broker_counts_returns_where_users_count_deliveries() {
    for (deliveries, returns) in [(1, 0), (3, 2)] {
        let queue = queue(|of| {
            of.durable = true;
            of.max_deliveries = Some(deliveries);
        });
        let limit = format!("x-delivery-limit={returns}");
        assert_eq!(shown(&queue.arguments), [limit.as_str(), "x-queue-type=quorum"]);
    }
}

#[test]
fn what_nobody_could_handle_waits_in_a_queue_of_its_own() {
    let queue = queue(|of| of.dead_letter = true);
    assert_eq!(
        shown(&queue.arguments),
        ["x-dead-letter-exchange=", "x-dead-letter-routing-key=home.data.accounting.dead"]
    );
    let [dead] = queue.companions.as_slice() else { panic!("{:?}", queue.companions) };
    assert_eq!(dead.name, "home.data.accounting.dead");
    assert!(dead.options.durable && !dead.options.auto_delete);
    assert_eq!(shown(&dead.arguments), ["x-queue-type=quorum"]);
    assert!(dead.bindings.is_empty(), "the broker leads to every queue by its name");
}

#[test]
fn a_stream_is_read_as_it_is_and_filtered_here() {
    let queue = queue(|of| of.stream = Some(("orders".to_owned(), Offset::At(7))));
    assert_eq!((queue.name.as_str(), queue.offset), ("orders", Some(Offset::At(7))));
    assert!(queue.options.passive, "reading does not make a stream");
    assert!(queue.bindings.is_empty() && queue.arguments.inner().is_empty());
    let filter = queue.filter.unwrap();
    assert!(filter.matches(Some(&texts(&[("topic", "order"), ("more", "x")]))));
    assert!(!filter.matches(Some(&texts(&[("topic", "invoice")]))));
}

#[test]
fn options_that_contradict_each_other_are_named() {
    for (option, change) in [
        ("max_deliveries", (|of| of.max_deliveries = Some(3)) as fn(&mut Subscription)),
        ("durable", |of| {
            of.durable = true;
            of.stream = Some(("orders".to_owned(), Offset::First));
        }),
        ("dead_letter", |of| {
            of.dead_letter = true;
            of.stream = Some(("orders".to_owned(), Offset::First));
        }),
        ("max_deliveries", |of| {
            of.max_deliveries = Some(3);
            of.stream = Some(("orders".to_owned(), Offset::First));
        }),
        ("ack=\"none\"", |of| {
            of.no_ack = true;
            of.stream = Some(("orders".to_owned(), Offset::First));
        }),
    ] {
        let told = refused(change);
        assert!(told.starts_with(option), "{option}: {told}");
    }
}

#[test]
fn names_that_the_broker_cannot_carry_are_refused_here() {
    let long = "x".repeat(256);
    assert!(refused(|of| of.name = String::new()).contains("empty"));
    assert!(refused(|of| of.name = "x".repeat(250)).contains("255"), "its queue's is longer");
    assert!(refused(|of| of.queue = Some(long.clone())).contains("255"));
    assert!(refused(|of| of.stream = Some((String::new(), Offset::First))).contains("empty"));
    let dead = "x".repeat(253);
    assert!(
        refused(|of| {
            of.queue = Some(dead);
            of.dead_letter = true;
        })
        .contains("255"),
        "the dead letters' queue is longer"
    );
}

fn retention() -> Retention {
    Retention {
        stream: "orders".to_owned(),
        headers: texts(&[("topic", "order")]),
        any: false,
        max_age: None,
        max_bytes: None,
    }
}

#[test]
fn a_stream_keeps_what_matches_for_as_long_and_as_much_as_is_said() {
    let queue = retention().queue(&config()).unwrap();
    assert_eq!(queue.name, "orders");
    assert!(queue.options.durable && !queue.options.auto_delete && !queue.options.passive);
    assert_eq!(shown(&queue.arguments), ["x-queue-type=stream"]);
    assert_eq!(bindings(&queue), ["home.data: topic=order x-match=all"]);

    let bounded = Retention {
        any: true,
        max_age: Some(Duration::from_millis(90_500)),
        max_bytes: Some(1 << 30),
        ..retention()
    };
    let queue = bounded.queue(&config()).unwrap();
    assert_eq!(
        shown(&queue.arguments),
        ["x-max-age=90s", "x-max-length-bytes=1073741824", "x-queue-type=stream"]
    );
    assert_eq!(bindings(&queue), ["home.data: topic=order x-match=any"]);
    assert_eq!(
        Retention { stream: String::new(), ..retention() }.queue(&config()).unwrap_err().code,
        Code::Configuration
    );
}

#[test]
fn data_leaves_as_that_of_other_services_does() {
    let message =
        data::message(&config(), texts(&[("topic", "order")]), b"body".to_vec(), Envelope::default())
            .unwrap();
    assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), ("home.data", ""));
    assert_eq!(message.body, b"body");
    assert!(!message.mandatory);
    let properties = &message.properties;
    let headers = properties.headers().as_ref().unwrap();
    assert_eq!(shown(headers), ["service_id=left", "service_type=camera", "topic=order"]);
    assert_eq!((*properties.delivery_mode(), *properties.priority()), (Some(1), Some(0)));
    assert!(properties.expiration().is_none() && properties.content_type().is_none());
    assert!(properties.message_id().as_ref().is_some_and(|id| id.as_str().len() == 32));
}

#[test]
fn who_sends_it_is_not_the_sender_s_to_say() {
    let forged = texts(&[("service_id", "right"), ("service_type", "bell")]);
    let message = data::message(&config(), forged, Vec::new(), Envelope::default()).unwrap();
    let headers = message.properties.headers().as_ref().unwrap();
    assert_eq!(shown(headers), ["service_id=left", "service_type=camera"]);
}

#[test]
fn what_is_said_beside_the_headers_is_in_the_envelope() {
    let envelope = Envelope {
        persistent: true,
        mandatory: true,
        expiration: Some(Duration::from_millis(1_500)),
        message_id: Some("order-7".to_owned()),
    };
    let message = data::message(&config(), FieldTable::default(), Vec::new(), envelope).unwrap();
    assert!(message.mandatory);
    assert_eq!(*message.properties.delivery_mode(), Some(2));
    assert_eq!(message.properties.expiration().as_ref().unwrap().as_str(), "1500");
    assert_eq!(message.properties.message_id().as_ref().unwrap().as_str(), "order-7");
}

#[test]
fn data_that_no_broker_takes_is_refused_before_it_is_sent() {
    let mut config = config();
    config.limits.max_message = 4;
    let send =
        |body: &[u8]| data::message(&config, FieldTable::default(), body.to_vec(), Envelope::default());
    assert!(send(b"1234").is_ok());
    let error = send(b"12345").unwrap_err();
    assert_eq!(error.code, Code::Payload);
    assert!(error.message.contains("max_message"), "{error}");
}

#[test]
fn a_message_s_place_in_its_stream_is_read_from_its_headers() {
    let at = |offset: Option<AMQPValue>| {
        let mut headers = FieldTable::default();
        if let Some(offset) = offset {
            headers.insert("x-stream-offset".into(), offset);
        }
        let mut delivery = lapin::message::Delivery::mock(1, "".into(), "orders".into(), false, Vec::new());
        delivery.properties = lapin::BasicProperties::default().with_headers(headers);
        QueueSpec::offset_of(&delivery)
    };
    assert_eq!(at(Some(AMQPValue::LongLongInt(7))), Some(7));
    assert_eq!(at(Some(AMQPValue::LongLongInt(-1))), None);
    assert_eq!(at(None), None);
}
