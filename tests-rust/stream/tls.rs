//! TLS: who is trusted, what a failure says, and what the stream knows about its own buffers.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::time::Duration;

use ironbridge::bridge::stream::Stream;
use ironbridge::bridge::tls::{TlsStream, explain};
use ironbridge::core::error::{Code, Error};
use ironbridge::core::platform::socket::{Interest, wait};
use ironbridge::core::tls::{client_config, server_config};

use crate::pairs::{Files, read_exactly, shake_hands, sockets, tls_pair, wait_for, write_all};

/// The client's end of a handshake with a service that has these files, told as the user would be told.
fn connect(trusted: &Files, service: &Files, host: &str) -> Result<(), Error> {
    let (client, server) = sockets();
    let client = TlsStream::connect(client, client_config(Some(&trusted.authority), None)?, host)?;
    let server = TlsStream::accept(server, server_config(&service.certificate, &service.key)?)?;
    let (mut client, mut server) = (Stream::Tls(Box::new(client)), Stream::Tls(Box::new(server)));
    let (client_end, server_end) = shake_hands(&mut client, &mut server);
    let Err(error) = client_end else { return Ok(()) };
    let told_server = explain(&server_end.unwrap_err()).unwrap();
    assert_eq!(told_server.code, Code::Authentication, "{told_server}");
    Err(explain(&error).unwrap())
}

#[test]
fn an_issued_certificate_is_good_for_its_name_only() {
    let files = Files::issued("localhost");
    connect(&files, &files, "localhost").unwrap();
    let error = connect(&files, &files, "127.0.0.1").unwrap_err();
    assert_eq!(error.code, Code::Authentication);
    assert!(error.message.contains("another host name"), "{error}");
    let by_address = Files::issued("127.0.0.1");
    connect(&by_address, &by_address, "127.0.0.1").unwrap();
}

#[test]
fn a_self_signed_certificate_is_trusted_where_it_is_named() {
    let files = Files::self_signed("a-name-of-its-own");
    connect(&files, &files, "127.0.0.1").unwrap();
    connect(&files, &files, "[::1]").unwrap();
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let error = connect(&Files::issued("localhost"), &Files::issued("localhost"), "localhost").unwrap_err();
    assert_eq!(error.code, Code::Authentication);
    assert!(error.message.contains("tls_ca"), "{error}");
    let error =
        connect(&Files::issued("localhost"), &Files::self_signed("localhost"), "localhost").unwrap_err();
    assert_eq!(error.code, Code::Authentication);
}

#[test]
fn a_peer_without_tls_is_told_apart() {
    let files = Files::issued("localhost");
    let (client, mut server) = sockets();
    let config = client_config(Some(&files.authority), None).unwrap();
    let mut client = Stream::Tls(Box::new(TlsStream::connect(client, config, "localhost").unwrap()));
    server.write_all(b"IRON, and not TLS at all").unwrap();
    let error = loop {
        match client.handshake() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait_for(&client, Interest::Readable),
            other => break explain(&other.unwrap_err()).unwrap(),
        }
    };
    assert_eq!(error.code, Code::Protocol);
    assert!(error.message.contains("does not speak TLS"), "{error}");
}

#[test]
fn a_name_that_is_none_is_a_configuration_error() {
    let files = Files::issued("localhost");
    let (client, _server) = sockets();
    let config = client_config(Some(&files.authority), None).unwrap();
    let error = TlsStream::connect(client, config, "not a name").unwrap_err();
    assert_eq!(error.code, Code::Configuration);
}

#[test]
fn what_was_decrypted_and_not_read_is_known() {
    let (mut left, mut right) = tls_pair();
    assert!(!right.has_buffered());
    write_all(&mut left, b"abcdef");
    assert_eq!(read_exactly(&mut right, 2), b"ab");
    assert!(right.has_buffered(), "the rest has left the descriptor");
    assert!(!wait(right.fd(), Interest::Readable, Duration::ZERO).unwrap());
    assert_eq!(read_exactly(&mut right, 4), b"cdef");
    assert!(!right.has_buffered());
}

