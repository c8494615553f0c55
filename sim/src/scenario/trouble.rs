//! What goes wrong on single connections: where in an exchange, how, and how often.

use std::time::Duration;

use serde::Deserialize;

use super::Span;

/// Some exchanges of a client or of a backend go wrong: each draws a step and what happens there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, bound = "S: Deserialize<'de>")]
pub struct Troubles<S> {
    pub at: Vec<S>,
    pub does: Vec<Does>,
    /// One exchange in so many.
    #[serde(default = "default_one_in")]
    pub one_in: usize,
    /// How long the slow ones pause.
    #[serde(default = "default_pause")]
    pub pause: Span,
}

fn default_one_in() -> usize {
    2
}

fn default_pause() -> Span {
    Span(Duration::from_millis(300))
}

/// Steps of an exchange, as a client goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientStep {
    /// In the middle of the request's head.
    Head,
    /// Between head and body.
    BeforeBody,
    Body,
    /// While it waits for an answer.
    Waiting,
    /// When some of the answer has come.
    Answer,
}

/// Steps of an exchange, as a backend goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendStep {
    /// Before it reads a request, on a new connection or a kept one.
    Idle,
    /// When it has read the request.
    BeforeHead,
    /// In the middle of the answer's head.
    Head,
    /// Between an interim answer and the final one.
    AfterInterim,
    Body,
    Trailers,
}

/// What happens at the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// Pauses.
    Slow,
    /// Goes on in small pieces.
    Split,
    /// Breaks the connection off with a reset.
    Reset,
    /// Sends the end of its stream, and listens on.
    HalfClose,
    /// Closes and is gone.
    Close,
}

/// A step that has a name in scenarios and traces.
pub trait Step: Copy {
    fn name(self) -> &'static str;
}

impl Step for ClientStep {
    fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::BeforeBody => "before_body",
            Self::Body => "body",
            Self::Waiting => "waiting",
            Self::Answer => "answer",
        }
    }
}

impl Step for BackendStep {
    fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::BeforeHead => "before_head",
            Self::Head => "head",
            Self::AfterInterim => "after_interim",
            Self::Body => "body",
            Self::Trailers => "trailers",
        }
    }
}

impl Does {
    pub fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Split => "split",
            Self::Reset => "reset",
            Self::HalfClose => "half_close",
            Self::Close => "close",
        }
    }
}

impl<S> Troubles<S> {
    /// What is wrong with it, if it can be seen from here.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.at.is_empty() || self.does.is_empty() {
            return Some("a trouble needs at = [...] and does = [...]");
        }
        (self.one_in == 0).then_some("one_in must be 1 or more")
    }
}
