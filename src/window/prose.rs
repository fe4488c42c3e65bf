//! Text for reading: set in lines with room between them, selectable across paragraphs, with its matches marked.

use std::ops::Range;
use std::sync::Arc;

use egui::text::{CCursor, LayoutJob, TextFormat};
use egui::text_selection::LabelSelectionState;
use egui::{FontFamily, FontId, Galley, Pos2, Rect, Response, Sense, Stroke, TextStyle, vec2};

use super::find::{Marks, mark};
use super::icons::Icon;
use super::markdown::{self, Block, Kind, Span, Style};
use super::theme::{self, CORNER, GRID, READING_LINE};
use super::widgets::icon_button;

/// Between paragraphs.
const PARAGRAPH: f32 = 3.0 * GRID;

/// How much further in a list's items are than what is around them.
const INDENT: f32 = 6.0 * GRID;

/// Height of a line of code.
const CODE_LINE: f32 = READING_LINE - GRID;

/// The widest that a table's column gets.
const COLUMN: f32 = 280.0;

/// A text that was put on the page.
pub struct Set {
    pub position: Pos2,
    pub galley: Arc<Galley>,
    pub response: Response,
}

impl Set {
    /// Where bytes of the text are.
    pub fn rect(&self, range: &Range<usize>) -> Rect {
        let text = self.galley.text();
        let cursor = |byte: usize| CCursor::new(text[..byte].chars().count());
        let begin = self.galley.pos_from_cursor(cursor(range.start));
        let end = self.galley.pos_from_cursor(cursor(range.end));
        begin.union(end).translate(self.position.to_vec2())
    }
}

/// Puts a text on the page. Other than egui's own labels it takes part in a selection where it is out of sight too, so that
/// scrolling does not end a selection.
pub fn set(ui: &mut egui::Ui, job: LayoutJob) -> Set {
    let (position, galley, response) = egui::Label::new(job).layout_in_ui(ui);
    let role = egui::accesskit::Role::Label;
    response.widget_info(|| egui::WidgetInfo::labeled(role, true, galley.text()));
    let color = ui.visuals().text_color();
    let galley_shown = Arc::clone(&galley);
    LabelSelectionState::label_text_selection(
        ui,
        &response,
        position,
        galley_shown,
        color,
        Stroke::NONE,
    );
    Set {
        position,
        galley,
        response,
    }
}

/// How text for reading is set.
pub fn format(ui: &egui::Ui) -> TextFormat {
    TextFormat {
        line_height: Some(READING_LINE),
        ..TextFormat::simple(TextStyle::Body.resolve(ui.style()), theme::palette(ui).text)
    }
}

fn code_format(ui: &egui::Ui) -> TextFormat {
    TextFormat {
        line_height: Some(CODE_LINE),
        ..TextFormat::simple(
            TextStyle::Monospace.resolve(ui.style()),
            theme::palette(ui).text,
        )
    }
}

/// A message's text, a part of which is drawn.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub text: &'a str,
    pub marks: Marks<'a>,
}

