//! The request as its backend gets it.

use weir_protocol::http::{ChunkedDecoder, RequestBody};

use super::account::caller_fields;
use super::forward::Forward;
use super::heads::{RequestPlan, write_request};
use super::pump::{Pump, Sink, Source};
use crate::config::HostPolicy;
use crate::runtime::Runtime;
use crate::shard::Class;
use crate::upstream::Backend;

impl<R: Runtime> Forward<'_, R> {
    /// The request as it goes out, and how many bytes behind its head it uses.
    pub(super) fn upload(&self, backend: &Backend) -> (Pump, usize) {
        let buffers = &self.shard.buffers;
        let mut out = buffers.output();
        let certificate = self.connection.stream.identity();
        let plan = RequestPlan {
            head: self.head,
            path: self.path,
            host: self.host(backend),
            origin: self.origin,
            trail: self.trail,
            forwarding: &self.snapshot.forwarding,
            caller: caller_fields(self.caller, self.snapshot, certificate),
            edits: self.policy.map(|policy| &policy.request_fields),
            wish: self.wish,
            hops: self.hops,
        };
        write_request(&mut out, &plan);
        let most = self.snapshot.config.http.body_bytes_max;
        match self.head.body {
            RequestBody::None => {
                (Pump::new(buffers, out, None, Source::Length(0), Sink::Identity, most), 0)
            }
            RequestBody::Length(length) => {
                let inline = self.inline_bytes();
                out.extend_from_slice(&self.spare[..inline]);
                let source = Source::Length(length - inline as u64);
                (Pump::new(buffers, out, None, source, Sink::Identity, most), inline)
            }
            RequestBody::Chunked => {
                let input = (!self.spare.is_empty()).then(|| {
                    let mut input = buffers.input(Class::holding(self.spare.len()));
                    input.append(self.spare);
                    input
                });
                let source = Source::Chunked(Box::new(ChunkedDecoder::new()));
                (Pump::new(buffers, out, input, source, Sink::Chunked, most), self.spare.len())
            }
        }
    }

    fn host<'h>(&'h self, backend: &'h Backend) -> &'h str {
        match self.policy.map(|policy| &policy.host) {
            None | Some(HostPolicy::Kept) => self.head.host.unwrap_or_else(|| backend.host()),
            Some(HostPolicy::Backend) => backend.host(),
            Some(HostPolicy::Named(host)) => host,
        }
    }

    /// Body bytes of a known length that came together with the head.
    pub(super) fn inline_bytes(&self) -> usize {
        match self.head.body {
            RequestBody::Length(length) => {
                usize::try_from(length).unwrap_or(usize::MAX).min(self.spare.len())
            }
            RequestBody::None | RequestBody::Chunked => 0,
        }
    }

    /// Whether all of the request is still here.
    pub(super) fn is_replayable(&self) -> bool {
        match self.head.body {
            RequestBody::None => true,
            RequestBody::Length(length) => length <= self.spare.len() as u64,
            RequestBody::Chunked => false,
        }
    }
}
