//! "Did you mean": the known word nearest to an unknown one.

use super::fault::Quoted;

/// `; did you mean "strategy"?` when a candidate is near enough to be what was meant, else nothing.
pub(super) fn did_you_mean<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> String {
    match nearest(word, candidates) {
        Some(candidate) => format!("; did you mean {}?", Quoted(candidate)),
        None => String::new(),
    }
}

fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Longer words are not worth the quadratic time, and no name of ours is longer.
    const CHARACTERS_MAX: usize = 64;
    let length = word.chars().count();
    if length > CHARACTERS_MAX {
        return None;
    }
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        // A third of the letters wrong is a typing error; more is another word.
        .filter(|(edits, candidate)| *edits <= length.max(candidate.chars().count()).div_ceil(3))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Edits that turn `a` into `b`: insert, delete, replace, or swap two neighbours
/// (the optimal string alignment distance; Damerau 1964).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut edits = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                edits = edits.min(before[j - 2] + 1);
            }
            row.push(edits);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        let cases = [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("stratgy", "strategy", 1),
            ("upstraem", "upstream", 1),
            ("kitten", "sitting", 3),
            ("ab", "ba", 1),
        ];
        for (a, b, edits) in cases {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["name", "strategy", "health"];
        assert_eq!(did_you_mean("Stratgy", known), "; did you mean \"strategy\"?");
        assert_eq!(did_you_mean("helth", known), "; did you mean \"health\"?");
        assert_eq!(did_you_mean("colour", known), "");
        assert_eq!(did_you_mean(&"x".repeat(65), known), "");
    }
}
