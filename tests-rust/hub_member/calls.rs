//! Calls that wait for answers.

use std::time::{Duration, Instant};

use ironbridge::core::error::{Code, Fate};
use ironbridge::hub::member::{Calls, Taken};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn the_first_answer_ends_a_call_and_the_second_is_too_late() {
    let mut calls = Calls::default();
    let number = calls.insert("waiter", "save", None, 0, soon());
    assert!(matches!(calls.answered(number, |_| {}), Taken::Ends(call) if call.waiter == "waiter"));
    assert!(matches!(calls.answered(number, |_| {}), Taken::TooLate));
    assert!(calls.is_empty());
}

#[test]
fn all_answers_are_waited_for() {
    let mut calls = Calls::default();
    let number = calls.insert(Vec::new(), "save", Some(2), 0, soon());
    assert!(matches!(calls.answered(number, |got| got.push(1)), Taken::Continues));
    assert!(matches!(calls.answered(number, |got| got.push(2)), Taken::Ends(call) if call.waiter == [1, 2]));
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
    assert!(calls.left(&["save".to_owned()], |_| 1).is_empty());
    let ended = calls.left(&["save".to_owned()], |_| 0);
    assert_eq!(ended.iter().map(|call| call.waiter).collect::<Vec<_>>(), ["one"]);
    assert_eq!(calls.len(), 1);
}

#[test]
fn a_call_to_all_waits_for_fewer_when_one_leaves() {
    let mut calls = Calls::default();
    let number = calls.insert(Vec::new(), "save", Some(3), 0, soon());
    assert!(calls.left(&["save".to_owned()], |_| 2).is_empty());
    assert!(matches!(calls.answered(number, |got| got.push(1)), Taken::Continues));
    assert!(matches!(calls.answered(number, |got| got.push(2)), Taken::Ends(_)));
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
