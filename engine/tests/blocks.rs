//! An operator's blocks, as a running shard obeys them: without a reload, before the route for
//! addresses and after the identity for keys and users.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use weir_engine::access::{BlockChange, Blocks, parse_network};
use weir_engine::config::Config;
use weir_engine::metrics::ShardMetrics;
use weir_engine::runtime::epoll::{self, EpollListener};
use weir_engine::runtime::glommio::{self, GlommioListener};
use weir_engine::runtime::{Runtime, os, probe};
use weir_engine::shard::{self, Command, Mailbox, ShardSetup};
use weir_engine::slots::SlotTable;
use weir_engine::snapshot::Snapshot;
use weir_engine::upstream::Registry;
use weir_protocol::journal::{Block, Lift, Subject};

/// Two callers, one of whom has two keys, and a limit that shows who was charged. Redirects serve
/// for a backend.
const CONFIG: &str = r#"
[[listener]]
address = "127.0.0.1:0"
trusted_proxies = ["127.0.0.1"]
[access]
allow = ["192.0.2.7"]
[[key]]
name = "ann-1"
user = "ann"
key = "ann-1-0123456789abcdef"
[[key]]
name = "ann-2"
user = "ann"
key = "ann-2-0123456789abcdef"
[[key]]
name = "bob"
key = "bob-0123456789abcdef"
[[limit]]
name = "per-key"
key = "key"
rate = "100/366d"
[[route]]
path = "/*"
limits = ["per-key"]
redirect = { host = "elsewhere.example" }
"#;

struct Gateway {
    address: SocketAddr,
    mailbox: Arc<Mailbox<Command>>,
    metrics: Arc<ShardMetrics>,
    blocks: Blocks,
}

/// A status and the fields of the head, in lower case.
struct Answer {
    status: u16,
    head: String,
}

impl Gateway {
    fn new(listener: &TcpListener) -> (Self, ShardSetup) {
        let config = Config::parse(CONFIG, "test").expect("right");
        let snapshot = Snapshot::build(config, 1, &mut Registry::default(), None).expect("builds");
        let gateway = Self {
            address: listener.local_addr().expect("is bound"),
            mailbox: Arc::default(),
            metrics: Arc::default(),
            blocks: Blocks::default(),
        };
        let setup = ShardSetup {
            id: 0,
            mailbox: Arc::clone(&gateway.mailbox),
            snapshot: Arc::new(snapshot),
            table: Arc::new(SlotTable::in_memory(64, [0; 16])),
            metrics: Arc::clone(&gateway.metrics),
            log: None,
            flight: None,
        };
        (gateway, setup)
    }

    /// As the control plane does it.
    fn change(&mut self, change: BlockChange) {
        self.blocks.apply(change).expect("there is room");
        self.mailbox.send(Command::Blocks(self.blocks.compile()));
    }

    fn block(&mut self, subject: &Subject, for_s: Option<u64>) {
        let at_ms = os::wall().as_millis();
        self.change(BlockChange::Block(Block {
            subject: subject.clone(),
            reason: "a secret reason".to_owned(),
            until_ms: for_s.map(|seconds| at_ms + seconds * 1_000),
            by: "an operator".to_owned(),
            at_ms,
        }));
    }

    fn lift(&mut self, subject: Subject) {
        let (reason, by) = (String::new(), "an operator".to_owned());
        self.change(BlockChange::Lift(Lift { subject, reason, by, at_ms: 0 }));
    }

