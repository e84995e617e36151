//! From a new connection to one that carries messages: greetings, then `READY`, with or without a secret.

use super::command::{self, Properties};
use super::encode;
use super::greeting::{self, GREETING, NULL, SECRET, UP_TO_VERSION};
use super::proof::Challenge;
use super::{Role, flag};
use crate::core::error::{Code, Error, Result};
use crate::core::secret::Secret;

/// The longest command of a handshake.
const LONGEST: usize = 4096;

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its kind of socket.
    pub role: Role,
    /// The name that it gave itself, mostly empty.
    pub identity: Vec<u8>,
    /// It speaks ZMTP 3 and this.
    pub minor: u8,
}

/// One side of a handshake.
#[derive(Debug)]
pub struct Handshake {
    role: Role,
    identity: Vec<u8>,
    /// Until the greetings are over.
    secret: Option<Secret>,
    /// From then on, where there is a secret.
    challenge: Option<Challenge>,
    as_server: bool,
    step: Step,
    minor: u8,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The rest of the greeting.
    later: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Greeting,
    /// The peer's `READY`, without a secret.
    Ready,
    /// The server waits for `HELLO`.
    Hello,
    /// The client waits for `WELCOME`.
    Welcome,
    /// The server waits for `INITIATE`.
    Initiate,
    /// The client waits for `READY`.
    Proof,
    Over,
}

impl Handshake {
    /// Begins one, as the side that listens (`as_server`) or the one that connects. With a secret, only peers that
    /// prove that they know it are accepted.
    #[must_use]
    pub fn new(role: Role, identity: &[u8], secret: Option<&Secret>, as_server: bool) -> Self {
        let mechanism = if secret.is_some() { SECRET } else { NULL };
        let greeting = greeting::write(mechanism, as_server);
        // A listener names its mechanism after it has heard the caller's: some callers that ask for another one hang up
        // at once, and would not be known for what they are.
        let at_once = if as_server { UP_TO_VERSION } else { GREETING };
        let (now, later) = greeting.split_at(at_once.min(GREETING));
        Self {
            role,
            identity: identity.to_vec(),
            secret: secret.cloned(),
            challenge: None,
            as_server,
            step: Step::Greeting,
            minor: 0,
            input: Vec::new(),
            output: now.to_vec(),
            later: later.to_vec(),
        }
    }

