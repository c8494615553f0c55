//! A request on its way to a backend.

use std::task::{Context, Poll};

use super::pace::Pace;
use super::pump::{Pump, PumpError, WaitsFor};
use crate::config::HttpConfig;
use crate::runtime::{Instant, Stream};

pub(super) struct Upload {
    pub(super) pump: Pump,
    pub(super) state: UploadState,
    pace: Pace,
    /// Whether the client holds its body back until the backend asks for it.
    holds_back: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UploadState {
    Running,
    Done,
    /// The backend takes no more. It may have answered all the same.
    Refused,
}

impl Upload {
    /// `holds_back` says that the client waits for a 100 before it sends the body (RFC 9110
    /// section 10.1.1).
    pub(super) fn new(pump: Pump, http: &HttpConfig, holds_back: bool) -> Self {
        let pace = Pace::new(http.body_timeout, http.body_rate_min);
        Self { pump, state: UploadState::Running, pace, holds_back }
    }

    /// Moves what can be moved. An error is the client's.
    pub(super) fn advance<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut A,
        backend: &mut B,
    ) -> Result<(), PumpError> {
        if self.state != UploadState::Running {
            return Ok(());
        }
        match self.pump.poll(cx, client, backend) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.state = UploadState::Done,
            Poll::Ready(Err(PumpError::Write(_))) => self.state = UploadState::Refused,
            Poll::Ready(Err(error)) => return Err(error),
        }
        Ok(())
    }

    /// The backend has asked for the body.
    pub(super) fn ask(&mut self) {
        self.holds_back = false;
    }

    /// What the request waits for if it has not gone out in full. A client that holds its body
    /// back is not waited for: the backend is.
    pub(super) fn waits_for(&self) -> Option<WaitsFor> {
        let held = self.holds_back && self.pump.body_bytes() == 0;
        let waits_for = (self.state == UploadState::Running).then(|| self.pump.waits_for());
        waits_for.filter(|side| *side == WaitsFor::Sink || !held)
    }

    /// When the client has been waited for too long.
    pub(super) fn pace_deadline(&mut self, now: Instant) -> Instant {
        let waiting = self.waits_for() == Some(WaitsFor::Source);
        self.pace.deadline(now, waiting, self.pump.body_bytes())
    }
}
