//! The few statistics that the tables need.

use serde::Serialize;

/// The middle of several rounds with its extremes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// `None` for no values, or for one that is not a finite number.
    pub fn of(values: &[f64]) -> Option<Self> {
        let median = median(values)?;
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Self { median, min, max })
    }
}

/// The median; the mean of the middle two for an even count. `None` for no values, or for one
/// that is not a finite number.
pub fn median(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        Some(sorted[middle])
    } else {
        Some(f64::midpoint(sorted[middle - 1], sorted[middle]))
    }
}

/// Each value over the reference of the same round; rounds that lack either are left out, so
/// that a figure is never set against another round's noise.
pub fn ratios(values: &[Option<f64>], reference: &[Option<f64>]) -> Vec<f64> {
    let pairs = values.iter().zip(reference);
    pairs
        .filter_map(|(value, reference)| match (value, reference) {
            (Some(value), Some(reference)) if *reference > 0.0 => Some(value / reference),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, f64::NAN]), None);
        assert_eq!(median(&[1.0, f64::INFINITY]), None);
    }

    #[test]
    fn spread_keeps_the_extremes() {
        let spread = Spread::of(&[0.9, 0.7, 1.4]).unwrap();
        assert_eq!(spread, Spread { median: 0.9, min: 0.7, max: 1.4 });
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_pair_rounds_and_drop_incomplete_ones() {
        // Round 2 was twice as slow for both: the ratio must not see it. A ratio of medians
        // would give 1.5 here.
        let values = [Some(5.0), Some(10.0), None, Some(6.0)];
        let reference = [Some(10.0), Some(20.0), Some(10.0), Some(0.0)];
        assert_eq!(ratios(&values, &reference), vec![0.5, 0.5]);
        assert!(ratios(&values, &[]).is_empty());
    }
}
