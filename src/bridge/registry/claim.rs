//! Claiming a name: exclusive, unless the claimant is a worker of the service that has it.
//!
//! Handshakes take time, so they happen before the name is locked. Under the lock only what has not been asked
//! yet matters; if there is such a lease, the lock is let go and it is asked too.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Registry, entries, open, remove};
use crate::bridge::lease::{Files, Lease, LeaseRecord, Liveness, Nonce, Probe, Renewed, State};
use crate::bridge::record::{FileName, MAX_SERVICE_NAME, lock_path, socket_path};
use crate::core::deadline::{Deadline, Interrupt};
use crate::core::error::{Code, Error, Result};
use crate::core::platform::lock::{PathLock, is_locked};
use crate::core::platform::process::own_pid;

/// How long a claim waits while others claim the same name.
const LOCK_TIME: Duration = Duration::from_secs(5);
/// How often a claim begins anew because the directory or the name's holder changed meanwhile.
const MOST_ROUNDS: usize = 64;

/// What a daemon says of itself when it claims a name.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// The service's name.
    pub service: String,
    /// Which class is served, as `module:qualname`.
    pub identity: String,
    /// Which code that class has.
    pub version: String,
    /// The hash of the schema document.
    pub schema: String,
    /// What the workers of one service have in common; none for a daemon alone.
    pub group: Option<Nonce>,
    /// This worker's number, from 0.
    pub worker: u16,
    /// How many workers the service has.
    pub workers: u16,
    /// `host:port`, when it also listens there.
    pub tcp: Option<String>,
    /// Whether it outlives the process that started it.
    pub detached: bool,
    /// The process that starts its workers again, when there is one.
    pub supervisor: Option<u32>,
}

/// How a claim ended.
#[derive(Debug)]
pub enum Claim {
    /// The name is ours.
    Claimed(Lease),
    /// A live daemon serves the same class under this name: attach to it.
    Held(LeaseRecord),
}

impl Registry {
    /// Claims a name for this process: a lease file, locked, and a listening socket. A daemon that drains, or
    /// does not answer the probe, does not keep a name.
    ///
    /// # Errors
    /// `ServiceAlreadyExists` when a live daemon serves another class under that name; `ServiceUnavailable` when
    /// others keep the name's lock for 5 s; `Cancelled` when interrupted; `Configuration` for a bad name or
    /// directory.
    pub fn claim(&self, request: ClaimRequest, probe: Probe<'_>, interrupt: Interrupt<'_>) -> Result<Claim> {
        check_name(&request.service)?;
        let record = new_record(request)?;
        let put = |directory: &Path| {
            let record = LeaseRecord { socket: socket_path(directory, &record.nonce), ..record.clone() };
            Ok(Lease::new(self.clone(), record.clone(), Files::publish(directory, &record)?))
        };
        Ok(match self.put_alone(&record, (probe, interrupt), put, Lease::release)? {
            Outcome::Put(lease) => Claim::Claimed(lease),
            Outcome::Taken(holder) if holder.identity == record.identity => Claim::Held(*holder),
            Outcome::Taken(holder) => return Err(already_exists(&holder)),
        })
    }

    /// Puts a lease in place again, its socket too unless that is still where a lease of today would have it.
    pub(in crate::bridge) fn renew(
        &self,
        record: &LeaseRecord,
        files: &Files,
        probe: Probe<'_>,
    ) -> Result<(LeaseRecord, Renewed)> {
        let put = |directory: &Path| {
            if directory == files.directory() && files.socket_is_in_place(record) {
                return Ok((record.clone(), Renewed::File(files.publish_file(record)?)));
            }
            let record = LeaseRecord { socket: socket_path(directory, &record.nonce), ..record.clone() };
            let files = Files::publish(directory, &record)?;
            Ok((record, Renewed::All(files)))
        };
        let withdraw = |(record, renewed): (LeaseRecord, Renewed)| match renewed {
            Renewed::File(_) => drop(std::fs::remove_file(files.path())),
            Renewed::All(files) => files.remove(&record),
        };
        match self.put_alone(record, (probe, &|| false), put, withdraw)? {
            Outcome::Put(renewed) => Ok(renewed),
            Outcome::Taken(holder) => Err(already_exists(&holder)),
        }
    }

