//! One connection's task: it shakes hands, then reads until the connection ends, and sends what could not be sent
//! at once.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::Interest;

use super::Shared;
use super::door::Accepted;
use super::outbox::Sent;
use super::subscriptions::Place;
use super::switch::{End, Switch};
use crate::core::error::{Code, Error, Result};
use crate::core::platform::watched::{Watched, watch};
use crate::hub::socket::Socket;
use crate::hub::zmtp::{Frames, Handshake, Peer, Role};

/// Reads of one connection before others have their turn.
const READS_AT_ONCE: usize = 4;
/// Room for a read at least.
const READ: usize = 64 << 10;
/// A subscriber says no more than what it wants, in frames up to this.
const SUBSCRIBERS_FRAME: usize = 64 << 10;
/// What a wrong secret costs.
const INTRUDER_DELAY: Duration = Duration::from_secs(1);

/// Serves a caller to its end.
pub(super) async fn serve(greeting: Greeting, accepted: Accepted, local: Role, tcp: bool) {
    let shared = Arc::clone(&greeting.0);
    let Accepted { socket, peer: name, stranger } = accepted;
    if stranger && shared.secret.is_none() {
        shared.switch.lock().counts.refused.unauthorised += 1;
        return;
    }
    let socket = Arc::new(socket);
    let Ok(readable) = watch(Arc::clone(&socket), Interest::READABLE) else {
        return;
    };
    let limits = shared.switch.lock().limits.clone();
    let max_frame = match local {
        Role::Pub => SUBSCRIBERS_FRAME,
        _ if tcp => limits.max_message_tcp,
        _ => limits.max_message,
    };
    let mut frames = Frames::new(local, max_frame);
    let mut handshake = Handshake::new(local, b"", shared.secret.as_ref(), true);
    let met =
        tokio::time::timeout(limits.handshake_timeout, meet(&readable, &mut handshake, &mut frames)).await;
    let peer = match met {
        Ok(Ok(peer)) => peer,
        Ok(Err(error)) => return refuse(&shared, &socket, handshake.output(), error).await,
        Err(_) => {
            shared.switch.lock().counts.refused.silent += 1;
            return;
        }
    };
    let place = shared.switch.lock().enter(socket, name, peer.role);
    drop(greeting);
    let mut connection =
        Connection { place, readable, frames, fresh: true, writable: None, switch: &shared.switch };
    let Err(end) = poll_fn(|context| connection.poll(context)).await;
    let mut switch = shared.switch.lock();
    switch.leave(place, end);
    switch.call_sender();
}

/// Counts among those who have not shaken hands yet.
pub(super) struct Greeting(Arc<Shared>);

impl Greeting {
    /// `None` when one more connection would be too many.
    pub(super) fn begin(shared: &Arc<Shared>) -> Option<Self> {
        let mut switch = shared.switch.lock();
        if switch.is_full() {
            switch.counts.refused.limits += 1;
            return None;
        }
        switch.greetings += 1;
        Some(Self(Arc::clone(shared)))
    }
}

impl Drop for Greeting {
    fn drop(&mut self) {
        self.0.switch.lock().greetings -= 1;
    }
}

/// Shakes hands. What is left over waits in `frames`.
async fn meet(
    readable: &Watched<Arc<Socket>>,
    handshake: &mut Handshake,
    frames: &mut Frames,
) -> Result<Peer> {
    let lost = |error: io::Error| Error::io(Code::ConnectionLost, "shaking hands", &error);
    let mut room = [0; 1024];
    say(&readable.get_ref().0, &handshake.output())?;
    loop {
        let mut guard = readable.readable().await.map_err(lost)?;
        let count = match readable.get_ref().0.read(&mut room) {
            Ok(0) => return Err(Error::new(Code::ConnectionLost, "the peer has hung up")),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                guard.clear_ready();
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(lost(error)),
        };
        let arrived = room.get(..count).unwrap_or_default();
        let (used, peer) = handshake.feed(arrived)?;
        say(&readable.get_ref().0, &handshake.output())?;
        if let Some(peer) = peer {
            frames.extend(arrived.get(used..).unwrap_or_default());
            return Ok(peer);
        }
    }
}

