//! What really travels: frames of every kind, recorded between a client and a service.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use ironbridge::bridge::auth::Token;
use ironbridge::bridge::client::target::Target;
use ironbridge::bridge::frame::{self, Kind, MAGIC};
use ironbridge::bridge::server::TcpOptions;
use ironbridge::core::limits::Limits;

use crate::place::{LONG, NAME, Place, Plan, within};

/// Frames, each whole with its buffers.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let place = Place::new();
    let token = Token::from_text("the token").unwrap();
    let tcp = TcpOptions {
        address: "127.0.0.1:0".parse().unwrap(),
        token: token.clone(),
        tls: None,
        shared: false,
    };
    let served = place.serve(Plan { tcp: Some(tcp), ..Plan::default() });
    let recorder = Recorder::before(served.service.record.tcp.as_ref().unwrap());
    let connect = |token: Token| {
        let target =
            Target::Tcp { host: "127.0.0.1".into(), port: recorder.port, tls: false, service: NAME.into() };
        place.connect(target, b"\x92\xa1a\x01", Limits::default(), Some(token), None)
    };
    connect(Token::from_text("another").unwrap()).err().unwrap();
    let client = connect(token).unwrap();
    client.call("echo", b"\x91\xa5hello\x81\xa1k\x02");
    client.call("who", b"\x90");
    client.fail("fail", b"\x90");
    let beside = (b"\x91\xc7\x04\x13\0\0\0\0".to_vec(), vec![vec![1; 3000], vec![2; 10]]);
    client.exchange("echo", beside, within(LONG), &|| false).unwrap();
    client.engine.close();
    served.stop();
    let mut frames = recorder.frames();
    // Only many calls at once have these.
    let mut cancel = Vec::new();
    frame::begin(&mut cancel, Kind::Cancel, 0, &7_u64.to_le_bytes()).finish_small(&mut cancel);
    let mut drain = Vec::new();
    frame::begin(&mut drain, Kind::Drain, 0, &[]).finish_small(&mut drain);
    frames.extend([cancel, drain]);
    for kind in 1..=10 {
        assert!(frames.iter().any(|frame| frame[4] == kind), "no frame of kind {kind} was recorded");
    }
    frames
}

/// What passed in one direction of one connection.
type Record = Arc<Mutex<Vec<u8>>>;

/// Stands between a client and a service, and keeps what passes.
struct Recorder {
    port: u16,
    streams: Arc<Mutex<Vec<Record>>>,
}

impl Recorder {
    fn before(service: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, service) = (listener.local_addr().unwrap().port(), service.to_owned());
        let streams = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&streams);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(service) = TcpStream::connect(&service) else { return };
                let ends = [(client.try_clone().unwrap(), service.try_clone().unwrap()), (service, client)];
                for (from, to) in ends {
                    let record = Arc::new(Mutex::new(Vec::new()));
                    kept.lock().unwrap().push(Arc::clone(&record));
                    std::thread::spawn(move || pass_on(from, to, &record));
                }
            }
        });
        Self { port, streams }
    }

    fn frames(&self) -> Vec<Vec<u8>> {
        let streams = self.streams.lock().unwrap();
        streams.iter().flat_map(|stream| cut(&stream.lock().unwrap())).collect()
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, record: &Mutex<Vec<u8>>) {
    let mut room = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut room) {
        record.lock().unwrap().extend_from_slice(&room[..count]);
        if to.write_all(&room[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Cuts one side of a connection into its frames.
fn cut(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = stream.strip_prefix(&MAGIC).unwrap_or(stream);
    let mut frames = Vec::new();
    while rest.len() >= 8 {
        let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
        let mut end = 8 + number(0);
        if rest[5] & 0x80 != 0 {
            let count = usize::from(u16::from_le_bytes(rest[end - 2..end].try_into().unwrap()));
            let table = end - 2 - 4 * count;
            end += (0..count).map(|entry| number(table + 4 * entry) & 0x7fff_ffff).sum::<usize>();
        }
        frames.push(rest[..end].to_vec());
        rest = &rest[end..];
    }
    frames
}
