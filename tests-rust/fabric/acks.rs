//! What is acknowledged: all that is done and nothing else, each delivery once, many by one frame where none is missing.

use std::collections::BTreeSet;

use ironbridge::fabric::acks::{Ack, Ledger};
use proptest::prelude::*;

fn flushed(ledger: &mut Ledger) -> Vec<Ack> {
    let mut told = Vec::new();
    ledger.flush(|ack| told.push(ack));
    told
}

fn with(tags: impl IntoIterator<Item = u64>) -> Ledger {
    let mut ledger = Ledger::default();
    tags.into_iter().for_each(|tag| ledger.arrived(tag));
    ledger
}

const fn all_to(tag: u64) -> Ack {
    Ack { tag, multiple: true }
}

const fn alone(tag: u64) -> Ack {
    Ack { tag, multiple: false }
}

#[test]
fn what_is_done_in_order_is_told_by_one_frame() {
    let mut ledger = with(1..=100);
    for tag in 1..=100 {
        assert!(ledger.done(tag));
    }
    assert_eq!(flushed(&mut ledger), [all_to(100)]);
    assert_eq!(flushed(&mut ledger), []);
}

#[test]
fn what_overtakes_is_told_alone_and_the_rest_when_it_is_done() {
    let mut ledger = with([1, 2, 3, 4]);
    ledger.done(2);
    ledger.done(4);
    assert_eq!(flushed(&mut ledger), [alone(2), alone(4)]);
    assert_eq!(ledger.outstanding(), 2);
    ledger.done(3);
    ledger.done(1);
    assert_eq!(flushed(&mut ledger), [all_to(3)]);
    assert_eq!(ledger.outstanding(), 0);
}

#[test]
fn a_slow_one_holds_up_nothing_that_came_after_it() {
    let mut ledger = with([7, 8, 9]);
    ledger.done(9);
    ledger.done(8);
    let told: BTreeSet<u64> = flushed(&mut ledger).into_iter().map(|ack| ack.tag).collect();
    assert_eq!(told, BTreeSet::from([8, 9]));
}

#[test]
fn what_has_not_arrived_is_not_acknowledged_with_what_has() {
    let mut ledger = Ledger::default();
    for tag in [1, 3] {
        ledger.arrived(tag);
        assert!(ledger.done(tag));
    }
    assert_eq!(flushed(&mut ledger), [all_to(1), alone(3)]);
    ledger.arrived(2);
    assert!(ledger.done(2));
    assert_eq!(flushed(&mut ledger), [all_to(2)]);
}

#[test]
fn one_that_was_rejected_is_no_gap() {
    let mut ledger = with([1, 2, 3]);
    assert!(ledger.forget(2));
    ledger.done(1);
    ledger.done(3);
    assert_eq!(flushed(&mut ledger), [all_to(3)]);
}

#[test]
fn a_second_word_on_a_delivery_changes_nothing() {
    let mut ledger = with([1, 2]);
    assert!(ledger.done(1));
    assert!(!ledger.done(1), "it is done already");
    assert!(!ledger.forget(3), "it never came");
    assert!(!ledger.done(3), "it never came");
    assert!(ledger.forget(2));
    assert!(!ledger.done(2), "it was rejected");
    assert_eq!(flushed(&mut ledger), [all_to(1)]);
    assert!(!ledger.forget(1), "it is told");
}

/// What happens to a channel's deliveries.
#[derive(Clone, Debug)]
enum Step {
    Arrived,
    /// The delivery of this number, counted from the first that came; some never came.
    Done(usize),
    Rejected(usize),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Arrived),
        4 => (0_usize..40).prop_map(Step::Done),
        1 => (0_usize..40).prop_map(Step::Rejected),
        2 => Just(Step::Flush),
    ]
}

/// The broker's view: what is open there. It closes a channel that acknowledges what is not.
#[derive(Default)]
struct Broker {
    open: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
}

impl Broker {
    fn acknowledge(&mut self, ack: Ack) {
        assert!(self.open.contains(&ack.tag), "{ack:?}: unknown delivery tag");
        let now: Vec<u64> = self
            .open
            .iter()
            .copied()
            .filter(|tag| if ack.multiple { *tag <= ack.tag } else { *tag == ack.tag })
            .collect();
        for tag in now {
            self.open.remove(&tag);
            self.acknowledged.insert(tag);
        }
    }
}

proptest! {
    #[test]
    fn exactly_what_is_done_is_acknowledged_once(
        steps in prop::collection::vec(step(), 0..120),
        overtaking in prop::collection::vec(0_usize..3, 120),
    ) {
        let (mut ledger, mut broker) = (Ledger::default(), Broker::default());
        let (mut came, mut done, mut rejected) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let (mut last, mut under_way) = (0, Vec::new());
        for step in steps.into_iter().chain([Step::Flush]) {
            match step {
                Step::Arrived => {
                    // What the broker sent to several consumers arrives by several ways.
                    while under_way.len() < 3 {
                        last += 1;
                        broker.open.insert(last);
                        under_way.push(last);
                    }
                    let tag = under_way.remove(overtaking[came.len()]);
                    came.push(tag);
                    ledger.arrived(tag);
                }
                Step::Done(which) => {
                    let tag = came.get(which).copied().unwrap_or(1_000_000);
                    let is_new = came.contains(&tag) && !rejected.contains(&tag) && !done.contains(&tag);
                    prop_assert_eq!(ledger.done(tag), is_new);
                    if is_new {
                        done.insert(tag);
                    }
                }
                Step::Rejected(which) => {
                    let tag = came.get(which).copied().unwrap_or(1_000_000);
                    let is_open = came.contains(&tag) && !rejected.contains(&tag) && !done.contains(&tag);
                    prop_assert_eq!(ledger.forget(tag), is_open);
                    if is_open {
                        rejected.insert(tag);
                        broker.open.remove(&tag);
                    }
                }
                Step::Flush => {
                    for ack in flushed(&mut ledger) {
                        broker.acknowledge(ack);
                    }
                    prop_assert_eq!(&broker.acknowledged, &done);
                }
            }
            prop_assert_eq!(ledger.outstanding(), came.len() - done.len() - rejected.len());
        }
    }
}
