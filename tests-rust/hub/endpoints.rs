//! Endpoints: what is one, and what it means.

use ironbridge::core::error::Code;
use ironbridge::hub::endpoint::Endpoint;

fn parse(text: &str) -> Endpoint {
    Endpoint::parse(text).unwrap()
}

#[test]
fn endpoints_are_read_and_written_alike() {
    for text in
        ["ipc:///tmp/x", "ipc://relative", "ipc://@name", "tcp://*:3000", "tcp://[::1]:1", "tcp://a.b:65535"]
    {
        assert_eq!(parse(text).to_string(), text);
    }
    assert_eq!(parse("tcp://*:*"), parse("tcp://*:0"));
}

#[test]
fn what_is_no_endpoint_is_refused_with_the_reason() {
    let long = format!("ipc:///{}", "x".repeat(107));
    for (text, reason) in [
        ("", "no transport"),
        ("/tmp/x", "no transport"),
        ("inproc://x", "one process"),
        ("udp://x:1", "udp"),
        ("ipc://", "no file"),
        ("ipc://*", "no file"),
        ("ipc://@", "no file"),
        ("ipc://a\0b", "zero byte"),
        (&long, "108 bytes"),
        ("tcp://x", "port"),
        ("tcp://x:", "port"),
        ("tcp://x:65536", "port"),
        ("tcp://:1", "host"),
        ("tcp://::1:1", "brackets"),
        ("tcp://a;b:1", "host and a port"),
    ] {
        let error = Endpoint::parse(text).unwrap_err();
        assert_eq!(error.code, Code::Configuration);
        assert!(error.message.contains(reason), "{text:?}: {error}");
    }
}

#[test]
fn where_it_leads_is_known() {
    for (text, local, open, dialled) in [
        ("ipc:///tmp/x", true, false, "ipc:///tmp/x"),
        ("ipc://@x", true, false, "ipc://@x"),
        ("tcp://0.0.0.0:3", true, true, "tcp://127.0.0.1:3"),
        ("tcp://*:3", true, true, "tcp://127.0.0.1:3"),
        ("tcp://[::]:3", true, true, "tcp://[::1]:3"),
        ("tcp://localhost:3", true, false, "tcp://localhost:3"),
        ("tcp://127.0.0.2:3", true, false, "tcp://127.0.0.2:3"),
        ("tcp://hub.example:3", false, true, "tcp://hub.example:3"),
    ] {
        let endpoint = parse(text);
        assert_eq!((endpoint.is_local(), endpoint.is_open_to_others()), (local, open), "{text}");
        assert_eq!(endpoint.to_dial(), parse(dialled));
    }
}
