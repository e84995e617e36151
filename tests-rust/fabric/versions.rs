//! Versions: their order, and the ranges that a caller asks for.

use std::cmp::Ordering;

use ironbridge::core::error::Code;
use ironbridge::fabric::version::{Version, VersionRange, compare_versions};
use proptest::prelude::*;

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn satisfied(range: &str, text: &str) -> bool {
    VersionRange::parse(range).unwrap().satisfied_by(text)
}

#[test]
fn versions_are_ordered_as_people_read_them() {
    let rising = [
        "blue",
        "0.9",
        "1",
        "1.0.1",
        "1.2",
        "1.10",
        "2.1.dev3",
        "2.1a1",
        "2.1a2.dev1",
        "2.1a2",
        "2.1-beta",
        "2.1rc1",
        "2.1rc2",
        "2.1rc10",
        "2.1",
        "2.1.post1",
        "2.1.1",
        "2.2",
        "10",
        "2024.11.5",
        "99999999999999999999999",
        "99999999999999999999999.1",
    ];
    for (at, low) in rising.iter().enumerate() {
        for high in &rising[at + 1..] {
            assert!(version(low) < version(high), "{low} < {high}");
            assert_eq!(compare_versions(high, low), Ordering::Greater);
        }
    }
}

#[test]
fn the_same_version_is_written_in_many_ways() {
    for (one, two) in [
        ("2.1", "2.1.0"),
        ("v2.1", "2.1"),
        ("2.01", "2.1"),
        ("2.1+build.7", "2.1"),
        ("2.1-RC1", "2.1rc1"),
        ("2.1.rc.1", "2.1rc1"),
        ("2.1alpha", "2.1a0"),
        ("2-1_0", "2.1"),
    ] {
        assert_eq!(version(one), version(two), "{one} = {two}");
    }
    assert_ne!(version("very"), version("ery"));
}

#[test]
fn a_range_holds_what_its_clauses_hold() {
    for (range, inside, outside) in [
        (">=2,<3", &["2", "2.1.0", "2.99", "2.1rc1"][..], &["1.9", "3", "3.0.0", "3.0rc1", "2rc1", "10"][..]),
        ("~=2.1", &["2.1", "2.1.5", "2.9"], &["2.0", "3", "3.0rc1", "2.1rc1", "2"]),
        ("~=2.1.3", &["2.1.3", "2.1.9", "2.1.3.1"], &["2.1.2", "2.2", "2.2.3"]),
        ("~=2.0", &["2", "2.0", "2.7"], &["3.0", "1.9"]),
        ("2.1", &["2.1", "2.1.0"], &["2.1.1", "2.1rc1"]),
        ("==2.1rc1", &["2.1-rc.1"], &["2.1"]),
        ("!=2.1, >2", &["2.2", "2.1.1"], &["2.1", "2.1.0", "2", "2.post1"]),
        ("<=2", &["2", "1", "2rc1"], &["2.0.1"]),
        ("<3rc2", &["3rc1", "2"], &["3rc2", "3"]),
        ("blue", &["blue"], &["green", "1"]),
    ] {
        for text in inside {
            assert!(satisfied(range, text), "{text} is in {range}");
        }
        for text in outside {
            assert!(!satisfied(range, text), "{text} is not in {range}");
        }
    }
    assert!(!satisfied(">=0", "no version"));
}

#[test]
fn the_highest_that_will_do_is_found() {
    let range = VersionRange::parse(" >=2, <3 ").unwrap();
    assert_eq!(range.highest(["1.0", "2.9", "2.10", "3.0", "?", "2.10rc1"]), Some("2.10"));
    assert_eq!(range.highest(["1.0"]), None);
    assert_eq!(range.to_string(), ">=2, <3");
}

#[test]
fn what_is_no_range_is_refused_with_the_reason() {
    for (text, reason) in [
        ("", "\"\" is no version"),
        (">=2,", "\"\" is no version"),
        ("=>2", "\"=>2\""),
        (">=2 <3", "\"2 <3\""),
        ("==2.*", "\"2.*\""),
        ("~=2", "two numbers"),
        ("^2", "\"^2\""),
    ] {
        let error = VersionRange::parse(text).unwrap_err();
        assert_eq!(error.code, Code::Configuration);
        assert!(error.message.contains(reason) && error.message.contains(">=2,<3"), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn versions_have_one_order(texts in prop::collection::vec("[a-c0-3.-]{1,8}", 3)) {
        let [a, b, c] = [version(&texts[0]), version(&texts[1]), version(&texts[2])];
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
        if a == b {
            prop_assert_eq!(a.cmp(&c), b.cmp(&c));
        }
    }

    #[test]
    fn a_version_is_in_exactly_one_of_below_equal_and_above(
        text in "[1-9]\\.[0-9]{1,3}", bound in "[1-9]\\.[0-9]{1,3}",
    ) {
        let held = ["<", "==", ">"].iter().filter(|sign| satisfied(&format!("{sign}{bound}"), &text)).count();
        prop_assert_eq!(held, 1);
        prop_assert_eq!(satisfied(&format!(">={bound}"), &text), !satisfied(&format!("<{bound}"), &text));
        prop_assert_ne!(satisfied(&format!("!={bound}"), &text), satisfied(&bound, &text));
    }

    #[test]
    fn no_text_breaks_the_reader(range in ".{0,40}", text in ".{0,80}") {
        if let Ok(range) = VersionRange::parse(&range) {
            let _ = range.satisfied_by(&text);
        }
    }
}
