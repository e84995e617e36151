//! A host whose endpoints are Rust, and do what a test tells them.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, OnceLock, Weak};
use std::time::Duration;

use ironbridge::bridge::frame::{Allocate, Vectors};
use ironbridge::bridge::server::call::{Call, Running};
use ironbridge::bridge::server::connection::Connection;
use ironbridge::bridge::server::engine::Engine;
use ironbridge::bridge::server::host::{Answer, EndpointKind, Host, Seated};
use ironbridge::core::error::{Code, Error, Fate, Result};
use ironbridge::core::platform::socket::{Interest, wait};

/// Every endpoint there is; a service offers those it names, numbered in its own order.
pub(crate) const ENDPOINTS: [&str; 7] = ["echo", "fail", "who", "gate", "note", "flood", "later"];
/// What `flood` replies with.
pub(crate) const FLOOD: usize = 1 << 20;

/// What has happened, for tests to wait on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// `gate` or `note` began, with this payload.
    Began(Vec<u8>),
    /// `gate` saw that its call was given up; it ends then, unless it is stubborn.
    GivenUp(Vec<u8>),
    /// An instance was built with these arguments.
    Built(Vec<u8>),
    /// It was closed.
    Closed(Vec<u8>),
    /// `later` began.
    Spawned(u64),
    /// A coroutine was cancelled.
    Cancelled(Option<u64>),
}

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) arguments: Vec<u8>,
    /// Which one it is, from 1.
    pub(crate) number: usize,
}

pub(crate) struct TestHost {
    names: Vec<&'static str>,
    events: Mutex<Sender<Event>>,
    open: Mutex<bool>,
    opened: Condvar,
    built: Mutex<usize>,
    later: Mutex<HashMap<u64, Running<Self>>>,
    pub(crate) engine: OnceLock<Weak<Engine<Self>>>,
}

