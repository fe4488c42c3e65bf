//! The window's one design: type, grid, surfaces, accent and contrast. Views take sizes and colours from here, and name none.
//!
//! - **Type**: three sizes of text, [`TITLE`], [`BODY`] and [`SMALL`], in Inter, whose digits are all as wide as each other here, so that
//!   figures in columns stand below each other; one size of code. Weight, not size, tells a heading from text ([`strong`]).
//! - **Grid**: distances are multiples of [`GRID`].
//! - **Surfaces**: two. The page, on which text stands, and what is raised from it: bars, fields, bubbles, cards, menus.
//! - **Accent**: one. It marks the primary action of a view, what is switched on, links and the focus; nothing else.
//! - **Contrast**: text on either surface has at least 4.5:1, weak text too (WCAG 2.1, 1.4.3); the tests below count it.

mod fonts;
mod palette;

use egui::{
    Color32, CornerRadius, FontFamily, FontId, RichText, Stroke, TextStyle, ThemePreference,
};

pub use self::fonts::SEMIBOLD;
pub use self::palette::Palette;
use super::settings::Appearance;
use crate::trace::colors::{self, OKABE_ITO, Rgb};
use crate::trace::{Phase, group};

/// Sizes of text, in points.
pub const TITLE: f32 = 20.0;
pub const BODY: f32 = 15.0;
pub const SMALL: f32 = 12.5;
const CODE: f32 = 13.5;

/// Height of a line of text that is for reading.
pub const READING_LINE: f32 = 23.0;

/// The most that a line of text should be wide: about 72 characters of the body's size.
pub const READING_WIDTH: f32 = 560.0;

/// What distances are multiples of.
pub const GRID: f32 = 4.0;

/// Height and least width of what is clicked.
pub const CONTROL: f32 = 28.0;

/// How round corners are.
pub const CORNER: u8 = 6;

/// The colour of a share between 0 and 1.
pub fn viridis(share: f32) -> Color32 {
    shown(colors::viridis(f64::from(share)))
}

const fn shown(Rgb(red, green, blue): Rgb) -> Color32 {
    Color32::from_rgb(red, green, blue)
}

/// The colour of one of several things that are drawn beside each other.
pub fn series(index: usize) -> Color32 {
    shown(OKABE_ITO[index % OKABE_ITO.len()])
}

/// The colour of steps of a phase.
pub fn phase_color(phase: Phase) -> Color32 {
    match phase {
        Phase::Decode => shown(OKABE_ITO[0]),
        Phase::Prefill => shown(OKABE_ITO[5]),
    }
}

/// The colours of what takes more time than something else, and of what takes less.
pub const SLOWER: Color32 = shown(OKABE_ITO[5]);
pub const FASTER: Color32 = shown(OKABE_ITO[0]);

/// The colour of a group of kernels, by its index in [`crate::trace::GROUPS`].
pub fn group_color(group: usize) -> Color32 {
    shown(colors::group_color(group))
}

pub fn kernel_color(kernel: &str) -> Color32 {
    group_color(group(kernel))
}

/// Black or white, whichever can be read better on an opaque `background`.
pub fn ink_on(background: Color32) -> Color32 {
    shown(colors::ink_on(plain(background)))
}

fn plain(color: Color32) -> Rgb {
    Rgb(color.r(), color.g(), color.b())
}

/// The colours of the theme in use.
pub fn palette(ui: &egui::Ui) -> &'static Palette {
    Palette::of(ui.visuals().dark_mode)
}

pub fn accent(ui: &egui::Ui) -> Color32 {
    palette(ui).accent
}

pub fn warning(ui: &egui::Ui) -> Color32 {
    palette(ui).warning
}

/// Text with weight: a heading, a name, the figure that counts.
pub fn strong(text: impl Into<String>) -> RichText {
    RichText::new(text).family(FontFamily::Name(SEMIBOLD.into()))
}

/// Small text that says something beside the matter.
pub fn aside(text: impl Into<String>) -> RichText {
    RichText::new(text).small().weak()
}

/// The frame of a bar along an edge.
pub fn bar(ui: &egui::Ui) -> egui::Frame {
    let margin = egui::Margin::symmetric(2 * GRID as i8, GRID as i8);
    egui::Frame::new()
        .fill(palette(ui).raised)
        .inner_margin(margin)
}

/// The frame of what stands beside the page.
pub fn side(ui: &egui::Ui) -> egui::Frame {
    let margin = egui::Margin::same(2 * GRID as i8);
    egui::Frame::new()
        .fill(palette(ui).raised)
        .inner_margin(margin)
}

/// Tells what is drawn inside that it stands on a page, whose colour scroll areas fade to. The page itself is not filled: see [`cleared`].
pub fn on_page(ui: &egui::Ui) -> egui::UiBuilder {
    let page = egui::Frame::new().fill(palette(ui).page);
    let info = egui::UiStackInfo::new(egui::UiKind::Frame).with_frame(page);
    egui::UiBuilder::new().ui_stack_info(info)
}

/// The frame of a page.
pub fn page() -> egui::Frame {
    egui::Frame::new().inner_margin(egui::Margin::same(2 * GRID as i8))
}

/// What a window is cleared with: the colour of a page, whose fill would be half of a frame's time where a program draws. As
/// [`eframe::App::clear_color`] wants it.
pub fn cleared(visuals: &egui::Visuals) -> [f32; 4] {
    visuals.panel_fill.to_normalized_gamma_f32()
}

