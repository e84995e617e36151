//! Streams: the same behaviour over Unix, TCP and TLS, and no read or write that waits.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "a signal handler")]

#[path = "stream/pairs.rs"]
mod pairs;
#[path = "stream/tls.rs"]
mod tls;

use std::io::{ErrorKind, IoSlice};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::thread::JoinHandleExt;
use std::thread;
use std::time::{Duration, Instant};

use ironbridge::bridge::stream::Stream;
use ironbridge::core::platform::socket::{Interest, RecvFlags, recv_blocking, set_receive_timeout, wait};
use pairs::{LONG, every_pair, read_exactly, tcp_pair, unix_pair, wait_for, write_all};
use rustix::net::sockopt;

#[test]
fn an_empty_stream_would_block_whatever_the_mode_of_its_descriptor() {
    for (name, mut left, mut right) in every_pair() {
        for blocking in [true, false] {
            rustix::io::ioctl_fionbio(left.fd(), !blocking).unwrap();
            let error = left.read(&mut [0; 16]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{name}");
        }
        write_all(&mut right, b"hello");
        assert_eq!(read_exactly(&mut left, 5), b"hello", "{name}");
    }
}

#[test]
fn pieces_arrive_in_order_and_both_ways() {
    for (name, mut left, mut right) in every_pair() {
        let pieces =
            [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two "), IoSlice::new(b"three")];
        assert_eq!(left.write_vectored(&pieces).unwrap(), 13, "{name}");
        assert_eq!(read_exactly(&mut right, 13), b"one two three", "{name}");
        write_all(&mut right, b"back");
        assert_eq!(read_exactly(&mut left, 4), b"back", "{name}");
    }
}

#[test]
fn more_pieces_than_the_system_takes_at_once_are_taken_in_part() {
    for (name, mut left, mut right) in every_pair() {
        let pieces: Vec<_> = (0..2_000).map(|_| IoSlice::new(b"x")).collect();
        let taken = left.write_vectored(&pieces).unwrap();
        assert!((1..=2_000).contains(&taken), "{name}");
        assert_eq!(read_exactly(&mut right, taken), vec![b'x'; taken], "{name}");
    }
}

#[test]
fn a_peer_that_does_not_read_makes_the_writer_wait_and_nothing_is_lost() {
    const TOTAL: usize = 24 << 20;
    let bytes: Vec<u8> = (0..TOTAL).map(|at| ((at * 31) >> 7) as u8).collect();
    for (name, mut left, mut right) in every_pair() {
        let mut sent = 0;
        loop {
            match left.write(&bytes[sent..]) {
                Ok(taken) => sent += taken,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{name}");
                    break;
                }
            }
        }
        assert!(sent < TOTAL, "{name}: what waits is bounded");
        thread::scope(|scope| {
            let writer = scope.spawn(|| write_all(&mut left, &bytes[sent..]));
            assert!(read_exactly(&mut right, TOTAL) == bytes, "{name}");
            writer.join().unwrap();
        });
        assert!(!left.wants_write(), "{name}");
    }
}

#[test]
fn a_closed_peer_reads_as_the_end_and_writing_to_it_is_an_error() {
    for (name, mut left, mut right) in every_pair() {
        write_all(&mut right, b"last");
        right.close();
        assert_eq!(read_exactly(&mut left, 4), b"last", "{name}");
        wait_for(&left, Interest::Readable);
        assert_eq!(left.read(&mut [0; 16]).unwrap(), 0, "{name}");
        let error = loop {
            if let Err(error) = left.write(b"too late") {
                break error;
            }
        };
        assert!(
            matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
            "{name}: {error}"
        );
    }
}

#[test]
fn dropping_a_copy_of_the_descriptor_does_not_end_the_connection() {
    let (left, mut right) = unix_pair();
    let Stream::Unix(socket) = &left else { panic!("it is one") };
    drop(Stream::unix(socket.try_clone().unwrap()));
    let mut left = left;
    write_all(&mut left, b"still here");
    assert_eq!(read_exactly(&mut right, 10), b"still here");
}

#[test]
fn a_tcp_stream_sends_at_once_and_notices_a_vanished_peer() {
    let (left, _right) = tcp_pair();
    assert!(sockopt::tcp_nodelay(left.fd()).unwrap());
    assert!(sockopt::socket_keepalive(left.fd()).unwrap());
    assert_eq!(sockopt::tcp_keepidle(left.fd()).unwrap(), Duration::from_secs(15));
    assert_eq!(sockopt::tcp_keepintvl(left.fd()).unwrap(), Duration::from_secs(5));
    assert_eq!(sockopt::tcp_keepcnt(left.fd()).unwrap(), 3);
    assert_eq!(sockopt::tcp_user_timeout(left.fd()).unwrap(), 30_000);
    assert!(left.peer().starts_with("tcp:127.0.0.1:"));
    assert_eq!(unix_pair().0.peer(), "unix");
}

#[test]
fn waiting_ends_when_the_time_is_up_or_the_stream_is_ready() {
    let (left, mut right) = unix_pair();
    let start = Instant::now();
    assert!(!wait(left.fd(), Interest::Readable, Duration::from_millis(20)).unwrap());
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert!(wait(left.fd(), Interest::Writable, LONG).unwrap());
    write_all(&mut right, b"x");
    assert!(wait(left.fd(), Interest::Readable, LONG).unwrap());
    drop(right);
    assert!(wait(left.fd(), Interest::Readable, Duration::MAX).unwrap());
}

#[test]
fn a_blocking_read_waits_for_its_time_and_no_longer() {
    let (left, _right) = UnixStream::pair().unwrap();
    for timeout in [Duration::ZERO, Duration::from_millis(20)] {
        set_receive_timeout(&left, timeout).unwrap();
        let start = Instant::now();
        let error = recv_blocking(&left, &mut [0; 8], RecvFlags::empty()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(start.elapsed() >= timeout);
    }
    set_receive_timeout(&left, Duration::from_secs(u64::MAX)).unwrap();
    set_receive_timeout(&left, Duration::MAX).unwrap();
    assert_eq!(sockopt::socket_timeout(&left, sockopt::Timeout::Recv).unwrap(), None);
}

extern "C" fn nothing(_signal: libc::c_int) {}

/// Handles `SIGUSR1` by doing nothing, as Python does for its signals: without `SA_RESTART`.
fn handle_signal() {
    // SAFETY: an all-zero sigaction is valid, and the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
    }
}

#[test]
fn a_signal_interrupts_every_wait() {
    handle_signal();
    let waits: [fn(&UnixStream) -> std::io::Result<()>; 2] = [
        |socket| wait(socket.as_fd(), Interest::Readable, LONG).map(drop),
        |socket| {
            set_receive_timeout(socket, LONG)?;
            recv_blocking(socket, &mut [0; 8], RecvFlags::empty()).map(drop)
        },
    ];
    for blocked in waits {
        let (left, right) = UnixStream::pair().unwrap();
        let waiter = thread::spawn(move || blocked(&left));
        // The first signal may come before the wait begins: send until one has arrived within it.
        while !waiter.is_finished() {
            // SAFETY: the thread has not been joined, so its id is valid.
            unsafe { libc::pthread_kill(waiter.as_pthread_t(), libc::SIGUSR1) };
            thread::yield_now();
        }
        assert_eq!(waiter.join().unwrap().unwrap_err().kind(), ErrorKind::Interrupted);
        drop(right);
    }
}
