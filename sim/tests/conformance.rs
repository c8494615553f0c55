//! The conformance suite on the simulated runtime, and what only a simulation can promise.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use weir_engine::runtime::{Endpoint, Listener, Runtime, Stream, conformance};
use weir_sim::runtime::{SimHost, SimNet, SimRuntime, SimStream, builder};

type Outcome = Result<(), Box<dyn std::error::Error>>;
/// When a host started, and its first random bytes.
type Start = (u64, [u8; 8]);

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 80);

fn at(host: &str) -> Endpoint {
    Endpoint::Tcp(SocketAddr::new(turmoil::lookup(host), ANY.port()))
}

async fn connect(runtime: &SimRuntime, host: &str) -> SimStream {
    let deadline = runtime.now() + Duration::from_secs(10);
    runtime.connect(&at(host), deadline).await.expect("connect")
}

async fn write_all(stream: &mut SimStream, mut bytes: &[u8]) -> Vec<usize> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let count = poll_fn(|cx| stream.poll_write(cx, bytes)).await.expect("write");
        bytes = &bytes[count..];
        parts.push(count);
    }
    parts
}

async fn read(stream: &mut SimStream) -> std::io::Result<Vec<u8>> {
    let mut buf = vec![0; 4096];
    let count = poll_fn(|cx| stream.poll_read(cx, &mut buf)).await?;
    buf.truncate(count);
    Ok(buf)
}

#[test]
fn turmoil_conforms() {
    let mut sim = builder(1).simulation_duration(Duration::from_secs(3600)).build();
    let net = SimNet::new(1);
    sim.client("gateway", async move {
        conformance::all(&net.host("gateway").runtime(0)).await;
        Ok(())
    });
    sim.run().expect("conforms");
}

#[test]
fn turmoil_conforms_over_tls() {
    let mut sim = builder(1).simulation_duration(Duration::from_secs(3600)).build();
    let net = SimNet::new(1);
    sim.client("gateway", async move {
        conformance::streams_conform(&conformance::Secured::new(net.host("gateway").runtime(0)))
            .await;
        Ok(())
    });
    sim.run().expect("conforms");
}

#[test]
fn a_silent_host_costs_the_deadline() {
    let mut sim = builder(1).simulation_duration(Duration::from_secs(60)).build();
    let net = SimNet::new(1);
    sim.host("silent", std::future::pending::<Outcome>);
    sim.client("gateway", async move {
        turmoil::hold("gateway", "silent");
        let silent = SocketAddr::new(turmoil::lookup("silent"), 80);
        conformance::connect_deadline(&net.host("gateway").runtime(0), silent).await;
        Ok(())
    });
    sim.run().expect("times out");
}

#[test]
fn unix_sockets_are_unsupported() {
    let mut sim = builder(1).build();
    let net = SimNet::new(1);
    sim.client("gateway", async move {
        let runtime = net.host("gateway").runtime(0);
        let endpoint = Endpoint::Unix("/run/weir/control.sock".into());
        let deadline = runtime.now() + Duration::from_secs(1);
        let error = runtime.connect(&endpoint, deadline).await.err().expect("no Unix sockets");
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
        Ok(())
    });
    sim.run().expect("runs");
}

/// Which shard took each of 60 connections.
fn deal(seed: u64) -> Vec<usize> {
    let mut sim = builder(seed).simulation_duration(Duration::from_secs(60)).build();
    let net = SimNet::new(seed);
    let dealt: Rc<RefCell<Vec<usize>>> = Rc::default();
    let (server_net, server_dealt) = (net.clone(), Rc::clone(&dealt));
    sim.host("gateway", move || {
        let host = server_net.host("gateway");
        let dealt = Rc::clone(&server_dealt);
        async move {
            for shard in 0..3 {
                listen_as(&host, shard, Rc::clone(&dealt));
            }
            std::future::pending().await
        }
    });
    sim.client("client", async move {
        let runtime = net.host("client").runtime(0);
        runtime.sleep_until(runtime.now() + Duration::from_millis(50)).await;
        for _ in 0..60 {
            let mut stream = connect(&runtime, "gateway").await;
            assert!(read(&mut stream).await.expect("an orderly end").is_empty());
        }
        Ok(())
    });
    sim.run().expect("runs");
    drop(sim);
    dealt.take()
}

fn listen_as(host: &SimHost, shard: usize, dealt: Rc<RefCell<Vec<usize>>>) {
    let runtime = host.runtime(shard);
    runtime.clone().spawn(async move {
        let listener = runtime.bind(ANY).await.expect("shards share a port");
        loop {
            listener.accept().await.expect("accept");
            dealt.borrow_mut().push(shard);
        }
    });
}

