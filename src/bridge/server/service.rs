//! A service of this process: claims its name, opens its doors, starts its threads, ends them in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustls::ServerConfig;
use serde_bytes::ByteBuf;

use crate::bridge::auth::Token;
use crate::bridge::client::probe::probe;
use crate::bridge::hello::{VERSION, Welcome};
use crate::bridge::lease::LeaseRecord;
use crate::bridge::registry::{Claim, ClaimRequest, Registry};
use crate::bridge::schema;
use crate::core::deadline::Interrupt;
use crate::core::error::{Code, Error, Result};
use crate::core::instances::{CacheOptions, InstanceCache};
use crate::core::limits::Limits;
use crate::core::observe::{Observers, Statistics};
use crate::core::platform::process::{ParentWatch, raise_descriptor_limit};
use crate::core::platform::socket::listen_tcp;

use super::call::Call;
use super::engine::Engine;
use super::host::{Answer, Host};
use super::keeper::{Keeper, TcpDoor, keep};

/// What a service is opened with.
#[derive(Debug)]
pub struct ServiceOptions {
    /// Where it is found.
    pub registry: Registry,
    /// Name, class, worker: what its lease says.
    pub claim: ClaimRequest,
    /// Its schema document.
    pub schema: String,
    /// Its endpoints' names by number, for the statistics.
    pub endpoints: Vec<String>,
    /// Bounds.
    pub limits: Limits,
    /// The instance cache.
    pub cache: CacheOptions,
    /// The most threads that run calls.
    pub threads: usize,
    /// The way in from other machines.
    pub tcp: Option<TcpOptions>,
    /// The process with which it ends.
    pub parent: Option<u32>,
}

/// A way in from other machines.
#[derive(Debug)]
pub struct TcpOptions {
    /// The address to listen on.
    pub address: SocketAddr,
    /// What callers must know.
    pub token: Token,
    /// TLS, if wanted.
    pub tls: Option<Arc<ServerConfig>>,
    /// Several processes of the service listen on that address.
    pub shared: bool,
}

/// A running service.
pub struct Service<H: Host> {
    engine: Arc<Engine<H>>,
    /// What its lease says.
    pub record: LeaseRecord,
    grace: Arc<Mutex<Duration>>,
    ended: Arc<(Mutex<bool>, Condvar)>,
}

impl<H: Host> std::fmt::Debug for Service<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("record", &self.record).finish_non_exhaustive()
    }
}

/// How opening a service ended.
#[derive(Debug)]
pub enum Opened<H: Host> {
    /// It serves.
    Serving(Service<H>),
    /// Another process serves the same class under this name.
    Held(LeaseRecord),
}

impl<H: Host> Service<H> {
    /// Claims the name and begins to serve.
    ///
    /// # Errors
    /// `ServiceAlreadyExists`, `Configuration` (an address that cannot be listened on, no descriptors),
    /// `ServiceUnavailable` when the name's lock cannot be had, `Cancelled` when interrupted.
    pub fn open(host: Arc<H>, options: ServiceOptions, interrupt: Interrupt<'_>) -> Result<Opened<H>> {
        let ServiceOptions { registry, mut claim, schema, endpoints, limits, cache, threads, tcp, parent } =
            options;
        raise_descriptor_limit();
        let door = tcp.map(listen).transpose()?;
        claim.tcp = door.as_ref().and_then(|door| door.listener.local_addr().ok()).map(|at| at.to_string());
        claim.schema = schema::hash(&schema);
        let service = claim.service.clone();
        let lease = match registry.claim(claim, &|holder| probe(holder, interrupt), interrupt)? {
            Claim::Claimed(lease) => lease,
            Claim::Held(record) => return Ok(Opened::Held(record)),
        };
        let record = lease.record().clone();
        let parent = watch(parent)?;
        let welcome = Welcome {
            version: VERSION,
            capabilities: 0,
            service: service.clone(),
            nonce: ByteBuf::from(record.nonce),
            schema: record.schema.clone(),
            max_frame: limits.max_frame as u64,
            workers: record.workers,
            worker: record.worker,
            moment: 0,
            proof: None,
        };
        let grace = Arc::new(Mutex::new(limits.grace));
        // Those who wait for an instance wait like all others.
        let instances = instances(&host, CacheOptions { max_waiters: limits.max_queue, ..cache });
        let observers = Observers::new(Statistics::new(endpoints), Vec::new());
        let engine = Engine::new(host, limits, service, schema, observers, instances, threads)?;
        let ended = Arc::new((Mutex::new(false), Condvar::new()));
        let keeper = Keeper {
            engine: Arc::clone(&engine),
            welcome,
            lease: Some(lease),
            tcp: door,
            parent,
            grace: Arc::clone(&grace),
        };
        start_keeper(keeper, Arc::clone(&ended))?;
        // Two to begin with: one runs a call while the other waits for the next caller.
        engine.hire();
        engine.hire();
        Ok(Opened::Serving(Self { engine, record, grace, ended }))
    }

