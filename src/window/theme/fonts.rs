//! Inter for text, egui's own for code and for signs that Inter lacks; scripts beyond Europe's come from the system.

use egui::{FontData, FontDefinitions, FontFamily};

/// The family of headings.
pub const SEMIBOLD: &str = "semibold";

const REGULAR_FILE: &[u8] = include_bytes!("../../../assets/fonts/Inter-Regular.otf");
const SEMIBOLD_FILE: &[u8] = include_bytes!("../../../assets/fonts/Inter-SemiBold.otf");

pub fn definitions() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    for (name, file) in [("Inter", REGULAR_FILE), ("Inter SemiBold", SEMIBOLD_FILE)] {
        let data = FontData::from_static(file);
        fonts.font_data.insert(name.to_owned(), data.into());
    }
    let text = fonts.families.entry(FontFamily::Proportional).or_default();
    text.insert(0, "Inter".to_owned());
    let mut semibold = text.clone();
    semibold.insert(0, "Inter SemiBold".to_owned());
    let family = FontFamily::Name(SEMIBOLD.into());
    fonts.families.insert(family, semibold);
    fonts
}
