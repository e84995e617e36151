//! What a broker and the machine allow: the AMQP client library that the fabric is built on, with no Python and
//! nothing of Ironbridge in between.
//!
//! `fabric MEASURE --uri URI [--seconds S]` takes one measure and prints a JSON line. MEASURE is `get` (a call and its
//! answer, one after the other), `inflight` (a hundred calls under way), `publish1`, `publish100` and `publish1000`
//! (messages of 1 KiB, that many unconfirmed), `each` and `coalesced` (messages of 1 KiB taken, an acknowledgement for
//! each, or for all that came together). The server that answers the calls is this program again, in a process of its
//! own. What came together is dealt with together, so that the library writes much at once: one after the other, a third
//! as many calls and acknowledgements get through.

mod calls;
mod clock;
mod publishing;
mod taking;
mod topology;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use lapin::{Connection, ConnectionProperties};

/// What went wrong, for people.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Options {
    measure: String,
    uri: String,
    time: Duration,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let outcome = parse(env::args().skip(1)).and_then(|options| runtime?.block_on(measure(&options)));
    if let Err(error) = outcome {
        eprintln!("fabric: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn parse(words: impl Iterator<Item = String>) -> Result<Options, Failure> {
    let mut options = Options { measure: String::new(), uri: String::new(), time: Duration::from_secs(1) };
    let mut words = words.filter(|word| word != "--bench"); // `cargo bench` adds it
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--uri" => options.uri = value()?,
            "--seconds" => options.time = Duration::from_secs_f64(value()?.parse()?),
            _ => options.measure = word,
        }
    }
    Ok(options)
}

async fn measure(options: &Options) -> Result<(), Failure> {
    let Options { measure, uri, time } = options;
    let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let line = match measure.as_str() {
        "serve" => return calls::serve(&channel).await,
        "get" => calls::measure(&channel, uri, 1, *time).await?,
        "inflight" => calls::measure(&channel, uri, 100, *time).await?,
        "publish1" => publishing::measure(&channel, 1, *time).await?,
        "publish100" => publishing::measure(&channel, 100, *time).await?,
        "publish1000" => publishing::measure(&channel, 1000, *time).await?,
        "each" => taking::measure(&channel, false, *time).await?,
        "coalesced" => taking::measure(&channel, true, *time).await?,
        other => return Err(format!("no measure {other:?}").into()),
    };
    println!("{line}");
    connection.close(200, "done".into()).await?;
    Ok(())
}
