//! What a gateway's metrics say.

use crate::client;
use crate::weir::Weir;

impl Weir {
    /// A number of the control listener's `/metrics`, by its name with its labels; without them, the
    /// sum over all there are.
    ///
    /// # Panics
    /// When there is no such counter.
    #[track_caller]
    pub fn metric(&self, name: &str) -> u64 {
        let page = client::get(self.address("control"), "/metrics", &[]);
        let named = page.text().lines().filter_map(|line| line.strip_prefix(name));
        let own = named.filter(|rest| rest.starts_with([' ', '{']));
        let values = own.filter_map(|rest| rest.rsplit(' ').next()?.parse().ok());
        values.reduce(|sum: u64, value| sum + value).unwrap_or_else(|| panic!("no metric {name}"))
    }
}
