//! Connected pairs of each kind of stream, and reads and writes that wait for them.

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ironbridge::bridge::stream::Stream;
use ironbridge::bridge::tls::TlsStream;
use ironbridge::core::platform::socket::{Interest, wait};
use ironbridge::core::tls::{client_config, server_config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// Longer than anything here takes: a test that waits so long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn every_pair() -> Vec<(&'static str, Stream, Stream)> {
    let (unix, tcp, tls) = (unix_pair(), tcp_pair(), tls_pair());
    vec![("unix", unix.0, unix.1), ("tcp", tcp.0, tcp.1), ("tls", tls.0, tls.1)]
}

pub(crate) fn unix_pair() -> (Stream, Stream) {
    let (left, right) = UnixStream::pair().unwrap();
    (Stream::unix(left), Stream::unix(right))
}

pub(crate) fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

pub(crate) fn tcp_pair() -> (Stream, Stream) {
    let (client, server) = sockets();
    (Stream::tcp(client).unwrap(), Stream::tcp(server).unwrap())
}

/// A TLS client and server that have shaken hands.
pub(crate) fn tls_pair() -> (Stream, Stream) {
    let files = Files::issued("localhost");
    let (client, server) = sockets();
    let client_config = client_config(Some(&files.authority), None).unwrap();
    let server_config = server_config(&files.certificate, &files.key).unwrap();
    let client = TlsStream::connect(client, client_config, "localhost").unwrap();
    let server = TlsStream::accept(server, server_config).unwrap();
    let (mut client, mut server) = (Stream::Tls(Box::new(client)), Stream::Tls(Box::new(server)));
    let (client_end, server_end) = shake_hands(&mut client, &mut server);
    client_end.unwrap();
    server_end.unwrap();
    (client, server)
}

/// Both sides' handshakes, to their ends.
pub(crate) fn shake_hands(
    client: &mut Stream,
    server: &mut Stream,
) -> (std::io::Result<()>, std::io::Result<()>) {
    let side = |stream: &mut Stream| loop {
        match stream.handshake() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let interest = if stream.wants_write() { Interest::Writable } else { Interest::Readable };
                wait_for(stream, interest);
            }
            end => {
                if end.is_err() {
                    stream.close();
                }
                return end;
            }
        }
    };
    std::thread::scope(|scope| {
        let client = scope.spawn(|| side(client));
        let server = side(server);
        (client.join().unwrap(), server)
    })
}

pub(crate) fn wait_for(stream: &Stream, interest: Interest) {
    let buffered = interest == Interest::Readable && stream.has_buffered();
    assert!(buffered || wait(stream.fd(), interest, LONG).unwrap(), "waited in vain");
}

pub(crate) fn write_all(stream: &mut Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() || stream.wants_write() {
        let step = if bytes.is_empty() { stream.flush().map(|()| 0) } else { stream.write(bytes) };
        match step {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait_for(stream, Interest::Writable),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn read_exactly(stream: &mut Stream, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => panic!("closed after {filled} of {size} bytes"),
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait_for(stream, Interest::Readable),
            Err(error) => panic!("{error}"),
        }
    }
    bytes
}

/// Certificates and keys as a user would have them: PEM files in a directory.
pub(crate) struct Files {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) directory: Arc<TempDir>,
}

impl Files {
    /// A certificate for this name, issued by an authority of its own.
    pub(crate) fn issued(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        Self::write(&authority.pem(), &certificate.pem(), &key)
    }

    /// A certificate that vouches for itself, marked as an authority as `openssl req -x509` does.
    pub(crate) fn self_signed(name: &str) -> Self {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self::write(&pem, &pem, &key)
    }

    fn write(authority: &str, certificate: &str, key: &KeyPair) -> Self {
        let directory = Arc::new(TempDir::new().unwrap());
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        Self {
            authority: file("authority.pem", authority),
            certificate: file("certificate.pem", certificate),
            key: file("key.pem", &key.serialize_pem()),
            directory,
        }
    }

    /// Another file in the same directory.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}
