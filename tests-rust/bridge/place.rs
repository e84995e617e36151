//! A directory of its own for a test's services, and the services and clients in it.

use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ironbridge::bridge::auth::Token;
use ironbridge::bridge::client::blocking::{CallOptions, Client, Options};
use ironbridge::bridge::client::channel::Outgoing;
use ironbridge::bridge::client::target::Target;
use ironbridge::bridge::frame::{Frame, ReplyEnvelope, Vectors};
use ironbridge::bridge::registry::{ClaimRequest, Registry};
use ironbridge::bridge::server::{Opened, Service, ServiceOptions, TcpOptions};
use ironbridge::core::deadline::Deadline;
use ironbridge::core::error::{Code, Error, Result};
use ironbridge::core::instances::CacheOptions;
use ironbridge::core::limits::Limits;
use ironbridge::core::platform::directory::Places;
use rustls::ClientConfig;
use tempfile::TempDir;

use crate::host::{ENDPOINTS, Event, TestHost};

/// Longer than anything here takes: a test that waits so long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(20);
pub(crate) const NAME: &str = "tested";

/// Where a test's services are found.
pub(crate) struct Place {
    pub(crate) registry: Registry,
    _directory: TempDir,
}

/// What a service is opened with, beyond the usual.
pub(crate) struct Plan {
    pub(crate) endpoints: Vec<&'static str>,
    pub(crate) limits: Limits,
    pub(crate) cache: CacheOptions,
    pub(crate) threads: usize,
    pub(crate) tcp: Option<TcpOptions>,
}

impl Default for Plan {
    fn default() -> Self {
        let (limits, cache) = (Limits::default(), CacheOptions::default());
        Self { endpoints: ENDPOINTS.to_vec(), limits, cache, threads: 4, tcp: None }
    }
}

/// A running service.
pub(crate) struct Served {
    pub(crate) service: Service<TestHost>,
    pub(crate) host: Arc<TestHost>,
    events: Mutex<Receiver<Event>>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .permissions(PermissionsExt::from_mode(0o700))
            .tempdir_in("/tmp")
            .unwrap();
        let registry = Registry::at(Places::Only(directory.path().join("run")));
        Self { registry, _directory: directory }
    }

    pub(crate) fn serve(&self, plan: Plan) -> Served {
        let (sender, events) = channel();
        let host = Arc::new(TestHost::new(&plan.endpoints, sender));
        let options = ServiceOptions {
            registry: self.registry.clone(),
            claim: ClaimRequest {
                service: NAME.to_owned(),
                identity: "tests:Host".to_owned(),
                version: String::new(),
                schema: String::new(),
                group: None,
                worker: 0,
                workers: 1,
                tcp: None,
                detached: false,
                supervisor: None,
            },
            schema: schema(&plan.endpoints),
            endpoints: plan.endpoints.iter().map(|name| (*name).to_owned()).collect(),
            limits: plan.limits,
            cache: plan.cache,
            threads: plan.threads,
            tcp: plan.tcp,
            parent: None,
        };
        let Opened::Serving(service) = Service::open(Arc::clone(&host), options, &|| false).unwrap() else {
            panic!("the name is held")
        };
        assert!(host.engine.set(Arc::downgrade(service.engine())).is_ok());
        Served { service, host, events: Mutex::new(events) }
    }

    pub(crate) fn client(&self) -> TestClient {
        self.client_with(b"arguments", Limits::default()).unwrap()
    }

    pub(crate) fn client_with(&self, arguments: &[u8], limits: Limits) -> Result<TestClient> {
        let target = Target::Local { service: NAME.to_owned() };
        self.connect(target, arguments, limits, None, None)
    }

    pub(crate) fn connect(
        &self,
        target: Target,
        arguments: &[u8],
        limits: Limits,
        token: Option<Token>,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<TestClient> {
        let options = Options {
            target,
            registry: self.registry.clone(),
            arguments: arguments.to_vec(),
            token,
            tls,
            limits,
            poll_interval: Duration::from_millis(5),
        };
        let engine = Client::connect(options, Vectors, Deadline::after(Duration::from_secs(5)), &|| false)?;
        Ok(TestClient { engine })
    }
}

impl Served {
    /// Waits for the next event.
    pub(crate) fn next(&self) -> Event {
        self.events.lock().unwrap().recv_timeout(LONG).unwrap()
    }

    pub(crate) fn expect(&self, event: &Event) {
        assert_eq!(&self.next(), event);
    }

