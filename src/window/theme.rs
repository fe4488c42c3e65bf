//! Colours and sizes.

use egui::{Color32, FontFamily, FontId, TextStyle, ThemePreference};

use super::settings::Appearance;

/// Okabe and Ito's palette, which people with any colour vision can tell apart (jfly.uni-koeln.de/color).
const OKABE_ITO: [Color32; 7] = [
    Color32::from_rgb(0, 114, 178),
    Color32::from_rgb(230, 159, 0),
    Color32::from_rgb(0, 158, 115),
    Color32::from_rgb(204, 121, 167),
    Color32::from_rgb(86, 180, 233),
    Color32::from_rgb(213, 94, 0),
    Color32::from_rgb(240, 228, 66),
];

/// Matplotlib's viridis at nine even steps: dark to bright, and bright is more in grey too.
const VIRIDIS: [[f32; 3]; 9] = [
    [68.0, 1.0, 84.0],
    [71.0, 44.0, 122.0],
    [59.0, 81.0, 139.0],
    [44.0, 113.0, 142.0],
    [33.0, 144.0, 141.0],
    [39.0, 173.0, 129.0],
    [92.0, 200.0, 99.0],
    [170.0, 220.0, 50.0],
    [253.0, 231.0, 37.0],
];

/// The colour of a share between 0 and 1.
pub fn viridis(share: f32) -> Color32 {
    let at = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f32;
    let low = (at as usize).min(VIRIDIS.len() - 2);
    let mix = at - low as f32;
    let channel = |i: usize| (VIRIDIS[low][i] * (1.0 - mix) + VIRIDIS[low + 1][i] * mix) as u8;
    Color32::from_rgb(channel(0), channel(1), channel(2))
}

/// The kernels in the order of a layer, grouped as the layer bars stack them, with their colours.
pub const GROUPS: [(&str, &[&str], Color32); 8] = [
    (
        "norm",
        &["attn_norm", "ffn_norm", "final_norm"],
        OKABE_ITO[4],
    ),
    ("QKV", &["qkv"], OKABE_ITO[0]),
    ("rope", &["qk_norm_rope"], OKABE_ITO[6]),
    ("attention", &["attention"], OKABE_ITO[5]),
    ("out", &["out"], OKABE_ITO[3]),
    ("FFN", &["proj_1", "proj_2"], OKABE_ITO[2]),
    ("whole layer", &["layer"], Color32::from_gray(150)),
    ("other", &["embed", "head", "sample"], OKABE_ITO[1]),
];

/// The group of a kernel: its index in [`GROUPS`].
pub fn group(kernel: &str) -> usize {
    GROUPS
        .iter()
        .position(|(_, kernels, _)| kernels.contains(&kernel))
        .unwrap_or(GROUPS.len() - 1)
}

pub fn kernel_color(kernel: &str) -> Color32 {
    GROUPS[group(kernel)].2
}

/// Black or white, whichever can be read on `background`.
pub fn ink_on(background: Color32) -> Color32 {
    let [r, g, b, _] = background.to_array().map(f32::from);
    // Rec. 601 luma.
    if 0.299 * r + 0.587 * g + 0.114 * b > 140.0 {
        Color32::BLACK
    } else {
        Color32::WHITE
    }
}

/// The mark of what the model wrote.
pub fn accent(ui: &egui::Ui) -> Color32 {
    match ui.visuals().dark_mode {
        true => Color32::from_rgb(124, 196, 255),
        false => Color32::from_rgb(0, 90, 160),
    }
}

pub fn warning(ui: &egui::Ui) -> Color32 {
    match ui.visuals().dark_mode {
        true => Color32::from_rgb(255, 190, 92),
        false => Color32::from_rgb(150, 82, 0),
    }
}

pub fn apply(context: &egui::Context, appearance: Appearance) {
    context.set_theme(match appearance {
        Appearance::System => ThemePreference::System,
        Appearance::Dark => ThemePreference::Dark,
        Appearance::Light => ThemePreference::Light,
    });
}

/// Sizes, once.
pub fn set_up(context: &egui::Context) {
    context.all_styles_mut(|style| {
        let proportional = |size| FontId::new(size, FontFamily::Proportional);
        style.text_styles = [
            (TextStyle::Heading, proportional(18.0)),
            (TextStyle::Body, proportional(14.0)),
            (TextStyle::Button, proportional(13.0)),
            (TextStyle::Small, proportional(11.0)),
            (
                TextStyle::Monospace,
                FontId::new(12.5, FontFamily::Monospace),
            ),
        ]
        .into();
        style.spacing.item_spacing = egui::vec2(6.0, 4.0);
        style.spacing.button_padding = egui::vec2(6.0, 3.0);
        // A chat is for copying out of.
        style.interaction.selectable_labels = true;
        style.visuals.striped = true;
    });
    context.style_mut_of(egui::Theme::Dark, |style| {
        // egui's own is too dim to read comfortably.
        style.visuals.override_text_color = Some(Color32::from_gray(218));
        style.visuals.panel_fill = Color32::from_gray(24);
    });
    context.style_mut_of(egui::Theme::Light, |style| {
        style.visuals.override_text_color = Some(Color32::from_gray(30));
    });
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
