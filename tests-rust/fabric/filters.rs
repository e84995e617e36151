//! Matching headers here, as the broker does it: by value, whatever type it was written as.

use ironbridge::fabric::headers::Filter;
use lapin::types::{AMQPValue, DecimalValue, FieldArray, FieldTable};

fn table(fields: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert((*name).into(), value.clone());
    }
    table
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn all(wanted: &[(&str, AMQPValue)], headers: &[(&str, AMQPValue)]) -> bool {
    Filter::new(table(wanted), false).matches(Some(&table(headers)))
}

fn any(wanted: &[(&str, AMQPValue)], headers: &[(&str, AMQPValue)]) -> bool {
    Filter::new(table(wanted), true).matches(Some(&table(headers)))
}

fn matches(wanted: AMQPValue, found: AMQPValue) -> bool {
    all(&[("a", wanted)], &[("a", found)])
}

#[test]
fn all_of_the_headers_must_say_so_or_any() {
    let wanted = [("room", text("hall")), ("floor", AMQPValue::LongInt(2))];
    let (both, one) = ([wanted[0].clone(), wanted[1].clone(), ("more", text("x"))], [wanted[1].clone()]);
    assert!(all(&wanted, &both) && any(&wanted, &both));
    assert!(!all(&wanted, &one) && any(&wanted, &one));
    let other = [("room", text("yard")), ("floor", AMQPValue::LongInt(3))];
    assert!(!all(&wanted, &other) && !any(&wanted, &other));
}

#[test]
fn no_headers_wanted_means_every_message_or_none() {
    let said = [("room", text("hall"))];
    assert!(all(&[], &said) && all(&[], &[]));
    assert!(!any(&[], &said), "none of no headers can say so");
    assert!(Filter::new(FieldTable::default(), false).matches(None));
    assert!(!Filter::new(table(&said), false).matches(None));
}

#[test]
fn numbers_are_the_same_whatever_size_they_were_written_in() {
    let fives = [
        AMQPValue::ShortShortInt(5),
        AMQPValue::ShortShortUInt(5),
        AMQPValue::ShortInt(5),
        AMQPValue::ShortUInt(5),
        AMQPValue::LongInt(5),
        AMQPValue::LongUInt(5),
        AMQPValue::LongLongInt(5),
        AMQPValue::Timestamp(5),
        AMQPValue::Float(5.0),
        AMQPValue::Double(5.0),
    ];
    for wanted in &fives {
        for found in &fives {
            assert!(matches(wanted.clone(), found.clone()), "{wanted:?} {found:?}");
        }
        for other in [AMQPValue::LongInt(6), AMQPValue::Double(5.5), text("5"), AMQPValue::Boolean(true)] {
            assert!(!matches(wanted.clone(), other.clone()), "{wanted:?} {other:?}");
        }
    }
}

#[test]
fn floats_are_the_same_only_as_exactly_as_they_were_written() {
    assert!(matches(AMQPValue::Float(1.5), AMQPValue::Double(1.5)));
    assert!(matches(AMQPValue::Float(0.1), AMQPValue::Float(0.1)));
    assert!(!matches(AMQPValue::Float(0.1), AMQPValue::Double(0.1)), "0.1 in four bytes is 0.10000000149");
}

#[test]
fn texts_and_bytes_are_the_same_and_truth_is_no_text() {
    assert!(matches(text("x"), AMQPValue::ShortString("x".into())));
    assert!(matches(text("x"), AMQPValue::ByteArray(b"x".as_slice().into())));
    assert!(!matches(text("x"), text("X")));
    assert!(matches(AMQPValue::Boolean(true), AMQPValue::Boolean(true)));
    assert!(!matches(AMQPValue::Boolean(true), AMQPValue::Boolean(false)));
    assert!(!matches(text("true"), AMQPValue::Boolean(true)));
}

#[test]
fn values_of_many_parts_are_the_same_as_a_whole() {
    let list = |number| AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::LongInt(number)]));
    let nested = |number| AMQPValue::FieldTable(table(&[("n", AMQPValue::LongInt(number))]));
    let decimal = |value| AMQPValue::DecimalValue(DecimalValue { scale: 2, value });
    assert!(matches(list(1), list(1)) && !matches(list(1), list(2)));
    assert!(matches(nested(1), nested(1)) && !matches(nested(1), nested(2)));
    assert!(matches(decimal(1), decimal(1)) && !matches(decimal(1), decimal(2)));
}

#[test]
fn a_header_without_a_value_needs_only_to_be_there() {
    assert!(matches(AMQPValue::Void, text("anything")) && matches(AMQPValue::Void, AMQPValue::Void));
    assert!(!all(&[("a", AMQPValue::Void)], &[("b", text("anything"))]));
    assert!(!matches(text("something"), AMQPValue::Void));
}

#[test]
fn names_of_the_broker_s_own_are_not_compared() {
    let wanted = [("x-match", text("any")), ("room", text("hall"))];
    assert!(all(&wanted, &[("room", text("hall"))]));
    assert!(!any(&[("x-mine", text("1"))], &[("x-mine", text("1"))]));
}
