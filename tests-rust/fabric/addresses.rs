//! Addresses: the URIs that users have, and what is told of those that are none.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ironbridge::core::error::{Code, Error};
use ironbridge::fabric::address::{Address, TlsFiles};
use lapin::uri::AMQPScheme;
use proptest::prelude::*;

fn parse(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn refused(text: &str) -> Error {
    let error = Address::parse(text).unwrap_err();
    assert_eq!(error.code, Code::Configuration, "{text}");
    error
}

/// What goes to the broker as the user's name and password.
fn credentials(address: &Address) -> (String, String) {
    let user = address.to_uri(Duration::ZERO).authority.userinfo;
    (user.username, user.password)
}

#[test]
fn what_a_uri_leaves_out_is_what_every_client_takes() {
    for text in
        ["amqp://host", "amqp://host/", "amqp://host/%2F", "amqp://host/%2f", "amqp://guest:guest@host:5672/"]
    {
        let address = parse(text);
        assert_eq!(address, parse("amqp://guest:guest@host:5672/%2F"), "{text}");
        assert_eq!(
            (address.host(), address.port(), address.vhost(), address.tls()),
            ("host", 5672, "/", false)
        );
    }
    assert_eq!((parse("amqps://host").port(), parse("amqps://host").tls()), (5671, true));
    assert_eq!(credentials(&parse("amqp://me@host")), ("me".to_owned(), "guest".to_owned()));
}

#[test]
fn every_part_may_be_percent_encoded() {
    let address = parse("amqp://us%65r%40home:p%2Fw%3Ad%23%C3%A9@b.example:7/a%2Fb%20c");
    assert_eq!(credentials(&address), ("user@home".to_owned(), "p/w:d#é".to_owned()));
    assert_eq!((address.host(), address.port(), address.vhost()), ("b.example", 7, "a/b c"));
    assert_eq!(parse("amqp://host/a/b").vhost(), "a/b");
    assert_eq!(parse("amqp://[::1]:7/v").host(), "::1");
}

#[test]
fn the_query_sets_what_it_may_set() {
    let text = "amqps://h/v?heartbeat=30&timeout=5&name=it&cafile=/a%20b/ca.pem&certfile=c.pem&keyfile=k.pem";
    let address = parse(text);
    assert_eq!((address.heartbeat(), address.timeout()), (Some(30), Some(Duration::from_secs(5))));
    assert_eq!(address.name(), Some("it"));
    assert_eq!(address.files().trusted.as_deref(), Some(Path::new("/a b/ca.pem")));
    assert_eq!(address.files().identity(), Some((Path::new("c.pem"), Path::new("k.pem"))));
    assert_eq!(address.vhost(), "v");
    assert_eq!(parse("amqps://h?no_verify_ssl=0"), parse("amqps://h"));
    let one_file = parse("amqps://h?certfile=both.pem");
    assert_eq!(one_file.files().identity(), Some((Path::new("both.pem"), Path::new("both.pem"))));
}

#[test]
fn the_uris_own_heartbeat_goes_before_the_connectors() {
    let seconds =
        |text: &str, given: u64| parse(text).to_uri(Duration::from_millis(given)).query.heartbeat.unwrap();
    assert_eq!(seconds("amqp://h", 10_000), 10);
    assert_eq!(seconds("amqp://h", 1_500), 2);
    assert_eq!(seconds("amqp://h?heartbeat=30", 10_000), 30);
    assert_eq!(seconds("amqp://h?heartbeat=0", 10_000), 0);
    assert_eq!(seconds("amqp://h", u64::MAX), u16::MAX);
}

#[test]
fn the_client_is_given_the_same() {
    let uri = parse("amqps://me:secret@h:1/v").to_uri(Duration::from_secs(10));
    assert_eq!((uri.scheme, uri.authority.port, uri.vhost.as_str()), (AMQPScheme::AMQPS, 1, "v"));
}

#[test]
fn what_is_no_uri_of_a_broker_is_refused_with_the_reason() {
    let long = format!("amqp://h/{}", "v".repeat(256));
    for (text, reason) in [
        ("", "relative"),
        ("host:5672", "protocol"),
        ("amqp:host", "protocol"),
        ("http://host/", "http://"),
        ("amqp://", "host"),
        ("amqp://me:secret@/v", "host"),
        ("amqp://host:0", "port 0"),
        ("amqp://host:65536", "port"),
        ("amqp://host:port", "port"),
        ("amqp://host/%FF", "vhost is not UTF-8"),
        ("amqp://a%00b@host", "zero byte"),
        ("amqp://host/#x", "too early"),
        ("amqp://user:12/34@host/", "too early"),
        (&long, "256 bytes"),
        ("amqp://h?heartbeat=x", "heartbeat=\"x\""),
        ("amqp://h?heartbeat=65536", "heartbeat"),
        ("amqp://h?heartbeat=-1", "heartbeat"),
        ("amqp://h?heartbeat=1&heartbeat=2", "twice"),
        ("amqps://h?no_verify_ssl=1", "cafile="),
        ("amqps://h?verify=1", "verify"),
        ("amqps://h?cafile=", "cafile"),
        ("amqp://h?cafile=x", "amqps://"),
        ("amqps://h?keyfile=x", "certificate"),
    ] {
        let error = refused(text);
        assert!(error.message.contains(reason), "{text:?}: {error}");
    }
}

#[test]
fn a_key_that_a_uri_has_not_is_named_with_those_that_it_has() {
    let message = refused("amqp://h?reconnect=1").message;
    assert!(message.contains("reconnect") && message.contains("heartbeat"), "{message}");
}

#[test]
fn tls_files_given_apart_count_where_the_uri_names_none() {
    let files = TlsFiles { trusted: Some(PathBuf::from("other")), ..TlsFiles::default() };
    let address = parse("amqps://h?cafile=own").with_files(files.clone()).unwrap();
    assert_eq!(address.files().trusted.as_deref(), Some(Path::new("own")));
    let address = parse("amqps://h").with_files(files.clone()).unwrap();
    assert_eq!(address.files().trusted.as_deref(), Some(Path::new("other")));
    let error = parse("amqp://h").with_files(files).unwrap_err();
    assert!(error.message.contains("amqps://"), "{error}");
    assert_eq!(parse("amqp://h").with_files(TlsFiles::default()).unwrap(), parse("amqp://h"));
}

#[test]
fn no_text_shows_the_password() {
    let address = parse("amqps://me:s3cret@[::1]:7/v%2Fw?heartbeat=3");
    assert_eq!(address.to_string(), "amqps://me@[::1]:7/v%2Fw");
    assert!(!format!("{address:?}").contains("s3cret"));
    assert_eq!(parse("amqp://h").to_string(), "amqp://guest@h:5672/");
    for text in [
        "amqp://me:s3cret@h:99999/",
        "amqp://me:s3cret@h/%FF",
        "amqp://me:s3cret@h/?x=1",
        "amqp://me:s3cret@h/?cafile=x",
        "amqp://me:s3cret/x@h/",
        "amqp://me:s3cret#x@h/",
        "amqp://me:s3cret?x@h/",
        "me:s3cret@h",
    ] {
        assert!(!refused(text).message.contains("s3cret"), "{text}");
    }
}

fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

proptest! {
    #[test]
    fn names_passwords_and_vhosts_of_any_signs_arrive_as_they_are(
        user in "[^\0]{1,20}", password in "[^\0]{1,20}", vhost in "[^\0]{1,20}", tls: bool, port in 1..=u16::MAX,
    ) {
        let scheme = if tls { "amqps" } else { "amqp" };
        let text = format!("{scheme}://{}:{}@h:{port}/{}", escape(&user), escape(&password), escape(&vhost));
        let address = parse(&text);
        prop_assert_eq!(credentials(&address), (user.clone(), password));
        prop_assert_eq!((address.vhost(), address.port()), (vhost.as_str(), port));
        // What is shown can be read again.
        let again = parse(&address.to_string());
        prop_assert_eq!((again.user(), again.vhost(), again.port(), again.tls()), (user.as_str(), vhost.as_str(), port, tls));
    }

    #[test]
    fn no_text_breaks_the_reader(text in "(amqps?://)?[^\0]{0,60}") {
        if let Err(error) = Address::parse(&text) {
            prop_assert_eq!(error.code, Code::Configuration);
        }
    }
}
