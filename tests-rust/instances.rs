//! The instance cache: built once, bounded, in order of use, closed last.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use ironbridge::core::clock::Clock;
use ironbridge::core::instances::{
    BuildTicket, CacheOptions, InstanceCache, Lease, Lookup, OnEvict, Park, Slot,
};
use parking_lot::Mutex;
use proptest::prelude::*;

/// A clock that stands still until it is told.
struct TestClock(Mutex<Instant>);

impl TestClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Instant::now())))
    }

    fn advance(&self, seconds: u64) {
        *self.0.lock() += Duration::from_secs(seconds);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        *self.0.lock()
    }
}

/// What reached the cache's sinks.
#[derive(Default)]
struct Seen {
    closed: Mutex<Vec<u32>>,
    abandoned: Mutex<Vec<&'static str>>,
}

type Cache = InstanceCache<u32, &'static str>;
type TestSlot = Slot<u32, &'static str>;

fn cache(options: CacheOptions) -> (Cache, Arc<Seen>, Arc<TestClock>) {
    let seen = Arc::new(Seen::default());
    let clock = TestClock::new();
    let (closed, abandoned) = (Arc::clone(&seen), Arc::clone(&seen));
    let cache = InstanceCache::with_clock(
        options,
        clock.clone(),
        move |value| closed.closed.lock().push(value),
        move |waiters| abandoned.abandoned.lock().extend(waiters),
    );
    (cache, seen, clock)
}

fn of_size(capacity: usize) -> CacheOptions {
    CacheOptions { capacity, ..CacheOptions::default() }
}

fn ticket(slot: &TestSlot) -> BuildTicket<u32, &'static str> {
    match slot.lookup() {
        Lookup::Build(ticket) => ticket,
        other => panic!("expected to build, got {other:?}"),
    }
}

fn build(slot: &TestSlot, value: u32) -> Lease<u32> {
    let (lease, waiters) = ticket(slot).finish(value);
    assert_eq!(waiters, Vec::<&str>::new());
    lease
}

fn hit(slot: &TestSlot) -> Lease<u32> {
    match slot.lookup() {
        Lookup::Ready(lease) => lease,
        other => panic!("expected the instance, got {other:?}"),
    }
}

#[test]
fn equal_keys_share_an_instance_and_others_do_not() {
    let (cache, _, _) = cache(of_size(8));
    drop(build(&cache.slot(b"a"), 1));
    drop(build(&cache.slot(b"b"), 2));
    assert_eq!(*hit(&cache.slot(b"a")), 1);
    assert_eq!(*hit(&cache.slot(b"b")), 2);
    assert_eq!(cache.slot(b"a").digest(), cache.slot(b"a").digest());
    let counts = cache.counts();
    assert_eq!((counts.hits, counts.misses, counts.built, counts.size), (2, 2, 2, 2));
}

#[test]
fn fifty_threads_that_ask_for_a_new_instance_get_one_built_once() {
    const THREADS: usize = 50;
    type Answer = mpsc::Sender<Lease<usize>>;
    let cache = Arc::new(InstanceCache::<usize, Answer>::new(CacheOptions::default(), |_| {}, |_| {}));
    let built = Arc::new(AtomicUsize::new(0));
    let (start, all_asked) = (Arc::new(Barrier::new(THREADS)), Arc::new(Barrier::new(THREADS)));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (cache, built) = (Arc::clone(&cache), Arc::clone(&built));
            let (start, all_asked) = (Arc::clone(&start), Arc::clone(&all_asked));
            thread::spawn(move || {
                let slot = cache.slot(b"the same");
                start.wait();
                match slot.lookup() {
                    Lookup::Ready(_) => panic!("nobody can have built it yet"),
                    Lookup::Build(ticket) => {
                        // The constructor runs until every other thread has asked and waits.
                        all_asked.wait();
                        let value = built.fetch_add(1, Ordering::SeqCst) + 1;
                        let (lease, waiters) = ticket.finish(value);
                        assert_eq!(waiters.len(), THREADS - 1);
                        for waiter in waiters {
                            waiter.send(lease.clone()).unwrap();
                        }
                        *lease
                    }
                    Lookup::Building => {
                        let (sender, receiver) = mpsc::channel();
                        assert!(matches!(slot.park(sender), Park::Parked));
                        all_asked.wait();
                        *receiver.recv().unwrap()
                    }
                    Lookup::Evicted | Lookup::Closed => panic!("neither can be"),
                }
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 1);
    }
    assert_eq!(built.load(Ordering::SeqCst), 1);
    let counts = cache.counts();
    assert_eq!((counts.misses, counts.waited, counts.built, counts.waiting), (1, 49, 1, 0));
}

