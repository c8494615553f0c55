//! One exchange, from the first byte of a request to the last byte of its answer.
//!
//! Read the head, find the route, ask admission, forward or refuse, write the log line. Bodies move
//! in [`pump`]; the talk with a backend is in [`forward`] and [`conversation`].

mod account;
mod answer;
mod await_reply;
mod conversation;
mod cors;
mod exchange;
mod fault;
mod flight;
mod forward;
mod heads;
mod interim;
mod io;
mod judge;
mod origin;
mod outgoing;
mod pace;
mod pool;
mod pump;
mod receive;
mod recipient;
mod redirect;
mod retry;
mod route;
mod throttle;
mod trail;
mod tunnel;
mod upload;
mod watch;
mod wish;

pub use answer::{Answer, AnswerContext};
pub use exchange::{After, exchange};
pub use io::{linger, write_all};
pub use pool::Pool;
pub(crate) use route::{Found, find_route};
pub use tunnel::Tunnel;
