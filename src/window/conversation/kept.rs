//! A conversation as it is kept on disk.

use super::message::Message;
use super::tree::Conversation;

impl Conversation {
    /// For each message its index on disk; none for what was deleted and for what answered that.
    fn numbers(&self) -> Vec<Option<usize>> {
        let mut numbers: Vec<Option<usize>> = Vec::with_capacity(self.messages.len());
        let mut count = 0;
        for message in &self.messages {
            let is_kept = !message.deleted
                && message
                    .parent
                    .is_none_or(|parent| numbers[parent].is_some());
            numbers.push(is_kept.then_some(count));
            count += usize::from(is_kept);
        }
        numbers
    }

    /// The index that a message has on disk.
    pub fn kept_index(&self, index: usize) -> Option<usize> {
        self.numbers().get(index).copied().flatten()
    }

    /// As it is kept on disk: without what was deleted.
    pub fn kept(&self) -> Self {
        let numbers = self.numbers();
        let mut kept = Self {
            messages: Vec::new(),
            undo: Vec::new(),
            redo: Vec::new(),
            ..self.clone_head()
        };
        for (message, number) in self.messages.iter().zip(&numbers) {
            if number.is_none() {
                continue;
            }
            kept.messages.push(Message {
                parent: message.parent.and_then(|parent| numbers[parent]),
                tokens: Vec::new(),
                children: Vec::new(),
                text: message.text.clone(),
                stats: message.stats.clone(),
                ..*message
            });
        }
        let renumber =
            |chosen: Option<usize>| chosen.and_then(|i| numbers.get(i).copied().flatten());
        kept.chosen = renumber(self.chosen);
        for message in &mut kept.messages {
            message.chosen = renumber(message.chosen);
        }
        kept.link();
        kept
    }

    /// Everything but the messages.
    fn clone_head(&self) -> Self {
        let mut head = Self::new(self.id.clone(), self.mode, self.template.clone());
        head.title.clone_from(&self.title);
        (head.created, head.changed) = (self.created, self.changed);
        head.pinned = self.pinned;
        head.tags.clone_from(&self.tags);
        head.system.clone_from(&self.system);
        head
    }
}
