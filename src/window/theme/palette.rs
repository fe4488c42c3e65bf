//! The colours of a theme.

use egui::Color32;

/// The colours that a theme is made of; all others are mixed from them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Palette {
    /// The surface that text stands on.
    pub page: Color32,
    /// The surface that is raised from it: bars, bubbles, cards, menus, buttons.
    pub raised: Color32,
    /// Between surfaces.
    pub line: Color32,
    pub text: Color32,
    /// What is said beside the matter.
    pub weak: Color32,
    /// The primary action, what is switched on, links, the focus.
    pub accent: Color32,
    /// Text on the accent.
    pub on_accent: Color32,
    pub warning: Color32,
}

const DARK: Palette = Palette {
    page: Color32::from_rgb(20, 21, 24),
    raised: Color32::from_rgb(32, 34, 38),
    line: Color32::from_rgb(56, 59, 66),
    text: Color32::from_rgb(229, 229, 226),
    weak: Color32::from_rgb(162, 167, 175),
    accent: Color32::from_rgb(158, 168, 255),
    on_accent: Color32::from_rgb(16, 18, 48),
    warning: Color32::from_rgb(242, 180, 92),
};

const LIGHT: Palette = Palette {
    page: Color32::from_rgb(253, 253, 251),
    raised: Color32::from_rgb(242, 242, 239),
    line: Color32::from_rgb(211, 211, 206),
    text: Color32::from_rgb(31, 32, 35),
    weak: Color32::from_rgb(88, 92, 99),
    accent: Color32::from_rgb(70, 66, 178),
    on_accent: Color32::from_rgb(255, 255, 255),
    warning: Color32::from_rgb(138, 72, 0),
};

impl Palette {
    pub fn of(is_dark: bool) -> &'static Self {
        match is_dark {
            true => &DARK,
            false => &LIGHT,
        }
    }

    /// What is written into.
    pub fn field(&self) -> Color32 {
        self.page.lerp_to_gamma(self.raised, 0.5)
    }

    /// Every other row of a table.
    pub fn stripe(&self) -> Color32 {
        self.page.lerp_to_gamma(self.raised, 0.6)
    }

    /// What the pointer is over.
    pub fn hovered(&self) -> Color32 {
        self.raised.lerp_to_gamma(self.line, 0.4)
    }

    /// Selected text, and what is chosen of several.
    pub fn selected(&self) -> Color32 {
        self.raised.lerp_to_gamma(self.accent, 0.3)
    }

    /// Behind what the person wrote.
    pub fn person(&self) -> Color32 {
        self.page.lerp_to_gamma(self.accent, 0.14)
    }
}
