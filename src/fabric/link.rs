//! The one connection to the broker: made, watched, and made again. Whoever needs it holds a [`Link`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::{Channel, Connection, Event};
use tokio::sync::{oneshot, watch};

use super::address::Address;
use super::config::Config;
use super::context::Context;
use super::error::{Cause, classify};
use super::topology;
use crate::core::backoff::Backoff;
use crate::core::error::{Code, Error, Result};

/// What becomes of the connection, for whoever runs the connector. Called on the engine's thread.
pub trait Observer: Send + Sync + 'static {
    /// The connection's state has changed; why, when it is lost.
    fn state(&self, state: State, why: Option<&Error>);
    /// Something failed that nobody waits for; where.
    fn trouble(&self, error: &Error, place: &str);
}

/// The connection's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being made, for the first time or again.
    Connecting,
    /// It stands, and the exchanges are there.
    Connected,
    /// The broker takes nothing for now: it is short of memory or disk.
    Blocked,
    /// It takes messages again.
    Unblocked,
    /// It has ended; it is made again.
    Lost,
    /// It was closed here.
    Closed,
}

impl State {
    /// As users read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Blocked => "blocked",
            Self::Unblocked => "unblocked",
            Self::Lost => "lost",
            Self::Closed => "closed",
        }
    }
}

#[derive(Clone)]
enum Now {
    Down,
    Up(Arc<Connection>),
    Closed,
}

/// A view of the connection.
#[derive(Clone)]
pub(crate) struct Link {
    now: watch::Receiver<Now>,
}

impl Link {
    /// A channel of the connection, once there is one; `None` when there will be none any more.
    pub(crate) async fn channel(&mut self) -> Option<lapin::Result<Channel>> {
        let connection = self.connection().await?;
        Some(answered(connection.create_channel()).await)
    }

    /// The connection, once there is one; `None` when there will be none any more.
    async fn connection(&mut self) -> Option<Arc<Connection>> {
        loop {
            match &*self.now.borrow_and_update() {
                Now::Up(connection) if connection.status().connected() => {
                    return Some(Arc::clone(connection));
                }
                Now::Closed => return None,
                Now::Up(_) | Now::Down => {}
            }
            self.now.changed().await.ok()?;
        }
    }

    /// How large the broker's frames are, in bytes.
    pub(crate) fn frame_max(&self) -> usize {
        match &*self.now.borrow() {
            Now::Up(connection) => connection.configuration().frame_max().try_into().unwrap_or(usize::MAX),
            Now::Down | Now::Closed => usize::MAX,
        }
    }

    /// Waits until there will be no connection any more.
    pub(crate) async fn closed(&mut self) {
        let _ = self.now.wait_for(|now| matches!(now, Now::Closed)).await;
    }

    /// Whether it stands now.
    pub(crate) fn is_up(&self) -> bool {
        matches!(&*self.now.borrow(), Now::Up(connection) if connection.status().connected())
    }
}

/// Makes the connection, and makes it again, until it is told to stop.
pub(crate) struct Supervisor {
    context: Arc<Context>,
    now: watch::Sender<Now>,
}

/// A connection that stood for less is lost for a reason of its own: the next attempts wait longer.
const STEADY: Duration = Duration::from_secs(5);
/// For the broker's answer to the end of the connection.
const FAREWELL: Duration = Duration::from_secs(1);
/// A connection on which nothing is to be done any more.
pub(crate) struct Farewell(Arc<Connection>);

impl Farewell {
    /// Ends it as the broker expects it, once its channels have ended.
    pub(crate) async fn say(self) {
        let _ = tokio::time::timeout(FAREWELL, self.0.close(200, "bye".into())).await;
    }
}

/// What the broker does not answer in this time is asked again: a channel that it closes meanwhile answers nothing.
const ANSWER: Duration = Duration::from_secs(10);

/// Asks the broker for something, and does not wait for ever.
pub(crate) async fn answered<T>(asked: impl Future<Output = lapin::Result<T>>) -> lapin::Result<T> {
    let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "the broker did not answer").into();
    tokio::time::timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(late()))
}

