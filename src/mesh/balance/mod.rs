//! Which of several nodes a call or an event goes to: Moleculer's five strategies, with their names and defaults.
//! Chance is injected.

mod latency;
mod options;
mod shard;

use std::sync::Arc;

pub use latency::{Latencies, LatencyOptions};
pub use shard::Ring;

/// How one is chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Strategy {
    /// Each in its turn.
    #[default]
    RoundRobin,
    /// Any.
    Random,
    /// The least busy processor of a sample.
    CpuUsage {
        /// How many are looked at (3); 0: all.
        sample_count: usize,
        /// One below this many percent is taken at once (10).
        low_cpu_usage: f64,
    },
    /// The shortest way of a sample.
    Latency {
        /// How many are looked at (5); 0: all.
        sample_count: usize,
        /// One nearer than this many milliseconds is taken at once (10).
        low_latency: f64,
        /// How ways are measured.
        options: LatencyOptions,
    },
    /// The same for all calls with the same key.
    Shard {
        /// Where the key is: a name in `params`, or in `meta` with `#` before it.
        shard_key: Option<String>,
        /// How many places each node has on the ring (10).
        vnodes: usize,
        /// The ring's size (2^32).
        ring_size: Option<u64>,
    },
}

/// What is chosen from.
pub trait Candidates {
    /// How many there are.
    fn count(&self) -> usize;
    /// The id of one's node.
    fn node(&self, place: usize) -> &str;
    /// How busy its processor is, in percent.
    fn cpu(&self, place: usize) -> Option<f64>;
    /// How long the way to it is, in milliseconds.
    fn latency(&self, place: usize) -> Option<f64>;
}

/// Chance.
pub trait Random {
    /// A number from 0 up to `bound`, which is not 0, without it.
    fn below(&mut self, bound: usize) -> usize;
}

/// Chance that the system has seeded; good for choosing, and no secret.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Default for Dice {
    fn default() -> Self {
        // Without the system's randomness, the same each time: choosing goes on.
        Self(getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15))
    }
}

impl Random for Dice {
    #[inline]
    fn below(&mut self, bound: usize) -> usize {
        // SplitMix64; the bias of the multiplication is that of the bound in 2^64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        #[expect(clippy::cast_possible_truncation, reason = "below the bound")]
        let place = ((u128::from(mixed) * bound as u128) >> 64) as usize;
        place
    }
}

/// The strategy of one action or event, and what it remembers.
#[derive(Clone, Debug)]
pub struct Balancer {
    strategy: Arc<Strategy>,
    turn: usize,
    ring: Option<Ring>,
}

impl Balancer {
    /// One that has chosen nothing yet.
    #[must_use]
    pub fn new(strategy: Arc<Strategy>) -> Self {
        Self { strategy, turn: 0, ring: None }
    }

    /// How it chooses.
    #[must_use]
    pub fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    /// The place of the chosen one; `None` when there is none at all. `generation` is another whenever the
    /// candidates are, and `key` is the call's, where the strategy shards.
    pub fn pick(
        &mut self,
        candidates: &impl Candidates,
        generation: u64,
        key: Option<&str>,
        random: &mut (impl Random + ?Sized),
    ) -> Option<usize> {
        let count = candidates.count();
        if count == 0 {
            return None;
        }
        let best = match &*self.strategy {
            Strategy::RoundRobin => {
                let place = if self.turn < count { self.turn } else { 0 };
                self.turn = place + 1;
                Some(place)
            }
            Strategy::Random => None,
            Strategy::CpuUsage { sample_count, low_cpu_usage } => {
                least(count, *sample_count, *low_cpu_usage, |place| candidates.cpu(place), random)
            }
            Strategy::Latency { sample_count, low_latency, .. } => {
                least(count, *sample_count, *low_latency, |place| candidates.latency(place), random)
            }
            Strategy::Shard { vnodes, ring_size, .. } => key.map(|key| {
                let ring = match self.ring.take() {
                    Some(ring) if ring.fits(generation, count) => ring,
                    _ => Ring::new(candidates, generation, *vnodes, *ring_size),
                };
                self.ring.insert(ring).place(key)
            }),
        };
        Some(best.unwrap_or_else(|| random.below(count)))
    }
}

/// The least of a sample, or the first below `low`; `None` when nothing is known of any.
fn least(
    count: usize,
    sample: usize,
    low: f64,
    cost: impl Fn(usize) -> Option<f64>,
    random: &mut (impl Random + ?Sized),
) -> Option<usize> {
    let all = sample == 0 || sample >= count;
    let mut best: Option<(usize, f64)> = None;
    for turn in 0..if all { count } else { sample } {
        let place = if all { turn } else { random.below(count) };
        let Some(cost) = cost(place) else { continue };
        if cost < low {
            return Some(place);
        }
        if best.is_none_or(|(_, least)| cost < least) {
            best = Some((place, cost));
        }
    }
    best.map(|(place, _)| place)
}
