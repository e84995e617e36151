//! What forwarding costs: PUSH → hub → SUB between native programs, with nothing of Python in between.
//!
//! `hub HUB [--clients C] [--subscribers N] [--window N] [--size BYTES] [--seconds S]` measures one and prints a JSON
//! line. HUB is `ours`, or `crate`: a forwarder of the `zeromq` crate's PULL and PUB sockets. Clients are `native` (a
//! blocking socket and this package's codec) or `crate` (one listens). `--window 1` is the round trip of one message;
//! more are as many under way, and the rate counts what all subscribers get. The hub is this program again, in a
//! process of its own.

mod clients;
mod forwarder;
#[path = "../limits/samples.rs"]
mod samples;

use std::env;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clients::{Clients, Library, Native};
use ironbridge::hub::endpoint::Endpoint;
use ironbridge::hub::limits::HubLimits;
use ironbridge::hub::server::{Server, ServerOptions};
use samples::collect;

/// What went wrong, for people.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Options {
    hub: String,
    clients: String,
    subscribers: usize,
    window: usize,
    size: usize,
    time: Duration,
    serve: Option<[String; 2]>,
}

fn main() -> ExitCode {
    let outcome = parse(env::args().skip(1)).and_then(|options| match &options.serve {
        Some(places) => serve(&options.hub, places),
        None => measure(&options).map(|line| println!("{line}")),
    });
    if let Err(error) = outcome {
        eprintln!("hub: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn parse(words: impl Iterator<Item = String>) -> Result<Options, Failure> {
    let time = Duration::from_secs(1);
    let mut options = Options {
        hub: "ours".into(),
        clients: "native".into(),
        subscribers: 1,
        window: 1,
        size: 100,
        time,
        serve: None,
    };
    let mut words = words.filter(|word| word != "--bench"); // `cargo bench` adds it
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--clients" => options.clients = value()?,
            "--subscribers" => options.subscribers = value()?.parse()?,
            "--window" => options.window = value()?.parse()?,
            "--size" => options.size = value()?.parse()?,
            "--seconds" => options.time = Duration::from_secs_f64(value()?.parse()?),
            "--serve" => options.serve = Some([value()?, value()?]),
            hub @ ("ours" | "crate") => options.hub = hub.to_owned(),
            other => return Err(format!("no hub {other:?}").into()),
        }
    }
    Ok(options)
}

/// Runs a hub until standard input ends.
fn serve(hub: &str, places: &[String; 2]) -> Result<(), Failure> {
    let [sender, receiver] = places;
    let until_the_end = || io::stdin().lines().for_each(drop);
    if hub == "crate" {
        return forwarder::run(sender, receiver, until_the_end);
    }
    let (sender, receiver) = (Endpoint::parse(sender)?, Endpoint::parse(receiver)?);
    let options = ServerOptions { sender, receiver, limits: HubLimits::default(), secret: None };
    let server = Server::start(options)?;
    println!("ready");
    until_the_end();
    drop(server);
    Ok(())
}

fn measure(options: &Options) -> Result<String, Failure> {
    let directory = tempfile::tempdir()?;
    let place = |name: &str| format!("ipc://{}/{name}", directory.path().display());
    let (sender, receiver) = (place("sender"), place("receiver"));
    let mut hub = Command::new(env::current_exe()?)
        .args([options.hub.as_str(), "--serve", &sender, &receiver])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut ready = String::new();
    BufReader::new(hub.stdout.take().ok_or("no output")?).read_line(&mut ready)?;
    let line = if options.clients == "crate" {
        run(options, Library::connect(&sender, &receiver)?)
    } else {
        run(options, Native::connect(&sender, &receiver, options.subscribers)?)
    };
    drop(hub.stdin.take());
    hub.wait()?;
    line
}

fn run(options: &Options, mut clients: impl Clients) -> Result<String, Failure> {
    let message = vec![b'm'; options.size];
    clients.meet(&message)?;
    let Options { hub, clients: kind, subscribers, window, .. } = options;
    let name = format!("{hub} hub, {kind} clients, {subscribers} listening, {window} under way");
    if options.window == 1 {
        let samples = collect(options.time, || {
            clients.send(&message, 1)?;
            clients.receive(1).map(drop)
        })?;
        return Ok(samples.json(&name, options.size));
    }
    let (mut sent, mut received) = (0_usize, 0_usize);
    let start = Instant::now();
    while start.elapsed() < options.time {
        let more = options.window.saturating_sub(sent.saturating_sub(received));
        clients.send(&message, more)?;
        sent += more;
        received += clients.receive(1)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = (received * subscribers) as f64 / start.elapsed().as_secs_f64();
    Ok(format!(r#"{{"lane": "{name}", "size": {}, "rate": {rate:.0}}}"#, options.size))
}
