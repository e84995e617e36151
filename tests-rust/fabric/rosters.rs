//! Who is there: those that were heard, until they leave or are silent for too long.

use std::thread;
use std::time::{Duration, Instant};

use ironbridge::core::error::Code;
use ironbridge::fabric::identity::Identity;
use ironbridge::fabric::presence::{Filter, Roster, Seen};
use ironbridge::fabric::version::VersionRange;
use lapin::types::{AMQPValue, FieldTable};

use super::config::texts;

const FOR_EVER: Duration = Duration::from_secs(3_600);

fn own() -> Identity {
    Identity::new("home", "camera", "left", None).unwrap()
}

/// What a service says of itself; `id` as `home.camera.left`.
fn said(fqn: &str, more: &[(&str, &str)]) -> FieldTable {
    let parts: Vec<&str> = fqn.split('.').collect();
    let [domain, kind, id] = parts.as_slice() else { panic!("{fqn}") };
    let mut headers = texts(&[("service_domain", domain), ("service_type", kind), ("service_id", id)]);
    for (name, value) in more {
        headers.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    headers
}

fn heard(roster: &Roster, headers: &FieldTable) {
    assert_eq!(roster.heard(headers, &own(), &[]), None);
}

fn list(roster: &Roster) -> Vec<Seen> {
    roster.list(&Filter::default())
}

fn names(services: &[Seen]) -> Vec<String> {
    services.iter().map(|seen| format!("{}.{}.{}", seen.domain, seen.kind, seen.id)).collect()
}

fn wait_until(holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "it does not come to that");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn those_that_were_heard_are_listed_in_order_each_once() {
    let roster = Roster::new(FOR_EVER, 100);
    for fqn in
        ["home.camera.right", "home.bell.door", "home.camera.left", "garden.bell.gate", "home.bell.door"]
    {
        heard(&roster, &said(fqn, &[]));
    }
    assert_eq!(
        names(&list(&roster)),
        ["garden.bell.gate", "home.bell.door", "home.camera.left", "home.camera.right"]
    );
    let of = |domain: Option<&str>, kind: Option<&str>| {
        let own = |text: Option<&str>| text.map(str::to_owned);
        names(&roster.list(&Filter { domain: own(domain), kind: own(kind) }))
    };
    assert_eq!(of(Some("garden"), None), ["garden.bell.gate"]);
    assert_eq!(of(None, Some("bell")), ["garden.bell.gate", "home.bell.door"]);
    assert_eq!(of(Some("home"), Some("bell")), ["home.bell.door"]);
    assert!(of(Some("cellar"), None).is_empty());
}

#[test]
fn a_message_that_names_no_service_is_none() {
    let roster = Roster::new(FOR_EVER, 100);
    heard(&roster, &texts(&[("service_domain", "home"), ("service_type", "camera")]));
    let long = "x".repeat(64);
    heard(&roster, &texts(&[("service_domain", &long), ("service_type", "camera"), ("service_id", "left")]));
    let mut number = said("home.camera.left", &[]);
    number.insert("service_id".into(), AMQPValue::LongInt(5));
    heard(&roster, &number);
    assert!(list(&roster).is_empty());
}

#[test]
fn the_servers_of_a_clique_are_counted_and_leave_one_by_one() {
    let roster = Roster::new(FOR_EVER, 100);
    let one = said("home.camera.left", &[("service_instance", "1")]);
    let other = said("home.camera.left", &[("service_instance", "2")]);
    heard(&roster, &one);
    heard(&roster, &other);
    let [clique] = &list(&roster)[..] else { panic!() };
    assert!(clique.servers == 2 && clique.native, "{clique:?}");
    roster.left(&one);
    roster.left(&one);
    assert_eq!(list(&roster)[0].servers, 1);
    roster.left(&other);
    assert!(list(&roster).is_empty());
}

#[test]
fn servers_of_other_make_count_as_one() {
    let roster = Roster::new(FOR_EVER, 100);
    heard(&roster, &said("home.camera.left", &[]));
    heard(&roster, &said("home.camera.left", &[]));
    let [seen] = &list(&roster)[..] else { panic!() };
    assert_eq!((seen.servers, seen.native, seen.versions.len()), (1, false, 0));
}

#[test]
fn one_that_is_silent_for_too_long_is_gone() {
    let roster = Roster::new(Duration::from_millis(20), 100);
    heard(&roster, &said("home.camera.left", &[]));
    wait_until(|| list(&roster).is_empty());
    assert_eq!(roster.methods("home.camera.left"), None);
}

#[test]
fn one_that_speaks_seldom_is_remembered_for_longer() {
    let roster = Roster::new(Duration::from_millis(200), 100);
    let mut seldom = said("home.camera.seldom", &[("service_instance", "1")]);
    seldom.insert("keep_alive_seconds".into(), AMQPValue::Double(60.0));
    heard(&roster, &seldom);
    heard(&roster, &said("home.camera.often", &[]));
    // Ten times its time to live counts as its interval at most, and two of them and a half as its time.
    wait_until(|| names(&list(&roster)) == ["home.camera.seldom"]);
}

#[test]
fn uptime_is_what_the_oldest_server_says() {
    let roster = Roster::new(FOR_EVER, 100);
    for (instance, uptime) in [("1", 50.0), ("2", 90.0), ("3", 10.0)] {
        let mut headers = said("home.camera.left", &[("service_instance", instance)]);
        headers.insert("uptime_seconds".into(), AMQPValue::Double(uptime));
        heard(&roster, &headers);
    }
    let [seen] = &list(&roster)[..] else { panic!() };
    assert!((90..100).contains(&seen.uptime.as_secs()), "{seen:?}");
    assert!(seen.last_seen < Duration::from_secs(10), "{seen:?}");
}

#[test]
fn what_a_service_says_of_its_times_cannot_harm() {
    let roster = Roster::new(FOR_EVER, 100);
    for (name, value) in [
        ("keep_alive_seconds", AMQPValue::Double(f64::NAN)),
        ("keep_alive_seconds", AMQPValue::Double(-1.0)),
        ("keep_alive_seconds", AMQPValue::Double(f64::INFINITY)),
        ("uptime_seconds", AMQPValue::Double(1e300)),
        ("uptime_seconds", AMQPValue::LongLongInt(i64::MIN)),
        ("uptime_seconds", AMQPValue::LongString("yes".into())),
    ] {
        let mut headers = said("home.camera.left", &[]);
        headers.insert(name.into(), value);
        heard(&roster, &headers);
    }
    assert_eq!(list(&roster).len(), 1);
}

#[test]
fn strangers_beyond_the_bound_are_not_remembered_and_room_comes_back() {
    let roster = Roster::new(FOR_EVER, 2);
    for fqn in ["home.a.1", "home.a.2", "home.a.3"] {
        heard(&roster, &said(fqn, &[]));
    }
    assert_eq!(names(&list(&roster)), ["home.a.1", "home.a.2"]);
    heard(&roster, &said("home.a.1", &[]));
    roster.left(&said("home.a.1", &[]));
    heard(&roster, &said("home.a.3", &[]));
    assert_eq!(names(&list(&roster)), ["home.a.2", "home.a.3"]);
}

#[test]
fn a_caller_gets_the_highest_version_that_it_takes() {
    let roster = Roster::new(FOR_EVER, 100);
    for (instance, version) in [("1", "2.9"), ("2", "2.10"), ("3", "3.0"), ("4", "2.9")] {
        let more = [("service_instance", instance), ("service_version", version)];
        heard(&roster, &said("home.camera.left", &more));
    }
    assert_eq!(list(&roster)[0].versions, ["3.0", "2.10", "2.9"]);
    let version = |wanted: &str| roster.version(&own(), &VersionRange::parse(wanted).unwrap());
    assert_eq!(version(">=2,<3").unwrap(), "2.10");
    assert_eq!(version("2.9").unwrap(), "2.9");

    let error = version(">=4").unwrap_err();
    assert_eq!(error.code, Code::ServiceUnavailable);
    for part in ["home.camera.left", ">=4", "3.0, 2.10, 2.9"] {
        assert!(error.message.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_service_that_says_no_version_has_none_to_ask_for() {
    let roster = Roster::new(FOR_EVER, 100);
    heard(&roster, &said("home.camera.left", &[]));
    let error = roster.version(&own(), &VersionRange::parse(">=1").unwrap()).unwrap_err();
    assert_eq!(error.code, Code::ServiceUnavailable);
}

#[test]
fn the_methods_of_a_service_are_those_that_any_of_its_servers_named() {
    let roster = Roster::new(FOR_EVER, 100);
    let api =
        |instance, methods| said("home.camera.left", &[("service_instance", instance), ("methods", methods)]);
    heard(&roster, &api("1", "shoot(at);health_check()"));
    heard(&roster, &api("2", "shoot(at, times=1);turn(by)"));
    assert_eq!(roster.methods("home.camera.left").unwrap(), ["health_check", "shoot", "turn"]);
    assert_eq!(roster.methods("home.camera.right"), None);
}

#[test]
fn a_sibling_whose_methods_differ_is_told_of_once_with_what_differs() {
    let roster = Roster::new(FOR_EVER, 100);
    let ours = ["health_check()", "shoot(at)"].map(str::to_owned);
    let theirs = |methods| {
        let more = [("service_instance", "9"), ("methods", methods)];
        roster.heard(&said("home.camera.right", &more), &own(), &ours)
    };
    assert_eq!(theirs("health_check();shoot(at)"), None, "it is the same");
    let told = theirs("health_check();shoot(at, times)").unwrap();
    assert_eq!(told.code, Code::Configuration);
    for part in ["home.camera.right", "home.camera.left", "shoot(at)", "shoot(at, times)"] {
        assert!(told.message.contains(part), "{part}: {told}");
    }
    assert_eq!(theirs("health_check();shoot(at, times)"), None, "it was told");
}

#[test]
fn services_of_another_type_or_domain_are_no_siblings() {
    let roster = Roster::new(FOR_EVER, 100);
    let ours = ["shoot(at)".to_owned()];
    for fqn in ["home.bell.door", "garden.camera.left"] {
        let headers = said(fqn, &[("service_instance", "9"), ("methods", "ring()")]);
        assert_eq!(roster.heard(&headers, &own(), &ours), None, "{fqn}");
    }
}
