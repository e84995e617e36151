//! Patterns of events mean what they mean to Moleculer.

use ironbridge::mesh::pattern::{is_internal, is_wild, matches};
use proptest::prelude::*;

const NAMES: [&str; 26] = [
    "user.created",
    "user.created.now",
    "user",
    "users",
    "user.",
    "userXcreated",
    "order.created",
    "a.b.c",
    "a.c",
    "a.b.b.c",
    "aXbXc",
    "c",
    "",
    "x",
    "$node.connected",
    "$node.a.b",
    "a.bc",
    "ba",
    "axb.c",
    "$node.x",
    "a..c",
    "user..",
    "user.a.x",
    "user..x",
    "..",
    "a.",
];

/// What Moleculer itself says of these names.
const MEANT: &[(&str, &[&str])] = &[
    ("user.created", &["user.created"]),
    ("user.*", &["user.created", "user.", "user..", "user..x"]),
    ("user*", &["user.created", "user", "users", "user.", "userXcreated"]),
    ("*", &["user", "users", "userXcreated", "aXbXc", "c", "", "x", "ba"]),
    ("**", &NAMES),
    ("user.**", &["user.created", "user.created.now", "user.", "user..", "user.a.x", "user..x"]),
    (
        "user**",
        &[
            "user.created",
            "user.created.now",
            "user",
            "users",
            "user.",
            "userXcreated",
            "user..",
            "user.a.x",
            "user..x",
        ],
    ),
    ("*.created", &["user.created", "userXcreated", "order.created"]),
    ("u?er.created", &["user.created", "userXcreated"]),
    ("a.*.c", &["a.b.c", "aXbXc", "a.bc", "axb.c", "a..c"]),
    ("a.**.c", &["a.b.c", "a.b.b.c", "aXbXc", "a.bc", "axb.c", "a..c"]),
    ("**.c", &["a.b.c", "a.c", "a.b.b.c", "aXbXc", "a.bc", "axb.c", "a..c"]),
    ("***", &NAMES),
    ("?", &["c", "x"]),
    ("$node.*", &["$node.connected", "$node.x"]),
    ("$node.**", &["$node.connected", "$node.a.b", "$node.x"]),
    ("a.b?", &["a.bc"]),
    ("*a", &["ba"]),
    ("a*b.c", &["aXbXc", "axb.c"]),
    ("?*", &["user", "users", "userXcreated", "aXbXc", "c", "x", "ba"]),
    ("a.?", &["a.c"]),
    (
        "*.*",
        &[
            "user.created",
            "user",
            "users",
            "user.",
            "userXcreated",
            "order.created",
            "a.c",
            "aXbXc",
            "c",
            "x",
            "$node.connected",
            "a.bc",
            "ba",
            "axb.c",
            "$node.x",
            "a.",
        ],
    ),
    (
        "**.**",
        &[
            "user.created",
            "user.created.now",
            "user",
            "users",
            "user.",
            "userXcreated",
            "order.created",
            "a.b.c",
            "a.c",
            "a.b.b.c",
            "aXbXc",
            "c",
            "x",
            "$node.connected",
            "$node.a.b",
            "a.bc",
            "ba",
            "axb.c",
            "$node.x",
            "a..c",
            "user..",
            "user.a.x",
            "user..x",
            "..",
            "a.",
        ],
    ),
    ("user.*.x", &["user.a.x", "user..x"]),
    ("$no?e.x", &["$node.x"]),
];

#[test]
fn patterns_mean_what_they_mean_to_moleculer() {
    for (pattern, meant) in MEANT {
        let ours: Vec<_> = NAMES.into_iter().filter(|name| matches(pattern, name)).collect();
        assert_eq!(&ours, meant, "{pattern}");
    }
}

/// The same in another way, by trying all that a piece may take. It knows no short forms.
fn model(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', '*', rest @ ..] => (0..=name.len()).any(|taken| model(rest, &name[taken..])),
        ['*', rest @ ..] => {
            let longest = name.iter().position(|taken| *taken == '.').unwrap_or(name.len());
            (0..=longest).any(|taken| model(rest, &name[taken..]))
        }
        ['?' | '.', rest @ ..] => !name.is_empty() && model(rest, &name[1..]),
        [exactly, rest @ ..] => name.first() == Some(exactly) && model(rest, &name[1..]),
    }
}

proptest! {
    #[test]
    fn patterns_with_wildcards_within_take_what_the_model_takes(pattern in "[*?]{1,2}[ab.]{1,3}[ab.*?]{0,4}", name in "[ab.]{0,7}") {
        let (pieces, characters): (Vec<_>, Vec<_>) = (pattern.chars().collect(), name.chars().collect());
        prop_assert_eq!(matches(&pattern, &name), model(&pieces, &characters));
    }

    #[test]
    fn a_name_without_wildcards_means_itself(pattern in "[a-z.$]{0,8}", name in "[a-z.$]{0,8}") {
        prop_assert!(matches(&pattern, &pattern) && !is_wild(&pattern));
        prop_assert_eq!(matches(&pattern, &name), pattern == name);
    }

    #[test]
    fn two_stars_at_the_end_take_every_longer_name(before in "[a-z.]{0,6}", rest in "\\PC{0,6}") {
        let (pattern, name) = (format!("{before}**"), format!("{before}{rest}"));
        prop_assert!(matches(&pattern, &name) && is_wild(&pattern));
    }
}

#[test]
fn a_pattern_made_to_take_long_takes_no_time() {
    let (pattern, name) = ("*a**".repeat(500), "a".repeat(2000));
    assert!(matches(&pattern, &name) && !matches(&format!("{pattern}b"), &name));
}

#[test]
fn internal_names_begin_with_a_dollar() {
    assert!(is_internal("$node.connected") && !is_internal("node.$connected") && !is_internal(""));
}
