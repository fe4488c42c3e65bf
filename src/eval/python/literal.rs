//! Python literals: lists, dicts, strings and simple constants, as `ast.literal_eval` reads them.

use serde_json::{Map, Value};

/// Lists within lists at most: nobody's data have more, and the stack holds them.
const DEEPEST: usize = 64;

/// The value of a literal. Tuples become lists; keys must be strings.
///
/// # Errors
/// What is wrong, and at which character, counted from 1.
pub fn parse_literal(text: &str) -> Result<Value, String> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.wrong("the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|c| " \t\n\r\u{c}".contains(c)) {
            self.at += 1;
        }
    }

    /// Goes on behind `expected`, if it is there.
    fn take(&mut self, expected: &str) -> bool {
        let is_there = self.rest().starts_with(expected);
        if is_there {
            self.at += expected.len();
        }
        is_there
    }

    fn wrong(&self, expected: &str) -> String {
        let found = match self.peek() {
            Some(c) => format!("{c:?}"),
            None => "the end".into(),
        };
        let before = self.text.get(..self.at).unwrap_or_default();
        let place = before.chars().count() + 1;
        format!("character {place} is {found} where {expected} was expected")
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err(format!("more than {DEEPEST} lists lie within each other"));
        }
        self.skip_space();
        match self.peek() {
            Some('[') => self.list(']', depth),
            Some('(') => self.list(')', depth),
            Some('{') => self.dict(depth),
            Some('\'' | '"' | 'u' | 'U') => self.strings().map(Value::String),
            Some('-' | '+' | '0'..='9') => self.number(),
            _ if self.take("None") => Ok(Value::Null),
            _ if self.take("True") => Ok(Value::Bool(true)),
            _ if self.take("False") => Ok(Value::Bool(false)),
            _ => Err(self.wrong("a list, a dict, a string or a number")),
        }
    }

    /// Items up to `end`, with commas between them and perhaps one behind the last.
    fn list(&mut self, end: char, depth: usize) -> Result<Value, String> {
        self.next();
        let mut items = Vec::new();
        loop {
            self.skip_space();
            if self.peek() == Some(end) {
                self.next();
                return Ok(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            self.comma(end)?;
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Value, String> {
        self.next();
        let mut items = Map::new();
        loop {
            self.skip_space();
            if self.take("}") {
                return Ok(Value::Object(items));
            }
            if !matches!(self.peek(), Some('\'' | '"' | 'u' | 'U')) {
                return Err(self.wrong("a string"));
            }
            let key = self.strings()?;
            self.skip_space();
            if !self.take(":") {
                return Err(self.wrong("a colon"));
            }
            let value = self.value(depth + 1)?;
            items.insert(key, value);
            self.comma('}')?;
        }
    }

    fn comma(&mut self, end: char) -> Result<(), String> {
        self.skip_space();
        if self.take(",") || self.peek() == Some(end) {
            return Ok(());
        }
        Err(self.wrong(&format!("a comma or `{end}`")))
    }

    fn number(&mut self) -> Result<Value, String> {
        let is_of_number = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        let rest = self.rest();
        let end = rest.find(|c| !is_of_number(c)).unwrap_or(rest.len());
        let digits = rest.get(..end).unwrap_or_default().replace('_', "");
        let value = match digits.parse::<i64>() {
            Ok(whole) => Some(Value::from(whole)),
            Err(_) => digits
                .parse::<f64>()
                .ok()
                .filter(|x| x.is_finite())
                .map(Value::from),
        };
        let value = value.ok_or_else(|| self.wrong("a number"))?;
        self.at += end;
        Ok(value)
    }

    /// A string, or several in a row, which are one.
    fn strings(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            if matches!(self.peek(), Some('u' | 'U')) {
                self.next();
            }
            self.string(&mut text)?;
            self.skip_space();
            if !matches!(self.peek(), Some('\'' | '"')) {
                return Ok(text);
            }
        }
    }

    fn string(&mut self, text: &mut String) -> Result<(), String> {
        let quote = match self.peek() {
            Some(quote @ ('\'' | '"')) => quote.to_string(),
            _ => return Err(self.wrong("a string")),
        };
        let triple = quote.repeat(3);
        let is_long = self.take(&triple);
        let end = if is_long { triple } else { quote };
        if !is_long {
            self.next();
        }
        loop {
            if self.take(&end) {
                return Ok(());
            }
            match self.peek() {
                Some('\n' | '\r') if !is_long => return Err(self.wrong("a quotation mark")),
                Some('\\') => self.escape(text)?,
                Some(c) => {
                    text.push(c);
                    self.next();
                }
                None => return Err(self.wrong("a quotation mark")),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), String> {
        let begin = self.at;
        self.next();
        let Some(c) = self.next() else {
            return Err(self.wrong("an escape"));
        };
        let code = match c {
            '\n' => return Ok(()),
            '\\' | '\'' | '"' => u32::from(c),
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            'x' => self.digits(16, 2, 2)?,
            'u' => self.digits(16, 4, 4)?,
            'U' => self.digits(16, 8, 8)?,
            '0'..='7' => {
                self.at -= 1;
                self.digits(8, 1, 3)?
            }
            'N' => {
                self.at = begin;
                return Err(self.wrong("an escape other than by name"));
            }
            other => {
                text.push('\\');
                u32::from(other)
            }
        };
        let Some(c) = char::from_u32(code) else {
            self.at = begin;
            return Err(self.wrong("a character that exists"));
        };
        text.push(c);
        Ok(())
    }

    /// A number of so many digits.
    fn digits(&mut self, radix: u32, least: usize, most: usize) -> Result<u32, String> {
        let (mut number, mut count) = (0_u32, 0);
        while count < most {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(radix)) else {
                break;
            };
            // At most eight digits of 16.
            number = number.wrapping_mul(radix).wrapping_add(digit);
            self.next();
            count += 1;
        }
        match count >= least {
            true => Ok(number),
            false => Err(self.wrong("a digit of an escape")),
        }
    }
}
