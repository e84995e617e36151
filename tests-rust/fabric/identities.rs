//! Identities: what a service may be called.

use ironbridge::core::error::Code;
use ironbridge::fabric::identity::Identity;
use proptest::prelude::*;

#[test]
fn a_service_has_a_domain_a_type_and_an_id() {
    let identity = Identity::new("my-domain", "camera_2", "Left", Some("2.1.0")).unwrap();
    assert_eq!(identity.fqn(), "my-domain.camera_2.Left");
    assert_eq!((identity.domain.as_str(), identity.kind.as_str()), ("my-domain", "camera_2"));
    assert_eq!((identity.id.as_str(), identity.version.as_deref()), ("Left", Some("2.1.0")));
    assert_eq!(Identity::new("d", "t", "i", None).unwrap().version, None);
}

#[test]
fn a_part_that_is_not_allowed_is_named_first() {
    let long = "x".repeat(64);
    for wrong in ["", "a.b", "a b", "ü", "a/b", "a\n", "a*", "a#", &long] {
        for (part, made) in [
            ("service_domain ", Identity::new(wrong, "t", "i", None)),
            ("service_type ", Identity::new("d", wrong, "i", None)),
            ("service_id ", Identity::new("d", "t", wrong, None)),
        ] {
            let error = made.unwrap_err();
            assert_eq!(error.code, Code::Configuration);
            assert!(error.message.starts_with(part), "{error}");
            assert!(error.message.contains("A-Z, a-z, 0-9, - and _"), "{error}");
        }
    }
    for wrong in ["", "1 2", "1@2", "1,2", &long] {
        let error = Identity::new("d", "t", "i", Some(wrong)).unwrap_err();
        assert!(error.message.starts_with("service_version "), "{error}");
    }
}

proptest! {
    #[test]
    fn every_name_of_the_allowed_signs_is_taken(part in "[A-Za-z0-9_-]{1,63}") {
        let identity = Identity::new(&part, &part, &part, None).unwrap();
        prop_assert_eq!(identity.fqn(), format!("{part}.{part}.{part}"));
    }

    #[test]
    fn no_other_name_is(part in ".{0,70}") {
        let allowed = (1..=63).contains(&part.len())
            && part.chars().all(|sign| sign.is_ascii_alphanumeric() || "-_".contains(sign));
        prop_assert_eq!(Identity::new("d", "t", &part, None).is_ok(), allowed);
    }
}
