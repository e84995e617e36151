//! Waits between attempts.

use std::time::Duration;

use ironbridge::core::backoff::Backoff;
use proptest::prelude::*;

fn longest(backoff: &mut Backoff, attempts: usize) -> Vec<u128> {
    (0..attempts).map(|_| backoff.next_from(|| 1.0).as_millis()).collect()
}

#[test]
fn each_wait_may_be_twice_as_long_up_to_the_most() {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(1_500));
    assert_eq!(longest(&mut backoff, 7), [100, 200, 400, 800, 1_500, 1_500, 1_500]);
    backoff.reset();
    assert_eq!(longest(&mut backoff, 2), [100, 200]);
}

#[test]
fn a_first_wait_is_never_longer_than_the_most() {
    let mut backoff = Backoff::new(Duration::from_secs(9), Duration::from_secs(1));
    assert_eq!(longest(&mut backoff, 2), [1_000, 1_000]);
    backoff.reset();
    assert_eq!(longest(&mut backoff, 1), [1_000]);
}

#[test]
fn two_that_failed_together_do_not_come_back_together() {
    let bound = Duration::from_secs(10);
    let waits: Vec<_> = (0..32).map(|_| Backoff::new(bound, bound).next_wait()).collect();
    assert!(waits.iter().all(|wait| *wait < bound));
    assert!(waits.iter().any(|wait| *wait != waits[0]));
}

proptest! {
    #[test]
    fn a_wait_is_the_drawn_share_of_its_bound(first in 1_u64..10_000, most in 1_u64..100_000, draws in prop::collection::vec(0.0..1.0, 1..40)) {
        let mut backoff = Backoff::new(Duration::from_millis(first), Duration::from_millis(most));
        for draw in draws {
            let bound = backoff.clone().next_from(|| 1.0);
            prop_assert!(bound <= Duration::from_millis(most));
            prop_assert_eq!(backoff.next_from(|| draw), bound.mul_f64(draw));
        }
    }
}
