//! Calls that wait for answers.

use std::time::{Duration, Instant};

use ironbridge::core::error::{Code, Fate};
use ironbridge::hub::member::{Awaited, Calls, Taken};
use ironbridge::hub::message::Instance;

/// Those whose answers are awaited, one instance each.
fn everyone(names: &[&str]) -> Option<Awaited> {
    Some(names.iter().map(|name| ((*name).to_owned(), Some(instance(name)))).collect())
}

fn instance(name: &str) -> Instance {
    Instance::from_text(&format!("{:0>16}", name.replace(|c: char| !c.is_ascii_hexdigit(), "f"))).unwrap()
}

fn from(name: &str) -> (&str, Option<Instance>) {
    (name, Some(instance(name)))
}

fn save() -> [String; 1] {
    ["save".to_owned()]
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn the_first_answer_ends_a_call_and_the_second_is_too_late() {
    let mut calls = Calls::default();
    let number = calls.insert("waiter", "save", None, 0, soon());
    assert!(
        matches!(calls.answered(number, from("A"), |_| {}), Taken::Ends(call) if call.waiter == "waiter")
    );
    assert!(matches!(calls.answered(number, from("A"), |_| {}), Taken::TooLate));
    assert!(calls.is_empty());
}

#[test]
fn all_answers_are_waited_for() {
    let mut calls = Calls::default();
    let number = calls.insert(Vec::new(), "save", everyone(&["A", "B"]), 0, soon());
    assert!(matches!(calls.answered(number, from("A"), |got| got.push(1)), Taken::Continues));
    assert!(
        matches!(calls.answered(number, from("B"), |got| got.push(2)), Taken::Ends(call) if call.waiter == [1, 2])
    );
}

#[test]
fn an_answer_of_a_stranger_is_kept_and_ends_nothing() {
    let mut calls = Calls::default();
    let number = calls.insert(Vec::new(), "save", everyone(&["A"]), 0, soon());
    assert!(matches!(calls.answered(number, ("C", None), |got| got.push(1)), Taken::Continues));
    assert!(
        matches!(calls.answered(number, from("A"), |got| got.push(2)), Taken::Ends(call) if call.waiter == [1, 2])
    );
}

#[test]
fn an_answer_without_an_instance_is_that_of_any_of_its_name() {
    let mut calls = Calls::default();
    let number = calls.insert((), "save", everyone(&["A", "B"]), 0, soon());
    assert!(matches!(calls.answered(number, ("A", None), |()| {}), Taken::Continues));
    assert!(matches!(calls.answered(number, ("B", None), |()| {}), Taken::Ends(_)));
}

#[test]
fn where_nobody_is_known_all_answers_until_the_deadline_are_kept() {
    let mut calls = Calls::default();
    let deadline = soon();
    let number = calls.insert(Vec::new(), "save", everyone(&[]), 0, deadline);
    for answer in [1, 2] {
        assert!(matches!(calls.answered(number, ("A", None), |got| got.push(answer)), Taken::Continues));
    }
    let late = calls.overdue(deadline).pop().unwrap();
    assert_eq!(late.waiter, [1, 2]);
}

#[test]
fn a_lost_hub_ends_the_calls_that_it_had_taken_and_no_others() {
    let mut calls = Calls::default();
    calls.insert("taken", "save", None, 4, soon());
    calls.insert("waits", "save", None, 5, soon());
    let lost = calls.lost(5);
    assert_eq!(lost.iter().map(|call| call.waiter).collect::<Vec<_>>(), ["taken"]);
    assert_eq!(calls.len(), 1);
}

#[test]
fn a_call_ends_when_the_last_that_could_answer_leaves() {
    let mut calls = Calls::default();
    calls.insert("one", "save", None, 0, soon());
    calls.insert("other", "load", None, 0, soon());
    assert!(calls.left(from("A"), &save(), |_| true).is_empty());
    let ended = calls.left(from("B"), &save(), |_| false);
    assert_eq!(ended.iter().map(|call| call.waiter).collect::<Vec<_>>(), ["one"]);
    assert_eq!(calls.len(), 1);
}

#[test]
fn a_call_to_all_waits_for_fewer_when_one_leaves() {
    let mut calls = Calls::default();
    let number = calls.insert(Vec::new(), "save", everyone(&["A", "B", "C"]), 0, soon());
    assert!(calls.left(from("B"), &save(), |_| true).is_empty());
    assert!(matches!(calls.answered(number, from("A"), |got| got.push(1)), Taken::Continues));
    assert!(matches!(calls.answered(number, from("C"), |got| got.push(2)), Taken::Ends(_)));
}

#[test]
fn a_call_to_all_ends_when_the_only_one_that_has_not_answered_leaves() {
    let mut calls = Calls::default();
    let number = calls.insert(Vec::new(), "save", everyone(&["A", "B"]), 0, soon());
    assert!(matches!(calls.answered(number, from("A"), |got| got.push(1)), Taken::Continues));
    // It has answered: that it leaves changes nothing.
    assert!(calls.left(from("A"), &save(), |_| true).is_empty());
    let ended = calls.left(from("B"), &save(), |_| true);
    assert_eq!(ended.iter().map(|call| call.waiter.clone()).collect::<Vec<_>>(), [[1]]);
}

#[test]
fn a_deadline_tells_whether_anyone_could_have_answered() {
    let mut calls = Calls::default();
    calls.insert((), "save", None, 0, Instant::now());
    let late = calls.overdue(Instant::now()).pop().unwrap();
    assert_eq!(late.late(1.0, true, true).code, Code::DeadlineExceeded);
    assert_eq!(late.late(1.0, true, true).fate, Fate::Unknown);
    assert_eq!(late.late(1.0, true, false).fate, Fate::NotSent);
    assert_eq!(late.late(1.0, false, true).code, Code::ServiceNotFound);
    assert_eq!(late.late(1.0, false, false).code, Code::ServiceUnavailable);
}
