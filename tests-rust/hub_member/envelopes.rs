//! An object's fields, read without their values.

use ironbridge::core::json::{fields, number, text, texts, write_text};
use proptest::prelude::*;

fn pairs(object: &str) -> Option<Vec<(String, String)>> {
    fields(object.as_bytes())
        .map(|field| {
            let field = field.ok()?;
            Some((field.name.into_owned(), String::from_utf8_lossy(field.value).into_owned()))
        })
        .collect()
}

#[test]
fn values_are_slices_as_they_came() {
    let found =
        pairs(r#" { "s" : "A\"}" ,"d":{"x":[1,{"y":"]}"}]}, "n": -1.5e3 ,"t":true,"a":[] } "#).unwrap();
    let expected =
        [("s", r#""A\"}""#), ("d", r#"{"x":[1,{"y":"]}"}]}"#), ("n", "-1.5e3"), ("t", "true"), ("a", "[]")];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn names_are_unescaped() {
    assert_eq!(pairs(r#"{"\u0073":1}"#).unwrap(), [("s".to_owned(), "1".to_owned())]);
}

#[test]
fn what_is_no_object_is_an_error() {
    let wrong = [
        "",
        "{",
        "[]",
        "1",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1",
        "{\"a\":1,}",
        "{\"a\":1}x",
        "{a:1}",
        "{\"a\":\"",
        "{\"a\":[}",
        "{\"a\" 1}",
        "{\"a\":\"\\",
        "{\"\\ud800\":1}",
    ];
    for text in wrong {
        assert!(pairs(text).is_none(), "{text:?} was taken for an object");
    }
}

#[test]
fn numbers_and_texts_of_the_wrong_kind_are_none() {
    assert_eq!(text(b"1"), None);
    assert_eq!(text(b"\"a"), None);
    assert_eq!(number(b"\"1\""), None);
    assert_eq!(number(b"NaN"), None);
    assert_eq!(texts(b"[1]"), None);
    assert_eq!(texts(br#"["a","\u00e9"]"#), Some(vec!["a".to_owned(), "é".to_owned()]));
}

proptest! {
    #[test]
    fn any_text_that_is_written_is_read_again(said in "\\PC*|[\\x00-\\x1f\"\\\\]*") {
        let mut out = b"{\"k\":".to_vec();
        write_text(&mut out, &said);
        out.push(b'}');
        let field = fields(&out).next().unwrap().unwrap();
        prop_assert_eq!(text(field.value).unwrap(), said.as_str());
    }

    #[test]
    fn any_bytes_end_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(fields(&bytes).count() <= bytes.len() + 1);
    }

    #[test]
    fn what_a_json_library_writes_is_understood(value in "[a-z\"\\\\]{0,8}", deep in 0_usize..20) {
        let mut inner = serde_json::json!(value);
        for _ in 0..deep {
            inner = serde_json::json!({ "x": [inner, null] });
        }
        let whole = serde_json::json!({ "s": "A", "d": inner });
        let found = pairs(&whole.to_string()).unwrap();
        let data = found.iter().find(|(name, _)| name == "d").unwrap();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&data.1).unwrap(), whole["d"].clone());
    }
}
