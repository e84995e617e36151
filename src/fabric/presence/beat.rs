//! A service says that it is there: each interval, when somebody asks, and that it leaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{GOODBYE, KEEP_ALIVE, WHO_IS_THERE};
use crate::fabric::context::Context;
use crate::fabric::identity::Identity;
use crate::fabric::link::{Link, answered};
use crate::fabric::{topology, wire};

/// What this service says of itself.
pub(crate) struct Own {
    identity: Identity,
    instance: String,
    started: Instant,
    /// Its methods with their parameters, in order.
    api: Mutex<Vec<String>>,
    asked: Notify,
    listens: Notify,
}

impl Own {
    pub(crate) fn new(identity: Identity, instance: String) -> Arc<Self> {
        Arc::new(Self {
            identity,
            instance,
            started: Instant::now(),
            api: Mutex::default(),
            asked: Notify::new(),
            listens: Notify::new(),
        })
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity.clone()
    }

    pub(crate) fn api(&self) -> Vec<String> {
        self.api.lock().clone()
    }

    /// Further methods are served.
    pub(crate) fn offers(&self, methods: impl IntoIterator<Item = String>) {
        let mut api = self.api.lock();
        api.extend(methods);
        api.sort_unstable();
        api.dedup();
        drop(api);
        self.asked.notify_one();
    }

    /// It hears now who is there.
    pub(crate) fn listens(&self) {
        self.listens.notify_one();
    }

    /// Somebody wants to know whether it is there.
    pub(crate) fn asked(&self) {
        self.asked.notify_one();
    }

    fn headers(&self, kind: &str, every: Option<Duration>, frame: usize) -> FieldTable {
        let mut headers = FieldTable::default();
        let mut say = |name: &str, value: &str| {
            headers.insert(name.into(), AMQPValue::LongString(value.into()));
        };
        say("msg_type", kind);
        say("service_domain", &self.identity.domain);
        say("service_id", &self.identity.id);
        say("service_type", &self.identity.kind);
        say("service_instance", &self.instance);
        if let Some(version) = &self.identity.version {
            say("service_version", version);
        }
        let api = self.api.lock().join(";");
        // A header is there for matching; an API that is longer than this is not told.
        if !api.is_empty() && api.len() <= LONGEST_API.min(frame / 4) {
            say("methods", &api);
        }
        if let Some(every) = every {
            headers.insert("keep_alive_seconds".into(), AMQPValue::Double(every.as_secs_f64()));
            headers.insert("uptime_seconds".into(), AMQPValue::Double(self.started.elapsed().as_secs_f64()));
        }
        headers
    }
}

/// The listener has a channel of its own, which opens about when this one does.
const LISTENING: Duration = Duration::from_secs(2);
const LONGEST_API: usize = 32 << 10;
/// Those who ask together are answered once.
const TOGETHER: Duration = Duration::from_millis(100);

/// Says it.
pub(crate) struct Beat {
    pub(crate) context: Arc<Context>,
    pub(crate) own: Arc<Own>,
    pub(crate) link: Link,
    /// Told when the service is to leave.
    pub(crate) leaving: Arc<Notify>,
    /// Told when it has said so.
    pub(crate) left: Arc<Notify>,
}

impl Beat {
    /// Until it has left, or the link is closed.
    pub(crate) async fn run(mut self) {
        loop {
            let opened = tokio::select! {
                opened = self.link.channel() => opened,
                () = self.leaving.notified() => None,
            };
            let Some(opened) = opened else { break };
            if let Ok(channel) = opened
                && self.beat_on(&channel).await
            {
                break;
            }
            self.context.pause().await;
        }
        self.left.notify_one();
    }

    /// Whether it has left, and not failed.
    async fn beat_on(&mut self, channel: &Channel) -> bool {
        // Answers to what is asked before this listens would be missed.
        let _ = tokio::time::timeout(LISTENING, self.own.listens.notified()).await;
        // Somebody may have deleted the exchange.
        let declared = answered(topology::declare(channel, &self.context.config)).await;
        if declared.is_err() || self.say(channel, WHO_IS_THERE, None).await.is_err() {
            return false;
        }
        let Some(every) = self.context.config.keep_alive else {
            tokio::select! {
                () = self.leaving.notified() => return true,
                () = self.link.closed() => return true,
                () = ended(channel) => return false,
            }
        };
        loop {
            if self.say(channel, KEEP_ALIVE, Some(every)).await.is_err() {
                return false;
            }
            let asked = async {
                self.own.asked.notified().await;
                tokio::time::sleep(TOGETHER).await;
            };
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = asked => {}
                () = self.link.closed() => return true,
                () = ended(channel) => return false,
                () = self.leaving.notified() => {
                    let _ = self.say(channel, GOODBYE, Some(every)).await;
                    return true;
                }
            }
        }
    }

    async fn say(&self, channel: &Channel, kind: &str, every: Option<Duration>) -> lapin::Result<()> {
        let properties = BasicProperties::default()
            .with_headers(self.own.headers(kind, every, self.link.frame_max()))
            .with_delivery_mode(1)
            .with_priority(0)
            .with_message_id(wire::message_id());
        let exchange = self.context.config.names.discovery_exchange.as_str().into();
        let options = BasicPublishOptions::default();
        channel.basic_publish(exchange, "".into(), options, &[], properties).await.map(drop)
    }
}

/// Waits for the end of a channel on which nothing is done.
async fn ended(channel: &Channel) {
    while channel.status().connected() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
