//! Values as people type them after a key: JSON, or a Python literal, or text.

use serde_json::Value;

/// Lists within lists, at most.
const DEEPEST: usize = 32;

/// The value of `text`. A tuple is a list; a dictionary whose keys are not texts is a list of pairs.
pub fn value(text: &str) -> Value {
    serde_json::from_str(text)
        .ok()
        .or_else(|| Literal { rest: text }.whole())
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// What is left to read of a Python literal. `None` where it is none.
struct Literal<'a> {
    rest: &'a str,
}

impl Literal<'_> {
    fn whole(mut self) -> Option<Value> {
        let value = self.value(DEEPEST)?;
        self.rest.trim().is_empty().then_some(value)
    }

    fn eat(&mut self, word: &str) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        if self.eat("[") {
            return Some(Value::Array(self.items("]", depth)?.0));
        }
        if self.eat("(") {
            // Brackets around one value without a comma are only brackets.
            let (mut items, has_comma) = self.items(")", depth)?;
            return match items.len() == 1 && !has_comma {
                true => items.pop(),
                false => Some(Value::Array(items)),
            };
        }
        if self.eat("{") {
            return self.dictionary(depth);
        }
        for (word, value) in [
            ("True", Value::Bool(true)),
            ("False", Value::Bool(false)),
            ("None", Value::Null),
        ] {
            if self.eat(word) {
                return Some(value);
            }
        }
        match self.rest.chars().next()? {
            quote @ ('\'' | '"') => self.text(quote).map(Value::String),
            _ => self.number(),
        }
    }

    /// Values up to `end`, and whether there was a comma.
    fn items(&mut self, end: &str, depth: usize) -> Option<(Vec<Value>, bool)> {
        let (mut items, mut has_comma) = (Vec::new(), false);
        while !self.eat(end) {
            if !items.is_empty() && !has_comma {
                return None;
            }
            items.push(self.value(depth)?);
            has_comma = self.eat(",");
        }
        Some((items, has_comma))
    }

    fn dictionary(&mut self, depth: usize) -> Option<Value> {
        let mut pairs = Vec::new();
        while !self.eat("}") {
            let key = self.value(depth)?;
            let value = self.eat(":").then(|| self.value(depth))??;
            pairs.push((key, value));
            if !self.eat(",") && !self.rest.trim_start().starts_with('}') {
                return None;
            }
        }
        if pairs.iter().all(|(key, _)| key.is_string()) {
            let named = pairs.into_iter().filter_map(|(key, value)| match key {
                Value::String(key) => Some((key, value)),
                _ => None,
            });
            return Some(Value::Object(named.collect()));
        }
        let pair = |(key, value)| Value::Array(vec![key, value]);
        Some(Value::Array(pairs.into_iter().map(pair).collect()))
    }

    fn text(&mut self, quote: char) -> Option<String> {
        let mut chars = self.rest.chars();
        chars.next();
        let mut text = String::new();
        loop {
            match chars.next()? {
                '\\' => match chars.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    same @ ('\\' | '\'' | '"') => text.push(same),
                    other => {
                        let digits = match other {
                            'x' => 2,
                            'u' => 4,
                            'U' => 8,
                            // Python keeps what means nothing.
                            _ => {
                                text.extend(['\\', other]);
                                continue;
                            }
                        };
                        let code: String = chars.by_ref().take(digits).collect();
                        let code = u32::from_str_radix(&code, 16).ok();
                        text.push(code.filter(|_| code.is_some()).and_then(char::from_u32)?);
                    }
                },
                end if end == quote => break,
                other => text.push(other),
            }
        }
        self.rest = chars.as_str();
        Some(text)
    }

    fn number(&mut self) -> Option<Value> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        let end = self.rest.find(|c| !is_part(c));
        let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        // Words such as `inf` and `nan` are texts in Python too.
        if !number.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
            return None;
        }
        self.rest = rest;
        let number = number.replace('_', "");
        let integer = number.parse::<i64>().ok().map(Value::from);
        integer.or_else(|| {
            let is_word = number.contains(|c: char| c.is_ascii_alphabetic() && !"eE".contains(c));
            let float = number.parse::<f64>().ok().filter(|_| !is_word)?;
            serde_json::Number::from_f64(float).map(Value::Number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_json_or_python_or_text() {
        for (text, expected) in [
            ("1.2", json!(1.2)),
            ("-3", json!(-3)),
            ("+3", json!(3)),
            (".5", json!(0.5)),
            ("5.", json!(5.0)),
            ("1e-3", json!(1e-3)),
            ("1_000", json!(1000)),
            ("true", json!(true)),
            ("True", json!(true)),
            (" False ", json!(false)),
            ("None", json!(null)),
            ("null", json!(null)),
            ("constant", json!("constant")),
            ("", json!("")),
            ("[[1,2],3]", json!([[1, 2], 3])),
            ("[[1, 2,], 3,]", json!([[1, 2], 3])),
            ("(1, 1.5)", json!([1, 1.5])),
            ("(1,)", json!([1])),
            ("((1))", json!(1)),
            ("()", json!([])),
            ("[True, None, 'a']", json!([true, null, "a"])),
            ("'it''s", json!("'it''s")),
            ("'it\\'s\\n\\u00e9'", json!("it's\né")),
            ("[\"a\", 'b']", json!(["a", "b"])),
            ("{'a': 1, 'b': (2,)}", json!({"a": 1, "b": [2]})),
            (
                "{(386,): -3.0, (17, 2): 2.5}",
                json!([[[386], -3.0], [[17, 2], 2.5]]),
            ),
            ("{}", json!({})),
            ("[1, 2", json!("[1, 2")),
            ("[1 2]", json!("[1 2]")),
            ("[,]", json!("[,]")),
            ("{1: 2 3: 4}", json!("{1: 2 3: 4}")),
            ("nan", json!("nan")),
            ("-inf", json!("-inf")),
            ("1e999", json!("1e999")),
            ("Truely", json!("Truely")),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn depth_has_an_end() {
        for (open, close) in [("[", "]"), ("(", ",)"), ("{1:", "}")] {
            let deep = open.repeat(100_000) + "None" + &close.repeat(100_000);
            assert!(value(&deep).is_string());
        }
    }
}