#[test]
fn threads_over_more_keys_than_fit_never_see_a_closed_instance() {
    const KEYS: usize = 16;
    let live = Arc::new(Mutex::new(HashSet::new()));
    let gone = Arc::clone(&live);
    let cache = InstanceCache::<usize, thread::Thread>::new(
        of_size(4),
        move |id| assert!(gone.lock().remove(&id), "closed twice"),
        |_| {},
    );
    let ids = AtomicUsize::new(0);
    thread::scope(|scope| {
        for start in 0..8 {
            let (cache, ids, live) = (&cache, &ids, &live);
            scope.spawn(move || {
                let slots: Vec<_> = (0..KEYS).map(|key| cache.slot(&[key as u8])).collect();
                for turn in 0..5_000 {
                    let slot = &slots[(turn * (2 * start + 1) + start) % KEYS];
                    let lease = loop {
                        match slot.lookup() {
                            Lookup::Ready(lease) => break lease,
                            Lookup::Build(ticket) => {
                                let id = ids.fetch_add(1, Ordering::Relaxed);
                                live.lock().insert(id);
                                let (lease, waiters) = ticket.finish(id);
                                waiters.iter().for_each(thread::Thread::unpark);
                                break lease;
                            }
                            Lookup::Building => {
                                if matches!(slot.park(thread::current()), Park::Parked) {
                                    thread::park();
                                }
                            }
                            Lookup::Evicted | Lookup::Closed => panic!("neither can be"),
                        }
                    };
                    assert!(live.lock().contains(&*lease), "a call holds a closed instance");
                }
            });
        }
    });
    assert!(cache.drain().is_empty());
    assert!(live.lock().is_empty(), "every instance was closed");
    let counts = cache.counts();
    assert_eq!(counts.built, ids.load(Ordering::Relaxed) as u64);
    assert_eq!((counts.building, counts.waiting, counts.size), (0, 0, 0));
}

#[test]
fn the_least_recently_used_goes_and_closes_after_its_last_call() {
    let (cache, seen, _) = cache(of_size(2));
    let (a, b, c) = (cache.slot(b"a"), cache.slot(b"b"), cache.slot(b"c"));
    let running = build(&a, 1);
    let second = running.clone();
    drop(build(&b, 2));
    drop(hit(&a));
    drop(build(&c, 3));
    assert_eq!(*seen.closed.lock(), [2], "b was used longest ago, and no call held it");
    drop(build(&b, 4));
    assert_eq!(*seen.closed.lock(), [2], "a went, and two calls hold it");
    drop(running);
    assert_eq!(*seen.closed.lock(), [2]);
    drop(second);
    assert_eq!(*seen.closed.lock(), [2, 1]);
    let counts = cache.counts();
    assert_eq!((counts.evicted, counts.built, counts.rebuilt, counts.size), (2, 4, 1, 2));
}

#[test]
fn a_capacity_of_zero_keeps_nothing_beyond_the_calls() {
    let (cache, seen, _) = cache(of_size(0));
    let slot = cache.slot(b"a");
    let lease = build(&slot, 1);
    assert_eq!(*seen.closed.lock(), [0; 0]);
    drop(lease);
    assert_eq!(*seen.closed.lock(), [1]);
    drop(build(&slot, 2));
    assert_eq!(*seen.closed.lock(), [1, 2]);
}

