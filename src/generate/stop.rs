//! Stop strings in streaming text: what could still become one is held back.

/// Passes text through until one of the stop strings occurs.
pub struct StopFilter {
    stops: Vec<String>,
    held: String,
}

impl StopFilter {
    /// Empty strings are ignored: they would stop before the first token.
    pub fn new(stops: &[String]) -> Self {
        Self {
            stops: stops.iter().filter(|s| !s.is_empty()).cloned().collect(),
            held: String::new(),
        }
    }

    /// Takes more text. Returns what may be shown, and whether a stop string was met; text from it on is dropped.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let met = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()));
        if let Some(at) = met.min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let keep = self
            .stops
            .iter()
            .map(|stop| overlap(&self.held, stop))
            .max();
        let split = self.held.len() - keep.unwrap_or(0);
        let rest = self.held.split_off(split);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back, at the end.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Bytes at the end of `text` that are the beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    stop.char_indices()
        .map(|(at, _)| at)
        .rev()
        .find(|at| text.ends_with(&stop[..*at]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|s| (*s).to_owned()).collect();
        let mut filter = StopFilter::new(&stops);
        let mut out = String::new();
        for piece in pieces {
            let (text, met) = filter.push(piece);
            out.push_str(&text);
            if met {
                return (out, true);
            }
        }
        out.push_str(&filter.finish());
        (out, false)
    }

    #[test]
    fn stops_across_pieces_and_keeps_near_misses() {
        assert_eq!(
            run(&["<|user|>"], &["hi <|", "us", "er|> x"]),
            ("hi ".into(), true)
        );
        assert_eq!(
            run(&["<|user|>"], &["hi <|", "us", "x"]),
            ("hi <|usx".into(), false)
        );
        assert_eq!(run(&["abc", "bb"], &["a", "b", "b"]), ("a".into(), true));
        assert_eq!(run(&["é!"], &["café", "?"]), ("café?".into(), false));
        assert_eq!(run(&[""], &["x"]), ("x".into(), false));
    }

    #[test]
    fn what_may_be_shown_is_shown_at_once() {
        let mut filter = StopFilter::new(&["END".to_owned()]);
        assert_eq!(filter.push("the E"), ("the ".into(), false));
        assert_eq!(filter.push("gg"), ("Egg".into(), false));
    }
}
