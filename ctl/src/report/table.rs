//! Columns for a terminal.

use std::fmt::Write;

use super::one_line;

/// Columns two spaces apart, numbers to the right, nothing after the last letter of a line.
pub(super) fn table<const N: usize>(
    head: [&str; N],
    right: [bool; N],
    rows: Vec<[String; N]>,
) -> String {
    let mut lines = vec![head.map(str::to_uppercase)];
    lines.extend(rows.into_iter().map(|row| row.map(|cell| one_line(&cell))));
    let widths: [usize; N] = std::array::from_fn(|column| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
    });
    let mut out = String::new();
    for line in &lines {
        let mut text = String::new();
        for (column, cell) in line.iter().enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let width = widths[column];
            let _ = if right[column] {
                write!(text, "{gap}{cell:>width$}")
            } else {
                write!(text, "{gap}{cell:<width$}")
            };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}