    fn ask(&self, address: &str, key: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("sets");
        let request = format!(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Forwarded-For: {address}\r\n\
             X-API-Key: {key}-0123456789abcdef\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sends");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        assert!(!text.contains("secret") && !text.contains("operator"), "{text}");
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        Answer { status: status.expect("a status"), head: text.to_ascii_lowercase() }
    }

    /// Asks until the shard has heard of the last change: how often is the shard's business.
    fn until(&self, address: &str, key: &str, status: u16) -> Answer {
        for _ in 0..10_000 {
            let answer = self.ask(address, key);
            if answer.status == status {
                return answer;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        panic!("waited in vain for {status}");
    }
}

fn network(text: &str) -> Subject {
    Subject::Address(parse_network(text).expect("a network"))
}

fn drive(mut gateway: Gateway) {
    // Sent before the shard began.
    assert_eq!(gateway.ask("203.0.113.1", "bob").status, 403);
    gateway.lift(network("203.0.113.0/24"));
    gateway.until("203.0.113.1", "bob", 308);
    addresses(&mut gateway);
    callers(&mut gateway);
}

fn addresses(gateway: &mut Gateway) {
    gateway.block(&network("192.0.2.0/24"), Some(600));
    let answer = gateway.until("192.0.2.1", "bob", 403);
    let wait = answer.head.lines().find_map(|line| line.strip_prefix("retry-after: "));
    let wait: u64 = wait.expect("when it ends").parse().expect("seconds");
    assert!((1..=600).contains(&wait), "{wait}");
    assert!(!answer.head.contains("ratelimit"), "nothing was charged: {}", answer.head);
    assert_eq!(gateway.ask("::ffff:192.0.2.1", "bob").status, 403);
    assert_eq!(gateway.ask("192.0.2.7", "bob").status, 403, "who is allowed can be blocked");
    assert_eq!(gateway.ask("198.51.100.1", "bob").status, 308);
    assert_eq!(gateway.metrics.access_blocked.get(), 4);
    gateway.block(&network("192.0.2.0/24"), None);
    gateway.block(&network("2001:db8::/64"), None);
    assert_eq!(gateway.until("2001:db8::1", "bob", 403).head.find("retry-after"), None);
    assert_eq!(gateway.ask("2001:db8:0:1::1", "bob").status, 308);
    assert_eq!(gateway.ask("192.0.2.1", "bob").head.find("retry-after"), None);
    gateway.lift(network("192.0.2.0/24"));
    gateway.until("192.0.2.1", "bob", 308);
    assert_eq!(gateway.ask("2001:db8::1", "bob").status, 403);
}

fn callers(gateway: &mut Gateway) {
    let address = "198.51.100.1";
    gateway.block(&Subject::Key("ann-1".to_owned()), Some(600));
    let answer = gateway.until(address, "ann-1", 403);
    assert!(answer.head.contains("\r\nretry-after: "), "{}", answer.head);
    assert!(!answer.head.contains("ratelimit"), "nothing was charged: {}", answer.head);
    assert_eq!(gateway.ask(address, "ann-2").status, 308);
    gateway.block(&Subject::User("ann".to_owned()), None);
    gateway.until(address, "ann-2", 403);
    assert_eq!(gateway.ask(address, "ann-1").head.find("retry-after"), None, "the later end");
    assert_eq!(gateway.ask(address, "bob").status, 308);
    assert_eq!(gateway.ask(address, "nobody").status, 308, "a key that is none names nobody");
    gateway.lift(Subject::User("ann".to_owned()));
    gateway.until(address, "ann-2", 308);
    assert_eq!(gateway.ask(address, "ann-1").status, 403);
}

/// Drives the gateway that `serve` runs on a thread of its own.
fn test(serve: impl FnOnce(TcpListener, ShardSetup) + Send + 'static) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let (mut gateway, setup) = Gateway::new(&listener);
    gateway.block(&network("203.0.113.0/24"), None);
    let mailbox = Arc::clone(&gateway.mailbox);
    let thread = std::thread::spawn(move || serve(listener, setup));
    drive(gateway);
    mailbox.send(Command::Stop);
    thread.join().expect("the shard has lived on");
}

#[test]
fn blocks_are_obeyed_on_epoll() {
    test(|listener, setup| {
        let served = epoll::run(None, |runtime| async {
            let listener = EpollListener::adopt(listener).expect("adopts");
            let parking = runtime.parking().expect("a place to park");
            shard::run(runtime, setup, vec![(0, listener)], parking).await;
        });
        served.expect("an executor");
    });
}

#[test]
fn blocks_are_obeyed_on_glommio() {
    if let Err(reason) = probe::probe() {
        println!("skipped: {reason}");
        return;
    }
    test(|listener, setup| {
        let served = glommio::run(None, |runtime| async {
            let listener = GlommioListener::adopt(listener).expect("adopts");
            let parking = runtime.parking().expect("a place to park");
            shard::run(runtime, setup, vec![(0, listener)], parking).await;
        });
        served.expect("an executor");
    });
}
