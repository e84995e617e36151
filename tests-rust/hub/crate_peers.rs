//! Our codec against sockets of the `zeromq` crate, over IPC and TCP.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use tokio::runtime::Runtime;
use zeromq::{Endpoint, PubSocket, PullSocket, PushSocket, Socket, SocketRecv, SocketSend, SubSocket};

use ironbridge::hub::server::ServerStats;
use ironbridge::hub::zmtp::{Event, Role};

use crate::place::Place;
use crate::wire::Wire;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn connect(endpoint: &Endpoint, role: Role) -> Wire {
    match endpoint {
        Endpoint::Tcp(_, port) => {
            let stream = TcpStream::connect(("127.0.0.1", *port)).unwrap();
            Wire::meet(Box::new(stream), role, None, false).unwrap()
        }
        Endpoint::Ipc(Some(path)) => {
            Wire::meet(Box::new(UnixStream::connect(path).unwrap()), role, None, false).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// An address of each kind to listen at.
fn places(directory: &tempfile::TempDir) -> [String; 2] {
    ["tcp://127.0.0.1:0".into(), format!("ipc://{}/socket", directory.path().display())]
}

const SIZES: [usize; 6] = [0, 1, 255, 256, 70_000, 1 << 20];

#[test]
fn its_pull_takes_what_we_push() {
    let (runtime, directory) = (runtime(), tempfile::tempdir().unwrap());
    for place in places(&directory) {
        let mut pull = PullSocket::new();
        let endpoint = runtime.block_on(pull.bind(&place)).unwrap();
        let mut wire = connect(&endpoint, Role::Push);
        assert_eq!(wire.peer.role, Role::Pull);
        // It reads while somebody waits for a message, and not before.
        let hearing = runtime.spawn(async move {
            let mut sizes = Vec::new();
            while sizes.len() < SIZES.len() {
                sizes.push(pull.recv().await.unwrap().get(0).unwrap().len());
            }
            sizes
        });
        for size in SIZES {
            wire.send(&vec![b'x'; size]);
        }
        assert_eq!(runtime.block_on(hearing).unwrap(), SIZES);
    }
}

#[test]
fn its_pub_sends_what_we_subscribed_to() {
    let (runtime, directory) = (runtime(), tempfile::tempdir().unwrap());
    let _inside = runtime.enter();
    for place in places(&directory) {
        let mut publisher = PubSocket::new();
        let endpoint = runtime.block_on(publisher.bind(&place)).unwrap();
        let mut wire = connect(&endpoint, Role::Sub);
        wire.subscribe(b"news:");
        // Nothing tells when it has taken the subscription, so it speaks until it is heard.
        let speaking = runtime.spawn(async move {
            loop {
                publisher.send("noise:1".into()).await.unwrap();
                publisher.send("news:1".into()).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..3 {
            assert_eq!(wire.message(), b"news:1");
        }
        speaking.abort();
    }
}

#[test]
fn its_push_is_understood() {
    let (runtime, directory) = (runtime(), tempfile::tempdir().unwrap());
    let path = directory.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let speaking = runtime.spawn(async move {
        let mut push = PushSocket::new();
        push.connect(&format!("ipc://{}", path.display())).await.unwrap();
        for size in SIZES {
            push.send(vec![b'y'; size].into()).await.unwrap();
        }
        push
    });
    let mut wire = Wire::meet(Box::new(listener.accept().unwrap().0), Role::Pull, None, true).unwrap();
    for size in SIZES {
        assert_eq!(wire.message().len(), size);
    }
    runtime.block_on(speaking).unwrap();
}

#[test]
fn its_sub_subscribes_in_a_way_that_is_understood() {
    let (runtime, directory) = (runtime(), tempfile::tempdir().unwrap());
    let path = directory.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let hearing = runtime.spawn(async move {
        let mut subscriber = SubSocket::new();
        subscriber.connect(&format!("ipc://{}", path.display())).await.unwrap();
        subscriber.subscribe("a:").await.unwrap();
        subscriber.subscribe("b:").await.unwrap();
        subscriber.unsubscribe("b:").await.unwrap();
        subscriber.recv().await.unwrap()
    });
    let mut wire = Wire::meet(Box::new(listener.accept().unwrap().0), Role::Pub, None, true).unwrap();
    let mut told = || {
        wire.read_on(|event| match event {
            Event::Subscribe(prefix) => Some(("subscribe", prefix.to_vec())),
            Event::Cancel(prefix) => Some(("cancel", prefix.to_vec())),
            _ => None,
        })
    };
    assert_eq!(told().unwrap(), ("subscribe", b"a:".to_vec()));
    assert_eq!(told().unwrap(), ("subscribe", b"b:".to_vec()));
    assert_eq!(told().unwrap(), ("cancel", b"b:".to_vec()));
    wire.send(b"a:hello");
    let got = runtime.block_on(hearing).unwrap();
    assert_eq!(got.get(0).unwrap().as_ref(), b"a:hello");
}

#[test]
fn its_sockets_meet_at_our_hub() {
    let runtime = runtime();
    for place in [Place::new(), Place::tcp()] {
        runtime.block_on(async {
            let (mut push, mut subscriber) = (PushSocket::new(), SubSocket::new());
            push.connect(&place.server.receiver().to_string()).await.unwrap();
            subscriber.connect(&place.server.sender().to_string()).await.unwrap();
            subscriber.subscribe("a:").await.unwrap();
            let wanted = |stats: &ServerStats| stats.subscribers.iter().any(|sub| sub.subscriptions == 1);
            while !wanted(&place.server.stats()) {
                tokio::task::yield_now().await;
            }
            push.send("b:1".into()).await.unwrap();
            push.send("a:2".into()).await.unwrap();
            let got = subscriber.recv().await.unwrap();
            assert_eq!(got.get(0).unwrap().as_ref(), b"a:2");
        });
    }
}
