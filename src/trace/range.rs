//! How much of some times a picture shows: hiccups of the machine would flatten all else.

/// What takes so many times as long as the median is a hiccup, and not the doing of the model.
pub const HICCUP: f64 = 4.0;

/// The value below which such a share of all lies; 0 of none.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = sorted.len().saturating_sub(1) as f64 * share;
    sorted.get(at as usize).copied().unwrap_or(0.0)
}

/// Where a picture of bars ends: at the highest, but for hiccups; 1 at least.
pub fn bars_end(highest: f64, median: f64) -> f64 {
    highest.min(HICCUP * median).max(1.0)
}

/// What the darkest and the brightest colour of a heat map stand for.
pub fn heat_range(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let brightest = quantile(&values, 0.97).min(HICCUP * quantile(&values, 0.5));
    (quantile(&values, 0.0), brightest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hiccup_does_not_flatten_the_rest() {
        let mut values = vec![10.0; 20];
        values[7] = 900.0;
        values[3] = 5.0;
        assert_eq!(heat_range(values), (5.0, 10.0));
        // Where hiccups are many, they end at four times the median.
        assert_eq!(
            heat_range(vec![10.0, 10.0, 10.0, 900.0, 900.0]),
            (10.0, 40.0)
        );
        assert_eq!(bars_end(900.0, 10.0), 40.0);
        assert_eq!(bars_end(15.0, 10.0), 15.0);
        assert_eq!(
            (heat_range(Vec::new()), bars_end(0.0, 0.0)),
            ((0.0, 0.0), 1.0)
        );
    }
}