#[test]
fn what_was_taken_and_not_sent_is_known() {
    let (mut left, mut right) = tls_pair();
    let block = vec![7; 64 << 10];
    let mut sent = 0;
    while !left.wants_write() {
        sent += left.write(&block).unwrap();
    }
    assert_eq!(left.flush().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(left.write(b"more").unwrap_err().kind(), ErrorKind::WouldBlock);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_all(&mut left, b"end"));
        assert!(read_exactly(&mut right, sent).iter().all(|byte| *byte == 7));
        assert_eq!(read_exactly(&mut right, 3), b"end");
        writer.join().unwrap();
    });
    assert!(!left.wants_write());
}

#[test]
fn what_is_written_before_the_handshake_arrives_after_it() {
    let files = Files::issued("localhost");
    let (client, server) = sockets();
    let client_config = client_config(Some(&files.authority), None).unwrap();
    let server_config = server_config(&files.certificate, &files.key).unwrap();
    let mut client = Stream::Tls(Box::new(TlsStream::connect(client, client_config, "localhost").unwrap()));
    let mut server = Stream::Tls(Box::new(TlsStream::accept(server, server_config).unwrap()));
    write_all(&mut client, b"early");
    std::thread::scope(|scope| {
        let echo = scope.spawn(|| {
            let bytes = read_exactly(&mut server, 5);
            write_all(&mut server, &bytes);
        });
        assert_eq!(read_exactly(&mut client, 5), b"early");
        echo.join().unwrap();
    });
}

#[test]
fn an_idle_connection_stays_silent_after_the_handshake() {
    let (mut left, mut right) = tls_pair();
    write_all(&mut left, b"x");
    assert_eq!(read_exactly(&mut right, 1), b"x");
    write_all(&mut right, b"y");
    assert_eq!(read_exactly(&mut left, 1), b"y");
    for stream in [&left, &right] {
        assert!(!wait(stream.fd(), Interest::Readable, Duration::ZERO).unwrap());
        assert!(!stream.has_buffered());
    }
}

#[test]
fn a_connection_cut_without_farewell_is_no_orderly_end() {
    let files = Files::issued("localhost");
    let (client, server) = sockets();
    let cutter = server.try_clone().unwrap();
    let client =
        TlsStream::connect(client, client_config(Some(&files.authority), None).unwrap(), "localhost")
            .unwrap();
    let server = TlsStream::accept(server, server_config(&files.certificate, &files.key).unwrap()).unwrap();
    let (mut client, mut server) = (Stream::Tls(Box::new(client)), Stream::Tls(Box::new(server)));
    let (client_end, server_end) = shake_hands(&mut client, &mut server);
    client_end.unwrap();
    server_end.unwrap();
    cutter.shutdown(Shutdown::Both).unwrap();
    wait_for(&client, Interest::Readable);
    assert_eq!(client.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_problem() {
    let files = Files::issued("localhost");
    let other = Files::issued("localhost");
    let (empty, garbage) =
        (files.file("empty.pem", ""), files.file("bad.pem", "-----BEGIN CERTIFICATE-----\n"));
    let not_der = files.file("der.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let missing = files.directory.path().join("missing.pem");
    let server = |certificate, key| server_config(certificate, key).unwrap_err();
    let client = |trusted| client_config(Some(trusted), None).unwrap_err();
    for (error, path, what) in [
        (server(&missing, &files.key), &missing, "No such file"),
        (server(&files.certificate, &missing), &missing, "No such file"),
        (server(&empty, &files.key), &empty, "no certificate"),
        (server(&files.certificate, &empty), &empty, "no unencrypted private key"),
        (server(&files.certificate, &files.certificate), &files.certificate, "no unencrypted private key"),
        (server(&garbage, &files.key), &garbage, "not valid PEM"),
        (server(&not_der, &files.key), &not_der, "cannot be used"),
        (server(&files.certificate, &other.key), &other.key, "not the key of the certificate"),
        (client(&missing), &missing, "No such file"),
        (client(&empty), &empty, "no certificate"),
        (client(&not_der), &not_der, "cannot be used"),
    ] {
        assert_eq!(error.code, Code::Configuration);
        assert!(error.message.contains(&path.display().to_string()), "{error}");
        assert!(error.message.contains(what), "{error}");
    }
}