    /// What its threads share.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine<H>> {
        &self.engine
    }

    /// Begins to end: no new calls, running ones have `grace` (else the limit's) to finish.
    pub fn drain(&self, grace: Option<Duration>) {
        if let Some(grace) = grace {
            *self.grace.lock() = grace;
        }
        self.engine.begin_drain();
    }

    /// Waits for its end; `false` when the time ran out first.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        let (ended, changed) = &*self.ended;
        let end = Instant::now() + time;
        let mut ended = ended.lock();
        while !*ended {
            if changed.wait_until(&mut ended, end).timed_out() {
                return *ended;
            }
        }
        true
    }

    /// Waits until its workers have ended, once it has; `false` when a call still runs after `patience`.
    #[must_use]
    pub fn join(&self, patience: Duration) -> bool {
        self.engine.pool.join(patience)
    }
}

fn instances<H: Host>(host: &Arc<H>, options: CacheOptions) -> InstanceCache<H::Instance, Call<H>> {
    let closer = Arc::downgrade(host);
    InstanceCache::new(
        options,
        move |instance| {
            if let Some(host) = closer.upgrade() {
                host.close(instance);
            }
        },
        |abandoned: Vec<Call<H>>| {
            for call in abandoned {
                let error = Error::new(Code::ServiceUnavailable, "building the instance was given up");
                call.answer(&mut Answer::failure(&error));
            }
        },
    )
}

fn start_keeper<H: Host>(keeper: Keeper<H>, ended: Arc<(Mutex<bool>, Condvar)>) -> Result<()> {
    let engine = Arc::clone(&keeper.engine);
    let body = move || {
        if let Err(error) = keep(keeper) {
            engine.host.log(&format!("the keeper could not begin: {error}"));
        }
        let (flag, changed) = &*ended;
        *flag.lock() = true;
        changed.notify_all();
    };
    std::thread::Builder::new()
        .name("ironbridge-keeper".into())
        .spawn(body)
        .map(drop)
        .map_err(|error| Error::io(Code::Configuration, "starting the keeper's thread", &error))
}

fn listen(options: TcpOptions) -> Result<TcpDoor> {
    let doing = || format!("listening on {}", options.address);
    let listener = listen_tcp(options.address, options.shared)
        .map_err(|error| Error::io(Code::Configuration, &doing(), &error))?;
    Ok(TcpDoor { listener, token: options.token, tls: options.tls })
}

fn watch(parent: Option<u32>) -> Result<Option<ParentWatch>> {
    let Some(pid) = parent else { return Ok(None) };
    let doing = "watching the process that started this service";
    match ParentWatch::of_parent(pid).map_err(|error| Error::io(Code::Configuration, doing, &error))? {
        Some(watch) => Ok(Some(watch)),
        None => {
            Err(Error::new(Code::Configuration, "the process that started this service has ended already"))
        }
    }
}
