use super::*;

fn network(text: &str) -> Subject {
    Subject::Address(parse_network(text).expect("a network"))
}

fn block(subject: Subject, until_ms: Option<u64>) -> Block {
    Block { subject, reason: "abuse".to_owned(), until_ms, by: "ops".to_owned(), at_ms: 100 }
}

fn lift(subject: Subject) -> BlockChange {
    BlockChange::Lift(Lift { subject, reason: String::new(), by: "ops".to_owned(), at_ms: 100 })
}

fn blocks(list: &[(Subject, Option<u64>)]) -> Blocks {
    let mut blocks = Blocks::default();
    for (subject, until_ms) in list {
        let change = BlockChange::Block(block(subject.clone(), *until_ms));
        assert_eq!(blocks.apply(change), Ok(None));
    }
    blocks
}

fn address(set: &BlockSet, text: &str) -> Option<Blocked> {
    set.address(text.parse().expect("an address"))
}

const LASTING: Option<Blocked> = Some(Blocked { until_ms: None });

fn until(until_ms: u64) -> Option<Blocked> {
    Some(Blocked { until_ms: Some(until_ms) })
}

#[test]
fn each_kind_of_subject_is_found_and_nobody_else() {
    let key = || Subject::Key("ann".to_owned());
    let user = || Subject::User("bob".to_owned());
    let list = [(network("192.0.2.0/24"), Some(500)), (key(), None), (user(), Some(600))];
    let set = blocks(&list).compile().expect("somebody is blocked");
    assert_eq!(address(&set, "192.0.2.9"), until(500));
    assert_eq!(address(&set, "::ffff:192.0.2.9"), until(500));
    assert_eq!(address(&set, "192.0.3.9"), None);
    assert_eq!(set.caller(Some("ann"), None), LASTING);
    assert_eq!(set.caller(Some("ann"), Some("bob")), LASTING, "the later end holds");
    assert_eq!(set.caller(Some("bob"), Some("ann")), None, "names of keys are not users");
    assert_eq!(set.caller(None, Some("bob")), until(600));
    assert_eq!(set.caller(None, None), None);
    assert!(Blocks::default().compile().is_none());
}

#[test]
fn a_shorter_block_within_a_longer_one_does_not_end_it() {
    let list = [
        (network("2001:db8::/32"), Some(900)),
        (network("2001:db8::/64"), Some(300)),
        (network("2001:db8:1::/64"), None),
    ];
    let set = blocks(&list).compile().expect("somebody is blocked");
    assert_eq!(address(&set, "2001:db8::1"), until(900));
    assert_eq!(address(&set, "2001:db8:1::1"), LASTING);
    assert_eq!(address(&set, "2001:db8:2::1"), until(900));
}

#[test]
fn a_block_is_replaced_and_lifted_however_its_network_is_written() {
    let mut blocks = blocks(&[(network("192.0.2.7/24"), Some(500))]);
    let longer = BlockChange::Block(block(network("::ffff:192.0.2.0/120"), Some(700)));
    let first = block(network("192.0.2.0/24"), Some(500));
    assert_eq!(blocks.apply(longer), Ok(Some(first)));
    let kept: Vec<&Block> = blocks.iter().collect();
    assert_eq!(kept, [&block(network("192.0.2.0/24"), Some(700))]);
    let lifted = blocks.apply(lift(network("192.0.2.99/24")));
    assert_eq!(lifted, Ok(Some(block(network("192.0.2.0/24"), Some(700)))));
    assert_eq!(blocks.apply(lift(network("192.0.2.0/24"))), Ok(None));
    assert!(blocks.compile().is_none());
}

#[test]
fn what_is_over_is_taken_out_to_the_millisecond() {
    let (a, b, c) = (network("10.0.0.1/32"), Subject::Key("k".into()), Subject::User("u".into()));
    let mut blocks = blocks(&[(a.clone(), Some(200)), (b, Some(201)), (c, None)]);
    assert_eq!(blocks.expire(199), []);
    assert_eq!(blocks.expire(200), [block(a, Some(200))]);
    assert_eq!(blocks.expire(u64::MAX).len(), 1);
    assert_eq!(blocks.iter().count(), 1, "one has no end");
}

#[test]
fn there_is_an_end_to_how_many_there_can_be() {
    let mut blocks = Blocks::default();
    let subject = |i: usize| Subject::User(i.to_string());
    for i in 0..BLOCKS_MAX {
        assert_eq!(blocks.apply(BlockChange::Block(block(subject(i), None))), Ok(None));
    }
    let more = BlockChange::Block(block(subject(BLOCKS_MAX), None));
    assert_eq!(blocks.check(&more), Err(BlocksFull));
    assert_eq!(blocks.apply(more.clone()), Err(BlocksFull));
    assert_eq!(blocks.check(&lift(subject(0))), Ok(()));
    let again = BlockChange::Block(block(subject(0), Some(1)));
    assert_eq!(blocks.apply(again), Ok(Some(block(subject(0), None))));
    blocks.expire(1);
    assert_eq!(blocks.check(&more), Ok(()));
    assert_eq!(blocks.apply(more), Ok(None));
}

#[test]
fn networks_are_read_as_operators_mean_them() {
    let read = |text| parse_network(text).map(|network| network.to_string());
    for (text, expected) in [
        ("192.0.2.7", Some("192.0.2.7/32")),
        ("::ffff:192.0.2.7", Some("192.0.2.7/32")),
        ("192.0.2.7/24", Some("192.0.2.0/24")),
        ("2001:db8::1", Some("2001:db8::/64")),
        ("2001:db8::1/128", Some("2001:db8::1/128")),
        ("192.0.2.7/33", None),
        ("192.0.2.7/", None),
        ("192.0.2", None),
        ("", None),
    ] {
        assert_eq!(read(text).as_deref(), expected, "{text}");
    }
}
