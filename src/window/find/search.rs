//! What is looked for, and what was found so far.
//!
//! Nothing is kept ready for it: texts are searched as they stand. The conversation in sight is searched a few milliseconds a frame, so
//! that no frame stutters, and what streams in is searched as it comes. All conversations are read and searched by a thread.

use std::ops::Range;
use std::time::Instant;

use super::fold::Needle;
use crate::window::conversation::Conversation;

/// Bytes that are searched between two looks at the clock.
const STRETCH: usize = 64 << 10;

/// Bytes of a line of context before and after a match.
const CONTEXT: usize = 40;

/// A match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub message: usize,
    /// Bytes of the message.
    pub range: Range<usize>,
}

/// A conversation with matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub conversation: String,
    pub name: String,
    pub count: usize,
    /// The first match.
    pub first: Hit,
    /// The line around it, and which bytes of that match.
    pub line: String,
    pub marked: Range<usize>,
}

/// What is looked for, and what was found so far.
#[derive(Debug, Clone, Default)]
pub struct Find {
    pub query: String,
    /// Whether all conversations are searched.
    pub everywhere: bool,
    /// Index of the hit that is looked at.
    pub at: usize,
    here: Search,
    /// The conversation that `here` is of.
    conversation: String,
    /// Whether the hit that is looked at was shown.
    is_shown: bool,
    /// Conversations that match, latest first.
    pub found: Vec<Found>,
    /// Conversations that were searched, of so many.
    pub searched: (usize, usize),
}

/// Hits of a message.
#[derive(Clone, Copy)]
pub struct Marks<'a> {
    hits: &'a [Hit],
    active: Option<&'a Hit>,
}

impl<'a> Marks<'a> {
    pub const NONE: Self = Self {
        hits: &[],
        active: None,
    };

    /// Those that reach into `part` of the message, each with whether it is the one that is looked at.
    pub fn within(self, part: Range<usize>) -> impl Iterator<Item = (Range<usize>, bool)> + 'a {
        let begin = self.hits.partition_point(|hit| hit.range.end <= part.start);
        let hits = self.hits[begin..].iter();
        hits.take_while(move |hit| hit.range.start < part.end)
            .map(move |hit| (hit.range.clone(), self.active == Some(hit)))
    }
}

impl Find {
    /// Looks for something else.
    pub fn set_query(&mut self, query: String) {
        *self = Self {
            query,
            everywhere: self.everywhere,
            ..Self::default()
        };
    }

    /// Matches in the conversation in sight, first to last.
    pub fn hits(&self) -> &[Hit] {
        &self.here.hits
    }

    /// The one that is looked at.
    pub fn hit(&self) -> Option<&Hit> {
        self.here.hits.get(self.at)
    }

    /// Those in a message.
    pub fn marks(&self, message: usize) -> Marks<'_> {
        // A message comes after those that it answers.
        let hits = &self.here.hits;
        let begin = hits.partition_point(|hit| hit.message < message);
        let end = hits.partition_point(|hit| hit.message <= message);
        Marks {
            hits: &hits[begin..end],
            active: self.hit(),
        }
    }

    /// Looks at the next hit, or the one before; after the last comes the first.
    pub fn step(&mut self, is_back: bool) {
        let count = self.hits().len();
        if count > 0 {
            let step = if is_back { count - 1 } else { 1 };
            self.at = (self.at + step) % count;
            self.is_shown = false;
        }
    }

    /// Whether the hit that is looked at is another than the last time that this was asked.
    pub fn has_moved(&mut self) -> bool {
        self.hit().is_some() && !std::mem::replace(&mut self.is_shown, true)
    }

    /// Goes on in the messages that are `shown` of the conversation in sight, in their order, until all are searched or it is `deadline`. Returns
    /// whether all are.
    pub fn search(&mut self, current: &Conversation, shown: &[usize], deadline: Instant) -> bool {
        if self.conversation != current.id {
            self.conversation.clone_from(&current.id);
            self.here = Search::default();
            (self.at, self.is_shown) = (0, false);
        }
        let needle = Needle::new(&self.query);
        let is_done = self.here.run(&needle, current, shown, deadline);
        self.at = self.at.min(self.here.hits.len().saturating_sub(1));
        is_done
    }
}

/// The search of a conversation's shown messages.
#[derive(Debug, Clone, Default)]
pub struct Search {
    hits: Vec<Hit>,
    /// Messages that were searched, with their version and length then, and how many hits there were before them.
    seen: Vec<(usize, u64, usize, usize)>,
    /// Bytes of the next message that were searched.
    begun: usize,
    /// Which message that is.
    next: Option<(usize, u64)>,
}

