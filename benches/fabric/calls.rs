//! Calls with answers, in the messages of aio-pika's JSON-RPC pattern, and a server that answers them.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, ExchangeKind};

use crate::Failure;
use crate::clock::Clock;

const EXCHANGE: &str = "native.api";
const METHOD: &str = "get";
const QUEUE: &str = "native.api.get";
const CALL: &[u8] = br#"{"word": "mundo! 0123456789"}"#;
const ANSWER: &[u8] = br#""Ol\u00e1, mundo! 0123456789""#;
const PREFETCH: u16 = 200;

/// Starts a server, and has `width` calls under way for that long.
pub(crate) async fn measure(
    channel: &Channel,
    uri: &str,
    width: usize,
    time: Duration,
) -> Result<String, Failure> {
    let mut server = Command::new(env::current_exe()?)
        .args(["serve", "--uri", uri])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut ready = String::new();
    BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut ready)?;
    let line = call(channel, width, time).await;
    drop(server.stdin.take());
    server.wait()?;
    line
}

async fn call(channel: &Channel, width: usize, time: Duration) -> Result<String, Failure> {
    let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let replies = channel.queue_declare("".into(), own, FieldTable::default()).await?.name().clone();
    let unacknowledged = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let answers =
        channel.basic_consume(replies.clone(), "".into(), unacknowledged, FieldTable::default()).await?;
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let mut sent = 0_u64;
    let mut next = || {
        sent += 1;
        let properties = message("call", sent.to_string().into()).with_reply_to(replies.clone());
        channel.basic_publish(EXCHANGE.into(), METHOD.into(), mandatory, CALL, properties)
    };
    let mut clock = Clock::start(time);
    try_join_all((0..width).map(|_| next())).await?;
    let mut arrivals = answers.ready_chunks(width);
    while let Some(together) = arrivals.next().await {
        let together: Vec<Delivery> = together.into_iter().collect::<Result<_, _>>()?;
        if !together.iter().all(|_| clock.tick()) {
            break;
        }
        try_join_all(together.iter().map(|_| next())).await?;
    }
    Ok(if width == 1 { clock.times() } else { clock.rate() })
}

fn message(kind: &str, correlation: ShortString) -> BasicProperties {
    BasicProperties::default()
        .with_type(kind.into())
        .with_content_type("application/json".into())
        .with_correlation_id(correlation)
        .with_delivery_mode(1)
}

/// Answers calls until standard input ends.
pub(crate) async fn serve(channel: &Channel) -> Result<(), Failure> {
    let (plain, durable) = (FieldTable::default, ExchangeDeclareOptions::default());
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Direct, durable, plain()).await?;
    let fleeting = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), fleeting, plain()).await?;
    channel
        .queue_bind(QUEUE.into(), EXCHANGE.into(), METHOD.into(), QueueBindOptions::default(), plain())
        .await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let calls =
        channel.basic_consume(QUEUE.into(), "".into(), BasicConsumeOptions::default(), plain()).await?;
    println!("ready");
    std::thread::spawn(|| {
        io::stdin().lines().for_each(drop);
        std::process::exit(0);
    });
    let mut arrivals = calls.ready_chunks(PREFETCH.into());
    while let Some(together) = arrivals.next().await {
        let together: Vec<Delivery> = together.into_iter().collect::<Result<_, _>>()?;
        try_join_all(together.iter().map(|call| answer(channel, call))).await?;
    }
    Ok(())
}

async fn answer(channel: &Channel, call: &Delivery) -> lapin::Result<()> {
    let (to, correlation) = (call.properties.reply_to(), call.properties.correlation_id());
    if let (Some(to), Some(correlation)) = (to.clone(), correlation.clone()) {
        let properties = message("result", correlation);
        channel.basic_publish("".into(), to, BasicPublishOptions::default(), ANSWER, properties).await?;
    }
    call.ack(BasicAckOptions::default()).await?;
    Ok(())
}
