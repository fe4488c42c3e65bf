//! How matches are seen in a text.

use std::ops::Range;

use egui::text::{ByteIndex, LayoutJob, LayoutSection};

use crate::window::theme;

/// Puts a background behind stretches of a text, another behind the one that is looked at.
pub fn mark(job: &mut LayoutJob, stretches: &[(Range<usize>, bool)], palette: &theme::Palette) {
    if stretches.is_empty() {
        return;
    }
    let mut sections = Vec::with_capacity(job.sections.len() + 2 * stretches.len());
    for section in job.sections.drain(..) {
        let (mut at, end) = (section.byte_range.start.0, section.byte_range.end.0);
        let mut leading_space = section.leading_space;
        let mut add = |range: Range<usize>, is_active: Option<bool>| {
            let mut format = section.format.clone();
            match is_active {
                Some(true) => {
                    (format.background, format.color) = (palette.accent, palette.on_accent);
                }
                Some(false) => format.background = palette.selected(),
                None => {}
            }
            sections.push(LayoutSection {
                leading_space: std::mem::take(&mut leading_space),
                byte_range: ByteIndex(range.start)..ByteIndex(range.end),
                format,
            });
        };
        let within = stretches
            .iter()
            .filter(|(range, _)| range.start < end && at < range.end);
        let within: Vec<_> = within.collect();
        if at == end {
            add(at..end, None);
        }
        for (range, is_active) in within {
            let (begin, stop) = (range.start.max(at), range.end.min(end));
            if at < begin {
                add(at..begin, None);
            }
            add(begin..stop, Some(*is_active));
            at = stop;
        }
        if at < end {
            add(at..end, None);
        }
    }
    job.sections = sections;
}

#[cfg(test)]
mod tests {
    use egui::text::TextFormat;

    use super::*;

    #[test]
    fn what_is_marked_keeps_its_text_and_its_other_format() {
        let palette = theme::Palette::of(true);
        let mut job = LayoutJob::default();
        let struck = TextFormat {
            italics: true,
            ..TextFormat::default()
        };
        job.append("hello ", 3.0, TextFormat::default());
        job.append("world", 0.0, struck);
        mark(&mut job, &[(1..3, false), (4..8, true)], palette);
        let sections: Vec<_> = job
            .sections
            .iter()
            .map(|section| {
                let range = section.byte_range.start.0..section.byte_range.end.0;
                (range, section.format.background, section.format.italics)
            })
            .collect();
        let none = egui::Color32::TRANSPARENT;
        assert_eq!(
            sections,
            [
                (0..1, none, false),
                (1..3, palette.selected(), false),
                (3..4, none, false),
                (4..6, palette.accent, false),
                (6..8, palette.accent, true),
                (8..11, none, true),
            ]
        );
        assert_eq!(job.sections[0].leading_space, 3.0);
    }
}
