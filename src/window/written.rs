//! What the model wrote, as it stands on the page.

use egui::Rect;

use super::blocks::{Kind, Pieces};
use super::prose::{Code, Source};
use super::theme::GRID;

/// Between paragraphs.
pub const PARAGRAPH: f32 = 3.0 * GRID;

/// Draws a piece. Returns where the match is that is looked at.
pub fn written(
    ui: &mut egui::Ui,
    source: Source<'_>,
    pieces: &Pieces,
    piece: usize,
) -> Option<Rect> {
    let range = &pieces.all[piece].range;
    let matched = match &pieces.all[piece].kind {
        Kind::Prose => source.markdown(ui, range),
        Kind::Code { opening } => {
            let code = Code {
                opening: &source.text[opening.clone()],
                whole: pieces.code(piece),
            };
            let is_last = range.end == code.whole.end;
            let matched = source.code(ui, code, range);
            if !is_last {
                return matched;
            }
            matched
        }
    };
    ui.add_space(PARAGRAPH);
    matched
}
