//! What is done for a request of `weirctl`.

use std::sync::Arc;

use weir_protocol::control::{Request, Response};

use super::Operations;

/// Carries out a request away from the control plane's thread, because a reload reads files and
/// what is to last is written to the disk. `by` is who asks.
pub(super) async fn answer(
    request: Request,
    by: String,
    operations: Arc<dyn Operations>,
) -> Response {
    let answered = tokio::task::spawn_blocking(move || {
        carry_out(request, &by, &*operations).unwrap_or_else(Response::Failed)
    });
    answered.await.unwrap_or_else(|_| Response::Failed("the engine failed to answer".to_owned()))
}

fn carry_out(request: Request, by: &str, operations: &dyn Operations) -> Result<Response, String> {
    match request {
        Request::Status => Ok(Response::Status(operations.status())),
        Request::Backends => Ok(Response::Backends(operations.backends())),
        Request::Reload => operations.reload(by).map(Response::Done),
        Request::Drain => {
            operations.drain(by);
            let done = "draining: requests in flight are answered, then weir exits";
            Ok(Response::Done(done.to_owned()))
        }
        Request::Limits(request) => operations.limits(request, by),
        Request::Bans(request) => operations.bans(request, by),
        Request::Explain(question) => operations.explain(&question).map(Response::Explanation),
        Request::Ledger(request) => operations.ledger(request, by),
    }
}