/// How often a connection is looked at that says nothing of its end.
const LOOK: Duration = Duration::from_millis(500);

impl Supervisor {
    pub(crate) fn new(context: Arc<Context>) -> (Self, Link) {
        let (sender, now) = watch::channel(Now::Down);
        (Self { context, now: sender }, Link { now })
    }

    /// Runs until `stop`; gives the connection that still stands then. `first` is told when the connection stands for the first time, or why it never will.
    pub(crate) async fn run(
        self,
        first: oneshot::Sender<Result<()>>,
        mut stop: watch::Receiver<bool>,
    ) -> Option<Farewell> {
        let mut first = Some(first);
        let config = &self.context.config;
        let limits = &config.limits;
        let mut backoff = Backoff::new(limits.backoff_first, limits.backoff_most);
        loop {
            self.context.observer.state(State::Connecting, None);
            let outcome = tokio::select! {
                outcome = connect(config) => outcome,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let error = match outcome {
                Ok(connection) => {
                    let since = Instant::now();
                    self.context.set_away(None);
                    if let Some(first) = first.take() {
                        let _ = first.send(Ok(()));
                    }
                    let connection = Arc::new(connection);
                    self.now.send_replace(Now::Up(Arc::clone(&connection)));
                    self.context.observer.state(State::Connected, None);
                    let ended = tokio::select! {
                        error = self.ended(&connection) => Some(error),
                        _ = stop.wait_for(|stop| *stop) => None,
                    };
                    let Some(error) = ended else {
                        self.now.send_replace(Now::Closed);
                        return Some(Farewell(connection));
                    };
                    self.now.send_replace(Now::Down);
                    if since.elapsed() > STEADY {
                        backoff.reset();
                    }
                    error
                }
                Err((error, Cause::Final)) if first.is_some() => {
                    if let Some(first) = first.take() {
                        let _ = first.send(Err(error));
                    }
                    break;
                }
                Err((error, _)) => error,
            };
            self.context.observer.state(State::Lost, Some(&error));
            self.context.set_away(Some(error));
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        self.now.send_replace(Now::Closed);
        None
    }

    /// Waits for the connection's end, and tells what happens before.
    async fn ended(&self, connection: &Connection) -> Error {
        let mut events = std::pin::pin!(connection.events_listener());
        let mut cause = None;
        loop {
            let event = tokio::time::timeout(LOOK, events.next()).await;
            match event {
                Ok(Some(Event::ConnectionBlocked(reason))) => {
                    let text = format!(
                        "the broker at {} takes nothing for now: {reason}",
                        self.context.config.address
                    );
                    self.context.observer.state(State::Blocked, Some(&Error::new(Code::Overloaded, text)));
                }
                Ok(Some(Event::ConnectionUnblocked)) => self.context.observer.state(State::Unblocked, None),
                Ok(Some(Event::Error(error))) => cause = Some(error),
                Ok(Some(_) | None) | Err(_) => {}
            }
            if !connection.status().connected() {
                return lost(cause.as_ref(), &self.context.config.address);
            }
        }
    }
}

/// Why a connection has ended.
fn lost(cause: Option<&lapin::Error>, address: &Address) -> Error {
    match cause {
        Some(error) => classify(error, "the connection", address).0,
        None => Error::new(Code::ConnectionLost, format!("the broker at {address} has ended the connection")),
    }
}

/// A connection on which the exchanges are declared.
async fn connect(config: &Config) -> std::result::Result<Connection, (Error, Cause)> {
    let connection = config.address.connect(&config.identity.fqn(), &config.limits).await?;
    let told = |error: lapin::Error| classify(&error, "declaring the exchanges", &config.address);
    let channel = connection.create_channel().await.map_err(told)?;
    topology::declare(&channel, config).await.map_err(told)?;
    let _ = channel.close(200, "done".into()).await;
    Ok(connection)
}
