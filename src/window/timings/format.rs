//! Numbers as the views write them: short, with a unit.

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
