//! Dialling: what a broker is told, what becomes of one that does not answer, and TLS both ways.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ironbridge::core::error::{Code, Error};
use ironbridge::core::tls::server_config;
use ironbridge::fabric::address::{Address, TlsFiles};
use ironbridge::fabric::error::Cause;
use ironbridge::fabric::limits::FabricLimits;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const LONG: Duration = Duration::from_secs(20);

/// A port, and what its one connection's peer does.
fn broker<T: Send + 'static>(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> (u16, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let socket = listener.accept().unwrap().0;
        socket.set_read_timeout(Some(LONG)).unwrap();
        serve(socket)
    });
    (port, serving)
}

fn within(time: Duration) -> FabricLimits {
    FabricLimits { connect_timeout: time, ..FabricLimits::default() }
}

fn refused(address: &Address, limits: &FabricLimits) -> (Error, Cause) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(address.connect("d.t.i", limits)).unwrap_err()
}

fn at(port: u16) -> Address {
    Address::parse(&format!("amqp://me:s3cret@127.0.0.1:{port}/home")).unwrap()
}

/// What is sent until the end.
fn read_all(mut socket: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn where_nobody_listens_trying_again_may_help() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (error, cause) = refused(&at(free), &within(LONG));
    assert_eq!((error.code, cause), (Code::ServiceUnavailable, Cause::Retry), "{error}");
    assert!(error.message.contains(&format!("amqp://me@127.0.0.1:{free}/home")), "{error}");
}

#[test]
fn a_broker_that_says_nothing_is_given_up_and_left() {
    let (port, serving) = broker(read_all);
    let (error, cause) = refused(&at(port), &within(Duration::from_millis(200)));
    assert_eq!((error.code, cause), (Code::ServiceUnavailable, Cause::Retry), "{error}");
    assert!(error.message.contains("0.2 s"), "{error}");
    assert_eq!(serving.join().unwrap(), b"AMQP\x00\x00\x09\x01");
}

#[test]
fn a_broker_that_hangs_up_is_told_at_once() {
    let (port, serving) = broker(|mut socket| socket.read_exact(&mut [0; 8]).unwrap());
    let (error, cause) = refused(&at(port), &within(LONG));
    assert_eq!((error.code, cause), (Code::ConnectionLost, Cause::Retry), "{error}");
    serving.join().unwrap();
}

#[test]
fn the_time_in_the_uri_is_that_of_an_attempt() {
    let (port, serving) = broker(read_all);
    let address = Address::parse(&format!("amqp://127.0.0.1:{port}?timeout=1")).unwrap();
    let (error, _) = refused(&address, &within(LONG));
    assert!(error.message.contains("within 1 s"), "{error}");
    serving.join().unwrap();
}

#[test]
fn an_attempt_that_nobody_waits_for_any_more_ends() {
    let (port, serving) = broker(read_all);
    let runtime = Runtime::new().unwrap();
    let limits = within(LONG);
    let address = at(port);
    let attempt =
        async { tokio::time::timeout(Duration::from_millis(200), address.connect("x", &limits)).await };
    assert!(runtime.block_on(attempt).is_err());
    assert_eq!(serving.join().unwrap(), b"AMQP\x00\x00\x09\x01");
}

#[test]
fn the_broker_learns_who_comes_and_its_refusal_is_told() {
    let (port, serving) = broker(|mut socket| {
        socket.read_exact(&mut [0; 8]).unwrap();
        let mut start = vec![0, 10, 0, 10, 0, 9];
        start.extend([0; 4]);
        for text in ["PLAIN", "en_US"] {
            start.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            start.extend(text.as_bytes());
        }
        send(&mut socket, &start);
        let start_ok = receive(&mut socket);
        let words = b"ACCESS_REFUSED - Login was refused";
        let mut close = vec![0, 10, 0, 50, 1, 147, u8::try_from(words.len()).unwrap()];
        close.extend(words);
        close.extend([0; 4]);
        send(&mut socket, &close);
        read_all(socket);
        start_ok
    });
    let (error, cause) = refused(&at(port), &within(LONG));
    assert_eq!((error.code, cause), (Code::Authentication, Cause::Final), "{error}");
    assert!(error.message.contains("Login was refused"), "{error}");
    let told = String::from_utf8_lossy(&serving.join().unwrap()).into_owned();
    for part in
        ["\0me\0s3cret", "connection_name", "d.t.i", "product", "ironbridge", env!("CARGO_PKG_VERSION")]
    {
        assert!(told.contains(part), "{part:?} in {told:?}");
    }
}