impl Source<'_> {
    /// Draws a part as Markdown. Returns where the match is that is looked at.
    pub fn markdown(self, ui: &mut egui::Ui, part: &Range<usize>) -> Option<Rect> {
        let mut shown = None;
        for (i, block) in markdown::parse(&self.text[part.clone()]).iter().enumerate() {
            if i > 0 {
                ui.add_space(match block.marker {
                    Some(_) => GRID,
                    None => PARAGRAPH,
                });
            }
            let rect = ui.push_id(i, |ui| self.block(ui, block, part.start)).inner;
            shown = shown.or(rect);
        }
        shown
    }

    /// Draws a part as it is. Returns how wide it is, and where the match is that is looked at.
    pub fn plain(self, ui: &mut egui::Ui, part: &Range<usize>) -> (f32, Option<Rect>) {
        let text = self.text[part.clone()].trim_end();
        let mut setter = Setter::new(self.marks);
        let format = format(ui);
        setter.append(text, part.start..part.start + text.len(), format);
        let (set, matched) = setter.set_whole(ui);
        (set.galley.size().x, matched)
    }

    /// Draws code, or a part of it.
    pub fn code(self, ui: &mut egui::Ui, code: Code<'_>, part: &Range<usize>) -> Option<Rect> {
        let mut setter = Setter::new(self.marks);
        let mut at = part.start;
        let format = code_format(ui);
        let is_last = part.end == code.whole.end;
        let shown = match is_last {
            true => self.text[part.clone()].trim_end_matches('\n'),
            false => {
                let text = &self.text[part.clone()];
                text.strip_suffix('\n').unwrap_or(text)
            }
        };
        for line in shown.split_inclusive('\n') {
            let end = at + line.len();
            // What stands further in with its fence.
            let spaces = line.len() - line.trim_start_matches(' ').len();
            let line = &line[spaces.min(code.indent())..];
            setter.append(line, end - line.len()..end, format.clone());
            at = end;
        }
        if shown.is_empty() {
            setter.append("", at..at, format);
        }
        let is_first = part.start == code.whole.start;
        framed(ui, is_first, is_last, |ui| {
            if is_first {
                code_header(ui, code.language(), &self.text[code.whole.clone()]);
            }
            sideways(ui, "code", |ui| setter.set(ui))
        })
    }

    fn block(self, ui: &mut egui::Ui, block: &Block, offset: usize) -> Option<Rect> {
        let items = INDENT * block.depth as f32;
        let indent = items + 4.0 * GRID * block.quoted as f32;
        let room = ui.available_rect_before_wrap();
        let area = Rect::from_min_max(room.min + vec2(indent, 0.0), room.max);
        let mut inside = ui.new_child(egui::UiBuilder::new().max_rect(area));
        if let Some(marker) = &block.marker {
            let mut job = LayoutJob::default();
            job.append(marker, 0.0, format(ui));
            let width = ui.fonts_mut(|fonts| fonts.layout_job(job.clone()).size().x);
            let corner = area.min - vec2(width + 1.5 * GRID, 0.0);
            let place = Rect::from_min_size(corner, vec2(width + 1.0, READING_LINE));
            set(
                &mut ui.new_child(egui::UiBuilder::new().max_rect(place)),
                job,
            );
        }
        let shown = self.content(&mut inside, &block.kind, offset);
        let drawn = inside.min_rect();
        let line = Stroke::new(2.0, theme::palette(ui).line);
        for i in 0..block.quoted {
            let x = room.left() + items + 4.0 * GRID * i as f32 + GRID;
            ui.painter().vline(x, drawn.y_range(), line);
        }
        let taken = Rect::from_min_max(room.min, drawn.max.max(room.min));
        ui.allocate_rect(taken, Sense::hover());
        shown
    }

    fn content(self, ui: &mut egui::Ui, kind: &Kind, offset: usize) -> Option<Rect> {
        match kind {
            Kind::Paragraph(spans) => self.words(ui, spans, offset, &format(ui)),
            Kind::Heading(level, spans) => {
                let mut format = format(ui);
                let size = if *level < 3 {
                    theme::TITLE
                } else {
                    theme::BODY
                };
                format.font_id = FontId::new(size, FontFamily::Name(theme::SEMIBOLD.into()));
                if *level < 3 {
                    format.line_height = Some(READING_LINE + GRID);
                }
                self.words(ui, spans, offset, &format)
            }
            Kind::Code(language, spans) => {
                let mut setter = Setter::new(self.marks);
                let whole: String = spans.iter().map(|span| &*span.text).collect();
                for span in spans {
                    let source = span.source.start + offset..span.source.end + offset;
                    setter.append(&span.text, source, code_format(ui));
                }
                framed(ui, true, true, |ui| {
                    code_header(ui, language, &whole);
                    sideways(ui, "code", |ui| setter.set(ui))
                })
            }
            Kind::Table(rows) => sideways(ui, "table", |ui| {
                let grid = egui::Grid::new("cells")
                    .striped(true)
                    .spacing(vec2(4.0 * GRID, GRID))
                    .max_col_width(COLUMN);
                let table = grid.show(ui, |ui| {
                    let mut shown = None;
                    for (i, row) in rows.iter().enumerate() {
                        let mut format = format(ui);
                        if i == 0 {
                            format.font_id.family = FontFamily::Name(theme::SEMIBOLD.into());
                        }
                        for cell in row {
                            shown = shown.or(self.words(ui, cell, offset, &format));
                        }
                        ui.end_row();
                    }
                    shown
                });
                table.inner
            }),
            Kind::Rule => {
                ui.separator();
                None
            }
        }
    }

    fn words(
        self,
        ui: &mut egui::Ui,
        spans: &[Span],
        offset: usize,
        base: &TextFormat,
    ) -> Option<Rect> {
        let mut setter = Setter::new(self.marks);
        let mut links = Vec::new();
        for span in spans {
            let source = span.source.start + offset..span.source.end + offset;
            let begin = setter.job.text.len();
            let mut format = styled(ui, base, span.style);
            if let Some(link) = &span.link {
                format.color = theme::accent(ui);
                format.underline = Stroke::new(1.0, theme::accent(ui));
                // The line is drawn below the letters, not below the line of text.
                (format.line_height, format.valign) = (None, egui::Align::Center);
                links.push((begin..begin + span.text.len(), link));
            }
            setter.append(&span.text, source, format);
        }
        if spans.is_empty() {
            setter.append("", offset..offset, base.clone());
        }
        let (set, shown) = setter.set_whole(ui);
        for (range, link) in links {
            open_link(ui, &set, &range, link);
        }
        shown
    }
}