#[test]
fn a_failed_build_hands_back_those_who_wait_and_the_next_call_builds() {
    let (cache, seen, _) = cache(of_size(2));
    let slot = cache.slot(b"a");
    let first = ticket(&slot);
    assert!(matches!(slot.lookup(), Lookup::Building));
    assert_eq!(slot.park("one"), Park::Parked);
    assert_eq!(cache.slot(b"a").park("two"), Park::Parked);
    assert_eq!(first.fail(), ["one", "two"]);
    assert_eq!(slot.park("late"), Park::Again("late"));
    drop(build(&slot, 1));
    assert_eq!(slot.park("late"), Park::Again("late"));
    assert_eq!((cache.counts().failed, cache.counts().built), (1, 1));
    assert!(seen.abandoned.lock().is_empty());
}

#[test]
fn a_dropped_ticket_loses_nobody() {
    let (cache, seen, _) = cache(of_size(2));
    let slot = cache.slot(b"a");
    let dropped = ticket(&slot);
    assert_eq!(slot.park("one"), Park::Parked);
    drop(dropped);
    assert_eq!(*seen.abandoned.lock(), ["one"]);
    assert_eq!((cache.counts().failed, cache.counts().waiting, cache.counts().building), (1, 0, 0));
    drop(build(&slot, 1));
}

#[test]
fn those_who_wait_are_bounded() {
    let (cache, _, _) = cache(CacheOptions { max_waiters: 2, ..of_size(2) });
    let (a, b) = (cache.slot(b"a"), cache.slot(b"b"));
    let (build_a, build_b) = (ticket(&a), ticket(&b));
    assert_eq!(a.park("one"), Park::Parked);
    assert_eq!(b.park("two"), Park::Parked);
    assert_eq!(a.park("three"), Park::Full("three"));
    assert_eq!(build_b.fail(), ["two"]);
    assert_eq!(a.park("three"), Park::Parked);
    let (_lease, waiters) = build_a.finish(1);
    assert_eq!(waiters, ["one", "three"]);
}

#[test]
fn with_on_evict_error_a_client_of_the_lost_instance_is_refused_and_a_new_one_is_not() {
    let (cache, _, _) = cache(CacheOptions { on_evict: OnEvict::Error, ..of_size(1) });
    let (old, bound_but_unused) = (cache.slot(b"a"), cache.slot(b"a"));
    drop(build(&old, 1));
    drop(build(&cache.slot(b"b"), 2));
    assert!(matches!(old.lookup(), Lookup::Evicted));
    assert!(matches!(bound_but_unused.lookup(), Lookup::Evicted));
    let new = cache.slot(b"a");
    drop(build(&new, 3));
    assert_eq!(*hit(&new), 3);
    assert!(matches!(old.lookup(), Lookup::Evicted), "its own instance stays lost");
}

#[test]
fn a_failed_build_is_no_eviction() {
    let (cache, _, _) = cache(CacheOptions { on_evict: OnEvict::Error, ..of_size(1) });
    let slot = cache.slot(b"a");
    assert!(ticket(&slot).fail().is_empty());
    drop(build(&slot, 1));
    assert_eq!(*hit(&slot), 1);
}

#[test]
fn an_idle_instance_expires_from_the_end_of_its_last_call() {
    let options = CacheOptions { time_to_live: Some(Duration::from_secs(10)), ..of_size(8) };
    let (cache, seen, clock) = cache(options);
    assert_eq!(cache.sweep(), None);
    let start = clock.now();
    let (a, b) = (cache.slot(b"a"), cache.slot(b"b"));
    let long_call = build(&a, 1);
    drop(build(&b, 2));
    clock.advance(9);
    drop(hit(&b));
    assert_eq!(cache.sweep(), Some(start + Duration::from_secs(19)));
    clock.advance(6);
    drop(long_call);
    assert_eq!(cache.sweep(), Some(start + Duration::from_secs(19)), "b is next");
    clock.advance(4);
    assert_eq!(cache.sweep(), Some(start + Duration::from_secs(25)), "b went, a was in use until 15");
    assert_eq!(*seen.closed.lock(), [2]);
    clock.advance(6);
    assert_eq!(cache.sweep(), None);
    assert_eq!(*seen.closed.lock(), [2, 1]);
    assert_eq!((cache.counts().expired, cache.counts().size), (2, 0));
}

