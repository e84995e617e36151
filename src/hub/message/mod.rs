//! The hub's messages: one frame each, `HEAD:BODY`. Heads and keys are those of aiofase 0.5 and its siblings,
//! seen over the wire; what is ours alone carries extra keys and heads that they pass over (`docs/hub.md`).

mod heads;
mod instance;
mod read;
mod write;

pub use heads::{Head, Heads, check_name};
pub use instance::Instance;
pub use read::{Answer, Facts, Request, read, seconds};
pub use write::{Wanted, Writer, answer_head, call_id, finish, own_call};

/// A service has started.
pub const REGISTER: &[u8] = b"<r>";
/// To every service but the sender.
pub const BROADCAST: &[u8] = b"<b>";
/// A service is alive.
pub const BEAT: &[u8] = b"<hb>";
/// The answer to a request, to everybody.
pub const ANSWER: &[u8] = b"<ares>";
/// Ours: the answer to a request, to one instance.
pub const REPLY: &[u8] = b"<c>";
/// Ours: an instance to itself, to see whether it is heard.
pub const ECHO: &[u8] = b"<e>";
/// Ours: a service has left.
pub const PARTED: &[u8] = b"<p>";

/// The longest name of a service or an action, in bytes.
pub const MAX_NAME: usize = 255;
/// The longest list of a service's actions that is remembered, in bytes of JSON.
const MAX_ACTIONS: usize = 256 << 10;
