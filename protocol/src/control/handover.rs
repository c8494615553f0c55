//! What a new process and the one it replaces say to each other, on `weirctl`'s socket.
//!
//! ```text
//! successor                                predecessor
//!     ── Hello ────────────────────────────────►
//!     ◄──────────── Sockets (descriptors), … ───   goes on serving
//!     ── Ready ────────────────────────────────►   pauses, closes admission and the ledger
//!     ◄──────────────────────────── Released ───
//!     ── Opened ───────────────────────────────►   has nothing more to do with the ledger
//!     ◄─────────────────────────────── Yours ───   finishes what is in flight
//!     closes ──────────────────────────────────►   ends
//! ```
//!
//! Whichever side closes before `Yours` was sent: the predecessor goes on as before. The messages
//! have a version of their own, so that programs may differ in what else they say.

use bincode::{Decode, Encode};

/// The version of these messages. A change to any of their fields is another one.
pub const VERSION: u8 = 1;

/// Sets the version byte of these frames apart from that of `weirctl`'s.
pub const VERSION_BIT: u8 = 0x80;

/// Most sockets of one [`ToSuccessor::Sockets`]; Linux passes 253 descriptors at once.
pub const SOCKETS_MAX: usize = 64;

/// The order of variants is the wire format: append only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FromSuccessor {
    /// Asks for the sockets. The version is the program's, for people.
    Hello { version: String, pid: u32 },
    /// Everything is prepared but the ledger.
    Ready,
    /// The ledger is open here.
    Opened,
}

/// The order of variants is the wire format: append only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ToSuccessor {
    /// There will be no hand-over; one line for a person.
    Refused(String),
    /// A descriptor of a listening socket comes with each name, in order; with the last of these
    /// messages, after them, that of the ledger's lock.
    Sockets { names: Vec<String>, pid: u32, last: bool },
    /// Nobody uses the ledger any more.
    Released,
    /// Sockets and ledger are the successor's.
    Yours,
}

/// Whether a frame's payload is one of these messages, of whatever version.
pub fn is_handover(payload: &[u8]) -> bool {
    payload.first().is_some_and(|version| version & VERSION_BIT != 0)
}

#[cfg(test)]
mod tests {
    use super::super::codec::{FrameError, decode, decode_frame, encode};
    use super::*;

    #[test]
    fn messages_have_these_bytes() {
        let byte = VERSION | VERSION_BIT;
        let hello = FromSuccessor::Hello { version: "1".into(), pid: 2 };
        assert_eq!(encode(&hello).as_deref(), Ok(&[5, 0, 0, 0, byte, 0, 1, b'1', 2][..]));
        for (message, tag) in [(FromSuccessor::Ready, 1), (FromSuccessor::Opened, 2)] {
            assert_eq!(encode(&message).as_deref(), Ok(&[2, 0, 0, 0, byte, tag][..]));
        }
        let sockets = ToSuccessor::Sockets { names: vec!["a".into()], pid: 3, last: true };
        let bytes = [7, 0, 0, 0, byte, 1, 1, 1, b'a', 3, 1];
        assert_eq!(encode(&sockets).as_deref(), Ok(&bytes[..]));
        assert_eq!(decode_frame(&bytes), Ok((sockets, bytes.len())));
        let refused = encode(&ToSuccessor::Refused("no".into())).expect("short");
        assert_eq!(refused, [5, 0, 0, 0, byte, 0, 2, b'n', b'o']);
        for (message, tag) in [(ToSuccessor::Released, 2), (ToSuccessor::Yours, 3)] {
            assert_eq!(encode(&message).as_deref(), Ok(&[2, 0, 0, 0, byte, tag][..]));
        }
    }

    #[test]
    fn other_versions_and_other_protocols_are_told_apart() {
        assert!(is_handover(&[VERSION | VERSION_BIT, 0]) && is_handover(&[0xff]));
        assert!(!is_handover(&[super::super::codec::VERSION, 0]) && !is_handover(&[]));
        let newer = decode::<ToSuccessor>(&[(VERSION + 1) | VERSION_BIT, 3]);
        assert_eq!(newer, Err(FrameError::HandoverVersion(VERSION + 1)));
        assert_eq!(decode::<ToSuccessor>(&[1, 3]), Err(FrameError::NoHandover));
    }
}
