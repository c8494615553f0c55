//! Ports of the loopback that nobody uses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below Linux's range for outgoing connections, so that no client of another test gets one.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// A port that was free a moment ago and that this process has not handed out before.
///
/// # Panics
/// When all are taken.
pub fn free() -> u16 {
    free_in_a_row(1)
}

/// The first of `count` such ports in a row.
///
/// # Panics
/// When there are none.
pub fn free_in_a_row(count: u16) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test processes that run side by side begin at different places.
    let offset = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(u32::from(count), Ordering::Relaxed);
        let number = FIRST + offset.wrapping_add(step) % COUNT;
        let first = u16::try_from(number).expect("below 65,536");
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if (first..first + count).all(is_free) {
            return first;
        }
    }
    panic!("no free port");
}

/// An address with a free port.
pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_are_free_and_differ() {
        let ports: BTreeSet<u16> = (0..50).map(|_| free()).collect();
        assert_eq!(ports.len(), 50);
        let taken = TcpListener::bind(free_address()).expect("it is free");
        let port = taken.local_addr().expect("bound").port();
        assert!((0..50).all(|_| free() != port));
        let (first, next) = (free_in_a_row(3), free());
        assert!(!(first..first + 3).contains(&next));
    }
}
