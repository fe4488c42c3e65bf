//! Stop strings in streaming text: what could still become one is held back.

/// Passes text through until one of the stop strings occurs.
#[derive(Clone)]
pub struct StopFilter {
    stops: Vec<String>,
    held: String,
    /// Bytes at the beginning of `held` in which no stop string may end.
    passed: usize,
}

impl StopFilter {
    /// Empty strings are ignored: they would stop before the first token.
    pub fn new(stops: &[String]) -> Self {
        Self {
            stops: stops.iter().filter(|s| !s.is_empty()).cloned().collect(),
            held: String::new(),
            passed: 0,
        }
    }

    /// Takes more text. Returns what may be shown, and whether a stop string was met; text from it on is dropped.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        match self.met() {
            Some(shown) => (shown, true),
            None => (self.certain(), false),
        }
    }

    /// Takes more text in which no stop string may end, though one may begin. Returns what may be shown.
    pub fn pass(&mut self, text: &str) -> String {
        self.held.push_str(text);
        self.passed = self.held.len();
        self.certain()
    }

    /// What is held and not the beginning of a stop string.
    fn certain(&mut self) -> String {
        let keep = self
            .stops
            .iter()
            .map(|stop| overlap(&self.held, stop))
            .max();
        let split = self.held.len() - keep.unwrap_or(0);
        let rest = self.held.split_off(split);
        self.passed = self.passed.saturating_sub(split);
        std::mem::replace(&mut self.held, rest)
    }

    /// Whether more text would complete a stop string.
    pub fn would_meet(&self, text: &str) -> bool {
        !self.is_empty() && self.clone().push(text).1
    }

    /// Whether there is no stop string.
    pub fn is_empty(&self) -> bool {
        self.stops.is_empty()
    }

    /// Takes how a special token is spelled, which is not shown. As [`StopFilter::push`], if it completes a stop string.
    pub fn push_unseen(&mut self, spelled: &str) -> Option<String> {
        let before = self.held.len();
        self.held.push_str(spelled);
        let met = self.met();
        if met.is_none() {
            self.held.truncate(before);
        }
        met.map(|mut shown| {
            shown.truncate(before);
            shown
        })
    }

    /// What is held before the first stop string in it, if there is one.
    fn met(&mut self) -> Option<String> {
        let find = |stop: &String| {
            let mut first = (self.passed + 1).saturating_sub(stop.len());
            while !self.held.is_char_boundary(first) {
                first += 1;
            }
            Some(first + self.held.get(first..)?.find(stop.as_str())?)
        };
        let at = self.stops.iter().filter_map(find).min()?;
        self.held.truncate(at);
        Some(std::mem::take(&mut self.held))
    }

    /// What was held back, at the end.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Notices where a text comes to contain a stop string. It holds nothing back.
#[derive(Clone)]
pub struct StopNotice {
    stops: Vec<String>,
    /// The end of the text, as long as could be the beginning of a stop string.
    tail: Vec<u8>,
}

impl StopNotice {
    /// Begins after `text`: a stop string may begin there, but not end.
    pub fn after(text: &str, stops: &[String]) -> Self {
        let mut notice = Self {
            stops: stops.iter().filter(|s| !s.is_empty()).cloned().collect(),
            tail: Vec::new(),
        };
        notice.push(text);
        notice
    }

    /// Whether more text would complete a stop string.
    pub fn would_meet(&self, text: &str) -> bool {
        !self.is_empty() && self.clone().push(text)
    }

    /// Whether there is no stop string.
    pub fn is_empty(&self) -> bool {
        self.stops.is_empty()
    }

    /// Takes more text. Returns whether it completes a stop string.
    pub fn push(&mut self, text: &str) -> bool {
        let before = self.tail.len();
        self.tail.extend(text.as_bytes());
        let is_met = self.stops.iter().any(|stop| {
            let first = (before + 1).saturating_sub(stop.len());
            let mut places = self.tail[first..].windows(stop.len());
            places.any(|place| place == stop.as_bytes())
        });
        let longest = self.stops.iter().map(|stop| stop.len() - 1).max();
        let keep = longest.unwrap_or(0).min(self.tail.len());
        self.tail.drain(..self.tail.len() - keep);
        is_met
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
    fn a_stop_string_is_noticed_wherever_it_begins_and_ends() {
        let met = |before: &str, stops: &[&str], pieces: &[&str]| {
            let stops: Vec<String> = stops.iter().map(|s| (*s).to_owned()).collect();
            let mut notice = StopNotice::after(before, &stops);
            pieces.iter().position(|piece| notice.push(piece))
        };
        assert_eq!(met("", &["stop"], &["a st", "op"]), Some(1));
        assert_eq!(met("", &["stop"], &["a", " stopper", "x"]), Some(1));
        assert_eq!(met("las", &["stop"], &["topper"]), Some(0));
        assert_eq!(met("stop", &["stop"], &["", "x", "sto"]), None);
        assert_eq!(met("x", &["é!", "bb"], &["caf", "é", "!"]), Some(2));
        assert_eq!(met("b", &["é!", "bb"], &["a", "b", "b"]), Some(2));
        assert_eq!(met("a", &["a"], &["", "b", "a"]), Some(2));
    }

    #[test]
    fn what_is_not_shown_can_be_a_stop_string_or_its_end() {
        let mut filter = StopFilter::new(&["<|end|>".to_owned(), "b.".to_owned()]);
        assert_eq!(filter.push_unseen("."), None);
        assert_eq!(filter.push("a <|"), ("a ".into(), false));
        assert_eq!(filter.push_unseen("</s>"), None);
        assert_eq!(filter.push("b"), ("<|".into(), false));
        assert_eq!(filter.push_unseen("."), Some(String::new()));
        assert_eq!(filter.push("a"), ("a".into(), false));
        assert_eq!(filter.push_unseen("x<|end|>"), Some(String::new()));
    }

    #[test]
    fn no_stop_string_ends_in_what_is_passed() {
        let filter = StopFilter::new(&["b".to_owned(), "abc".to_owned(), "é".to_owned()]);
        let after = |passed: &[&str], next: &str| {
            let mut filter = filter.clone();
            let mut shown: String = passed.iter().map(|text| filter.pass(text)).collect();
            let (text, met) = filter.push(next);
            shown += &text;
            (shown + &filter.finish(), met)
        };
        assert_eq!(after(&["ab"], "x"), ("abx".into(), false));
        assert_eq!(after(&["ab"], "c"), (String::new(), true));
        assert_eq!(after(&["a", "b", "a"], "b"), ("aba".into(), true));
        assert_eq!(after(&["xbab"], "cb"), ("xb".into(), true));
        assert_eq!(after(&["éa"], "bé"), ("éa".into(), true));
        assert_eq!(after(&["b", ""], ""), ("b".into(), false));
    }

    #[test]
    fn what_may_be_shown_is_shown_at_once() {
        let mut filter = StopFilter::new(&["END".to_owned()]);
        assert_eq!(filter.push("the E"), ("the ".into(), false));
        assert_eq!(filter.push("gg"), ("Egg".into(), false));
    }
}