fn styled(ui: &egui::Ui, base: &TextFormat, style: Style) -> TextFormat {
    let mut format = base.clone();
    if style.code {
        format.font_id = TextStyle::Monospace.resolve(ui.style());
        format.background = theme::palette(ui).raised;
        // So that it stands on the line that the words beside it stand on.
        format.line_height = Some(READING_LINE - 0.5 * GRID);
    } else if style.strong {
        format.font_id.family = FontFamily::Name(theme::SEMIBOLD.into());
    }
    format.italics = style.emphasis;
    if style.struck {
        format.strikethrough = Stroke::new(1.0, format.color);
    }
    format
}

/// A link lies over its words, so that the keyboard and screen readers find it. Only what a browser or a mail program opens is
/// opened: what a model writes is not to start anything else.
fn open_link(ui: &egui::Ui, set: &Set, range: &Range<usize>, link: &str) {
    let rect = set.rect(range);
    let id = set.response.id.with(range.start);
    let response = ui.interact(rect, id, Sense::click());
    let words = &set.galley.text()[range.clone()];
    let role = egui::accesskit::Role::Link;
    response.widget_info(|| egui::WidgetInfo::labeled(role, true, words));
    if response.has_focus() {
        let stroke = Stroke::new(2.0, theme::accent(ui));
        let outside = egui::StrokeKind::Outside;
        ui.painter().rect_stroke(rect, CORNER, stroke, outside);
    }
    let can_open = ["http://", "https://", "mailto:"]
        .iter()
        .any(|scheme| link.starts_with(scheme));
    if response.clicked() && can_open {
        ui.ctx().open_url(egui::OpenUrl::new_tab(link));
    }
    let hover = response.on_hover_text(link);
    if can_open {
        hover.on_hover_cursor(egui::CursorIcon::PointingHand);
    }
}

/// Code between fences, of which a part is drawn.
#[derive(Clone)]
pub struct Code<'a> {
    /// The line of its first fence.
    pub opening: &'a str,
    /// Bytes of all of it.
    pub whole: Range<usize>,
}

