//! JSON envelopes: their fields and elements are found without reading them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use ironbridge::core::json::{fields, items, number, text, texts, write_text, write_texts};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// Any value, with many signs that mean something in JSON.
fn value() -> impl Strategy<Value = Value> {
    let sign = prop_oneof!["[\\[\\]{}:,\"\\\\a \n]{0,24}", any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        sign.prop_map(Into::into)
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Into::into),
            vec(("[\\[\\]{}:,\"\\\\a]{0,20}", inner), 0..5).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// The same with space wherever it may be.
fn spaced(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\r\n\t "
}

proptest! {
    #[test]
    fn fields_and_elements_are_those_that_a_reader_finds(value in value()) {
        for text in [value.to_string(), spaced(&value)] {
            match &value {
                Value::Object(object) => {
                    let found: Vec<(String, Value)> = fields(text.as_bytes())
                        .map(|field| field.unwrap())
                        .map(|field| (field.name.into_owned(), serde_json::from_slice(field.value).unwrap()))
                        .collect();
                    let wanted: Vec<_> = object.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                    prop_assert_eq!(found, wanted);
                    prop_assert!(items(text.as_bytes()).next().unwrap().is_err());
                }
                Value::Array(array) => {
                    let found: Vec<Value> =
                        items(text.as_bytes()).map(|item| serde_json::from_slice(item.unwrap()).unwrap()).collect();
                    prop_assert_eq!(&found, array);
                    prop_assert!(fields(text.as_bytes()).next().unwrap().is_err());
                }
                _ => {
                    prop_assert!(fields(text.as_bytes()).next().unwrap().is_err());
                    prop_assert!(items(text.as_bytes()).next().unwrap().is_err());
                }
            }
        }
    }

    #[test]
    fn texts_are_read_as_they_were_written(told in any::<String>(), many in vec(any::<String>(), 0..4)) {
        let mut out = b"[".to_vec();
        write_text(&mut out, &told);
        prop_assert_eq!(text(&out[1..]).map(Into::into), Some(told.clone()));
        prop_assert_eq!(serde_json::from_slice::<String>(&out[1..]).unwrap(), told);
        out.clear();
        write_texts(&mut out, many.iter().map(String::as_str));
        prop_assert_eq!(texts(&out), Some(many));
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(noise in vec(any::<u8>(), 0..60), signs in "[\\[\\]{}:,\"\\\\a1 ]{0,60}") {
        for bytes in [&noise[..], signs.as_bytes()] {
            for found in [fields(bytes).filter(Result::is_err).count(), items(bytes).filter(Result::is_err).count()] {
                prop_assert!(found <= 1, "it ends after the first error");
            }
        }
    }
}

#[test]
fn a_name_means_the_same_however_it_is_written() {
    let object = br#"{"\u0069d":1,"a long name with an \"escape\" in it":2}"#;
    let names: Vec<_> = fields(object).map(|field| field.unwrap().name.into_owned()).collect();
    assert_eq!(names, ["id", "a long name with an \"escape\" in it"]);
    let raw: Vec<_> = {
        let mut fields = fields(object);
        std::iter::from_fn(|| fields.next_raw()).map(|raw| raw.unwrap().escaped).collect()
    };
    assert_eq!(raw, [true, true]);
    assert!(fields(b"{\"a\x01\":1}").next().unwrap().is_err(), "a name with a control character is none");
}

#[test]
fn what_is_cut_off_or_goes_on_is_refused() {
    let whole = br#"{"a":[1,{"b":"]"}],"c":"d"}"#;
    for end in 0..whole.len() {
        assert!(fields(&whole[..end]).any(|field| field.is_err()), "{end}");
    }
    for bytes in
        [&b"{\"a\":1}}"[..], b"{\"a\":1,}", b"{,}", b"{\"a\"1}", b"{a:1}", b"{\"a\":}", b"{\"a\":1 2}"]
    {
        assert!(fields(bytes).any(|field| field.is_err()), "{}", String::from_utf8_lossy(bytes));
    }
    for bytes in [&b"[1"[..], b"[1,]", b"[,]", b"[1 2]", b"[1]]", b"[1}", b""] {
        assert!(items(bytes).any(|item| item.is_err()), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn numbers_are_finite() {
    assert_eq!((number(b"1e3"), number(b"-0.5"), number(b"1e999")), (Some(1000.0), Some(-0.5), None));
    assert_eq!((number(b"NaN"), number(b"inf"), number(b"\"1\"")), (None, None, None));
}