fn send(socket: &mut TcpStream, method: &[u8]) {
    let mut frame = vec![1, 0, 0];
    frame.extend(u32::try_from(method.len()).unwrap().to_be_bytes());
    frame.extend(method);
    frame.push(0xCE);
    socket.write_all(&frame).unwrap();
}

fn receive(socket: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 7];
    socket.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    let mut frame = vec![0; usize::try_from(length).unwrap() + 1];
    socket.read_exact(&mut frame).unwrap();
    frame
}

/// An authority, and certificates with their keys that it has issued: PEM files.
struct Issued {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Issued {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("authority.pem"), issuer.pem()).unwrap();
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap().pem();
            fs::write(directory.path().join(format!("{name}.pem")), certificate).unwrap();
            fs::write(directory.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self { directory, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn trusting(&self) -> TlsFiles {
        TlsFiles { trusted: Some(self.path("authority.pem")), ..TlsFiles::default() }
    }

    fn showing(&self) -> TlsFiles {
        let (certificate, key) = (Some(self.path("client.pem")), Some(self.path("client.key")));
        TlsFiles { certificate, key, ..self.trusting() }
    }

    /// A server that lets in whom this authority has issued a certificate.
    fn demanding(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let chain = vec![CertificateDer::from_pem_file(self.path("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key);
        Arc::new(config.unwrap())
    }

    /// A broker that speaks TLS and nothing in it; what it heard, if it let the client in.
    fn broker(config: Arc<ServerConfig>) -> (u16, JoinHandle<Option<[u8; 8]>>) {
        broker(move |socket| {
            let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
            let mut header = [0; 8];
            let heard = stream.read_exact(&mut header);
            let letting_in = heard.is_ok();
            // Its last words leave before the connection ends.
            stream.conn.send_close_notify();
            while stream.conn.wants_write() && stream.conn.write_tls(&mut stream.sock).is_ok() {}
            let _ = stream.sock.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut stream.sock, &mut std::io::sink());
            letting_in.then_some(header)
        })
    }
}

fn encrypted(port: u16, files: TlsFiles) -> Address {
    Address::parse(&format!("amqps://127.0.0.1:{port}")).unwrap().with_files(files).unwrap()
}

#[test]
fn a_client_shows_its_certificate_to_a_broker_that_asks_for_one() {
    let issued = Issued::new();
    let (port, serving) = Issued::broker(issued.demanding());
    let (error, cause) = refused(&encrypted(port, issued.showing()), &within(LONG));
    assert_eq!((error.code, cause), (Code::ConnectionLost, Cause::Retry), "{error}");
    assert_eq!(serving.join().unwrap(), Some(*b"AMQP\x00\x00\x09\x01"));
}

#[test]
fn without_the_certificate_that_the_broker_asks_for_the_user_is_told_what_to_name() {
    let issued = Issued::new();
    let (port, serving) = Issued::broker(issued.demanding());
    let (error, cause) = refused(&encrypted(port, issued.trusting()), &within(LONG));
    assert_eq!((error.code, cause), (Code::Configuration, Cause::Final), "{error}");
    assert!(error.message.contains("tls_cert="), "{error}");
    assert_eq!(serving.join().unwrap(), None);
}

#[test]
fn a_broker_whom_nobody_vouches_for_is_not_given_the_password() {
    let (trusted, stranger) = (Issued::new(), Issued::new());
    let config = server_config(&stranger.path("server.pem"), &stranger.path("server.key")).unwrap();
    let (port, serving) = Issued::broker(config);
    let (error, cause) = refused(&encrypted(port, trusted.trusting()), &within(LONG));
    assert_eq!((error.code, cause), (Code::Configuration, Cause::Final), "{error}");
    assert!(error.message.contains("the broker's certificate is not trusted"), "{error}");
    assert_eq!(serving.join().unwrap(), None);
}

#[test]
fn a_port_without_tls_is_told_apart() {
    let (port, serving) = broker(|mut socket| {
        socket.write_all(b"AMQP\x00\x00\x09\x01").unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        read_all(socket)
    });
    let issued = Issued::new();
    let (error, cause) = refused(&encrypted(port, issued.trusting()), &within(LONG));
    assert_eq!((error.code, cause), (Code::Configuration, Cause::Final), "{error}");
    assert!(error.message.contains("5671"), "{error}");
    serving.join().unwrap();
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let issued = Issued::new();
    let (port, serving) = Issued::broker(issued.demanding());
    let files = TlsFiles { key: Some(issued.path("server.key")), ..issued.showing() };
    let (error, cause) = refused(&encrypted(port, files), &within(LONG));
    assert_eq!((error.code, cause), (Code::Configuration, Cause::Final), "{error}");
    assert!(error.message.contains("server.key is not the key of the certificate"), "{error}");
    assert_eq!(serving.join().unwrap(), None);
}