    /// Takes what is to be sent now; after an error too, since it tells the peer why.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Takes what the peer sent: how many bytes of it, and who it is once the handshake is done. What is not taken
    /// then are frames.
    ///
    /// # Errors
    /// `Protocol` when the peer speaks something else or is of the wrong kind, `Authentication` when one of both does
    /// not know the other's secret, `ConnectionLost` when the peer refuses for another reason. Send what
    /// [`Handshake::output`] has, and close.
    pub fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<Peer>)> {
        self.take(input).inspect_err(|error| {
            // Before the greetings are over a peer understands nothing; and one that refuses us needs no refusal.
            if !matches!(self.step, Step::Greeting | Step::Over) {
                encode::error(&mut self.output, &error.message);
            }
            self.step = Step::Over;
        })
    }

    fn take(&mut self, input: &[u8]) -> Result<(usize, Option<Peer>)> {
        let mut used = 0;
        loop {
            let wanted = self.wanted()?;
            let rest = input.get(used..).unwrap_or_default();
            let taken = rest.len().min(wanted.saturating_sub(self.input.len()));
            self.input.extend_from_slice(rest.get(..taken).unwrap_or_default());
            used += taken;
            if matches!(self.step, Step::Greeting) {
                greeting::check_beginning(&self.input)?;
            }
            if self.input.len() < wanted {
                return Ok((used, None));
            }
            // It may have been a header: then the length is known only now.
            if wanted == self.wanted()? {
                let whole = std::mem::take(&mut self.input);
                if let Some(peer) = self.advance(&whole)? {
                    self.step = Step::Over;
                    return Ok((used, Some(peer)));
                }
            }
        }
    }

    /// How many bytes the next step needs in all, as far as that is known.
    fn wanted(&self) -> Result<usize> {
        match self.step {
            Step::Over => return Err(Error::protocol("the handshake is over")),
            Step::Greeting => return Ok(GREETING),
            _ => {}
        }
        let Some(flags) = self.input.first() else { return Ok(2) };
        let (head, length) = match (*flags, self.input.get(1..9)) {
            (flag::COMMAND, _) => (2, self.input.get(1).map(|length| u64::from(*length))),
            (flags, long) if flags == flag::COMMAND | flag::LONG => {
                (9, long.and_then(|long| long.try_into().ok()).map(u64::from_be_bytes))
            }
            _ => return Err(Error::protocol("a message before the handshake is done")),
        };
        match length.map(usize::try_from) {
            None => Ok(head),
            Some(Ok(length)) if length <= LONGEST => Ok(head + length),
            Some(_) => {
                Err(Error::protocol(format!("a command of more than {LONGEST} bytes in the handshake")))
            }
        }
    }

    fn advance(&mut self, whole: &[u8]) -> Result<Option<Peer>> {
        if matches!(self.step, Step::Greeting) {
            self.output.append(&mut self.later);
            let mechanism = if self.secret.is_some() { SECRET } else { NULL };
            self.minor = greeting::read(whole, mechanism, self.as_server)?;
            self.begin()?;
            return Ok(None);
        }
        let head = if whole.first().is_some_and(|flags| flags & flag::LONG != 0) { 9 } else { 2 };
        let (name, body) = command::split(whole.get(head..).unwrap_or_default())?;
        if name == b"ERROR" {
            // Who proved something and is refused then has proved nothing.
            let code = match self.step {
                Step::Proof => Code::Authentication,
                _ => Code::ConnectionLost,
            };
            self.step = Step::Over;
            let reason = command::reason(body);
            return Err(Error::new(code, format!("the peer refuses the connection: {reason}")));
        }
        match (self.step, name) {
            (Step::Ready, b"READY") => {
                let peer = self.meet(body)?;
                if self.as_server {
                    self.tell(b"READY", &[]);
                }
                return Ok(Some(peer));
            }
            (Step::Hello, b"HELLO") => {
                let own = self.challenge()?.take_nonce(body)?;
                encode::command(&mut self.output, b"WELCOME", &[&own]);
                self.step = Step::Initiate;
            }
            (Step::Welcome, b"WELCOME") => {
                self.challenge()?.take_nonce(body)?;
                let proof = self.challenge()?.own_proof(false);
                self.tell(b"INITIATE", &proof);
                self.step = Step::Proof;
            }
            (Step::Initiate, b"INITIATE") => {
                let properties = self.challenge()?.check(body, true)?;
                let (peer, proof) = (self.meet(properties)?, self.challenge()?.own_proof(true));
                self.tell(b"READY", &proof);
                return Ok(Some(peer));
            }
            (Step::Proof, b"READY") => {
                let properties = self.challenge()?.check(body, false)?;
                return self.meet(properties).map(Some);
            }
            (_, other) => {
                let name: String = String::from_utf8_lossy(other).escape_debug().take(32).collect();
                return Err(Error::protocol(format!("the command {name:?} has no place in this handshake")));
            }
        }
        Ok(None)
    }

    /// After the greetings.
    fn begin(&mut self) -> Result<()> {
        let Some(secret) = self.secret.take() else {
            // A listener says what it is after the caller, for the same reason as with its mechanism.
            if !self.as_server {
                self.tell(b"READY", &[]);
            }
            self.step = Step::Ready;
            return Ok(());
        };
        let challenge = Challenge::new(secret)?;
        self.step = Step::Hello;
        if !self.as_server {
            encode::command(&mut self.output, b"HELLO", &[&challenge.own]);
            self.step = Step::Welcome;
        }
        self.challenge = Some(challenge);
        Ok(())
    }

    fn challenge(&mut self) -> Result<&mut Challenge> {
        self.challenge.as_mut().ok_or_else(|| Error::protocol("a proof without a secret"))
    }

    fn tell(&mut self, name: &[u8], proof: &[u8]) {
        let mut properties = Vec::new();
        Properties::write(&mut properties, self.role, &self.identity);
        encode::command(&mut self.output, name, &[proof, &properties]);
    }

    fn meet(&self, properties: &[u8]) -> Result<Peer> {
        let told = Properties::read(properties)?;
        let name = told.socket_type.unwrap_or_default();
        match Role::named(name) {
            Some(role) if role == self.role.counterpart() => {
                Ok(Peer { role, identity: told.identity.to_vec(), minor: self.minor })
            }
            _ => {
                let (ours, theirs) = (self.role.name(), self.role.counterpart().name());
                let name: String = String::from_utf8_lossy(name).escape_debug().take(32).collect();
                Err(Error::protocol(format!(
                    "a {ours} socket talks to {theirs} sockets, and the peer is {name:?}: are the two endpoints of the \
                     hub swapped?"
                )))
            }
        }
    }
}