impl Code<'_> {
    fn language(&self) -> &str {
        let info = self.opening.trim().trim_start_matches(['`', '~']);
        info.split_whitespace().next().unwrap_or_default()
    }

    fn indent(&self) -> usize {
        self.opening.len() - self.opening.trim_start_matches(' ').len()
    }
}

/// Something as wide as the page with a surface of its own, or a part of it, between others.
fn framed<R>(
    ui: &mut egui::Ui,
    is_first: bool,
    is_last: bool,
    content: impl FnOnce(&mut egui::Ui) -> R,
) -> R {
    let margin = |is_end: bool| if is_end { 2 * GRID as i8 } else { 0 };
    let corner = |is_end: bool| if is_end { CORNER } else { 0 };
    let frame = egui::Frame::new()
        .fill(theme::palette(ui).raised)
        .corner_radius(egui::CornerRadius {
            nw: corner(is_first),
            ne: corner(is_first),
            sw: corner(is_last),
            se: corner(is_last),
        })
        .inner_margin(egui::Margin {
            left: 3 * GRID as i8,
            right: 3 * GRID as i8,
            top: margin(is_first),
            bottom: margin(is_last),
        });
    let framed = frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        content(ui)
    });
    framed.inner
}

/// What is too wide for the page can be moved sideways.
fn sideways<R>(ui: &mut egui::Ui, name: &str, content: impl FnOnce(&mut egui::Ui) -> R) -> R {
    let scroll = egui::ScrollArea::horizontal()
        .id_salt(name)
        .auto_shrink([false, true]);
    let scrolled = scroll.show(ui, |ui| {
        ui.style_mut().wrap_mode = Some(egui::TextWrapMode::Extend);
        content(ui)
    });
    scrolled.inner
}

/// The language, and a button that copies all of the code.
fn code_header(ui: &mut egui::Ui, language: &str, code: &str) {
    ui.horizontal(|ui| {
        let language = if language.is_empty() {
            "code"
        } else {
            language
        };
        ui.label(theme::aside(language));
        let layout = egui::Layout::right_to_left(egui::Align::Center);
        ui.with_layout(layout, |ui| {
            if icon_button(ui, Icon::Copy, "Copy code", "").clicked() {
                let code = code.strip_suffix('\n').unwrap_or(code);
                ui.ctx().copy_text(code.to_owned());
            }
        });
    });
}

/// Puts a text together from stretches that know where they come from.
pub struct Setter<'a> {
    marks: Marks<'a>,
    job: LayoutJob,
    marked: Vec<(Range<usize>, bool)>,
}

impl<'a> Setter<'a> {
    pub fn new(marks: Marks<'a>) -> Self {
        Self {
            marks,
            job: LayoutJob::default(),
            marked: Vec::new(),
        }
    }

    pub fn append(&mut self, text: &str, source: Range<usize>, format: TextFormat) {
        let begin = self.job.text.len();
        self.job.append(text, 0.0, format);
        for (range, is_active) in self.marks.within(source.clone()) {
            let local = match source.len() == text.len() {
                true => {
                    // As long as its source, it may be another text: of code that goes on in a second line of a list the list's prefix is
                    // left out.
                    let from = range.start.saturating_sub(source.start);
                    let to = range.end.min(source.end) - source.start;
                    begin + text.floor_char_boundary(from)..begin + text.ceil_char_boundary(to)
                }
                // Something that was escaped: all of it.
                false => begin..begin + text.len(),
            };
            self.marked.push((local, is_active));
        }
    }

    /// Returns where the match is that is looked at.
    pub fn set(self, ui: &mut egui::Ui) -> Option<Rect> {
        self.set_whole(ui).1
    }

    fn set_whole(mut self, ui: &mut egui::Ui) -> (Set, Option<Rect>) {
        mark(&mut self.job, &self.marked, theme::palette(ui));
        let set = set(ui, self.job);
        let active = self.marked.iter().find(|(_, is_active)| *is_active);
        let rect = active.map(|(range, _)| set.rect(range));
        (set, rect)
    }
}
