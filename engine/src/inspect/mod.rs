//! What counters say, and what would become of a request: for operators.
//!
//! Invariants:
//! - nothing here charges, strikes or changes anything;
//! - which limits apply, and in which order, is asked of admission, and the route of the router:
//!   there is no second opinion.

mod catalogue;
mod explain;
mod identity;
mod limits;
mod question;

pub use catalogue::{Catalogue, Wanted};
pub use explain::Explainer;
