//! What messages mean to one service, and who it knows.

use std::time::{Duration, Instant};

use ironbridge::hub::member::{Change, Event, View};
use ironbridge::hub::message::{Facts, Instance, Writer, read};

const BEAT: Duration = Duration::from_secs(2);

struct Peer {
    writer: Writer,
    instance: Instance,
}

fn peer(name: &str, digits: &str, actions: &[&str]) -> Peer {
    let instance = Instance::from_text(digits).unwrap();
    let actions: Vec<String> = actions.iter().map(|action| (*action).to_owned()).collect();
    Peer { writer: Writer::new(name, &actions, instance, BEAT), instance }
}

fn view() -> View<()> {
    let own = Instance::from_text("00000000000000aa").unwrap();
    View::new("Alpha", &["save".to_owned()], own, BEAT, 100).unwrap()
}

fn hear<'a>(view: &mut View<()>, message: &'a [u8]) -> Event<'a> {
    let (head, body) = view.split(message).expect("a message that concerns the service");
    let (facts, _) = read(body).unwrap();
    view.take(head, facts, Instant::now())
}

fn came(service: &str, actions: &[&str]) -> Change {
    Change::Came {
        service: service.into(),
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
    }
}

#[test]
fn the_own_registration_is_seen_once_for_each_hub() {
    let mut view = view();
    view.registering();
    assert_eq!(hear(&mut view, br#"<r>:{"s":"Alpha","a":["save"]}"#), Event::Registered);
    // That of another process of the same class, which does not know this one yet.
    assert_eq!(hear(&mut view, br#"<r>:{"s":"Alpha","a":["save"]}"#), Event::Newcomer(None));
}

#[test]
fn a_peer_of_ours_is_announced_once_by_beat_and_registration() {
    let mut view = view();
    let beta = peer("Beta", "00000000000000bb", &["load"]);
    assert_eq!(hear(&mut view, beta.writer.beat()), Event::Changed(vec![came("Beta", &["load"])]));
    assert_eq!(hear(&mut view, beta.writer.register()), Event::Newcomer(None));
    assert_eq!(hear(&mut view, beta.writer.beat()), Event::Nothing);
    assert_eq!(view.roster.with_action("load").count(), 1);
}

#[test]
fn a_peer_of_ours_is_announced_once_by_registration_and_beat() {
    let mut view = view();
    let beta = peer("Beta", "00000000000000bb", &["load"]);
    let came = came("Beta", &["load"]);
    assert_eq!(hear(&mut view, beta.writer.register()), Event::Newcomer(Some(came)));
    assert_eq!(hear(&mut view, beta.writer.beat()), Event::Nothing);
    let known: Vec<_> = view.roster.all().map(|seen| seen.instance).collect();
    assert_eq!(known, [Some(beta.instance)]);
}

#[test]
fn a_peer_of_ours_that_registers_at_the_next_hub_is_no_news() {
    let mut view = view();
    let beta = peer("Beta", "00000000000000bb", &["load"]);
    hear(&mut view, beta.writer.beat());
    hear(&mut view, beta.writer.register());
    view.registering();
    assert_eq!(hear(&mut view, beta.writer.beat()), Event::Nothing);
    assert_eq!(hear(&mut view, beta.writer.register()), Event::Newcomer(None));
    assert_eq!(view.roster.all().count(), 1);
}

#[test]
fn a_peer_that_does_not_come_to_the_next_hub_is_lost_there() {
    let mut view = view();
    hear(&mut view, peer("Beta", "00000000000000bb", &["load"]).writer.beat());
    view.registering();
    let own = Writer::new("Alpha", &[], Instance::from_text("00000000000000aa").unwrap(), BEAT);
    let echo = own.echo(0);
    assert_eq!([hear(&mut view, &echo), hear(&mut view, &echo)], [Event::Nothing, Event::Nothing]);
    let Event::Changed(changes) = hear(&mut view, &echo) else { panic!("nobody was lost") };
    assert!(matches!(&changes[..], [Change::Left { service, .. }] if service == "Beta"));
}

#[test]
fn the_own_action_is_among_those_that_are_known() {
    let mut view = view();
    let twin = peer("Alpha", "00000000000000ab", &["save"]);
    hear(&mut view, twin.writer.beat());
    let own = Instance::from_text("00000000000000aa").unwrap();
    let mut everyone = view.with_action("save");
    everyone.sort();
    assert_eq!(everyone, [("Alpha".to_owned(), Some(own)), ("Alpha".to_owned(), Some(twin.instance))]);
    assert!(view.knows_action("save") && !view.knows_action("load"));
    assert!(view.with_action("load").is_empty());
}

#[test]
fn an_original_is_announced_each_time_that_it_registers() {
    let mut view = view();
    let said = br#"<r>:{"s": "Gamma", "a": ["x"]}"#;
    assert_eq!(hear(&mut view, said), Event::Newcomer(Some(came("Gamma", &["x"]))));
    assert_eq!(hear(&mut view, said), Event::Newcomer(Some(came("Gamma", &["x"]))));
    assert_eq!(view.roster.all().count(), 1);
}

#[test]
fn two_processes_of_one_class_are_told_apart() {
    let mut view = view();
    let (one, two) = (peer("Beta", "00000000000000b1", &["x"]), peer("Beta", "00000000000000b2", &["x"]));
    hear(&mut view, one.writer.beat());
    hear(&mut view, two.writer.beat());
    assert_eq!(view.roster.with_action("x").count(), 2);
    let gone = one.writer.parting();
    let Event::Changed(changes) = hear(&mut view, &gone) else { panic!("nobody left") };
    assert!(matches!(&changes[..], [Change::Left { instance, .. }] if *instance == Some(one.instance)));
    assert_eq!(view.roster.with_action("x").count(), 1);
}

#[test]
fn a_peer_that_is_silent_for_more_than_two_beats_is_lost() {
    let mut view = view();
    let beta = peer("Beta", "00000000000000bb", &["x"]);
    let own = Writer::new("Alpha", &[], Instance::from_text("00000000000000aa").unwrap(), BEAT);
    hear(&mut view, beta.writer.beat());
    let echo = own.echo(0);
    assert_eq!(hear(&mut view, &echo), Event::Nothing);
    assert_eq!(hear(&mut view, &echo), Event::Nothing);
    hear(&mut view, beta.writer.beat());
    assert_eq!(hear(&mut view, &echo), Event::Nothing);
    assert_eq!(hear(&mut view, &echo), Event::Nothing);
    let Event::Changed(changes) = hear(&mut view, &echo) else { panic!("nobody was lost") };
    assert!(matches!(&changes[..], [Change::Left { service, .. }] if service == "Beta"));
    // It comes back.
    assert_eq!(hear(&mut view, beta.writer.beat()), Event::Changed(vec![came("Beta", &["x"])]));
}

#[test]
fn an_original_that_never_beats_is_not_lost_by_silence() {
    let mut view = view();
    let own = Writer::new("Alpha", &[], Instance::from_text("00000000000000aa").unwrap(), BEAT);
    hear(&mut view, br#"<r>:{"s": "Gamma", "a": []}"#);
    let echo = own.echo(0);
    for _ in 0..100 {
        assert_eq!(hear(&mut view, &echo), Event::Nothing);
    }
}

#[test]
fn own_broadcasts_are_not_heard_and_own_actions_are() {
    let mut view = view();
    assert_eq!(hear(&mut view, br#"<b>:{"s":"Alpha","d":1}"#), Event::Nothing);
    assert_eq!(hear(&mut view, br#"<b>:{"s":"Beta","d":1}"#), Event::Broadcast("Beta".into()));
    assert_eq!(
        hear(&mut view, br#"save:{"s":"Alpha","d":1}"#),
        Event::Action { number: 0, service: "Alpha".into(), request: None }
    );
    assert_eq!(hear(&mut view, br#"Alpha:{"s":"Alpha","d":1}"#), Event::Response("Alpha".into()));
}

#[test]
fn messages_that_came_back_are_confirmed() {
    let mut view = view();
    let own = Writer::new("Alpha", &[], Instance::from_text("00000000000000aa").unwrap(), BEAT);
    assert_eq!(hear(&mut view, &own.echo(7)), Event::Nothing);
    assert_eq!(view.unconfirmed(10), 3);
    assert_eq!(view.unconfirmed(10), 0);
}

#[test]
fn the_roster_is_bounded() {
    let own = Instance::from_text("00000000000000aa").unwrap();
    let mut view: View<()> = View::new("Alpha", &[], own, BEAT, 3).unwrap();
    for number in 0..10 {
        let said = format!("<r>:{{\"s\":\"S{number}\",\"a\":[]}}");
        hear(&mut view, said.as_bytes());
    }
    assert_eq!(view.roster.all().count(), 3);
}

#[test]
fn answers_for_others_are_passed_over() {
    let mut view = view();
    let facts = Facts { service: "Beta".into(), ..Facts::default() };
    let (head, _) = view.split(b"<ares>:{}").unwrap();
    assert_eq!(view.take(head, facts, Instant::now()), Event::Nothing);
    assert_eq!(
        hear(&mut view, br#"<ares>:{"s":"Beta","d":1,"ares":{"i":"ba4e","error":{}}}"#),
        Event::Nothing
    );
}
