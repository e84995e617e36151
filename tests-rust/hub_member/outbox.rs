//! What waits to be sent: bounded, in order, whole.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use ironbridge::hub::member::Outbox;
use ironbridge::hub::socket::Socket;
use ironbridge::hub::zmtp::{Event, Frames, Role};

fn connection() -> (Arc<Socket>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Arc::new(Socket::unix(ours.into())), theirs)
}

fn received(from: &mut UnixStream) -> Vec<String> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    let mut frames = Frames::new(Role::Pull, 1 << 30);
    frames.extend(&bytes);
    let mut messages = Vec::new();
    while let Some(event) = frames.next().unwrap() {
        if let Event::Message(message) = event {
            messages.push(String::from_utf8_lossy(message).into_owned());
        }
    }
    messages
}

#[test]
fn messages_wait_for_a_hub_and_leave_in_order() {
    let mut outbox = Outbox::new(1 << 20, 100);
    outbox.add(b"one");
    outbox.add(b"two");
    outbox.add_own(b"nobody hears this");
    assert!(outbox.flush().is_ok_and(|flushed| !flushed));
    assert_eq!((outbox.waiting(), outbox.sent()), (2, 0));
    let (ours, mut theirs) = connection();
    outbox.attach(ours, &[b"hello".to_vec()]);
    assert!(outbox.flush().unwrap());
    assert_eq!((outbox.waiting(), outbox.sent()), (0, 2));
    drop(outbox);
    assert_eq!(received(&mut theirs), ["hello", "one", "two"]);
}

#[test]
fn it_is_full_by_bytes_and_by_messages() {
    let mut by_messages = Outbox::new(1 << 20, 2);
    by_messages.add(b"a");
    assert!(!by_messages.is_full());
    by_messages.add(b"b");
    assert!(by_messages.is_full());
    let mut by_bytes = Outbox::new(10, 100);
    by_bytes.add(&[0; 20]);
    assert!(by_bytes.is_full());
}

#[test]
fn a_message_that_left_in_part_is_sent_again_whole_to_the_next_hub() {
    let mut outbox = Outbox::new(64 << 20, 1000);
    let large = vec![b'x'; 3 << 20];
    outbox.add(b"first");
    outbox.add(&large);
    outbox.add(b"last");
    let (ours, theirs) = connection();
    outbox.attach(ours, &[b"hello".to_vec()]);
    assert!(!outbox.flush().unwrap(), "the socket took three megabytes at once");
    assert_eq!(outbox.sent(), 1);
    drop(theirs);
    assert!(outbox.detach().is_some());
    let (ours, mut theirs) = connection();
    outbox.attach(ours, &[b"again".to_vec()]);
    let reader = std::thread::spawn(move || received(&mut theirs));
    while !outbox.flush().unwrap() {
        std::thread::yield_now();
    }
    assert_eq!(outbox.sent(), 3);
    drop(outbox);
    let messages = reader.join().unwrap();
    assert_eq!(messages.len(), 3);
    assert_eq!(
        (messages[0].as_str(), messages[1].len(), messages[2].as_str()),
        ("again", large.len(), "last")
    );
}

#[test]
fn a_broken_connection_is_an_error_and_loses_nothing_that_waits() {
    let mut outbox = Outbox::new(64 << 20, 1000);
    let (ours, theirs) = connection();
    outbox.attach(ours, &[]);
    drop(theirs);
    outbox.add(b"one");
    assert!(outbox.flush().is_err());
    outbox.detach();
    assert_eq!(outbox.waiting(), 1);
}

#[test]
fn what_was_taken_back_does_not_leave_and_keeps_its_number() {
    let mut outbox = Outbox::new(1 << 20, 100);
    for message in [b"0", b"1", b"2", b"3", b"4"] {
        outbox.add(message);
    }
    outbox.withdraw(|number| [1, 2, 4].contains(&number));
    outbox.add(b"5");
    outbox.withdraw(|number| number == 2);
    assert_eq!((outbox.waiting(), outbox.left(), outbox.added()), (3, 0, 6));
    let (ours, mut theirs) = connection();
    outbox.attach(ours, &[]);
    assert!(outbox.flush().unwrap());
    assert_eq!((outbox.waiting(), outbox.left(), outbox.sent()), (0, 3, 6));
    drop(outbox);
    assert_eq!(received(&mut theirs), ["0", "3", "5"]);
}

#[test]
fn what_has_left_in_part_is_not_taken_back() {
    let mut outbox = Outbox::new(64 << 20, 1000);
    outbox.add(&vec![b'x'; 3 << 20]);
    outbox.add(b"last");
    let (ours, theirs) = connection();
    outbox.attach(ours, &[]);
    assert!(!outbox.flush().unwrap(), "the socket took three megabytes at once");
    assert_eq!((outbox.sent(), outbox.begun()), (0, 1));
    outbox.withdraw(|_| true);
    assert_eq!(outbox.waiting(), 1);
    drop(theirs);
    outbox.detach();
    let (ours, mut theirs) = connection();
    outbox.attach(ours, &[]);
    let reader = std::thread::spawn(move || received(&mut theirs));
    while !outbox.flush().unwrap() {
        std::thread::yield_now();
    }
    assert_eq!((outbox.sent(), outbox.left()), (2, 1));
    drop(outbox);
    assert_eq!(reader.join().unwrap().iter().map(String::len).collect::<Vec<_>>(), [3 << 20]);
}

#[test]
fn what_is_taken_back_while_there_is_no_hub_takes_no_room() {
    let mut outbox = Outbox::new(1 << 20, 2);
    for number in 0..1000 {
        outbox.add(b"a call");
        outbox.withdraw(|taken| taken == number);
    }
    assert!(!outbox.is_full());
    assert_eq!(outbox.waiting(), 0);
}
