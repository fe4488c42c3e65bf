//! JSON as Python's `json.dumps` writes it.

use std::io::Write;

use serde_json::ser::Formatter;

use super::python_strings;

/// The longest text that a template may make, in bytes. No context is that long.
pub const MOST_TEXT: usize = 4 << 20;

/// Bytes, up to a bound.
pub struct Bounded(pub Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_TEXT {
            return Err(std::io::Error::other("that is too much text"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Spaces and escapes as Python's.
pub struct PythonJson {
    /// Between items, and between a key and its value.
    pub item: String,
    pub key: String,
    /// Spaces a level; `None`: all in one line.
    pub indent: Option<usize>,
    pub is_ascii: bool,
    pub depth: usize,
    /// Whether the list or object that ends has anything in it.
    pub has_items: bool,
}

impl PythonJson {
    fn begin<W: Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> std::io::Result<()> {
        self.depth += 1;
        self.has_items = false;
        out.write_all(bracket)
    }

    fn end<W: Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> std::io::Result<()> {
        self.depth -= 1;
        if self.has_items {
            self.line(out)?;
        }
        self.has_items = true;
        out.write_all(bracket)
    }

    fn item<W: Write + ?Sized>(&mut self, out: &mut W, is_first: bool) -> std::io::Result<()> {
        if !is_first {
            out.write_all(self.item.as_bytes())?;
        }
        self.line(out)
    }

    /// A new line, where there are any.
    fn line<W: Write + ?Sized>(&self, out: &mut W) -> std::io::Result<()> {
        let Some(width) = self.indent else {
            return Ok(());
        };
        out.write_all(b"\n")?;
        (0..width * self.depth).try_for_each(|_| out.write_all(b" "))
    }
}

impl Formatter for PythonJson {
    fn write_f64<W: Write + ?Sized>(&mut self, out: &mut W, number: f64) -> std::io::Result<()> {
        out.write_all(python_strings::float(number).as_bytes())
    }

    fn begin_array<W: Write + ?Sized>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.begin(out, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.end(out, b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.item(out, first)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _: &mut W) -> std::io::Result<()> {
        self.has_items = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.begin(out, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.end(out, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.item(out, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(self.key.as_bytes())
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _: &mut W) -> std::io::Result<()> {
        self.has_items = true;
        Ok(())
    }

    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        if !self.is_ascii {
            return out.write_all(fragment.as_bytes());
        }
        for c in fragment.chars() {
            if c.is_ascii() {
                write!(out, "{c}")?;
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}
