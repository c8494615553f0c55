//! What would become of a request.

use weir_protocol::control::{Explanation, Question};

use super::Engine;
use crate::inspect::Explainer;
use crate::runtime::os;

impl Engine {
    pub(super) fn answer_explain(&self, question: &Question) -> Result<Explanation, String> {
        let snapshot = self.snapshot();
        let blocks = self.blocking.compile();
        let explainer = Explainer {
            snapshot: &snapshot,
            table: &self.table,
            blocks: blocks.as_deref(),
            now: os::now(),
            wall: os::wall(),
        };
        explainer.explain(question)
    }
}