pub fn apply(context: &egui::Context, appearance: Appearance) {
    context.set_theme(match appearance {
        Appearance::System => ThemePreference::System,
        Appearance::Dark => ThemePreference::Dark,
        Appearance::Light => ThemePreference::Light,
    });
}

/// Fonts, sizes and colours, once.
pub fn set_up(context: &egui::Context) {
    context.set_fonts(fonts::definitions());
    context.all_styles_mut(sizes);
    for theme in [egui::Theme::Dark, egui::Theme::Light] {
        let palette = Palette::of(theme == egui::Theme::Dark);
        context.style_mut_of(theme, |style| color_visuals(&mut style.visuals, palette));
    }
}

fn sizes(style: &mut egui::Style) {
    let proportional = |size| FontId::new(size, FontFamily::Proportional);
    let title = FontId::new(TITLE, FontFamily::Name(SEMIBOLD.into()));
    style.text_styles = [
        (TextStyle::Heading, title),
        (TextStyle::Body, proportional(BODY)),
        (TextStyle::Button, proportional(BODY - 1.0)),
        (TextStyle::Small, proportional(SMALL)),
        (
            TextStyle::Monospace,
            FontId::new(CODE, FontFamily::Monospace),
        ),
    ]
    .into();
    style.spacing.item_spacing = egui::vec2(2.0 * GRID, GRID);
    style.spacing.button_padding = egui::vec2(2.0 * GRID, GRID);
    style.spacing.interact_size = egui::vec2(CONTROL, CONTROL);
    style.spacing.menu_margin = egui::Margin::same(GRID as i8);
    style.spacing.window_margin = egui::Margin::same(3 * GRID as i8);
    // A chat is for copying out of.
    style.interaction.selectable_labels = true;
}

fn color_visuals(visuals: &mut egui::Visuals, palette: &Palette) {
    let Palette {
        page,
        raised,
        line,
        text,
        weak,
        accent,
        warning,
        ..
    } = *palette;
    visuals.override_text_color = None;
    visuals.weak_text_color = Some(weak);
    visuals.panel_fill = page;
    visuals.window_fill = raised;
    visuals.window_stroke = Stroke::new(1.0, line);
    visuals.extreme_bg_color = palette.field();
    visuals.text_edit_bg_color = Some(palette.field());
    visuals.faint_bg_color = palette.stripe();
    visuals.code_bg_color = raised;
    visuals.hyperlink_color = accent;
    visuals.warn_fg_color = warning;
    visuals.error_fg_color = warning;
    visuals.selection.bg_fill = palette.selected();
    visuals.selection.stroke = Stroke::new(1.0, text);
    visuals.text_cursor.stroke = Stroke::new(2.0, accent);
    visuals.striped = false;
    visuals.slider_trailing_fill = true;
    visuals.window_corner_radius = CornerRadius::same(CORNER + 2);
    visuals.menu_corner_radius = CornerRadius::same(CORNER);
    let widgets = &mut visuals.widgets;
    for (state, fill, stroke, ink) in [
        (
            &mut widgets.noninteractive,
            page,
            Stroke::new(1.0, line),
            text,
        ),
        (&mut widgets.inactive, raised, Stroke::new(1.0, line), text),
        (
            &mut widgets.hovered,
            palette.hovered(),
            Stroke::new(1.0, weak),
            text,
        ),
        // What is pressed, and what the keyboard is on: names and handles without a frame too.
        (
            &mut widgets.active,
            palette.hovered(),
            Stroke::new(2.0, accent),
            accent,
        ),
        (
            &mut widgets.open,
            palette.hovered(),
            Stroke::new(1.0, weak),
            text,
        ),
    ] {
        state.bg_fill = fill;
        state.weak_bg_fill = fill;
        state.bg_stroke = stroke;
        state.fg_stroke = Stroke::new(1.0, ink);
        state.corner_radius = CornerRadius::same(CORNER);
        state.expansion = 0.0;
    }
}

/// Rising bars, as the layers of OpenELM rise.
pub fn icon() -> egui::IconData {
    const SIDE: usize = 64;
    let mut rgba = Vec::with_capacity(SIDE * SIDE * 4);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let bar = x / 13;
            let inside = x % 13 < 10 && bar < 5 && SIDE - y < 14 + 11 * bar && SIDE - y > 4;
            let color = match inside {
                true => viridis(0.25 + 0.17 * bar as f32),
                false => Color32::TRANSPARENT,
            };
            rgba.extend(color.to_array());
        }
    }
    egui::IconData {
        rgba,
        width: SIDE as u32,
        height: SIDE as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contrast(a: Color32, b: Color32) -> f32 {
        colors::contrast(plain(a), plain(b))
    }

    #[test]
    fn text_can_be_read_everywhere() {
        for palette in [Palette::of(true), Palette::of(false)] {
            for surface in [
                palette.page,
                palette.raised,
                palette.field(),
                palette.hovered(),
            ] {
                for ink in [palette.text, palette.weak, palette.accent, palette.warning] {
                    let ratio = contrast(ink, surface);
                    assert!(ratio >= 4.5, "{ink:?} on {surface:?}: {ratio:.2}");
                }
            }
            assert!(contrast(palette.on_accent, palette.accent) >= 4.5);
            assert!(contrast(palette.text, palette.selected()) >= 4.5);
            assert!(contrast(palette.text, palette.person()) >= 4.5);
        }
    }
}
