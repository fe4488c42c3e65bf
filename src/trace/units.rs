//! Numbers as people read them: short, with a unit.

/// What a layer is called; `None` is what lies outside of them.
pub fn layer_name(layer: Option<u32>) -> String {
    match layer {
        Some(layer) => format!("layer {layer}"),
        None => "outside the layers".to_owned(),
    }
}

/// So many of something.
pub fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// A rate in thousand millions a second; a dash for none.
pub fn giga(rate: Option<f64>) -> String {
    match rate.map(|rate| rate / 1e9) {
        None => "–".to_owned(),
        Some(rate) if rate > 0.0 && rate < 0.01 => "<0.01".to_owned(),
        Some(rate) if rate < 100.0 => format!("{rate:.2}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

/// A rate as a share of the best there is, where both are known.
pub fn share(rate: Option<f64>, best: Option<f64>) -> String {
    match rate.zip(best).map(|(rate, best)| 100.0 * rate / best) {
        None => String::new(),
        Some(percent) if percent > 0.0 && percent < 1.0 => "<1 %".to_owned(),
        Some(percent) => format!("{percent:.0} %"),
    }
}

/// A large number in groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration with a unit that keeps it short.
pub fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

/// Bytes with a unit that keeps them short.
pub fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        b if b < 1e3 => format!("{b:.0} B"),
        b if b < 1e6 => format!("{:.1} kB", b / 1e3),
        b if b < 1e9 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.2} GB", b / 1e9),
    }
}

/// Round values to mark on an axis from `low` to `high`: about `most` at most, at 1, 2 or 5 times a power of ten from each other.
pub fn ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let width = high - low;
    if !(width > 0.0 && width.is_finite()) || most == 0 {
        return Vec::new();
    }
    let rough = width / most as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    let step = step.into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let first = (low / step).ceil();
    let last = (high / step + 1e-9).floor();
    let count = (last - first).clamp(-1.0, 1000.0) as i64;
    (0..=count).map(|i| (first + i as f64) * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_within() {
        assert_eq!(ticks(0.0, 100.0, 5), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(3.0, 17.0, 4), [5.0, 10.0, 15.0]);
        assert_eq!(ticks(1.0, 1.0, 4), [0.0; 0]);
        assert_eq!(ticks(0.0, f64::INFINITY, 4), [0.0; 0]);
        assert_eq!(ticks(0.0, 1.0, 0), [0.0; 0]);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(duration(1_234.0), "1.2 µs");
        assert_eq!(bytes(12_345_678), "12.3 MB");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(share(Some(0.5), Some(100.0)), "<1 %");
        assert_eq!(giga(None), "–");
    }
}
