//! Heads that a conversation passes on as they come: interim ones, and the one that ends HTTP.

use weir_protocol::http::{ProxyError, ResponseHead, Version};

use super::conversation::{Conversation, Fate, Outcome, ReplyFault};
use super::exchange::Ending;
use super::heads::{Additions, ResponsePlan, write_interim, write_response};
use super::io::write_answer;
use super::pump::PumpError;
use super::upload::UploadState;
use crate::runtime::Runtime;
use crate::shard::Output;

impl<R: Runtime> Conversation<'_, R> {
    /// What the backend says the request did cost, where the route asks it.
    pub(super) fn note_cost(&mut self, head: &ResponseHead<'_, '_>, additions: &Additions<'_>) {
        let Some(value) = additions.cost_header.and_then(|name| head.by_name(name)) else { return };
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(value).ok().filter(|_| is_number);
        self.reported = number.and_then(|number| number.parse().ok());
        if self.reported.is_none() {
            self.shard.metrics.cost_reports_invalid.increment();
        }
    }

    pub(super) fn handshake(
        &self,
        head: &ResponseHead<'_, '_>,
        additions: &Additions<'_>,
    ) -> Output {
        let mut out = self.shard.buffers.output();
        write_response(&mut out, head, ResponsePlan::tunnel(), additions, || self.shard.date());
        out
    }

    /// Tells the client that HTTP is over. From then on both sides may speak at once.
    pub(super) async fn switch(&mut self, status: u16, head: &[u8]) -> Result<Outcome, ReplyFault> {
        if self.upload.state != UploadState::Done {
            // It cannot have read the whole request.
            return Err(ReplyFault::Malformed(ProxyError::HttpUpgradeFailed));
        }
        self.pass_head(head).await?;
        Ok(Outcome {
            status,
            request_bytes: 0,
            response_bytes: head.len() as u64,
            ending: Ending::Close,
            rest: None,
            fate: Fate::Tunnel,
            reported: self.reported,
        })
    }

    /// RFC 9110 section 15.2: passed on to a client that can understand it; 100 only to one that
    /// waits for it, since the gateway sends `Expect` on for those only.
    pub(super) fn interim(&self, head: &ResponseHead<'_, '_>) -> Option<Output> {
        let understood = self.request.version == Version::Http11;
        let wanted = head.status != 100 || self.request.expect_continue;
        (understood && wanted).then(|| {
            let mut out = self.shard.buffers.output();
            write_interim(&mut out, head);
            out
        })
    }

    pub(super) async fn pass_interim(&mut self, interim: Option<Output>) -> Result<(), ReplyFault> {
        let Some(out) = interim else { return Ok(()) };
        self.pass_head(&out).await
    }

    async fn pass_head(&mut self, head: &[u8]) -> Result<(), ReplyFault> {
        let patience = self.snapshot.config.http.body_timeout;
        let sent = write_answer(self.shard, self.client, head, patience).await;
        sent.map_err(|error| ReplyFault::Client(PumpError::Write(error)))
    }
}
