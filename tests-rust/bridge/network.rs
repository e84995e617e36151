//! A service on TCP, with its token, with TLS or without.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ironbridge::bridge::auth::Token;
use ironbridge::bridge::client::target::Target;
use ironbridge::bridge::server::TcpOptions;
use ironbridge::core::error::{Code, Error, Result};
use ironbridge::core::limits::Limits;
use ironbridge::core::tls::{client_config, server_config};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::{ClientConfig, ServerConfig};

use crate::host::FLOOD;
use crate::place::{LONG, NAME, Place, Plan, Served, TestClient, within};

const SECRET: &str = "a secret of this test";

fn serve(place: &Place, tls: Option<Arc<ServerConfig>>) -> Served {
    let token = Token::from_text(SECRET).unwrap();
    let tcp = Some(TcpOptions { address: "127.0.0.1:0".parse().unwrap(), token, tls, shared: false });
    place.serve(Plan { tcp, ..Plan::default() })
}

fn connect(
    place: &Place,
    served: &Served,
    token: Option<&str>,
    tls: Option<Arc<ClientConfig>>,
) -> Result<TestClient> {
    let address: std::net::SocketAddr = served.service.record.tcp.as_ref().unwrap().parse().unwrap();
    connect_to(place, &address.ip().to_string(), address.port(), token, tls)
}

fn connect_to(
    place: &Place,
    host: &str,
    port: u16,
    token: Option<&str>,
    tls: Option<Arc<ClientConfig>>,
) -> Result<TestClient> {
    let target = Target::Tcp { host: host.to_owned(), port, tls: tls.is_some(), service: NAME.to_owned() };
    let token = token.map(|token| Token::from_text(token).unwrap());
    place.connect(target, b"arguments", Limits::default(), token, tls)
}

fn refused(place: &Place, served: &Served, token: Option<&str>) -> Error {
    connect(place, served, token, None).err().unwrap()
}

#[test]
fn with_the_token_calls_work_as_they_do_at_home() {
    let place = Place::new();
    let served = serve(&place, None);
    let client = connect(&place, &served, Some(SECRET), None).unwrap();
    for size in [0, 5_000, 3 << 20] {
        let payload = vec![42; size];
        assert_eq!(client.call("echo", &payload), payload);
    }
    assert_eq!(client.call("who", b""), b"1 arguments");
    assert_eq!(client.reply("flood", b"", within(LONG)).unwrap().buffers, [vec![7; FLOOD]]);
    let error = client.reply("gate", b"stubborn", within(Duration::from_millis(60))).unwrap_err();
    assert_eq!(error.code, Code::DeadlineExceeded);
}

#[test]
fn a_host_can_be_named_and_a_name_that_nobody_has_is_told() {
    let place = Place::new();
    let served = serve(&place, None);
    let address: std::net::SocketAddr = served.service.record.tcp.as_ref().unwrap().parse().unwrap();
    let client = connect_to(&place, "localhost", address.port(), Some(SECRET), None).unwrap();
    assert_eq!(client.call("echo", b"by name"), b"by name");
    let error = connect_to(&place, "no such host", address.port(), Some(SECRET), None).err().unwrap();
    assert_eq!(error.code, Code::ServiceUnavailable, "{error}");
    assert!(error.message.contains("no such host"), "{error}");
}

#[test]
fn a_wrong_token_costs_a_delay_and_keeps_nobody_waiting() {
    let place = Place::new();
    let served = serve(&place, None);
    let friend = connect(&place, &served, Some(SECRET), None).unwrap();
    std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..8)
            .map(|guess| {
                let (place, served) = (&place, &served);
                scope.spawn(move || {
                    let began = Instant::now();
                    (refused(place, served, Some(&format!("guess {guess}"))), began.elapsed())
                })
            })
            .collect();
        let mut calls = 0;
        while guesses.iter().any(|guess| !guess.is_finished()) {
            assert_eq!(friend.call("echo", b"friend"), b"friend");
            connect(&place, &served, Some(SECRET), None).unwrap();
            calls += 1;
        }
        assert!(calls > 20, "friends came through {calls} times while others guessed");
        for guess in guesses {
            let (error, took) = guess.join().unwrap();
            assert_eq!(error.code, Code::Authentication, "{error}");
            assert!(took >= Duration::from_millis(900), "a guess took {took:?}");
        }
    });
}

#[test]
fn without_a_token_the_caller_is_told_how_to_give_it() {
    let place = Place::new();
    let served = serve(&place, None);
    let error = refused(&place, &served, None);
    assert_eq!(error.code, Code::Authentication);
    assert!(error.message.contains("token="), "{error}");
}

#[test]
fn a_service_that_does_not_know_the_token_is_not_trusted() {
    let place = Place::new();
    let served = serve(&place, None);
    // It accepts no proof but its own token's, so it can only be met by one who has that.
    let error = refused(&place, &served, Some("another service's"));
    assert_eq!(error.code, Code::Authentication);
}

#[test]
fn nobody_may_stop_a_service_from_elsewhere() {
    let place = Place::new();
    let served = serve(&place, None);
    let client = connect(&place, &served, Some(SECRET), None).unwrap();
    assert_eq!(client.fail("$stop", b"").code, Code::EndpointNotFound);
    assert_eq!(client.call("echo", b"on"), b"on");
}

#[test]
fn a_client_finds_the_service_again_on_its_port() {
    let place = Place::new();
    let first = serve(&place, None);
    let client = connect(&place, &first, Some(SECRET), None).unwrap();
    client.call("echo", b"");
    let address = first.service.record.tcp.as_ref().unwrap().parse().unwrap();
    first.stop();
    let error = client.fail("echo", b"");
    assert_eq!(error.code, Code::ServiceUnavailable, "{error}");
    let token = Token::from_text(SECRET).unwrap();
    let tcp = Some(TcpOptions { address, token, tls: None, shared: false });
    let _second = place.serve(Plan { tcp, endpoints: vec!["who", "echo"], ..Plan::default() });
    assert_eq!(client.call("echo", b"again"), b"again");
}

/// A certificate for 127.0.0.1 that vouches for itself, and its key.
fn certificate(directory: &Path) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let (certificate, secret) = (directory.join("certificate.pem"), directory.join("key.pem"));
    std::fs::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&secret, key.serialize_pem()).unwrap();
    (certificate, secret)
}

#[test]
fn with_tls_calls_work_and_both_must_speak_it() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(directory.path());
    let place = Place::new();
    let served = serve(&place, Some(server_config(&certificate, &key).unwrap()));
    let trust = client_config(Some(&certificate), None).unwrap();
    let client = connect(&place, &served, Some(SECRET), Some(Arc::clone(&trust))).unwrap();
    for size in [0, 5_000, 3 << 20] {
        let payload = vec![42; size];
        assert_eq!(client.call("echo", &payload), payload);
    }
    let buffers = vec![vec![1; 2 << 20], vec![2; 300_000]];
    let sent = (Vec::new(), buffers.clone());
    let reply = client.exchange("echo", sent, within(LONG), &|| false).unwrap().unwrap();
    assert_eq!(reply.buffers, buffers);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(client.call("echo", b"many"), b"many");
                }
            });
        }
    });
    let wrong = connect(&place, &served, Some("a guess"), Some(trust)).err().unwrap();
    assert_eq!(wrong.code, Code::Authentication);
    connect(&place, &served, Some(SECRET), None).err().unwrap();
}
