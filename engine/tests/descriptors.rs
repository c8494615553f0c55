//! Running out of descriptors, in a process of its own: the limit is the whole process's.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use weir_engine::runtime::{Listener, Runtime, Stream, epoll, glommio, probe};

fn open_descriptors() -> usize {
    // One of them is the folder that is being read.
    std::fs::read_dir("/proc/self/fd").expect("procfs").count() - 1
}

/// Leaves no descriptor to open; returns the former limit.
fn exhaust_descriptors() -> libc::rlimit {
    let mut former = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `former` is valid for the kernel to fill.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut former) }, 0);
    // The limit is on the number of a new descriptor, which is the lowest free one.
    let lowest = std::fs::File::open("/dev/null").expect("the last one").as_raw_fd();
    let limit = u64::try_from(lowest).expect("not negative");
    set_limit(libc::rlimit { rlim_cur: limit, ..former });
    former
}

fn set_limit(limit: libc::rlimit) {
    // SAFETY: `limit` is a valid structure, which the kernel only reads.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

/// Accept reports the lack instead of hanging or spinning inside, loses no connection, and goes on
/// when descriptors are there again. Nothing is leaked on the way.
async fn runs_out_and_recovers<R: Runtime>(runtime: R) {
    let listener = runtime.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("bind");
    let address = listener.local_addr().expect("address");
    // Warm up: what the runtime opens lazily is open before counting.
    let warm = TcpStream::connect(address).expect("connect");
    drop(listener.accept().await.expect("accept"));
    drop(warm);
    runtime.sleep_until(runtime.now() + Duration::from_millis(50)).await;
    let before = open_descriptors();

    let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).expect("connect")).collect();
    let former = exhaust_descriptors();
    for _ in 0..50 {
        let error = listener.accept().await.err().expect("no descriptor is left");
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    }
    set_limit(former);
    let mut accepted = Vec::new();
    for _ in &clients {
        accepted.push(listener.accept().await.expect("accept").0);
    }
    for mut stream in accepted {
        let sent = std::future::poll_fn(|cx| stream.poll_write(cx, b"x")).await;
        assert_eq!(sent.expect("write"), 1);
    }
    drop(clients);
    runtime.sleep_until(runtime.now() + Duration::from_millis(50)).await;
    assert!(open_descriptors() <= before, "{} open, {before} before", open_descriptors());
}

/// One test, so that neither runtime meets the other's limit.
#[test]
fn accept_survives_a_lack_of_descriptors() {
    epoll::run(None, runs_out_and_recovers).expect("epoll runs everywhere");
    match probe::probe() {
        Ok(()) => glommio::run(None, runs_out_and_recovers).expect("probed"),
        Err(reason) => println!("skipped: {reason}"),
    }
}