#[test]
fn shards_share_a_listener_by_the_seed() {
    let dealt = deal(5);
    assert_eq!(dealt.len(), 60);
    for shard in 0..3 {
        let taken = dealt.iter().filter(|taken| **taken == shard).count();
        assert!((8..=34).contains(&taken), "shard {shard} took {taken}");
    }
    assert_eq!(dealt, deal(5));
    assert_ne!(dealt, deal(6));
}

/// Everything that two hosts can observe of a long transfer: instants, sizes of writes and reads,
/// random bytes.
fn observe(seed: u64) -> Vec<String> {
    let mut sim = builder(seed).simulation_duration(Duration::from_secs(60)).build();
    let net = SimNet::new(seed);
    let seen: Rc<RefCell<Vec<String>>> = Rc::default();
    let (server_net, server_seen) = (net.clone(), Rc::clone(&seen));
    sim.host("server", move || {
        let (runtime, seen) = (server_net.host("server").runtime(0), Rc::clone(&server_seen));
        async move {
            let listener = runtime.bind(ANY).await?;
            let (mut stream, peer) = listener.accept().await?;
            let parts = write_all(&mut stream, &vec![7; 300_000]).await;
            seen.borrow_mut().push(format!("{peer} {:?} {parts:?}", runtime.now()));
            Ok(())
        }
    });
    let client_seen = Rc::clone(&seen);
    sim.client("client", async move {
        let runtime = net.host("client").runtime(0);
        runtime.sleep_until(runtime.now() + Duration::from_millis(50)).await;
        let mut stream = connect(&runtime, "server").await;
        let mut random = [0; 8];
        runtime.fill_random(&mut random);
        loop {
            let got = read(&mut stream).await?.len();
            let (now, wall) = (runtime.now(), runtime.wall());
            client_seen.borrow_mut().push(format!("{now:?} {wall:?} {got} {random:?}"));
            if got == 0 {
                return Ok(());
            }
        }
    });
    sim.run().expect("runs");
    drop(sim);
    seen.take()
}

#[test]
fn the_seed_decides_everything() {
    let first = observe(11);
    assert!(first.len() > 20);
    assert_eq!(first, observe(11));
    assert_ne!(first, observe(12));
}

#[test]
fn a_full_connection_still_ends() {
    for abort in [false, true] {
        let mut sim = builder(2).simulation_duration(Duration::from_secs(60)).build();
        let net = SimNet::new(2);
        let server_net = net.clone();
        sim.host("server", move || {
            let runtime = server_net.host("server").runtime(0);
            async move {
                let listener = runtime.bind(ANY).await?;
                let (mut stream, _) = listener.accept().await?;
                poll_fn(|cx| {
                    while stream.poll_write(cx, b"x").is_ready() {}
                    std::task::Poll::Ready(())
                })
                .await;
                if abort {
                    stream.abort();
                } else {
                    drop(stream);
                }
                std::future::pending().await
            }
        });
        sim.client("client", async move {
            let runtime = net.host("client").runtime(0);
            runtime.sleep_until(runtime.now() + Duration::from_millis(50)).await;
            let mut stream = connect(&runtime, "server").await;
            runtime.sleep_until(runtime.now() + Duration::from_secs(1)).await;
            let mut total = 0;
            let end = loop {
                match read(&mut stream).await {
                    Ok(bytes) if bytes.is_empty() => break None,
                    Ok(bytes) => total += bytes.len(),
                    Err(error) => break Some(error.kind()),
                }
            };
            assert_eq!(end, abort.then_some(std::io::ErrorKind::ConnectionReset));
            assert_eq!(total, 1024, "every segment of a full queue");
            Ok(())
        });
        sim.run().expect("the end arrives");
    }
}

#[test]
fn a_restarted_host_goes_on_in_time_with_fresh_randomness() {
    let mut sim = builder(3).simulation_duration(Duration::from_secs(60)).build();
    let net = SimNet::new(3);
    let seen: Rc<RefCell<Vec<Start>>> = Rc::default();
    let host_seen = Rc::clone(&seen);
    sim.host("gateway", move || {
        let (runtime, seen) = (net.host("gateway").runtime(0), Rc::clone(&host_seen));
        async move {
            let _listener = runtime.bind(ANY).await?;
            let mut random = [0; 8];
            runtime.fill_random(&mut random);
            seen.borrow_mut().push((runtime.now().as_nanos(), random));
            std::future::pending().await
        }
    });
    for _ in 0..50 {
        sim.step().expect("step");
    }
    sim.crash("gateway");
    for _ in 0..50 {
        sim.step().expect("step");
    }
    sim.bounce("gateway");
    sim.step().expect("step");
    let seen = seen.borrow();
    let [(first, one), (second, other)] = seen.as_slice() else { panic!("{seen:?}") };
    assert!(*second >= first + 90_000_000, "{first} then {second}");
    assert_ne!(one, other);
}