    /// Whatever has happened so far.
    pub(crate) fn so_far(&self) -> Vec<Event> {
        self.events.lock().unwrap().try_iter().collect()
    }

    /// Ends the service and waits for its end.
    pub(crate) fn stop(&self) {
        self.service.drain(Some(LONG));
        self.ended();
    }

    pub(crate) fn ended(&self) {
        assert!(self.service.wait(LONG), "the service did not end");
        assert!(self.service.join(LONG), "a worker did not end");
    }

    /// A number from the statistics.
    pub(crate) fn count(&self, pointer: &str) -> u64 {
        let document = self.service.engine().statistics_document();
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        document.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap()
    }

    /// Waits until it is that.
    pub(crate) fn until(&self, pointer: &str, number: u64) {
        let end = Instant::now() + LONG;
        while self.count(pointer) != number {
            assert!(Instant::now() < end, "{pointer} is {}, not {number}", self.count(pointer));
            std::thread::yield_now();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.host.open_gate();
        self.service.drain(Some(Duration::ZERO));
        let ended = self.service.wait(LONG);
        if !std::thread::panicking() {
            assert!(ended, "the service did not end");
        }
    }
}

/// A schema document as Python's would be.
fn schema(names: &[&str]) -> String {
    let endpoints: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(id, name)| {
            let kind = if *name == "who" { "instance" } else { "static" };
            serde_json::json!({"id": id, "name": name, "kind": kind, "coroutine": *name == "later"})
        })
        .collect();
    serde_json::json!({"service": NAME, "endpoints": endpoints}).to_string()
}

/// A blocking client whose values are bytes.
pub(crate) struct TestClient {
    pub(crate) engine: Client<Vectors>,
}

/// A call's options, with this much time.
pub(crate) fn within(time: Duration) -> CallOptions {
    CallOptions { begun: Instant::now(), deadline: Deadline::after(time), one_way: false, idempotent: false }
}

/// A reply, taken apart.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) envelope: ReplyEnvelope,
    pub(crate) payload: Vec<u8>,
    pub(crate) buffers: Vec<Vec<u8>>,
}

impl Reply {
    pub(crate) fn of(frame: Frame<Vec<u8>>) -> Self {
        let envelope = ReplyEnvelope::read(frame.envelope()).unwrap();
        Self { envelope, payload: frame.payload().to_vec(), buffers: frame.buffers }
    }

    /// The failure that it tells.
    pub(crate) fn failure(&self) -> Error {
        let fields: std::collections::HashMap<String, String> = rmp_serde::from_slice(&self.payload).unwrap();
        Error::new(self.envelope.code, fields["message"].clone()).with_fate(self.envelope.fate)
    }
}

impl TestClient {
    /// A call that succeeds.
    pub(crate) fn call(&self, name: &str, payload: &[u8]) -> Vec<u8> {
        let reply = self.reply(name, payload, within(LONG)).unwrap();
        assert_eq!(reply.envelope.code, Code::Ok, "{}", reply.failure());
        reply.payload
    }

    /// A call that fails, wherever that is noticed.
    pub(crate) fn fail(&self, name: &str, payload: &[u8]) -> Error {
        match self.reply(name, payload, within(LONG)) {
            Ok(reply) => {
                assert_ne!(reply.envelope.code, Code::Ok);
                reply.failure()
            }
            Err(error) => error,
        }
    }

    pub(crate) fn reply(&self, name: &str, payload: &[u8], options: CallOptions) -> Result<Reply> {
        let outgoing = (payload.to_vec(), Vec::new());
        Ok(self.exchange(name, outgoing, options, &|| false)?.unwrap())
    }

    pub(crate) fn exchange(
        &self,
        name: &str,
        (payload, buffers): (Vec<u8>, Vec<Vec<u8>>),
        options: CallOptions,
        interrupt: &dyn Fn() -> bool,
    ) -> Result<Option<Reply>> {
        let home = match self.engine.known_home() {
            Some(home) => home,
            None => self.engine.refresh(options.deadline, interrupt)?,
        };
        let mut outgoing = Outgoing { head: Vec::new(), buffers };
        let (prepared, open) = self.engine.prepare(name, home, &mut outgoing, (1, options))?;
        outgoing.head.extend_from_slice(&payload);
        let sizes: Vec<_> = outgoing.buffers.iter().map(|buffer| (buffer.len(), false)).collect();
        open.finish(&mut outgoing.head, sizes.into_iter(), self.engine.limits().max_frame)?;
        let reply = self.engine.exchange(prepared, &mut outgoing, options, interrupt)?;
        Ok(reply.map(Reply::of))
    }
}
