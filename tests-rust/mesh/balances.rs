//! Which of several nodes is chosen, strategy by strategy.

use std::sync::Arc;
use std::time::Duration;

use ironbridge::core::error::Code;
use ironbridge::mesh::balance::{
    Balancer, Candidates, Dice, Latencies, LatencyOptions, Random, Ring, Strategy,
};
use proptest::prelude::{Strategy as _, prop, prop_assert_eq, proptest};

/// A node: its id, its processor, its distance.
type Known = (String, Option<f64>, Option<f64>);

struct Nodes(Vec<Known>);

impl Candidates for Nodes {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn node(&self, place: usize) -> &str {
        &self.0[place].0
    }

    fn cpu(&self, place: usize) -> Option<f64> {
        self.0[place].1
    }

    fn latency(&self, place: usize) -> Option<f64> {
        self.0[place].2
    }
}

/// Chance that the test has decided.
struct Decided(Vec<usize>);

impl Random for Decided {
    fn below(&mut self, bound: usize) -> usize {
        self.0.remove(0) % bound
    }
}

fn named(names: &[&str]) -> Nodes {
    Nodes(names.iter().map(|name| ((*name).to_owned(), None, None)).collect())
}

fn busy(cpus: &[Option<f64>]) -> Nodes {
    Nodes(cpus.iter().map(|cpu| (String::new(), *cpu, cpu.map(|cpu| cpu * 2.0))).collect())
}

fn balancer(name: &str, options: &str) -> Balancer {
    Balancer::new(Arc::new(Strategy::resolve(name, Some(options.as_bytes())).unwrap()))
}

fn picks(balancer: &mut Balancer, nodes: &Nodes, times: usize) -> Vec<usize> {
    (0..times).map(|_| balancer.pick(nodes, 0, None, &mut Decided(Vec::new())).unwrap()).collect()
}

#[test]
fn round_robin_takes_each_in_its_turn() {
    let mut balancer = balancer("RoundRobin", "{}");
    assert_eq!(picks(&mut balancer, &named(&["a", "b", "c"]), 7), [0, 1, 2, 0, 1, 2, 0]);
    // One has left, and one has come: the turn goes on.
    assert_eq!(picks(&mut balancer, &named(&["a", "b"]), 2), [1, 0]);
    assert_eq!(picks(&mut balancer, &named(&["a", "b", "c", "d"]), 3), [1, 2, 3]);
    assert_eq!(balancer.pick(&named(&[]), 0, None, &mut Decided(Vec::new())), None);
}

#[test]
fn random_takes_what_chance_says() {
    let (mut balancer, nodes) = (balancer("random", "{}"), named(&["a", "b", "c"]));
    let mut chance = Decided(vec![2, 0, 1, 2]);
    let picked: Vec<_> = (0..4).map(|_| balancer.pick(&nodes, 0, None, &mut chance).unwrap()).collect();
    assert_eq!(picked, [2, 0, 1, 2]);
}

