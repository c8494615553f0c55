//! One request in 64 bytes, a cache line. Little-endian:
//!
//! ```text
//!  0 time (8)      Unix ns on the ledger's clock: when the request's first byte arrived
//!  8 address (16)  the client's; IPv4 is mapped
//! 24 key (8)       hash of the API key's name, 0 without one
//! 32 user (8)      hash of the user's name, 0 without one
//! 40 cost (4)      44 latency, us (4)
//! 48 status (2)    50 route (2)
//! 52 tier (1)      53 decision (1)   54 limit (1)   55 flags (1)
//! 56 sequence (4)  60 CRC32C of 0..60 (4)
//! ```
//!
//! Route, tier and limit are numbers of the dictionary ([`super::names`]): 0 is none, all ones one
//! that has no number. Hashes are made under the ledger's secret. Sequence and checksum come with
//! the file: in the live ring both are 0.

use std::net::{IpAddr, Ipv6Addr};

use crate::runtime::UnixNanos;

/// Size of a record.
pub const RECORD_BYTES: usize = 64;
/// Whatever changes the meaning of a record's bytes changes this text, and its checksum the layout.
const LAYOUT: &[u8] = b"64: time address16 key user cost4 latency4 status2 route2 tier1 decision1 \
    limit1 flags1 sequence4 crc32c4; siphash-1-3 of length-prefixed kind and name; flags \
    preflight identified reported; decisions 1..15";
/// Of what is checked by the checksum.
const CHECKED_BYTES: usize = 60;

/// A record as the live ring has it.
pub(crate) type Words = [u64; RECORD_BYTES / 8];

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Decision {
    /// By the gateway itself, as the last recipient.
    Answered = 1,
    NoRoute = 2,
    Forwarded = 3,
    Tunnelled = 4,
    Redirected = 5,
    Preflight = 6,
    /// A limit was used up.
    Limited = 7,
    /// There was no room to count the caller.
    TableFull = 8,
    Unauthenticated = 9,
    WrongTier = 10,
    /// For another reason than admission's.
    Refused = 11,
    /// No backend answered as it should.
    Failed = 12,
    /// The address is on a list of those that are not served.
    Denied = 13,
    /// By an operator: the address, the key or the user.
    Blocked = 14,
    /// By a limit, for not waiting when it said so.
    Banned = 15,
}

impl Decision {
    const ALL: [Self; 15] = [
        Self::Answered,
        Self::NoRoute,
        Self::Forwarded,
        Self::Tunnelled,
        Self::Redirected,
        Self::Preflight,
        Self::Limited,
        Self::TableFull,
        Self::Unauthenticated,
        Self::WrongTier,
        Self::Refused,
        Self::Failed,
        Self::Denied,
        Self::Blocked,
        Self::Banned,
    ];

    fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// Admission was asked for a browser's preflight, which has no caller.
pub const PREFLIGHT: u8 = 1;
/// Admission came as far as to look who is calling.
pub const IDENTIFIED: u8 = 2;
/// The cost is what the backend has reported.
pub const REPORTED: u8 = 4;

/// What is recorded of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub time: UnixNanos,
    pub address: Ipv6Addr,
    pub key: u64,
    pub user: u64,
    pub cost: u32,
    pub latency_us: u32,
    pub status: u16,
    pub route: u16,
    pub tier: u8,
    pub decision: Decision,
    pub limit: u8,
    /// Of [`PREFLIGHT`], [`IDENTIFIED`] and [`REPORTED`].
    pub flags: u8,
}

/// An address as a record has it.
#[inline]
pub fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

impl Record {
    /// As the live ring has it.
    #[inline]
    pub(crate) fn words(&self) -> Words {
        let address = u128::from_le_bytes(self.address.octets());
        let [low, high] = halves(address);
        [
            self.time.0,
            low,
            high,
            self.key,
            self.user,
            u64::from(self.cost) | u64::from(self.latency_us) << 32,
            u64::from(self.status)
                | u64::from(self.route) << 16
                | u64::from(self.tier) << 32
                | u64::from(self.decision as u8) << 40
                | u64::from(self.limit) << 48
                | u64::from(self.flags) << 56,
            0,
        ]
    }

