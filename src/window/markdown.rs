//! Markdown as data: what stands in a text, in the order in which it is read, and which bytes of the text it comes from.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// More is not told apart by the eye.
const DEEPEST: usize = 6;

/// How a stretch of text is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    pub strong: bool,
    pub emphasis: bool,
    pub struck: bool,
    pub code: bool,
}

/// A stretch of text in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub text: String,
    /// Bytes that it comes from. They are as many as those of `text` unless something was escaped.
    pub source: Range<usize>,
    pub style: Style,
    /// Where it leads to.
    pub link: Option<String>,
}

/// What a block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Paragraph(Vec<Span>),
    /// With its level, from 1.
    Heading(u8, Vec<Span>),
    /// With its language, or nothing.
    Code(String, Vec<Span>),
    /// Rows of cells; the first row is the header.
    Table(Vec<Vec<Vec<Span>>>),
    Rule,
}

/// Something that stands on lines of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub kind: Kind,
    /// In how many lists it lies.
    pub depth: usize,
    /// In how many quotations it lies.
    pub quoted: usize,
    /// What stands before it: `•` or a number, at the beginning of a list's item.
    pub marker: Option<String>,
}

/// Takes a text apart.
pub fn parse(text: &str) -> Vec<Block> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut reader = Reader::default();
    for (event, source) in Parser::new_ext(text, options).into_offset_iter() {
        reader.take(event, source);
    }
    reader.end_paragraph();
    reader.blocks
}

/// A text without its marks: what is read.
pub fn plain(text: &str) -> String {
    let mut all = String::new();
    for block in parse(text) {
        let is_item = block.marker.is_some();
        if !all.is_empty() {
            all += if is_item { "\n" } else { "\n\n" };
        }
        all += &"  ".repeat(block.depth.saturating_sub(1));
        if let Some(marker) = &block.marker {
            all += marker;
            all.push(' ');
        }
        match &block.kind {
            Kind::Paragraph(spans) | Kind::Heading(_, spans) => push(&mut all, spans),
            Kind::Code(_, spans) => {
                push(&mut all, spans);
                all.truncate(all.trim_end_matches('\n').len());
            }
            Kind::Table(rows) => {
                for (i, row) in rows.iter().enumerate() {
                    all += if i > 0 { "\n" } else { "" };
                    for (j, cell) in row.iter().enumerate() {
                        all += if j > 0 { "\t" } else { "" };
                        push(&mut all, cell);
                    }
                }
            }
            Kind::Rule => all += "---",
        }
    }
    all
}

fn push(text: &mut String, spans: &[Span]) {
    for span in spans {
        *text += &span.text;
    }
}

