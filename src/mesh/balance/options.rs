//! Strategies by their names and options, as settings and the schemas of actions give them.

use std::time::Duration;

use super::{LatencyOptions, Strategy};
use crate::core::error::{Code, Error, Result};
use crate::core::json;

const NAMES: [&str; 5] = ["RoundRobin", "Random", "CpuUsage", "Latency", "Shard"];

impl Strategy {
    /// The strategy of this name (in any case), with these options: a JSON object. Options that it does not have are
    /// passed over.
    ///
    /// # Errors
    /// `Configuration` when there is no such strategy, or an option makes no sense.
    pub fn resolve(name: &str, options: Option<&[u8]>) -> Result<Self> {
        let known = NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name));
        let option = |wanted: &str| {
            let fields = json::fields(options?).filter_map(std::result::Result::ok);
            fields.filter(|field| field.name == wanted && field.value != b"null").last()
        };
        let number = |wanted: &str, default: f64| match option(wanted) {
            None => Ok(default),
            Some(field) => {
                json::number(field.value).filter(|number| (0.0..1e15).contains(number)).ok_or_else(|| {
                    let why = format!("{wanted} of the strategy {name} is no number from 0 up");
                    Error::new(Code::Configuration, why)
                })
            }
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        let count = |wanted: &str, default: f64| number(wanted, default).map(|number| number as usize);
        Ok(match known {
            Some("RoundRobin") => Self::RoundRobin,
            Some("Random") => Self::Random,
            Some("CpuUsage") => Self::CpuUsage {
                sample_count: count("sampleCount", 3.0)?,
                low_cpu_usage: number("lowCpuUsage", 10.0)?,
            },
            Some("Latency") => Self::Latency {
                sample_count: count("sampleCount", 5.0)?,
                low_latency: number("lowLatency", 10.0)?,
                options: LatencyOptions {
                    collect_count: count("collectCount", 5.0)?.clamp(1, 1_000),
                    ping_interval: Duration::from_secs_f64(number("pingInterval", 10.0)?.clamp(0.1, 1e6)),
                },
            },
            Some("Shard") => Self::Shard {
                shard_key: option("shardKey").and_then(|field| json::text(field.value).map(Into::into)),
                vnodes: count("vnodes", 10.0)?.clamp(1, 10_000),
                ring_size: Some(count("ringSize", 0.0)? as u64).filter(|size| *size > 0),
            },
            _ => {
                let why = format!("there is no strategy {name:?}; there are {}", NAMES.join(", "));
                return Err(Error::new(Code::Configuration, why));
            }
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::RoundRobin => "RoundRobin",
            Self::Random => "Random",
            Self::CpuUsage { .. } => "CpuUsage",
            Self::Latency { .. } => "Latency",
            Self::Shard { .. } => "Shard",
        }
    }
}