impl TestHost {
    pub(crate) fn new(names: &[&'static str], events: Sender<Event>) -> Self {
        Self {
            names: names.to_vec(),
            events: Mutex::new(events),
            open: Mutex::new(false),
            opened: Condvar::new(),
            built: Mutex::new(0),
            later: Mutex::default(),
            engine: OnceLock::new(),
        }
    }

    fn tell(&self, event: Event) {
        // A test that has ended listens no more.
        let _ = self.events.lock().unwrap().send(event);
    }

    /// Lets every call of `gate`, and every constructor that waits, go on.
    pub(crate) fn open_gate(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    /// Waits for the gate, looking now and then whether it is still worth it.
    fn pass_gate(&self, given_up: impl Fn() -> bool) -> bool {
        let mut open = self.open.lock().unwrap();
        while !*open {
            if given_up() {
                return false;
            }
            open = self.opened.wait_timeout(open, Duration::from_millis(2)).unwrap().0;
        }
        true
    }

    /// Ends the coroutine of this call with this answer.
    pub(crate) fn finish_later(&self, call: u64, payload: &[u8]) {
        let running = self.later.lock().unwrap().remove(&call).unwrap();
        let mut answer = Answer::default();
        answer.parts().0.extend_from_slice(payload);
        running.complete(&mut answer, false);
    }
}

impl Allocate for TestHost {
    type Buffer = Vec<u8>;

    fn allocate(&self, length: usize, mutable: bool) -> Result<Vec<u8>> {
        Vectors.allocate(length, mutable)
    }
}

impl Host for TestHost {
    type Out = Vec<u8>;
    type Instance = Arc<Instance>;

    fn on_worker_thread(&self, body: &mut (dyn FnMut() + Send)) {
        body();
    }

    fn together(&self, body: &mut dyn FnMut()) {
        body();
    }

    fn endpoint(&self, id: u16) -> Option<EndpointKind> {
        let name = self.names.get(usize::from(id))?;
        Some(EndpointKind { coroutine: *name == "later", instance: *name == "who" })
    }

    fn key(&self, arguments: &[u8]) -> Result<Vec<u8>, Answer<Vec<u8>>> {
        Ok(arguments.to_vec())
    }

    fn build(&self, arguments: &[u8]) -> Result<Arc<Instance>, Answer<Vec<u8>>> {
        if arguments.starts_with(b"slow") {
            self.tell(Event::Began(arguments.to_vec()));
            self.pass_gate(|| false);
        }
        let mut built = self.built.lock().unwrap();
        *built += 1;
        self.tell(Event::Built(arguments.to_vec()));
        if arguments.ends_with(b"bad") {
            let error = Error::new(Code::RemoteExecution, "cannot be built").with_fate(Fate::Executed);
            return Err(Answer::failure(&error));
        }
        Ok(Arc::new(Instance { arguments: arguments.to_vec(), number: *built }))
    }

    fn invoke(
        &self,
        call: &mut Call<Self>,
        instance: Option<&Arc<Instance>>,
        seated: Seated<'_, Self>,
        answer: &mut Answer<Vec<u8>>,
    ) {
        let payload = call.frame.payload().to_vec();
        match self.names[usize::from(call.endpoint)] {
            "echo" => {
                let (head, buffers) = answer.parts();
                head.extend_from_slice(&payload);
                buffers.append(&mut call.frame.buffers);
            }
            "fail" => {
                answer.fail(&Error::new(Code::RemoteExecution, "it fails").with_fate(Fate::Executed));
            }
            "who" => {
                let instance = instance.unwrap();
                let text = format!("{} {}", instance.number, String::from_utf8_lossy(&instance.arguments));
                answer.parts().0.extend_from_slice(text.as_bytes());
            }
            "gate" => {
                self.tell(Event::Began(payload.clone()));
                if !self.pass_gate(|| seated.seat.is_cancelled(seated.number)) {
                    self.tell(Event::GivenUp(payload.clone()));
                    if payload == b"stubborn" {
                        self.pass_gate(|| false);
                    }
                }
                answer.parts().0.extend_from_slice(&payload);
            }
            "note" => self.tell(Event::Began(payload)),
            "flood" => answer.parts().1.push(vec![7; FLOOD]),
            name => panic!("{name} is no plain endpoint"),
        }
    }

    fn spawn(&self, running: Running<Self>) {
        let id = running.call.id;
        self.later.lock().unwrap().insert(id, running);
        self.tell(Event::Spawned(id));
    }

    fn adopt(&self, connection: Arc<Connection<Self>>) {
        // Instead of a loop, a thread that reads this one connection.
        let engine = self.engine.get().and_then(Weak::upgrade).unwrap();
        std::thread::spawn(move || {
            let mut answer = Answer::default();
            while engine.read_on_loop(&connection, &mut answer).is_some() {
                engine.flush_on_loop(&connection);
                let fd = connection.with_stream(|stream| stream.fd().try_clone_to_owned().unwrap());
                wait(fd, Interest::Readable, Duration::from_secs(10)).unwrap();
            }
        });
    }

    fn cancel(&self, connection: u64, call: Option<u64>) {
        let taken: Vec<_> = {
            let mut later = self.later.lock().unwrap();
            let wanted = |id: &u64, running: &Running<Self>| {
                running.call.connection.token == connection
                    && call.map_or(!running.call.is_one_way(), |call| call == *id)
            };
            let ids: Vec<u64> =
                later.iter().filter(|(id, running)| wanted(id, running)).map(|(id, _)| *id).collect();
            ids.into_iter().filter_map(|id| later.remove(&id)).collect()
        };
        for running in taken {
            self.tell(Event::Cancelled(Some(running.call.id)));
            let error = Error::new(Code::Cancelled, "cancelled").with_fate(Fate::Executed);
            running.complete(&mut Answer::failure(&error), false);
        }
    }

    fn close(&self, instance: Arc<Instance>) {
        self.tell(Event::Closed(instance.arguments.clone()));
    }

    fn log(&self, message: &str) {
        eprintln!("service: {message}");
    }
}
