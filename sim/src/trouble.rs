//! Troubles as they are drawn for one exchange, and what they do to a message on its way.

use std::ops::Range;
use std::time::Duration;

use crate::runtime::Randomness;
use crate::scenario::{Does, Troubles};
use crate::wire::{Wire, WireError};

/// A split message has about so many pieces.
const PIECES: usize = 40;
/// The longest pause between two pieces.
const PIECE_PAUSE_MS: usize = 3;

/// What is to happen in one exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trouble<S> {
    pub(crate) at: S,
    pub(crate) does: Does,
    pub(crate) pause: Duration,
}

/// How far a message got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Whole,
    /// Up to a half-close, which some of it was `missing` at.
    HalfClosed {
        missing: bool,
    },
    /// The connection is to be closed.
    Closed,
    /// The connection is to be reset.
    Reset,
}

impl<S: Copy> Troubles<S> {
    pub(crate) fn draw(&self, random: &mut Randomness) -> Option<Trouble<S>> {
        if random.below(self.one_in) > 0 {
            return None;
        }
        let at = self.at[random.below(self.at.len())];
        let does = self.does[random.below(self.does.len())];
        Some(Trouble { at, does, pause: self.pause.0 })
    }
}

impl<S> Trouble<S> {
    /// Sends `bytes`, with the trouble somewhere in `section` of them, or where an empty one lies.
    pub(crate) async fn send(
        &self,
        wire: &mut Wire,
        bytes: &[u8],
        section: Range<usize>,
        random: &mut Randomness,
    ) -> Result<Sent, WireError> {
        if self.does == Does::Split {
            send_split(wire, bytes, section, random).await?;
            return Ok(Sent::Whole);
        }
        let cut = section.start + random.below(section.len().max(1));
        wire.write_all(&bytes[..cut]).await?;
        let sent = self.act(wire, cut < bytes.len()).await?;
        if sent == Sent::Whole {
            wire.write_all(&bytes[cut..]).await?;
        }
        Ok(sent)
    }

    /// Does it here; `missing` says that the message is not whole yet.
    pub(crate) async fn act(&self, wire: &mut Wire, missing: bool) -> Result<Sent, WireError> {
        Ok(match self.does {
            Does::Slow => {
                tokio::time::sleep(self.pause).await;
                Sent::Whole
            }
            Does::Split => {
                wire.read_in_pieces();
                Sent::Whole
            }
            Does::Reset => Sent::Reset,
            Does::Close => Sent::Closed,
            Does::HalfClose => {
                wire.finish().await?;
                Sent::HalfClosed { missing }
            }
        })
    }
}

async fn send_split(
    wire: &mut Wire,
    bytes: &[u8],
    section: Range<usize>,
    random: &mut Randomness,
) -> Result<(), WireError> {
    wire.write_all(&bytes[..section.start]).await?;
    let most = 2 * section.len().div_ceil(PIECES).max(1);
    let mut rest = &bytes[section.clone()];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((1 + random.below(most)).min(rest.len()));
        wire.write_all(piece).await?;
        tokio::time::sleep(some_milliseconds(PIECE_PAUSE_MS, random)).await;
        rest = behind;
    }
    wire.write_all(&bytes[section.end..]).await?;
    Ok(())
}

/// Up to `most` milliseconds.
pub(crate) fn some_milliseconds(most: usize, random: &mut Randomness) -> Duration {
    Duration::from_millis(random.below(most + 1) as u64)
}
