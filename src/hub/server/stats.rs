//! What a hub counts.

use std::time::Duration;

/// A hub's statistics. Counts are since its start.
#[derive(Clone, Debug, Default)]
pub struct ServerStats {
    /// The counters.
    pub counts: Counts,
    /// Open connections that push messages.
    pub publishers: usize,
    /// Services that have registered and are connected.
    pub registrations: usize,
    /// Open connections that subscribe.
    pub subscribers: Vec<SubscriberStats>,
}

/// One subscriber.
#[derive(Clone, Debug)]
pub struct SubscriberStats {
    /// `unix:PID` or `tcp:HOST:PORT`.
    pub peer: String,
    /// How many prefixes it wants.
    pub subscriptions: usize,
    /// Messages that wait for it.
    pub queued_messages: usize,
    /// Bytes that wait for it.
    pub queued_bytes: usize,
    /// Messages that it was sent.
    pub sent: u64,
    /// Messages that were dropped for it, because too much waited already.
    pub dropped: u64,
    /// How long it has taken nothing of what waits.
    pub blocked_for: Option<Duration>,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Messages that came.
    pub messages_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Messages that were sent, one for each receiver.
    pub messages_out: u64,
    /// Messages that nobody had subscribed to.
    pub unwanted: u64,
    /// Messages dropped for a subscriber that was too slow.
    pub dropped_slow: u64,
    /// Messages of several frames, which a hub does not forward.
    pub dropped_multipart: u64,
    /// Connections that shook hands.
    pub connections: u64,
    /// Connections refused or ended by the hub.
    pub refused: Refusals,
}

/// Why a connection was refused or ended by the hub.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusals {
    /// No proof of the secret, or a wrong one; or another user of this machine.
    pub unauthorised: u64,
    /// Another protocol, another mechanism, a socket of the wrong kind, or bytes that mean nothing.
    pub malformed: u64,
    /// A message over the bound.
    pub oversized: u64,
    /// No handshake within its time.
    pub silent: u64,
    /// A subscriber that took nothing for too long.
    pub stalled: u64,
    /// The bound on connections, or one's bound on subscriptions.
    pub limits: u64,
}
