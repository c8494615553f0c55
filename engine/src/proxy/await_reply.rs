//! The wait for the head of an answer, while the request goes out.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use weir_protocol::http::{HeadScanner, ProxyError};

use super::conversation::{Conversation, ReplyFault, Terms};
use super::pump::PumpError;
use super::upload::UploadState;
use crate::runtime::{Instant, Runtime, Stream};
use crate::shard::Class;

impl<R: Runtime> Conversation<'_, R> {
    /// Sends the request on while the answer's head comes in. Returns where that ends in `reply`.
    /// `now` spares the first look at the clock.
    pub(super) async fn read_reply_head(
        &mut self,
        mut now: Option<Instant>,
        terms: &Terms<'_>,
    ) -> Result<usize, ReplyFault> {
        let mut scanner = HeadScanner::default();
        let mut armed_for = None;
        poll_fn(|cx| {
            let moved = self.upload.advance(cx, &mut self.client.stream, &mut self.backend);
            moved.map_err(ReplyFault::Client)?;
            if let Poll::Ready(result) = self.poll_reply(cx, &mut scanner) {
                return Poll::Ready(result);
            }
            let watched = self.watch_client(cx);
            watched.map_err(|error| ReplyFault::Client(PumpError::Read(error)))?;
            let progressed = self.upload.pump.take_progress();
            if progressed || armed_for != Some(self.upload.state) {
                armed_for = Some(self.upload.state);
                let now = now.take().unwrap_or_else(|| self.shard.runtime.now());
                let patience = match self.upload.waits_for() {
                    Some(_) => self.snapshot.config.http.body_timeout,
                    None => terms.response_timeout,
                };
                let too_slow = self.upload.pace_deadline(now);
                let from = self.upload.pump.held_until().map_or(now, |until| until.max(now));
                self.client.timer.arm((from + patience).min(too_slow).min(terms.deadline));
            }
            let expired = self.client.timer.poll_expired(cx);
            expired.map(|()| Err(ReplyFault::TimedOut { upload: self.upload.waits_for() }))
        })
        .await
    }

    fn poll_reply(
        &mut self,
        cx: &mut Context<'_>,
        scanner: &mut HeadScanner,
    ) -> Poll<Result<usize, ReplyFault>> {
        loop {
            if let Some(reply) = &self.reply {
                let found = scanner.scan(reply.data(), &self.snapshot.head_limits);
                match found {
                    Ok(Some(end)) => return Poll::Ready(Ok(end)),
                    Ok(None) => {}
                    Err(error) => {
                        let error = ProxyError::of_response(error);
                        return Poll::Ready(Err(ReplyFault::Malformed(error)));
                    }
                }
            }
            let mut reply =
                self.reply.take().unwrap_or_else(|| self.shard.buffers.input(Class::Medium));
            if reply.is_full() {
                reply.make_room();
            }
            let read = self.backend.poll_read(cx, reply.space());
            let begun = self.interims > 0 || !reply.is_empty();
            match read {
                Poll::Pending => {
                    // Waiting for the first byte holds no buffer.
                    self.reply = (!reply.is_empty()).then_some(reply);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(count)) if count > 0 => {
                    reply.filled(count);
                    self.reply = Some(reply);
                }
                Poll::Ready(_) if begun => {
                    let error = ProxyError::HttpResponseIncomplete;
                    return Poll::Ready(Err(ReplyFault::Malformed(error)));
                }
                Poll::Ready(_) => {
                    let unsent = self.upload.pump.written_bytes() == 0;
                    return Poll::Ready(Err(ReplyFault::NoAnswer { unsent }));
                }
            }
        }
    }

    /// Looks whether the client is still there, once its request has gone out.
    ///
    /// # Errors
    /// It has left.
    pub(super) fn watch_client(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.upload.state != UploadState::Done || self.upload.pump.has_rest() {
            return Ok(());
        }
        let abort_on_close = self.snapshot.config.http.abort_on_close;
        self.watch.look(cx, &mut self.client.stream, &self.shard.buffers, abort_on_close)
    }
}
