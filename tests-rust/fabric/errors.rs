//! What the broker's errors mean, and whether trying again helps.

use std::io;

use ironbridge::core::error::{Code, Error};
use ironbridge::fabric::address::Address;
use ironbridge::fabric::error::{Cause, classify};
use lapin::protocol::AMQPError;
use lapin::{ChannelState, ErrorKind};

fn told(kind: ErrorKind) -> (Error, Cause) {
    let at = Address::parse("amqp://me:s3cret@broker/home").unwrap();
    let (error, cause) = classify(&kind.into(), "declaring the exchange x", &at);
    assert!(error.message.contains("amqp://me@broker:5672/home"), "{error}");
    assert!(!error.message.contains("s3cret"), "{error}");
    (error, cause)
}

fn broker_said(number: u16, words: &str) -> (Error, Cause) {
    let (error, cause) = told(ErrorKind::ProtocolError(AMQPError::from_id(number, words.into()).unwrap()));
    assert!(error.message.contains("declaring the exchange x") && error.message.contains(words), "{error}");
    (error, cause)
}

#[test]
fn what_the_broker_says_is_told_with_who_must_do_what() {
    use Cause::{Final, Retry};
    for (number, words, code, cause, advice) in [
        (
            403,
            "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN",
            Code::Authentication,
            Final,
            "password",
        ),
        (
            403,
            "ACCESS_REFUSED - access to exchange 'x' in vhost 'home' refused for user 'me'",
            Code::Authentication,
            Final,
            "permitted",
        ),
        (
            403,
            "ACCESS_REFUSED - queue 'q' in vhost 'home' in exclusive use",
            Code::ServiceUnavailable,
            Retry,
            "consumer",
        ),
        (530, "NOT_ALLOWED - vhost home not found", Code::Configuration, Final, "\"home\""),
        (
            530,
            "NOT_ALLOWED - access to vhost 'home' refused for user 'me'",
            Code::Configuration,
            Final,
            "\"me\"",
        ),
        (530, "NOT_ALLOWED - vhost 'home' is down", Code::ServiceUnavailable, Retry, "later"),
        (
            530,
            "NOT_ALLOWED - access to vhost 'home' refused for user 'me': connection limit (1) is reached",
            Code::ServiceUnavailable,
            Retry,
            "later",
        ),
        (402, "INVALID_PATH - no vhost home", Code::Configuration, Final, "vhost"),
        (
            406,
            "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x'",
            Code::Configuration,
            Final,
            "another name",
        ),
        (406, "PRECONDITION_FAILED - unknown delivery tag 7", Code::ConnectionLost, Retry, "channel"),
        (
            406,
            "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out",
            Code::ConnectionLost,
            Retry,
            "consumer_timeout",
        ),
        (
            406,
            "PRECONDITION_FAILED - message size 2 is larger than configured max size 1",
            Code::Payload,
            Final,
            "less",
        ),
        (404, "NOT_FOUND - no exchange 'x' in vhost 'home'", Code::ServiceUnavailable, Retry, "not there"),
        (
            405,
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q'",
            Code::ServiceUnavailable,
            Retry,
            "another connection",
        ),
        (
            320,
            "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
            Code::ConnectionLost,
            Retry,
            "operator",
        ),
        (503, "COMMAND_INVALID - unknown exchange type 'x-new'", Code::Configuration, Final, "does not"),
        (540, "NOT_IMPLEMENTED - immediate=true", Code::Configuration, Final, "does not"),
        (506, "RESOURCE_ERROR - no more", Code::Overloaded, Retry, "short"),
        (541, "INTERNAL_ERROR", Code::ServiceUnavailable, Retry, "log"),
        (501, "FRAME_ERROR - what", Code::Protocol, Retry, "log"),
    ] {
        let (error, judged) = broker_said(number, words);
        assert_eq!((error.code, judged), (code, cause), "{error}");
        assert!(error.message.contains(advice), "{advice}: {error}");
    }
}

#[test]
fn a_connection_that_ends_is_made_again() {
    for kind in [
        ErrorKind::IOError(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        ErrorKind::MissingHeartbeatError,
        ErrorKind::InvalidChannelState(ChannelState::Closed, "publishing"),
        ErrorKind::InvalidChannel(3),
    ] {
        let (error, cause) = told(kind);
        assert_eq!((error.code, cause), (Code::ConnectionLost, Cause::Retry), "{error}");
    }
    assert_eq!(told(ErrorKind::ChannelsLimitReached).0.code, Code::Overloaded);
    assert_eq!(told(ErrorKind::AuthProviderError("no".into())).1, Cause::Final);
}

#[test]
fn tls_that_the_broker_ends_late_says_what_to_change() {
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
    let (error, cause) = told(ErrorKind::IOError(io::Error::new(io::ErrorKind::InvalidData, alert).into()));
    assert_eq!((error.code, cause), (Code::Configuration, Cause::Final));
    assert!(error.message.contains("tls_cert="), "{error}");
}

#[test]
fn what_the_engine_found_out_while_connecting_stays_as_it_is() {
    let at = Address::parse("amqp://broker").unwrap();
    for (code, cause) in [(Code::Configuration, Cause::Final), (Code::ServiceUnavailable, Cause::Retry)] {
        let found = Error::new(code, "as it was");
        let error = ErrorKind::IOError(io::Error::other(found.clone()).into()).into();
        assert_eq!(classify(&error, "connecting", &at), (found, cause));
    }
}
