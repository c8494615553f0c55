//! The journal, as the ledger's thread serves it.

use std::sync::mpsc::Receiver;

use super::sync::Order;
use crate::ledger::Ledger;
use crate::ledger::journal::Task;

/// Tasks done before the thread looks for something else to do.
const TASKS_MAX: usize = 1024;

/// Does a task, together with those that wait behind it. Returns what came after them and is none.
pub(super) fn serve(ledger: &mut Ledger, first: Task, orders: &Receiver<Order>) -> Option<Order> {
    let mut other = None;
    let behind = std::iter::from_fn(|| match orders.try_recv().ok()? {
        Order::Journal(task) => Some(task),
        order => {
            other = Some(order);
            None
        }
    });
    ledger.serve_journal(std::iter::once(first).chain(behind.take(TASKS_MAX)));
    other
}