#[test]
fn an_expired_instance_is_rebuilt_even_when_nobody_swept() {
    let options = CacheOptions { time_to_live: Some(Duration::from_secs(10)), ..of_size(8) };
    let (cache, seen, clock) = cache(options);
    let slot = cache.slot(b"a");
    drop(build(&slot, 1));
    clock.advance(9);
    assert_eq!(*hit(&slot), 1);
    clock.advance(10);
    drop(build(&slot, 2));
    assert_eq!(*seen.closed.lock(), [1]);
    let counts = cache.counts();
    assert_eq!((counts.expired, counts.rebuilt, counts.evicted), (1, 1, 0));
}

#[test]
fn an_instance_in_use_does_not_expire() {
    let options = CacheOptions { time_to_live: Some(Duration::from_secs(10)), ..of_size(8) };
    let (cache, seen, clock) = cache(options);
    let slot = cache.slot(b"a");
    let running = build(&slot, 1);
    clock.advance(1_000);
    assert!(cache.sweep().is_some());
    assert_eq!(*hit(&slot), 1);
    drop(running);
    assert!(seen.closed.lock().is_empty());
}

#[test]
fn draining_closes_what_is_idle_now_and_the_rest_when_its_calls_end() {
    let (cache, seen, _) = cache(of_size(8));
    let (a, b, c) = (cache.slot(b"a"), cache.slot(b"b"), cache.slot(b"c"));
    let running = build(&a, 1);
    drop(build(&b, 2));
    let building = ticket(&c);
    assert_eq!(c.park("waits"), Park::Parked);
    assert_eq!(cache.drain(), ["waits"]);
    assert_eq!(*seen.closed.lock(), [2]);
    assert!(matches!(a.lookup(), Lookup::Closed));
    assert!(matches!(c.lookup(), Lookup::Closed));
    let (late, waiters) = building.finish(3);
    assert!(waiters.is_empty());
    drop(running);
    drop(late);
    assert_eq!(*seen.closed.lock(), [2, 1, 3]);
    assert!(cache.drain().is_empty(), "draining again does nothing");
}

#[test]
fn sinks_may_use_the_cache() {
    let again = Arc::new(Mutex::new(None::<InstanceCache<u32, u32>>));
    let (for_closed, for_abandoned) = (Arc::clone(&again), Arc::clone(&again));
    let cache = InstanceCache::<u32, u32>::new(
        of_size(1),
        move |_| assert!(for_closed.lock().as_ref().unwrap().counts().size <= 1),
        move |_| assert_eq!(for_abandoned.lock().as_ref().unwrap().counts().waiting, 0),
    );
    *again.lock() = Some(cache.clone());
    for key in 0..3_u8 {
        let slot = cache.slot(&[key]);
        let Lookup::Build(ticket) = slot.lookup() else { panic!("new") };
        drop(ticket.finish(u32::from(key)));
    }
    let slot = cache.slot(b"other");
    let Lookup::Build(ticket) = slot.lookup() else { panic!("new") };
    assert_eq!(slot.park(7), Park::Parked);
    drop(ticket);
    assert!(cache.drain().is_empty());
    *again.lock() = None;
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Use(u8),
    Hold(u8),
    Release,
    Fail(u8),
    Advance(u8),
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..6_u8;
    prop::collection::vec(
        prop_oneof![
            6 => key.clone().prop_map(Step::Use),
            2 => key.clone().prop_map(Step::Hold),
            2 => Just(Step::Release),
            1 => key.prop_map(Step::Fail),
            2 => (0..8_u8).prop_map(Step::Advance),
            1 => Just(Step::Sweep),
        ],
        1..120,
    )
}

/// What the cache must do, in the plainest terms.
struct Model {
    capacity: usize,
    time_to_live: Option<u64>,
    now: u64,
    /// (key, value, last found or released), least recently found first.
    ready: Vec<(u8, u32, u64)>,
    held: Vec<(u8, u32)>,
    closed: Vec<u32>,
    gone: Vec<u32>,
}

