//! Weir beside its peers, on the same machine in the same run.
//!
//! One core for the proxy ([`job::PROXY_CPU`]), another for the load generator and the mock
//! backend ([`job::LOAD_CPU`]), keep-alive on both sides, everything over loopback. Contestants
//! take turns, each round in another order, so that a noisy minute hits all of them; the figure
//! that counts is the CPU time per request relative to HAProxy's *in the same round*.
//!
//! What the figures do not say: the generator and the backend share a core, so requests per
//! second are the pair's limit as often as the proxy's (the `busy` column tells which), and peers
//! run without the forwarding headers that Weir adds, which makes the comparison harder for Weir.

pub mod backend;
pub mod clock;
pub mod contestant;
pub mod error;
pub mod job;
pub mod load;
pub mod micro;
pub mod process;
pub mod report;
pub mod run;
pub mod stats;
pub mod sys;
pub mod tls;
