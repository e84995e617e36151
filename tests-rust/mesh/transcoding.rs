//! What came in one serializer says the same in the other.

use ironbridge::mesh::packet::{to_json, to_msgpack};
use proptest::collection::vec;
use proptest::prelude::*;

fn json(raw: &[u8]) -> String {
    String::from_utf8(to_json(raw).unwrap()).unwrap()
}

#[test]
fn values_of_messagepack_are_those_of_json() {
    let nested =
        [&[0x83, 0xa1, b'b', 0xc3, 0xa1, b'a'][..], &[0x92, 0xff, 0xc0], &[0xa1, b'"', 0xa2, b'\n', b'"']]
            .concat();
    assert_eq!(json(&nested), r#"{"b":true,"a":[-1,null],"\"":"\u000a\""}"#, "in the order they came in");
    assert_eq!(json(&[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), u64::MAX.to_string());
    assert_eq!(json(&[0xcb, 0x40, 0xc3, 0x87, 0xeb, 0x6f, 0xd2, 0x1f, 0xf3]), "9999.83935");
}

#[test]
fn bytes_are_a_buffer_as_javascript_writes_it() {
    assert_eq!(json(&[0xc4, 2, 104, 105]), r#"{"type":"Buffer","data":[104,105]}"#);
    assert_eq!(json(&[0xc4, 0]), r#"{"type":"Buffer","data":[]}"#);
}

#[test]
fn what_json_has_no_word_for_is_null() {
    assert_eq!(json(&[0x91, 0xd6, 0xff, 0, 0, 0, 0]), "[null]", "a time");
    assert_eq!(json(&[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]), "null", "not a number");
}

#[test]
fn what_is_malformed_or_too_deep_is_refused() {
    for raw in [
        &[][..],
        &[0x91],
        &[0x81, 1, 2],
        &[0xa3, b'a'],
        &[0xa1, 0xff],
        &[0xc1],
        &[1, 1],
        &[0xdf, 255, 255, 255, 255],
    ] {
        assert_eq!(to_json(raw), None, "{raw:?}");
    }
    let deep = |depth| [vec![0x91; depth], vec![1]].concat();
    assert!(to_json(&deep(100)).is_some());
    assert_eq!(to_json(&deep(1_000_000)), None);
    assert_eq!(to_msgpack(b"{"), None);
}

proptest! {
    #[test]
    fn values_go_there_and_back(numbers in vec(any::<i64>(), 0..5), halves in vec(-1_000_000..1_000_000, 0..3), texts in vec(any::<String>(), 0..5)) {
        let value = serde_json::json!({"n": numbers, "f": halves.iter().map(|number| f64::from(*number) / 2.0 + 0.25).collect::<Vec<_>>(), "t": texts, "o": {"x": texts, "y": true}});
        let packed = to_msgpack(value.to_string().as_bytes()).unwrap();
        prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&to_json(&packed).unwrap()).unwrap(), value);
    }

    #[test]
    fn bytes_of_any_kind_are_transcoded_to_json_or_refused(raw in vec(any::<u8>(), 0..64)) {
        if let Some(json) = to_json(&raw) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok(), "{:?}", json);
        }
    }
}
