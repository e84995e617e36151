//! Names on the broker: those that services of other make use, and none that the wire cannot carry.

use std::collections::HashSet;

use ironbridge::core::error::Code;
use ironbridge::fabric::identity::Identity;
use ironbridge::fabric::names::{self, Names};

fn identity() -> Identity {
    Identity::new("home", "camera", "left", None).unwrap()
}

#[test]
fn they_are_those_of_every_service_on_the_fabric() {
    let names = Names::new(&identity(), names::DATA, names::DISCOVERY).unwrap();
    assert_eq!(names.rpc_exchange, "home.api.camera.left");
    assert_eq!(names.data_exchange, "home.data");
    assert_eq!(names.discovery_exchange, "msc.discovery");
    assert_eq!(names.log_exchange, "home.log.records");
    assert_eq!(names.keep_alive_queue, "home.camera.left.subscriber");
    assert_eq!(names::method_queue(&names.rpc_exchange, "multiply"), "home.api.camera.left::multiply");
    assert_eq!(names::versioned("multiply", "2.1.0"), "multiply@2.1.0");
    assert_eq!(names::dead_queue("readings").unwrap(), "readings.dead");
}

#[test]
fn the_longest_identity_has_names_that_the_wire_carries() {
    let part = "x".repeat(63);
    let identity = Identity::new(&part, &part, &part, None).unwrap();
    let names = Names::new(&identity, names::DATA, names::DISCOVERY).unwrap();
    for name in [names.rpc_exchange, names.data_exchange, names.log_exchange, names.keep_alive_queue] {
        assert!(name.len() <= 255, "{name}");
    }
}

#[test]
fn what_the_wire_cannot_carry_is_refused_before_it_gets_there() {
    let long = "x".repeat(256);
    let exchange = names::rpc_exchange(&identity());
    let most = 255 - exchange.len() - "::".len();
    names::check_method(&exchange, &"m".repeat(most)).unwrap();
    names::dead_queue(&"q".repeat(250)).unwrap();
    for error in [
        names::check_method(&exchange, &"m".repeat(most + 1)).unwrap_err(),
        names::check_method(&exchange, "").unwrap_err(),
        names::dead_queue(&"q".repeat(251)).unwrap_err(),
        names::dead_queue("").unwrap_err(),
        names::data_exchange("home", &long).unwrap_err(),
        names::data_exchange("home", "").unwrap_err(),
        Names::new(&identity(), names::DATA, "").unwrap_err(),
        Names::new(&identity(), names::DATA, &long).unwrap_err(),
    ] {
        assert_eq!(error.code, Code::Configuration);
        assert!(error.message.contains("bytes") || error.message.contains("empty"), "{error}");
        assert!(error.message.len() < 300, "{error}");
    }
}

#[test]
fn each_caller_hears_its_answers_at_a_place_of_its_own() {
    let queues: HashSet<_> = (0..1_000).map(|_| names::reply_queue().unwrap()).collect();
    assert_eq!(queues.len(), 1_000);
    // "amq." belongs to the broker.
    assert!(queues.iter().all(|queue| queue.starts_with("amq_") && queue.len() == 36));
}