/// Sends some bytes of a handshake, for which a new connection has room.
fn say(socket: &Socket, bytes: &[u8]) -> Result<()> {
    match bytes.is_empty() || socket.write(bytes).is_ok_and(|count| count == bytes.len()) {
        true => Ok(()),
        false => Err(Error::new(Code::ConnectionLost, "the peer has hung up")),
    }
}

async fn refuse(shared: &Shared, socket: &Socket, last_words: Vec<u8>, error: Error) {
    let _ = say(socket, &last_words);
    {
        let refused = &mut shared.switch.lock().counts.refused;
        match error.code {
            Code::Authentication => refused.unauthorised += 1,
            Code::ConnectionLost => {}
            _ => refused.malformed += 1,
        }
    }
    if error.code == Code::Authentication {
        // Guessing must be slow.
        tokio::time::sleep(INTRUDER_DELAY).await;
    }
}

/// A connection that has shaken hands.
struct Connection<'a> {
    place: Place,
    readable: Watched<Arc<Socket>>,
    frames: Frames,
    /// Something may have come with the handshake.
    fresh: bool,
    /// Watches for room to send, while there is none. A watch of its own: the reader's would be told each time that
    /// the peer has read something.
    writable: Option<Watched<Socket>>,
    switch: &'a Mutex<Switch>,
}

impl Connection<'_> {
    /// Ready when it has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Infallible, End>> {
        let shared = self.switch;
        let mut switch = shared.lock();
        if let Some(end) = switch.watch(self.place, context.waker()) {
            return Poll::Ready(Err(end));
        }
        if switch.is_blocked(self.place)
            && let Poll::Ready(Err(end)) = self.poll_send(context, &mut switch)
        {
            return Poll::Ready(Err(end));
        }
        if std::mem::take(&mut self.fresh) {
            self.take(&mut switch)?;
        }
        for _ in 0..READS_AT_ONCE {
            ready!(self.poll_read(context, &mut switch))?;
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once, and does what it says.
    fn poll_read(&mut self, context: &mut Context<'_>, switch: &mut Switch) -> Poll<Result<(), End>> {
        let Ok(mut guard) = ready!(self.readable.poll_read_ready(context)) else {
            return Poll::Ready(Err(End::Closed));
        };
        switch.lend_room(&mut self.frames);
        let space = self.frames.space(READ);
        let read = self.readable.get_ref().0.read(space);
        // Less than there was room for: nothing is left. What comes later is told anew.
        if !matches!(read, Ok(count) if count == space.len()) {
            guard.clear_ready();
        }
        drop(guard);
        let outcome = match read {
            Ok(0) => Err(End::Closed),
            Ok(count) => {
                self.frames.filled(count);
                self.take(switch)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
                _ => Err(End::Closed),
            },
        };
        self.frames.settle(&mut switch.room);
        Poll::Ready(outcome)
    }

    fn take(&mut self, switch: &mut Switch) -> Result<(), End> {
        let taken = switch.take(self.place, &mut self.frames);
        switch.call_sender();
        taken
    }

    /// Sends what waits, as soon as there is room.
    fn poll_send(&mut self, context: &mut Context<'_>, switch: &mut Switch) -> Poll<Result<(), End>> {
        if self.writable.is_none() {
            let twin = self.readable.get_ref().0.duplicate();
            let writable = twin.and_then(|socket| watch(socket, Interest::WRITABLE));
            self.writable = Some(writable.map_err(|_| End::Closed)?);
        }
        while let Some(writable) = &self.writable {
            let Ok(mut guard) = ready!(writable.poll_write_ready(context)) else {
                return Poll::Ready(Err(End::Closed));
            };
            match switch.send_one(self.place) {
                Sent::Blocked => guard.clear_ready(),
                Sent::Closed => return Poll::Ready(Err(End::Closed)),
                Sent::All => break,
            }
        }
        self.writable = None;
        Poll::Ready(Ok(()))
    }
}