impl Search {
    /// Goes on until all is searched, or it is `deadline`. Messages that have changed are searched anew, and those after them. Returns
    /// whether all is searched.
    pub fn run(
        &mut self,
        needle: &Needle,
        conversation: &Conversation,
        shown: &[usize],
        deadline: Instant,
    ) -> bool {
        let is_same = |at: &usize, seen: &(usize, u64, usize, usize)| {
            let message = conversation.message(*at);
            (*at, message.version, message.text.len()) == (seen.0, seen.1, seen.2)
        };
        let same = shown.iter().zip(&self.seen);
        let same = same.take_while(|(at, seen)| is_same(at, seen)).count();
        if let Some((.., hits)) = self.seen.get(same) {
            self.hits.truncate(*hits);
            self.seen.truncate(same);
            (self.begun, self.next) = (0, None);
        }
        if needle.is_empty() {
            return true;
        }
        while let Some(at) = shown.get(self.seen.len()) {
            let message = conversation.message(*at);
            let before = self.hits.partition_point(|hit| hit.message < *at);
            if self.next != Some((*at, message.version)) {
                self.hits.truncate(before);
                (self.begun, self.next) = (0, Some((*at, message.version)));
            }
            while self.begun < message.text.len() {
                let end = message.text.floor_char_boundary(self.begun + STRETCH);
                let ranges = needle.matches(&message.text, self.begun..end);
                // A match may reach beyond the stretch.
                self.begun = ranges.last().map_or(end, |last| last.end.max(end));
                let hits = ranges.into_iter();
                self.hits.extend(hits.map(|range| Hit {
                    message: *at,
                    range,
                }));
                if self.begun < message.text.len() && Instant::now() >= deadline {
                    return false;
                }
            }
            let seen = (*at, message.version, message.text.len(), before);
            self.seen.push(seen);
            (self.begun, self.next) = (0, None);
            // The clock costs more than most messages do.
            if self.seen.len().is_multiple_of(64) && Instant::now() >= deadline {
                return self.seen.len() == shown.len();
            }
        }
        true
    }

    /// What to show of it in a list.
    pub fn found(self, conversation: &Conversation) -> Option<Found> {
        let count = self.hits.len();
        let first = self.hits.into_iter().next()?;
        let text = &conversation.message(first.message).text;
        let (line, marked) = context(text, &first.range);
        Some(Found {
            conversation: conversation.id.clone(),
            name: conversation.name().to_owned(),
            count,
            first,
            line,
            marked,
        })
    }
}

/// The line around a match, shortened, and which bytes of that match.
fn context(text: &str, range: &Range<usize>) -> (String, Range<usize>) {
    let begin = text.floor_char_boundary(range.start.saturating_sub(CONTEXT));
    let before = &text[begin..range.start];
    let is_cut = begin > 0 && !before.contains('\n');
    let before = before.rsplit('\n').next().unwrap_or_default().trim_start();
    let after = &text[range.end..text.ceil_char_boundary(range.end.saturating_add(CONTEXT))];
    let after = after.split('\n').next().unwrap_or_default().trim_end();
    let mut line = String::new();
    line += if is_cut { "…" } else { "" };
    line += before;
    let begin = line.len();
    // A match may go over several lines.
    line += &text[range.clone()].replace('\n', " ");
    let marked = begin..line.len();
    line += after;
    (line, marked)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::text::Role;
    use crate::window::conversation::Mode;

    fn conversation(id: &str, texts: &[&str]) -> Conversation {
        let mut made = Conversation::new(id.into(), Mode::Chat, String::new());
        let mut parent = None;
        for text in texts {
            parent = Some(made.add(parent, Role::User, text));
        }
        made
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn hits_are_counted_stepped_through_and_follow_what_changes() {
        let mut talk = conversation("1", &["A king", "no", "King of kings"]);
        let mut find = Find::default();
        find.set_query("king".into());
        assert!(find.search(&talk, talk.path(), soon()));
        assert_eq!(find.hits().len(), 3);
        assert!(find.has_moved() && !find.has_moved());
        find.step(true);
        assert_eq!((find.at, find.has_moved()), (2, true));
        find.step(false);
        assert_eq!(find.at, 0);
        assert_eq!(
            find.marks(2).within(5..20).collect::<Vec<_>>(),
            [(8..12, false)]
        );
        assert_eq!(
            find.marks(0).within(0..9).collect::<Vec<_>>(),
            [(2..6, true)]
        );

        talk.edit(1, "a king too".into());
        assert!(find.search(&talk, talk.path(), soon()));
        assert_eq!(find.hits().len(), 4);
        talk.delete(1);
        assert!(find.search(&talk, talk.path(), soon()));
        assert_eq!(find.hits().len(), 1);
    }

    #[test]
    fn a_search_goes_on_where_it_was_left() {
        let long = "word king ".repeat(20_000);
        let talk = conversation("1", &["king", &long, "king"]);
        let mut find = Find::default();
        find.set_query("KING".into());
        let mut steps = 0;
        while !find.search(&talk, talk.path(), Instant::now()) {
            steps += 1;
            assert!(steps < 100);
        }
        assert!(steps > 1);
        assert_eq!(find.hits().len(), 20_002);
        let mut sorted = find.hits().to_vec();
        sorted.sort_by_key(|hit| (hit.message, hit.range.start));
        sorted.dedup();
        assert_eq!(sorted, find.hits());
    }

    #[test]
    fn what_is_found_is_listed_with_a_line_of_context() {
        let found = |texts: &[&str]| {
            let talk = conversation("1", texts);
            let mut search = Search::default();
            assert!(search.run(&Needle::new("king"), &talk, talk.path(), soon()));
            search.found(&talk)
        };
        assert_eq!(found(&["Nothing"]), None);
        let some = found(&["Once there was a king.", "Kings come and go"]).unwrap();
        assert_eq!((some.count, &*some.line), (2, "Once there was a king."));
        assert_eq!(&some.line[some.marked.clone()], "king");
        let long = "first\nThe Straße of the KING is long, and goes on and on and on and on\nlast";
        let some = found(&[long]).unwrap();
        assert_eq!(
            some.line,
            "The Straße of the KING is long, and goes on and on and on and"
        );
        assert_eq!(&some.line[some.marked], "KING");
        let some = found(&[&"ü".repeat(100).replacen("üüü", "üKing", 20)]).unwrap();
        assert!(some.line.starts_with('ü') && some.line.contains("King"));
    }
}
