//! A text that person and model write together, cut into lines that can be laid out one by one.

use std::ops::Range;

use super::conversation::Conversation;
use super::theme::READING_LINE;
use super::tokens::Stretch;

/// A text written together, in lines.
#[derive(Default)]
pub struct Flow {
    key: (String, usize, u64, usize),
    width: f32,
    pub lines: Vec<Vec<Stretch>>,
    pub heights: Vec<f32>,
}

impl Flow {
    /// Cuts the text of `path`, which is the conversation's or the beginning of that, anew if it has changed.
    pub fn update(&mut self, conversation: &Conversation, path: &[usize], width: f32) {
        let messages = || path.iter().map(|at| conversation.message(*at));
        let key = (
            conversation.id.clone(),
            messages().map(|message| message.text.len()).sum(),
            messages().map(|message| message.version + 1).sum(),
            path.last().copied().unwrap_or(usize::MAX),
        );
        if self.key == key && self.width == width {
            return;
        }
        let mut lines: Vec<Vec<Stretch>> = Vec::new();
        let mut is_open = false;
        for at in path {
            let text = &conversation.message(*at).text;
            let mut begin = 0;
            for line in text.split_inclusive('\n') {
                let end = begin + line.len();
                let shown = end - usize::from(line.ends_with('\n'));
                match lines.last_mut() {
                    Some(last) if is_open => last.push((*at, begin..shown)),
                    _ => lines.push(vec![(*at, begin..shown)]),
                }
                is_open = !line.ends_with('\n');
                begin = end;
            }
        }
        let lines: Vec<Vec<Stretch>> = lines
            .into_iter()
            .flat_map(|stretches| cut(conversation, stretches))
            .collect();
        if self.width != width {
            self.heights.clear();
        }
        let same = self.lines.iter().zip(&lines).take_while(|(a, b)| a == b);
        // A line that has grown by a word is probably as high as it was.
        let kept = same.count() + 1;
        self.heights.truncate(kept.min(lines.len()));
        for stretches in &lines[self.heights.len()..] {
            let length: usize = stretches.iter().map(|(_, range)| range.len()).sum();
            let rows = 1 + length / (width / 7.0).max(10.0) as usize;
            self.heights.push(READING_LINE * rows as f32);
        }
        (self.key, self.width, self.lines) = (key, width, lines);
    }
}

/// A line that is too long to lay out at once, in several.
fn cut(conversation: &Conversation, stretches: Vec<Stretch>) -> Vec<Vec<Stretch>> {
    const MOST: usize = 4000;
    let length: usize = stretches.iter().map(|(_, range)| range.len()).sum();
    if length <= MOST {
        return vec![stretches];
    }
    let mut lines = Vec::new();
    for (message, Range { mut start, end }) in stretches {
        let text = &conversation.message(message).text;
        while start < end {
            let mut stop = end.min(start + MOST);
            while !text.is_char_boundary(stop) {
                stop -= 1;
            }
            if stop < end
                && let Some(space) = text[start..stop].rfind(' ')
            {
                stop = start + space + 1;
            }
            lines.push(vec![(message, start..stop)]);
            start = stop;
        }
    }
    lines
}
