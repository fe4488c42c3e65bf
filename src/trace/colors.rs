//! Colours of timings, the same in the window and in reports.

use std::fmt;

use super::groups::GROUPS;

/// Red, green and blue, in sRGB. Written as HTML does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

impl Rgb {
    pub const BLACK: Self = Self(0, 0, 0);
    pub const WHITE: Self = Self(255, 255, 255);

    /// Relative luminance, 0 to 1 (WCAG 2.1).
    fn luminance(self) -> f32 {
        let linear = |byte: u8| {
            let value = f32::from(byte) / 255.0;
            match value {
                ..=0.04045 => value / 12.92,
                _ => ((value + 0.055) / 1.055).powf(2.4),
            }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }
}

/// Contrast of two colours, 1 to 21 (WCAG 2.1's definition).
pub fn contrast(a: Rgb, b: Rgb) -> f32 {
    let (a, b) = (a.luminance(), b.luminance());
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Black or white, whichever can be read better on `background`.
pub fn ink_on(background: Rgb) -> Rgb {
    let of = |ink| contrast(ink, background);
    match of(Rgb::BLACK) >= of(Rgb::WHITE) {
        true => Rgb::BLACK,
        false => Rgb::WHITE,
    }
}

/// Okabe and Ito's palette, which people with any colour vision can tell apart (jfly.uni-koeln.de/color).
pub const OKABE_ITO: [Rgb; 7] = [
    Rgb(0, 114, 178),
    Rgb(230, 159, 0),
    Rgb(0, 158, 115),
    Rgb(204, 121, 167),
    Rgb(86, 180, 233),
    Rgb(213, 94, 0),
    Rgb(240, 228, 66),
];

/// The colours of the groups of kernels, in the order of [`GROUPS`].
const GROUP_COLORS: [Rgb; GROUPS.len()] = [
    OKABE_ITO[4],
    OKABE_ITO[0],
    OKABE_ITO[6],
    OKABE_ITO[5],
    OKABE_ITO[3],
    OKABE_ITO[2],
    Rgb(150, 150, 150),
    OKABE_ITO[1],
];

/// The colour of a group of kernels, by its index in [`GROUPS`].
pub fn group_color(group: usize) -> Rgb {
    GROUP_COLORS[group.min(GROUP_COLORS.len() - 1)]
}

/// Matplotlib's viridis at nine even steps: dark to bright, and bright is more in grey too.
const VIRIDIS: [[f64; 3]; 9] = [
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
pub fn viridis(share: f64) -> Rgb {
    let at = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let low = (at as usize).min(VIRIDIS.len() - 2);
    let mix = at - low as f64;
    let channel = |i: usize| (VIRIDIS[low][i] * (1.0 - mix) + VIRIDIS[low + 1][i] * mix) as u8;
    Rgb(channel(0), channel(1), channel(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_read_on_the_colours_of_groups() {
        assert!((contrast(Rgb::BLACK, Rgb::WHITE) - 21.0).abs() < 1e-3);
        for color in GROUP_COLORS {
            assert!(contrast(ink_on(color), color) >= 4.5, "{color}");
        }
    }

    #[test]
    fn brighter_is_more() {
        assert_eq!(viridis(-1.0).to_string(), "#440154");
        assert_eq!(viridis(2.0).to_string(), "#fde725");
        let luminances = (0..=20).map(|i| viridis(f64::from(i) / 20.0).luminance());
        assert!(luminances.is_sorted());
    }
}