#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    spans: Vec<Span>,
    style: Style,
    link: Option<String>,
    /// The lists that are open: the next item's number, if they have numbers.
    lists: Vec<Option<u64>>,
    quoted: usize,
    marker: Option<String>,
    heading: Option<u8>,
    code: Option<String>,
    table: Option<Vec<Vec<Vec<Span>>>>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, source: Range<usize>) {
        match event {
            Event::Start(tag) => self.begin(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text)
            | Event::Html(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => self.push(&text, source, self.style),
            Event::Code(text) => {
                // Without the backticks, which are as many on either side.
                let marks = source.len().saturating_sub(text.len()) / 2;
                let inside = source.start + marks..source.end - marks;
                let style = Style {
                    code: true,
                    ..self.style
                };
                self.push(&text, inside, style);
            }
            Event::SoftBreak => self.push(" ", source, self.style),
            Event::HardBreak => self.push("\n", source, self.style),
            Event::TaskListMarker(is_done) => {
                self.push(if is_done { "☑ " } else { "☐ " }, source, self.style);
            }
            Event::Rule => {
                self.end_paragraph();
                self.add(Kind::Rule);
            }
        }
    }

    fn begin(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Emphasis => self.style.emphasis = true,
            Tag::Strong => self.style.strong = true,
            Tag::Strikethrough => self.style.struck = true,
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.link = Some(dest_url.into_string());
            }
            Tag::TableRow | Tag::TableHead => {
                if let Some(rows) = &mut self.table {
                    rows.push(Vec::new());
                }
            }
            Tag::TableCell => {}
            // All others stand on lines of their own.
            tag => {
                self.end_paragraph();
                match tag {
                    Tag::Heading { level, .. } => self.heading = Some(level as u8),
                    Tag::BlockQuote(_) => self.quoted += 1,
                    Tag::List(first) => self.lists.push(first),
                    Tag::Item => {
                        self.marker = Some(match self.lists.last_mut() {
                            Some(Some(number)) => {
                                let marker = format!("{number}.");
                                *number += 1;
                                marker
                            }
                            _ => "•".to_owned(),
                        });
                    }
                    Tag::CodeBlock(CodeBlockKind::Fenced(info)) => {
                        let language = info.split_whitespace().next().unwrap_or_default();
                        self.code = Some(language.to_owned());
                    }
                    Tag::CodeBlock(CodeBlockKind::Indented) => self.code = Some(String::new()),
                    Tag::Table(_) => self.table = Some(Vec::new()),
                    _ => {}
                }
            }
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Emphasis => self.style.emphasis = false,
            TagEnd::Strong => self.style.strong = false,
            TagEnd::Strikethrough => self.style.struck = false,
            TagEnd::Link | TagEnd::Image => self.link = None,
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.spans);
                if let Some(row) = self.table.as_mut().and_then(|rows| rows.last_mut()) {
                    row.push(cell);
                }
            }
            TagEnd::TableRow | TagEnd::TableHead => {}
            TagEnd::Table => {
                if let Some(rows) = self.table.take() {
                    self.add(Kind::Table(rows));
                }
            }
            TagEnd::Heading(_) => {
                let spans = std::mem::take(&mut self.spans);
                let level = self.heading.take().unwrap_or(1);
                self.add(Kind::Heading(level, spans));
            }
            TagEnd::CodeBlock => {
                let spans = std::mem::take(&mut self.spans);
                let language = self.code.take().unwrap_or_default();
                self.add(Kind::Code(language, spans));
            }
            TagEnd::List(_) => {
                self.end_paragraph();
                self.lists.pop();
            }
            TagEnd::Item => {
                self.end_paragraph();
                // One without anything in it is an item nevertheless.
                if self.marker.is_some() {
                    self.add(Kind::Paragraph(Vec::new()));
                }
            }
            TagEnd::BlockQuote(_) => {
                self.end_paragraph();
                self.quoted = self.quoted.saturating_sub(1);
            }
            _ => self.end_paragraph(),
        }
    }

    fn push(&mut self, text: &str, source: Range<usize>, style: Style) {
        self.spans.push(Span {
            text: text.to_owned(),
            source,
            style,
            link: self.link.clone(),
        });
    }

    fn end_paragraph(&mut self) {
        if self.table.is_none() && !self.spans.is_empty() {
            let spans = std::mem::take(&mut self.spans);
            self.add(Kind::Paragraph(spans));
        }
    }

    fn add(&mut self, kind: Kind) {
        self.blocks.push(Block {
            kind,
            depth: self.lists.len().min(DEEPEST),
            quoted: self.quoted.min(DEEPEST),
            marker: self.marker.take(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_in_the_order_in_which_they_are_read() {
        let text = "# Title\nOne *two* **three**\n\n3. a\n4. b\n   - c\n\n> said\n\n```rust\nx\n```\n\n| h |\n|---|\n| `1` |\n\n---";
        let blocks = parse(text);
        let kinds: Vec<String> = blocks
            .iter()
            .map(|block| {
                let mut text = String::new();
                match &block.kind {
                    Kind::Paragraph(spans) => push(&mut text, spans),
                    Kind::Heading(level, spans) => {
                        text += &format!("{level}:");
                        push(&mut text, spans);
                    }
                    Kind::Code(language, spans) => {
                        text += &format!("{language}:");
                        push(&mut text, spans);
                    }
                    Kind::Table(rows) => text += &format!("{} rows", rows.len()),
                    Kind::Rule => text += "rule",
                }
                let marker = block.marker.clone().unwrap_or_default();
                format!("{}{}{marker}{text}", block.depth, block.quoted)
            })
            .collect();
        assert_eq!(
            kinds,
            [
                "001:Title",
                "00One two three",
                "103.a",
                "104.b",
                "20•c",
                "01said",
                "00rust:x\n",
                "002 rows",
                "00rule"
            ]
        );
    }

    #[test]
    fn every_stretch_says_where_it_comes_from() {
        let text = "A **b** `c` &amp; [d](http://e)";
        for block in parse(text) {
            let Kind::Paragraph(spans) = block.kind else {
                panic!("{block:?}");
            };
            for span in spans {
                let source = &text[span.source.clone()];
                let is_escaped = source == "&amp;" && span.text == "&";
                assert!(source == span.text || is_escaped, "{span:?}: {source}");
            }
        }
    }

    #[test]
    fn without_its_marks_a_text_is_as_it_is_read() {
        let text = "## So\n\nIt is **bold**:\n\n- one\n- two\n\n```\na\nb\n```\n\nEnd.";
        assert_eq!(
            plain(text),
            "So\n\nIt is bold:\n• one\n• two\n\na\nb\n\nEnd."
        );
    }

    #[test]
    fn hostile_nesting_is_bounded() {
        let blocks = parse(&format!("{} deep", ">".repeat(20_000)));
        assert!(blocks.iter().all(|block| block.quoted <= DEEPEST));
        let blocks = parse(&format!("{}x", "- ".repeat(5_000)));
        assert!(blocks.iter().all(|block| block.depth <= DEEPEST));
    }
}
