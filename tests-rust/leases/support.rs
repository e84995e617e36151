//! Daemons in this process and in others, and the handshake that tells whether they live.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use ironbridge::bridge::lease::{Lease, LeaseRecord, Liveness};
use ironbridge::bridge::registry::{Claim, ClaimRequest, Registry};
use ironbridge::core::error::Result;
use ironbridge::core::platform::directory::Places;
use ironbridge::core::platform::socket::{Interest, wait};
use tempfile::TempDir;

use super::forks;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A private directory with a registry in it.
pub(crate) struct Machine {
    pub(crate) registry: Registry,
    pub(crate) directory: PathBuf,
    _temporary: TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let temporary = private_directory();
        let directory = temporary.path().join("run");
        let registry = Registry::at(Places::Only(directory.clone()));
        Self { registry, directory, _temporary: temporary }
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn private_directory() -> TempDir {
    // The default is under $TMPDIR, which may be long.
    tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o700)).tempdir_in("/tmp").unwrap()
}

pub(crate) fn make_directory(path: &Path, mode: u32) {
    std::fs::DirBuilder::new().mode(mode).create(path).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

pub(crate) fn request(service: &str, identity: &str) -> ClaimRequest {
    ClaimRequest {
        service: service.to_owned(),
        identity: identity.to_owned(),
        version: "any:0123".to_owned(),
        schema: "0123456789abcdef".to_owned(),
        group: None,
        worker: 0,
        workers: 1,
        tcp: None,
        detached: false,
        supervisor: None,
    }
}

/// No signal comes.
pub(crate) fn never() -> bool {
    false
}

pub(crate) fn alive(_: &LeaseRecord) -> Liveness {
    Liveness::Alive
}

pub(crate) fn dead(_: &LeaseRecord) -> Liveness {
    Liveness::Dead
}

pub(crate) fn claimed(result: Result<Claim>) -> Lease {
    match result {
        Ok(Claim::Claimed(lease)) => lease,
        other => panic!("the name was not given: {other:?}"),
    }
}

/// Answers every connection with the nonce, as a daemon does in its handshake.
pub(crate) fn serve(lease: &Lease) {
    let listener = lease.listener().try_clone().unwrap();
    let nonce = lease.record().nonce;
    std::thread::spawn(move || {
        loop {
            wait(&listener, Interest::Readable, PATIENCE).unwrap();
            if let Ok((mut peer, _)) = listener.accept() {
                let _ = peer.write_all(&nonce);
            }
        }
    });
}

/// Looks until it is so.
pub(crate) fn eventually(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it never came to be");
        std::thread::yield_now();
    }
}

/// Connects and reads the nonce.
pub(crate) fn handshake(record: &LeaseRecord, patience: Duration) -> Liveness {
    let Ok(mut stream) = UnixStream::connect(&record.socket) else { return Liveness::Dead };
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut nonce = [0; 16];
    match stream.read_exact(&mut nonce) {
        Ok(()) if nonce == record.nonce => Liveness::Alive,
        Ok(()) => Liveness::Dead,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Liveness::Unresponsive,
        Err(_) => Liveness::Dead,
    }
}

/// This test binary, started again to be another process.
pub(crate) struct Helper {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// What the helper's own lines begin with, among those of the test harness.
const MARK: &str = "@ ";
const VARIABLE: &str = "IRONBRIDGE_TEST_HELPER";

impl Helper {
    pub(crate) fn start(machine: &Machine, service: &str, identity: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "support::as_another_process", "--nocapture"])
            .env("IRONBRIDGE_RUNTIME_DIR", &machine.directory)
            .env(VARIABLE, format!("{service} {identity}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The helper's next answer.
    pub(crate) fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the helper ended");
            if let Some((_, answer)) = line.split_once(MARK) {
                return answer.trim_end().to_owned();
            }
        }
    }

    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }

    /// Kills it with -9 and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends what reads its standard input: itself, and what it forked.
    pub(crate) fn end(&mut self) {
        self.input = None;
        self.child.wait().unwrap();
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other process's program; in an ordinary run of the tests nobody asks for it, and it does nothing.
#[test]
fn as_another_process() {
    let Ok(what) = std::env::var(VARIABLE) else { return };
    let (service, identity) = what.split_once(' ').unwrap();
    let mut lease = None;
    let mut spawned = Vec::new();
    for line in std::io::stdin().lines() {
        let answer = match (line.unwrap().as_str(), lease.take()) {
            ("claim", _) => {
                let probe = |record: &LeaseRecord| handshake(record, PATIENCE);
                match Registry::open().unwrap().claim(request(service, identity), &probe, &never) {
                    Ok(Claim::Claimed(claimed)) => {
                        serve(&claimed);
                        lease = Some(claimed);
                        "claimed".to_owned()
                    }
                    Ok(Claim::Held(record)) => format!("held by {}", record.pid),
                    Err(error) => format!("{:?}", error.code),
                }
            }
            ("fork", held) => {
                if forks::fork().is_none() {
                    forks::read_to_end_and_exit();
                }
                lease = held;
                "forked".to_owned()
            }
            ("abandon", held) => {
                let Some(child) = forks::fork() else {
                    held.unwrap().abandon_in_child();
                    forks::exit();
                };
                forks::wait_for(child);
                lease = held;
                "abandoned".to_owned()
            }
            ("drop", held) => {
                let Some(child) = forks::fork() else {
                    drop(held);
                    forks::exit();
                };
                forks::wait_for(child);
                lease = held;
                "dropped".to_owned()
            }
            ("spawn", held) => {
                // It reads the same input as we do, until that ends.
                spawned.push(Command::new("cat").stdout(Stdio::null()).spawn().unwrap());
                lease = held;
                "spawned".to_owned()
            }
            (other, _) => panic!("{other}?"),
        };
        println!("{MARK}{answer}");
    }
    drop(lease);
    for mut child in spawned {
        child.wait().unwrap();
    }
}
