//! What follows a request through the systems it passes: its id and its trace.

use weir_protocol::http::{
    FieldId, REQUEST_ID_CHARACTERS, RequestHead, is_request_id, is_traceparent, is_tracestate,
    request_id,
};

use crate::config::{RequestIds, TraceContexts};
use crate::runtime::Runtime;
use crate::shard::Shard;
use crate::snapshot::Forwarding;

pub(super) struct Trail<'e> {
    pub(super) request_id: RequestId<'e>,
    pub(super) trace: Trace,
}

pub(super) enum RequestId<'e> {
    /// Ids are off.
    None,
    /// The client's.
    Kept(&'e [u8]),
    Made([u8; REQUEST_ID_CHARACTERS]),
}

/// What becomes of `traceparent` and `tracestate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trace {
    None,
    /// The client's parent is passed on, and its state if that is well-formed too.
    Passed {
        with_state: bool,
    },
    /// A trace begins here, with these bytes as its identifiers.
    Made([u8; 24]),
}

impl<'e> Trail<'e> {
    pub(super) fn of<R: Runtime>(
        head: &RequestHead<'e, '_>,
        forwarding: &Forwarding,
        shard: &Shard<R>,
    ) -> Self {
        let request_id = match forwarding.request_id {
            RequestIds::Off => RequestId::None,
            RequestIds::Keep => match head.only(FieldId::XRequestId) {
                Some(id) if is_request_id(id) => RequestId::Kept(id),
                _ => RequestId::made(shard),
            },
            RequestIds::Replace => RequestId::made(shard),
        };
        let trace = match (forwarding.trace_context, Trace::of(head)) {
            (TraceContexts::Off, _) => Trace::None,
            (TraceContexts::Make, Trace::None) => Trace::Made(shard.random.draw(&shard.runtime)),
            (TraceContexts::Make | TraceContexts::Pass, trace) => trace,
        };
        Self { request_id, trace }
    }
}

impl RequestId<'_> {
    fn made<R: Runtime>(shard: &Shard<R>) -> Self {
        Self::Made(request_id(&shard.random.draw(&shard.runtime)))
    }

    pub(super) fn get(&self) -> Option<&[u8]> {
        match self {
            Self::None => None,
            Self::Kept(id) => Some(id),
            Self::Made(id) => Some(id),
        }
    }
}

impl Trace {
    /// What of the client's context can be passed on. Trace Context section 3.2: without one valid
    /// parent, the state means nothing.
    fn of(head: &RequestHead<'_, '_>) -> Self {
        match head.only(FieldId::Traceparent) {
            Some(parent) if is_traceparent(parent) => {
                let states = head.get_all(FieldId::Tracestate);
                let with_state =
                    head.present.contains(FieldId::Tracestate) && is_tracestate(states);
                Self::Passed { with_state }
            }
            _ => Self::None,
        }
    }
}
