//! URLs of transporters, as users write them.

use ironbridge::core::error::Code;
use ironbridge::mesh::address::{Address, Nats, Redis};

fn told(address: &Address) -> (bool, &str, u16, Option<&str>, Option<&str>) {
    (address.tls, &address.host, address.port, address.user.as_deref(), address.password.as_deref())
}

#[test]
fn a_redis_is_where_and_who_and_which_database() {
    let read = |text: &str| Redis::parse(text).unwrap();
    for (text, wanted, database) in [
        ("redis://localhost:6379/0", (false, "localhost", 6379, None, None), 0),
        ("redis://localhost", (false, "localhost", 6379, None, None), 0),
        ("rediss://h:1/15", (true, "h", 1, None, None), 15),
        ("redis://:p%40ss@h", (false, "h", 6379, None, Some("p@ss")), 0),
        ("redis://bob:p@h/?db=3", (false, "h", 6379, Some("bob"), Some("p")), 3),
        (" redis://[::1]:7000/2 ", (false, "::1", 7000, None, None), 2),
    ] {
        let redis = read(text);
        assert_eq!((told(&redis.server), redis.database), (wanted, database), "{text}");
    }
}

#[test]
fn servers_of_nats_are_several_and_share_who_comes() {
    let servers = |text: &str| Nats::parse(text).unwrap().servers;
    assert_eq!(told(&servers("nats://localhost")[0]), (false, "localhost", 4222, None, None));
    assert_eq!(told(&servers("tls://token@h")[0]), (true, "h", 4222, Some("token"), None));
    let three = servers("nats://bob:p@a:1, nats://b:2,c,");
    let three: Vec<_> = three.iter().map(told).collect();
    let bob = |host, port| (false, host, port, Some("bob"), Some("p"));
    assert_eq!(three, [bob("a", 1), bob("b", 2), bob("c", 4222)]);
}

#[test]
fn what_cannot_be_used_is_refused_without_showing_it() {
    for text in [
        "redis://bob:secret@",
        "http://bob:secret@h",
        "redis://bob:secret@h/x",
        "redis://bob:secret@h/0?what=1",
        "redis://bob:secret@h/0#x",
        "redis://bob:se/cret@h",
        "redis://bob:secret@h:0",
        "localhost:6379",
        "",
    ] {
        let error = Redis::parse(text).unwrap_err();
        assert_eq!(error.code, Code::Configuration);
        assert!(
            !error.message.contains("secret") && error.message.contains("give redis://"),
            "{text}: {error}"
        );
    }
    for text in ["", ",", "redis://h", "nats://bob:secret@h/x", "nats://bob:secret@h,nats://h:99999"] {
        let error = Nats::parse(text).unwrap_err();
        assert!(
            !error.message.contains("secret") && error.message.contains("give nats://"),
            "{text}: {error}"
        );
    }
}

#[test]
fn an_address_is_shown_without_who_comes() {
    let redis = Redis::parse("rediss://bob:secret@[::1]:7000/2").unwrap();
    assert_eq!(redis.server.to_string(), "rediss://[::1]:7000");
    assert!(!format!("{redis:?}").contains("secret"));
    let nats = Nats::parse("tls://token@h").unwrap();
    assert_eq!(format!("{nats:?}"), "Nats { servers: [Address(tls://h:4222)] }");
}