    /// Puts something in place while no other live daemon has the name and nobody else is about to take it.
    fn put_alone<T>(
        &self,
        ours: &LeaseRecord,
        (probe, interrupt): (Probe<'_>, Interrupt<'_>),
        put: impl Fn(&Path) -> Result<T>,
        withdraw: impl Fn(T),
    ) -> Result<Outcome<T>> {
        let mut asked: HashSet<Nonce> = HashSet::new();
        let in_the_way = |holder: &LeaseRecord| {
            let same_service = holder.group == ours.group && holder.identity == ours.identity;
            holder.nonce != ours.nonce && !same_service && holder.state == State::Serving
        };
        for _ in 0..MOST_ROUNDS {
            for holder in self.find(&ours.service)?.into_iter().filter(in_the_way) {
                if asked.insert(holder.nonce) && probe(&holder) == Liveness::Alive {
                    return Ok(Outcome::Taken(Box::new(holder)));
                }
                // A daemon that was given no time to answer is not known to be dead.
                if interrupt() {
                    return Err(Error::interrupted());
                }
            }
            let Some(name) = NameLock::acquire(self, &ours.service, interrupt)? else { continue };
            let newcomer = |holder: &LeaseRecord| in_the_way(holder) && !asked.contains(&holder.nonce);
            if self.find(&ours.service)?.iter().any(newcomer) {
                continue;
            }
            name.clean(&ours.service, &asked)?;
            let done = put(&name.directory)?;
            if name.still_held(self)? {
                return Ok(Outcome::Put(done));
            }
            withdraw(done);
        }
        Err(Error::new(
            Code::ServiceUnavailable,
            format!("the service name {:?} or the runtime directory keeps changing; try again", ours.service),
        ))
    }
}

enum Outcome<T> {
    Put(T),
    Taken(Box<LeaseRecord>),
}

/// A name that nobody else claims now: its lock in every directory that a lease may be in.
struct NameLock {
    locks: Vec<PathLock>,
    directories: Vec<PathBuf>,
    /// The one for new leases.
    directory: PathBuf,
}

impl NameLock {
    /// `None` when a directory vanished meanwhile: begin anew.
    fn acquire(registry: &Registry, service: &str, interrupt: Interrupt<'_>) -> Result<Option<Self>> {
        let deadline = Deadline::after(LOCK_TIME);
        let directory = registry.places.choose()?;
        let directories = registry.places.existing()?;
        let mut locks = Vec::with_capacity(directories.len());
        for directory in &directories {
            let path = lock_path(directory, service);
            match PathLock::acquire(&path, deadline, interrupt) {
                Ok(Some(lock)) => locks.push(lock),
                Ok(None) if interrupt() => return Err(Error::interrupted()),
                Ok(None) => {
                    return Err(Error::new(
                        Code::ServiceUnavailable,
                        format!(
                            "other processes have kept the name {service:?} locked for {} s; try again, and if \
                             nobody is starting that service, remove {}",
                            LOCK_TIME.as_secs(),
                            path.display()
                        ),
                    ));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => {
                    let doing = format!("locking {}", path.display());
                    return Err(Error::io(Code::Configuration, &doing, &error));
                }
            }
        }
        Ok(Some(Self { locks, directories, directory }))
    }

    /// Whether nobody can have had the name at the same time: the locks are in place (the directory was not
    /// emptied), and there is no directory that others look into and we did not.
    fn still_held(&self, registry: &Registry) -> Result<bool> {
        Ok(self.directories.contains(&self.directory)
            && self.directories == registry.places.existing()?
            && self.locks.iter().all(PathLock::is_in_place))
    }

    /// Removes the leases of these daemons, which do not answer, and what claims that were killed have left.
    fn clean(&self, service: &str, dead: &HashSet<Nonce>) -> Result<()> {
        for directory in &self.directories {
            for path in entries(directory, Some(service))? {
                let Some(name) = path.file_name().and_then(FileName::parse) else { continue };
                let unlocked = || open(&path).is_some_and(|file| is_locked(&file).is_ok_and(|held| !held));
                if dead.contains(&name.nonce) || (!name.placed && unlocked()) {
                    remove(directory, &path, &name.nonce);
                }
            }
        }
        Ok(())
    }
}

fn new_record(request: ClaimRequest) -> Result<LeaseRecord> {
    let mut nonce = Nonce::default();
    getrandom::fill(&mut nonce)
        .map_err(|error| Error::new(Code::Configuration, format!("no random numbers: {error}")))?;
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(LeaseRecord {
        service: request.service,
        nonce,
        group: request.group.unwrap_or(nonce),
        pid: own_pid(),
        identity: request.identity,
        version: request.version,
        schema: request.schema,
        socket: PathBuf::new(),
        worker: request.worker,
        workers: request.workers,
        started_unix_ms: u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
        tcp: request.tcp,
        detached: request.detached,
        supervisor: request.supervisor,
        state: State::Serving,
    })
}

fn check_name(service: &str) -> Result<()> {
    if service.is_empty() || service.len() > MAX_SERVICE_NAME {
        return Err(Error::new(
            Code::Configuration,
            format!("a service's name has 1 to {MAX_SERVICE_NAME} bytes, this one has {}", service.len()),
        ));
    }
    Ok(())
}

fn already_exists(holder: &LeaseRecord) -> Error {
    let name = &holder.service;
    Error::new(
        Code::ServiceAlreadyExists,
        format!(
            "the service {name:?} is already served by {} (process {}); stop it with `ironbridge stop {name}`, or \
             choose another name",
            holder.identity,
            holder.supervisor.unwrap_or(holder.pid)
        ),
    )
}
