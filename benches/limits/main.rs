//! What this machine allows: round trips between two native processes, with nothing of Ironbridge in between.
//!
//! `limits LANE [--size BYTES] [--seconds S]` measures one lane and prints one JSON line. Lanes:
//! `unix` and `tcp` block; `unix-polling` polls by the engine's rule at both ends; `futex` is shared memory
//! that always sleeps; `spin` is shared memory that looks by the same rule first. The other end is this
//! program again, started with `LANE --serve`, its end of the lane being standard input or `--port`.

mod doorbell;
mod lane;
mod samples;
mod shared;
mod sockets;

use std::env;
use std::io;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use lane::{Lane, Options};

fn main() -> ExitCode {
    let outcome = parse(env::args().skip(1)).and_then(|options| {
        if options.serve { serve(&options).map(|()| None) } else { measure(&options).map(Some) }
    });
    match outcome {
        Ok(Some(line)) => println!("{line}"),
        Ok(None) => {}
        Err(error) => {
            eprintln!("limits: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn parse(arguments: impl Iterator<Item = String>) -> io::Result<Options> {
    let mut options =
        Options { lane: Lane::Unix, size: 64, time: Duration::from_millis(500), port: 0, serve: false };
    let mut arguments = arguments.filter(|word| word != "--bench"); // `cargo bench` adds it
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--serve" => options.serve = true,
            "--size" => options.size = number(arguments.next(), &word)?,
            "--port" => options.port = number(arguments.next(), &word)?,
            "--seconds" => options.time = Duration::from_secs_f64(number(arguments.next(), &word)?),
            name => options.lane = Lane::named(name).ok_or_else(|| misuse(&format!("no lane {name:?}")))?,
        }
    }
    if options.size == 0 || (options.lane.is_shared() && options.size > shared::CAPACITY) {
        return Err(misuse("--size is out of this lane's range"));
    }
    Ok(options)
}

fn number<T: std::str::FromStr>(word: Option<String>, option: &str) -> io::Result<T> {
    word.and_then(|word| word.parse().ok()).ok_or_else(|| misuse(&format!("{option} wants a number")))
}

fn misuse(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Starts the other end, measures, and lets it go.
fn measure(options: &Options) -> io::Result<String> {
    let mut other = Command::new(env::current_exe()?);
    other.args([options.lane.name(), "--serve", "--size", &options.size.to_string()]);
    let (samples, mut other) = match options.lane {
        Lane::Unix | Lane::UnixPolling => {
            let (mine, theirs) = std::os::unix::net::UnixStream::pair()?;
            let child = other.stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs))).spawn()?;
            drop(other); // it holds the other end too, and the end of the stream is what stops the server
            (sockets::ping(mine.into(), options)?, child)
        }
        Lane::Tcp => {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
            other.args(["--port", &listener.local_addr()?.port().to_string()]);
            let child = other.stdin(Stdio::null()).spawn()?;
            let stream = listener.accept()?.0;
            stream.set_nodelay(true)?;
            (sockets::ping(stream.into(), options)?, child)
        }
        Lane::Futex | Lane::Spin => {
            let (region, memory) = shared::Region::create()?;
            let child = other.stdin(Stdio::from(memory)).spawn()?;
            (shared::ping(&region, options), child)
        }
    };
    other.wait()?;
    Ok(samples.json(options.lane.name(), options.size))
}

/// The other end: sends back what comes, until the measuring end lets go.
fn serve(options: &Options) -> io::Result<()> {
    let stdin = || std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned();
    match options.lane {
        Lane::Unix | Lane::UnixPolling => sockets::pong(stdin()?, options),
        Lane::Tcp => {
            let stream = std::net::TcpStream::connect(("127.0.0.1", options.port))?;
            stream.set_nodelay(true)?;
            sockets::pong(stream.into(), options)
        }
        Lane::Futex | Lane::Spin => {
            shared::pong(&shared::Region::open(&stdin()?)?, options);
            Ok(())
        }
    }
}