    /// From a record of a file, with its sequence. `None` when it is damaged.
    pub fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<(Self, u32)> {
        if crc32c::crc32c(&bytes[..CHECKED_BYTES]) != u32::from_le_bytes(field(bytes, 60)) {
            return None;
        }
        let record = Self {
            time: UnixNanos(u64::from_le_bytes(field(bytes, 0))),
            address: Ipv6Addr::from(field::<16>(bytes, 8)),
            key: u64::from_le_bytes(field(bytes, 24)),
            user: u64::from_le_bytes(field(bytes, 32)),
            cost: u32::from_le_bytes(field(bytes, 40)),
            latency_us: u32::from_le_bytes(field(bytes, 44)),
            status: u16::from_le_bytes(field(bytes, 48)),
            route: u16::from_le_bytes(field(bytes, 50)),
            tier: bytes[52],
            decision: Decision::of(bytes[53])?,
            limit: bytes[54],
            flags: bytes[55],
        };
        Some((record, u32::from_le_bytes(field(bytes, 56))))
    }
}

/// What a file has of a record of the live ring.
pub(crate) fn seal(words: &Words, sequence: u32) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes[56..CHECKED_BYTES].copy_from_slice(&sequence.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..CHECKED_BYTES]);
    bytes[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The checksum of what records look like.
pub(super) fn layout() -> u32 {
    crc32c::crc32c(LAYOUT)
}

pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

/// Low, then high.
pub(super) fn halves(value: u128) -> [u64; 2] {
    let bytes = value.to_le_bytes();
    [u64::from_le_bytes(field(&bytes, 0)), u64::from_le_bytes(field(&bytes, 8))]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_record() -> impl Strategy<Value = Record> {
        let numbers = any::<(u64, u128, u64, u64, u32, u32)>();
        let small = (any::<u16>(), any::<u16>(), any::<u8>(), 0..15_usize, any::<[u8; 2]>());
        (numbers, small).prop_map(|(large, (status, route, tier, decision, [limit, flags]))| {
            let (time, address, key, user, cost, latency_us) = large;
            Record {
                time: UnixNanos(time),
                address: Ipv6Addr::from(address),
                key,
                user,
                cost,
                latency_us,
                status,
                route,
                tier,
                decision: Decision::ALL[decision],
                limit,
                flags,
            }
        })
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_read(record in any_record(), sequence in any::<u32>()) {
            let bytes = seal(&record.words(), sequence);
            prop_assert_eq!(Record::decode(&bytes), Some((record, sequence)));
        }

        #[test]
        fn a_flipped_bit_is_seen(record in any_record(), sequence in any::<u32>(), bit in 0..512_usize) {
            let mut bytes = seal(&record.words(), sequence);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Record::decode(&bytes), None);
        }
    }

    /// What other versions wrote must go on meaning the same, or the layout's text change.
    #[test]
    fn the_bytes_of_a_record_are_these() {
        let record = Record {
            time: UnixNanos(0x0102_0304_0506_0708),
            address: mapped("192.0.2.1".parse().expect("an address")),
            key: 0x1111,
            user: 0x2222,
            cost: 3,
            latency_us: 4,
            status: 429,
            route: 5,
            tier: 6,
            decision: Decision::Limited,
            limit: 8,
            flags: PREFLIGHT | IDENTIFIED,
        };
        let mut expected = vec![8, 7, 6, 5, 4, 3, 2, 1];
        expected.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
        expected.extend([0x11, 0x11, 0, 0, 0, 0, 0, 0, 0x22, 0x22, 0, 0, 0, 0, 0, 0]);
        expected.extend([3, 0, 0, 0, 4, 0, 0, 0, 0xad, 1, 5, 0, 6, 7, 8, 3, 9, 0, 0, 0]);
        assert_eq!(seal(&record.words(), 9)[..CHECKED_BYTES], expected);
    }

    #[test]
    fn what_was_never_written_is_no_record() {
        assert_eq!(Record::decode(&[0; RECORD_BYTES]), None);
    }

    #[test]
    fn decisions_are_numbered_from_1() {
        for (place, decision) in Decision::ALL.into_iter().enumerate() {
            assert_eq!(decision as usize, place + 1);
        }
    }
}