impl Model {
    fn let_go(&mut self, value: u32) {
        if self.held.iter().any(|(_, held)| *held == value) {
            self.gone.push(value);
        } else {
            self.closed.push(value);
        }
    }

    fn expire(&mut self, only: Option<u8>) {
        let Some(time_to_live) = self.time_to_live else { return };
        for (key, value, used) in self.ready.clone() {
            let idle = !self.held.iter().any(|(_, held)| *held == value);
            if idle && used + time_to_live <= self.now && only.is_none_or(|only| only == key) {
                self.ready.retain(|entry| entry.0 != key);
                self.let_go(value);
            }
        }
    }

    /// The instance that a lookup finds, made the most recent.
    fn find(&mut self, key: u8) -> Option<u32> {
        self.expire(Some(key));
        let at = self.ready.iter().position(|entry| entry.0 == key)?;
        let (_, value, _) = self.ready.remove(at);
        self.ready.push((key, value, self.now));
        Some(value)
    }

    fn built(&mut self, key: u8, value: u32) {
        self.held.push((key, value));
        self.ready.push((key, value, self.now));
        while self.ready.len() > self.capacity {
            let (_, value, _) = self.ready.remove(0);
            self.let_go(value);
        }
    }

    fn release(&mut self, at: usize) {
        let (_, value) = self.held.remove(at);
        let now = self.now;
        self.ready.iter_mut().filter(|entry| entry.1 == value).for_each(|entry| entry.2 = now);
        if self.gone.contains(&value) && !self.held.iter().any(|(_, held)| *held == value) {
            self.gone.retain(|gone| *gone != value);
            self.closed.push(value);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn behaves_as_a_list_in_order_of_use(
        capacity in 0..5_usize,
        time_to_live in prop::option::of(1..20_u64),
        steps in steps(),
    ) {
        let options = CacheOptions { time_to_live: time_to_live.map(Duration::from_secs), ..of_size(capacity) };
        let (cache, seen, clock) = cache(options);
        let slots: Vec<_> = (0..6_u8).map(|key| cache.slot(&[key])).collect();
        let mut model = Model {
            capacity, time_to_live, now: 0,
            ready: Vec::new(), held: Vec::new(), closed: Vec::new(), gone: Vec::new(),
        };
        let mut leases: Vec<Lease<u32>> = Vec::new();
        let mut next_value = 0;
        for step in steps {
            match step {
                Step::Use(key) | Step::Hold(key) | Step::Fail(key) => {
                    let expected = model.find(key);
                    let lease = match slots[key as usize].lookup() {
                        Lookup::Ready(lease) => {
                            prop_assert_eq!(Some(*lease), expected);
                            model.held.push((key, *lease));
                            Some(lease)
                        }
                        Lookup::Build(ticket) => {
                            prop_assert_eq!(None, expected);
                            if matches!(step, Step::Fail(_)) {
                                drop(ticket);
                                None
                            } else {
                                next_value += 1;
                                model.built(key, next_value);
                                Some(ticket.finish(next_value).0)
                            }
                        }
                        other => panic!("unexpected {other:?}"),
                    };
                    if let Some(lease) = lease {
                        if matches!(step, Step::Hold(_)) {
                            leases.push(lease);
                        } else {
                            model.release(model.held.len() - 1);
                            drop(lease);
                        }
                    }
                }
                Step::Release => {
                    if !leases.is_empty() {
                        drop(leases.remove(0));
                        model.release(0);
                    }
                }
                Step::Advance(seconds) => {
                    clock.advance(u64::from(seconds));
                    model.now += u64::from(seconds);
                }
                Step::Sweep => {
                    cache.sweep();
                    model.expire(None);
                }
            }
            let mut closed = seen.closed.lock().clone();
            closed.sort_unstable();
            model.closed.sort_unstable();
            prop_assert_eq!(&closed, &model.closed);
            prop_assert_eq!(cache.counts().size, model.ready.len());
        }
    }
}