#[test]
fn the_least_busy_of_a_sample_is_taken() {
    let nodes = busy(&[Some(50.0), Some(20.0), Some(30.0), Some(15.0), None]);
    let pick = |nodes: &Nodes, chance: Vec<usize>| {
        balancer("CpuUsage", r#"{"sampleCount":3,"lowCpuUsage":10}"#).pick(
            nodes,
            0,
            None,
            &mut Decided(chance),
        )
    };
    assert_eq!(pick(&nodes, vec![0, 2, 1]), Some(1));
    assert_eq!(pick(&nodes, vec![4, 0, 4]), Some(0), "of some nothing is known");
    assert_eq!(pick(&nodes, vec![4, 4, 4, 3]), Some(3), "nothing is known of any: chance decides");
    let idle = busy(&[Some(50.0), Some(9.0), Some(1.0), Some(2.0)]);
    assert_eq!(pick(&idle, vec![0, 1]), Some(1), "one that is idle is taken at once");
    // As few as the sample: all are looked at, in order.
    assert_eq!(pick(&busy(&[Some(50.0), Some(20.0), Some(30.0)]), Vec::new()), Some(1));
    assert_eq!(
        balancer("CpuUsage", r#"{"sampleCount":0}"#).pick(&nodes, 0, None, &mut Decided(Vec::new())),
        Some(3)
    );
}

#[test]
fn the_nearest_of_a_sample_is_taken() {
    let nodes = busy(&[Some(50.0), Some(20.0), None, Some(3.0)]);
    let mut balancer = balancer("latency", r#"{"sampleCount":2}"#);
    assert_eq!(balancer.pick(&nodes, 0, None, &mut Decided(vec![0, 1])), Some(1));
    assert_eq!(balancer.pick(&nodes, 0, None, &mut Decided(vec![3])), Some(3), "below 10 ms at once");
    assert_eq!(balancer.pick(&nodes, 0, None, &mut Decided(vec![2, 2, 0])), Some(0));
}

/// What Moleculer's own ring says, in the order of these keys.
const KEYS: [&str; 13] = [
    "1",
    "2",
    "bob",
    "alice",
    "zażółć",
    "user-1",
    "user-2",
    "user-3",
    "user-4",
    "user-5",
    "42",
    "1000",
    "x y",
];

#[test]
fn keys_belong_to_the_nodes_that_moleculer_gives_them_to() {
    let c = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for (nodes, options, wanted) in [
        (
            &["node-c", "node-a", "node-b"][..],
            "{}",
            c("node-c node-c node-a node-c node-a node-b node-b node-c node-b node-a node-a node-b node-c"),
        ),
        (
            &["n1", "n2", "n10", "n3", "n4", "n5", "n6"],
            r#"{"vnodes":3}"#,
            c("n2 n2 n6 n10 n4 n3 n5 n10 n3 n4 n6 n6 n2"),
        ),
        (&["a", "b"], r#"{"vnodes":5,"ringSize":100}"#, c("b a b a b b b a a a a b b")),
    ] {
        let (mut balancer, nodes) = (balancer("Shard", options), named(nodes));
        let owners = KEYS
            .map(|key| nodes.node(balancer.pick(&nodes, 0, Some(key), &mut Decided(Vec::new())).unwrap()));
        assert_eq!(owners.as_slice(), wanted, "{options}");
    }
}

#[test]
fn a_call_without_a_key_goes_anywhere() {
    let mut balancer = balancer("Shard", r##"{"shardKey":"#user.id"}"##);
    assert_eq!(balancer.pick(&named(&["a", "b", "c"]), 0, None, &mut Decided(vec![2])), Some(2));
    assert!(matches!(balancer.strategy(), Strategy::Shard { shard_key: Some(key), .. } if key == "#user.id"));
}

#[test]
fn the_ring_is_made_anew_when_the_nodes_are_others() {
    let mut balancer = balancer("Shard", "{}");
    let (three, two) = (named(&["node-a", "node-b", "node-c"]), named(&["node-d", "node-a", "node-b"]));
    let mut owner = |nodes: &Nodes, generation| {
        let place = balancer.pick(nodes, generation, Some("1"), &mut Decided(Vec::new())).unwrap();
        nodes.node(place).to_owned()
    };
    assert_eq!(owner(&three, 1), "node-c");
    assert_eq!(owner(&two, 2), "node-d");
}

#[test]
fn strategies_have_moleculer_s_names_and_defaults() {
    let resolve = |name: &str| Strategy::resolve(name, None).unwrap();
    assert_eq!(resolve("roundrobin"), Strategy::RoundRobin);
    assert_eq!(resolve("CpuUsage"), Strategy::CpuUsage { sample_count: 3, low_cpu_usage: 10.0 });
    let options = LatencyOptions { collect_count: 5, ping_interval: Duration::from_secs(10) };
    assert_eq!(options, LatencyOptions::default());
    assert_eq!(resolve("LATENCY"), Strategy::Latency { sample_count: 5, low_latency: 10.0, options });
    assert_eq!(resolve("Shard"), Strategy::Shard { shard_key: None, vnodes: 10, ring_size: None });
    for name in ["RoundRobin", "Random", "CpuUsage", "Latency", "Shard"] {
        assert_eq!(resolve(name).name(), name);
    }
    let refused = |name: &str, options: &str| Strategy::resolve(name, Some(options.as_bytes())).unwrap_err();
    assert_eq!(refused("Best", "{}").code, Code::Configuration);
    assert!(refused("CpuUsage", r#"{"sampleCount":"x"}"#).message.contains("sampleCount"));
}

#[test]
fn ways_are_averaged_by_host_and_forgotten_with_its_last_node() {
    let mut ways = Latencies::new(LatencyOptions { collect_count: 2, ..LatencyOptions::default() });
    let [host, other, a, b]: [Arc<str>; 4] = ["host", "other", "a", "b"].map(Into::into);
    ways.heard("host", 5.0);
    assert_eq!(ways.average("host"), None, "nobody is there");
    ways.came(&host, &a);
    ways.came(&host, &b);
    ways.came(&host, &b);
    ways.came(&other, &"c".into());
    for (elapsed, average) in [(10.0, 10.0), (20.0, 15.0), (40.0, 30.0)] {
        ways.heard("host", elapsed);
        assert_eq!(ways.average("host"), Some(average));
    }
    let mut asked: Vec<_> = ways.targets(&mut Decided(vec![0, 0])).iter().map(ToString::to_string).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["a", "c"], "one node of each host");
    ways.left("host", "b");
    ways.left("host", "nobody");
    assert_eq!(ways.average("host"), Some(30.0));
    ways.left("host", "a");
    assert_eq!(ways.average("host"), None);
}

#[test]
fn dice_show_every_side() {
    let mut dice = Dice::default();
    let mut seen = [0_u32; 6];
    for _ in 0..6000 {
        seen[dice.below(6)] += 1;
    }
    assert!(seen.iter().all(|times| (700..1300).contains(times)), "{seen:?}");
}

proptest! {
    #[test]
    fn every_key_belongs_to_one_node_whatever_their_order(
        mut names in prop::collection::btree_set("[a-z]{1,5}", 1..20).prop_map(|names| names.into_iter().collect::<Vec<_>>()),
        key in "\\PC{0,10}", vnodes in 1_usize..30, size in prop::option::of(1_u64..1 << 40),
    ) {
        let owner = |names: &[String]| {
            let nodes = Nodes(names.iter().map(|name| (name.clone(), None, None)).collect());
            nodes.node(Ring::new(&nodes, 0, vnodes, size).place(&key)).to_owned()
        };
        let first = owner(&names);
        names.reverse();
        prop_assert_eq!(owner(&names), first);
    }
}
